"""Engines ranked by their overlap with what was drawn by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

RANKING = ["region", "reference", "engine", "other", "n", "dice", "dice_low", "dice_high", "rank"]
RANKING += ["rank_low", "rank_high", "share_best", "friedman_chi2", "friedman_p", "difference"]
RANKING += ["difference_low", "difference_high", "p", "p_holm"]
SAMPLES = 2000
SEED = 1
# Participants, and engines of Friedman's test.
FEWEST, FEWEST_OF_FRIEDMAN = 5, 3


def ranking_table(overlaps: pd.DataFrame) -> pd.DataFrame:
    """Engines by their Dice of both sides with each rater, and each two of them.

    Of the participants that all engines have, each with the mean of its sessions; an engine that
    no participant has stands apart with n 0. Raters are not ranked. Intervals are percentiles of
    `SAMPLES` bootstrap samples of participants, the same for all engines; no tests and intervals
    of fewer than `FEWEST` participants.

    Parameters
    ----------
    overlaps : as of `overlap_table`

    Returns
    -------
    DataFrame
        Columns `RANKING`: of each engine (``other`` missing) its mean Dice, its rank among these
        means, and the share of samples in which it is best; of each two the mean of the paired
        differences, Wilcoxon's p and that after Holm over the pairs of region and rater.

    Notes
    -----
    Friedman 1937, 10.1080/01621459.1937.10503522; Wilcoxon 1945, 10.2307/3001968.
    """
    both, rows = overlaps[overlaps["side"] == "both"], []
    for (region, rater), group in both.groupby(["region", "reference"], sort=False):
        raters = both.loc[both["region"] == region, "reference"].unique()
        group = group[~group["engine"].isin(raters)]
        wide = group.pivot_table(
            index="participant_id", columns="engine", values="dice", sort=False, dropna=False
        )
        keys = {"region": region, "reference": rater}
        rows += [keys | row for row in _ranked(wide.dropna(axis=1, how="all").dropna())]
        nobody = wide.columns[wide.isna().all()]
        rows += [keys | {"engine": engine, "n": 0} for engine in nobody]
    return pd.DataFrame(rows, columns=RANKING)


def _ranked(dice: pd.DataFrame) -> list[dict]:
    """Rows of the engines, and of each two, from their Dice (participants, engines)."""
    n, names, values = len(dice), list(dice), dice.to_numpy()
    if not n:
        return [{"engine": name, "n": 0} for name in names]
    engines = pd.DataFrame({"engine": names, "n": n, "dice": values.mean(0)})
    engines["rank"] = stats.rankdata(-values.mean(0))
    two = list(combinations(range(len(names)), 2))
    pairs = pd.DataFrame([{"engine": names[a], "other": names[b], "n": n} for a, b in two])
    first, second = np.array(two, int).reshape(-1, 2).T
    differences = values[:, first] - values[:, second]
    pairs["difference"] = differences.mean(0)
    if n >= FEWEST:
        drawn = np.random.default_rng(SEED).integers(n, size=(SAMPLES, n))
        means = values[drawn].mean(1)
        ranks = stats.rankdata(-means, axis=1)
        best = means == means.max(1, keepdims=True)
        engines["share_best"] = (best / best.sum(1, keepdims=True)).mean(0)
        apart = means[:, first] - means[:, second]
        for table, name, samples in (
            (engines, "dice", means), (engines, "rank", ranks), (pairs, "difference", apart),
        ):  # fmt: skip
            table[[f"{name}_low", f"{name}_high"]] = np.percentile(samples, [2.5, 97.5], axis=0).T
        if len(names) >= FEWEST_OF_FRIEDMAN:
            engines["friedman_chi2"], engines["friedman_p"] = stats.friedmanchisquare(*values.T)
        pairs["p"] = [stats.wilcoxon(d).pvalue if d.any() else 1.0 for d in differences.T]
        if len(pairs):
            pairs["p_holm"] = multipletests(pairs["p"], method="holm")[1]
    engines = engines.sort_values("rank", kind="stable")
    return engines.to_dict("records") + pairs.to_dict("records")
