"""Compare features between groups: Kruskal-Wallis and Dunn, with effect sizes."""

import logging
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.common.job import job
from workflow_scripts.common.people import as_numbers, columns_of, members
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.correction import corrected
from workflow_scripts.statistics.metrics import auc_interval

GROUPS = ["feature", "group", "n", "median", "q1", "q3", "h", "df", "p", "p_corrected"]
GROUPS += ["correction", "n_tests", "epsilon_squared"]
GROUPS += ["epsilon_squared_low", "epsilon_squared_high"]
PAIRS = ["feature", "group_a", "group_b", "n_a", "n_b", "z", "p", "p_corrected", "correction"]
PAIRS += ["n_tests", "cliffs_delta", "cliffs_delta_low", "cliffs_delta_high"]
PAIRS += ["median_difference", "median_difference_low", "median_difference_high"]
PAIRS += ["hodges_lehmann"]
LOG = logging.getLogger(__name__)


def epsilon_squared(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Share of the variance of the ranks that lies between the groups.

    Parameters
    ----------
    values : float array, (..., N)
    group : int array, (N,)

    Returns
    -------
    float array, (...)
        NaN where all values are equal.

    Notes
    -----
    Equal to H / (N - 1) with the H of Kruskal and Wallis, ties included
    (Tomczak & Tomczak 2014, Trends Sport Sci 21:19). It cannot be negative, so
    its expectation without any difference is (k - 1) / (N - 1), not 0.
    """
    centred = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    total = (centred**2).sum(-1)
    between = sum(
        centred[..., group == g].sum(-1) ** 2 / (group == g).sum() for g in np.unique(group)
    )
    return between / np.where(total == 0, np.nan, total)


def resample(samples: list[np.ndarray], bootstraps: int, seed: int) -> list[np.ndarray]:
    """Bootstrap samples drawn within each group: float arrays (bootstraps, N of the group)."""
    rng = np.random.default_rng(seed)
    return [sample[rng.integers(len(sample), size=(bootstraps, len(sample)))] for sample in samples]


def compare_pair(a: np.ndarray, b: np.ndarray, drawn_a: np.ndarray, drawn_b: np.ndarray) -> dict:
    """Effect sizes of one pair of groups, b against a.

    Parameters
    ----------
    a, b : float arrays, (Na,) and (Nb,)
    drawn_a, drawn_b : float arrays, (B, Na) and (B, Nb)
        Bootstrap samples.

    Returns
    -------
    dict
        Cliff's delta P(b > a) - P(b < a); difference of the medians with a
        bootstrap percentile interval; Hodges-Lehmann median of all differences.

    Notes
    -----
    delta = 2 AUC - 1, and so are its limits (Newcombe 2006, method 5,
    10.1002/sim.2324), which hold for separated groups too.
    """
    differences = b[:, None] - a[None, :]
    delta = np.sign(differences).mean()
    low, high = auc_interval((delta + 1) / 2, len(b), len(a))
    drawn = np.median(drawn_b, axis=1) - np.median(drawn_a, axis=1)
    median_low, median_high = np.percentile(drawn, [2.5, 97.5])
    return {
        "cliffs_delta": delta,
        "cliffs_delta_low": 2 * low - 1,
        "cliffs_delta_high": 2 * high - 1,
        "median_difference": np.median(b) - np.median(a),
        "median_difference_low": median_low,
        "median_difference_high": median_high,
        "hodges_lehmann": np.median(differences),
    }


def dunn(samples: list[np.ndarray]) -> dict[tuple[int, int], float]:
    """Dunn's z of each pair (i, j) of groups, positive where j ranks higher.

    Notes
    -----
    Dunn 1964, 10.1080/00401706.1964.10490181, with the variance of the ranks
    over all groups, ties included.
    """
    group = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    ranks = stats.rankdata(np.concatenate(samples))
    mean = [ranks[group == i].mean() for i in range(len(samples))]
    variance = ranks.var(ddof=1)
    return {
        (i, j): (mean[j] - mean[i])
        / np.sqrt(variance * (1 / len(samples[i]) + 1 / len(samples[j])))
        for i, j in combinations(range(len(samples)), 2)
    }


def compare_groups(
    people: pd.DataFrame, values: pd.DataFrame, groups: list[str], correction: str,
    bootstraps: int, seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Kruskal-Wallis over the groups and Dunn between each two of them, per feature.

    Missing values are left out of that feature only. A feature without a value
    in one of the groups, or the same in all participants, is described but not tested.

    Parameters
    ----------
    people : DataFrame
        participant_id, label; one row per participant.
    values : DataFrame
        Index participant_id, a column per feature.
    groups : list of str
        In the order of the tables; differences are the later minus the earlier group.
    correction : str
        Name in ``statsmodels.stats.multitest.multipletests``. Kruskal-Wallis is
        corrected over the features, Dunn over the pairs of one feature.
    bootstraps, seed : int

    Returns
    -------
    DataFrame
        Per feature a row ``all`` with the test, and a row for each group.
    DataFrame
        Per feature and pair of groups one row.
    """
    label = people.set_index("participant_id")["label"].reindex(values.index)
    overall, pairwise = [], []
    for feature, column in values.items():
        samples = [column[label == name].dropna().to_numpy(float) for name in groups]
        together = np.concatenate(samples)
        tested = all(len(sample) for sample in samples) and np.ptp(together) > 0
        test = {}
        if tested:
            h, p = stats.kruskal(*samples)
            drawn = resample(samples, bootstraps, seed)
            group = np.repeat(np.arange(len(groups)), [len(sample) for sample in samples])
            effects = epsilon_squared(np.concatenate(drawn, axis=1), group)
            low, high = np.nanpercentile(effects, [2.5, 97.5])
            test = {
                "h": h,
                "df": len(groups) - 1,
                "p": p,
                "epsilon_squared": epsilon_squared(together, group),
                "epsilon_squared_low": low,
                "epsilon_squared_high": high,
            }
            z = dunn(samples)
        else:
            counts = {name: len(sample) for name, sample in zip(groups, samples, strict=True)}
            LOG.warning("%s is not tested, values per group: %s", feature, counts)
        for name, sample in zip(["all", *groups], [together, *samples], strict=True):
            quartiles = np.percentile(sample, [50, 25, 75]) if len(sample) else [np.nan] * 3
            row = {"feature": feature, "group": name, "n": len(sample)}
            row |= dict(zip(("median", "q1", "q3"), quartiles, strict=True))
            overall.append(row | (test | {"correction": correction} if name == "all" else {}))
        pairs = []
        for i, j in combinations(range(len(groups)), 2):
            row = {"feature": feature, "group_a": groups[i], "group_b": groups[j]}
            row |= {"n_a": len(samples[i]), "n_b": len(samples[j]), "p": np.nan}
            if tested:
                row |= {"z": z[i, j], "p": 2 * stats.norm.sf(abs(z[i, j]))}
                row |= compare_pair(samples[i], samples[j], drawn[i], drawn[j])
            pairs.append(row)
        adjusted = corrected([row["p"] for row in pairs], correction)
        pairwise += [
            row | {"p_corrected": p, "n_tests": len(pairs)}
            for row, p in zip(pairs, adjusted, strict=True)
        ]
    table = pd.DataFrame(overall, columns=GROUPS)
    table["df"] = table["df"].astype("Int64")
    first = table["group"] == "all"
    table.loc[first, "p_corrected"] = corrected(table.loc[first, "p"], correction)
    table["n_tests"] = pd.Series(table["p"].notna().sum(), table.index, "Int64").where(first)
    return table, pd.DataFrame(pairwise, columns=PAIRS).assign(correction=correction)


def main(source, out, params):
    """Write the comparison of the classes and of each two of them."""
    block, classes, described = params.groups, params.classes, resource("columns/statistics.tsv")
    people = members(read_table(source.population), classes, f"{params.key}.classes")
    key = f"{params.key}.evaluation.groups.features"
    features = read_table(source.features)
    values = columns_of(people, features, block["features"], key, "features.tsv")
    groups, pairwise = compare_groups(
        people,
        as_numbers(values, key, "features.tsv"),
        classes,
        block["correction"],
        params.bootstraps,
        params.seed,
    )
    write_table(groups, out.groups, described)
    write_table(pairwise, out.pairwise, described)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
