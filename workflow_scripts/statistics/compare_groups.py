"""Compare features between groups: Kruskal-Wallis and Dunn, with effect sizes.

Where covariates are declared, a linear model that holds them constant stands beside.
"""

import logging
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.people import as_covariates, as_numbers, columns_of, members
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.adjust_groups import COMPARED, TESTED, adjusted_tests
from workflow_scripts.statistics.correction import corrected
from workflow_scripts.statistics.effect_size import epsilon_limits, epsilon_squared
from workflow_scripts.statistics.metrics import auc_interval

GROUPS = ["feature", "group", "n", "median", "q1", "q3", "h", "df", "p", "p_corrected"]
GROUPS += ["correction", "n_tests", "epsilon_squared"]
GROUPS += ["epsilon_squared_low", "epsilon_squared_high"]
PAIRS = ["feature", "group_a", "group_b", "n_a", "n_b", "z", "p", "p_corrected", "correction"]
PAIRS += ["n_tests", "cliffs_delta", "cliffs_delta_low", "cliffs_delta_high"]
PAIRS += ["median_difference", "median_difference_low", "median_difference_high"]
PAIRS += ["hodges_lehmann"]
ADJUSTED = ["adjusted_for", *TESTED[:-1], "adjusted_p_corrected", TESTED[-1]]
ADJUSTED_PAIRS = ["adjusted_for", *COMPARED[:-1], "adjusted_p_corrected", COMPARED[-1]]
LOG = logging.getLogger(__name__)


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


def correct_families(table: pd.DataFrame, pairwise: pd.DataFrame, correction: str, p: str):
    """Add ``<p>_corrected`` to both tables: over the features, and over all pairs of all features.

    A pair's is at least that of its feature's test of all groups, so that no two groups differ
    where no difference between the groups is shown.
    """
    first = table["group"] == "all"
    table.loc[first, f"{p}_corrected"] = corrected(table.loc[first, p], correction)
    of_feature = table[first].set_index("feature")[f"{p}_corrected"]
    of_pairs = corrected(pairwise[p], correction)
    pairwise[f"{p}_corrected"] = np.maximum(of_pairs, pairwise["feature"].map(of_feature))


def tests_of(samples: list[np.ndarray], bootstraps: int, seed: int) -> tuple[dict, list[dict]]:
    """Kruskal-Wallis of one feature, and Dunn of each two groups, with effect sizes."""
    together = np.concatenate(samples)
    group = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    h, p = stats.kruskal(*samples)
    low, high = epsilon_limits(samples, bootstraps, seed)
    test = {"h": h, "df": len(samples) - 1, "p": p}
    test |= {"epsilon_squared": epsilon_squared(together, group)}
    test |= {"epsilon_squared_low": low, "epsilon_squared_high": high}
    drawn = resample(samples, bootstraps, seed)
    pairs = [
        {"z": z, "p": 2 * stats.norm.sf(abs(z))}
        | compare_pair(samples[i], samples[j], drawn[i], drawn[j])
        for (i, j), z in dunn(samples).items()
    ]
    return test, pairs


def compare_groups(
    people: pd.DataFrame, values: pd.DataFrame, groups: list[str], correction: str,
    bootstraps: int, seed: int, covariates: pd.DataFrame | None = None,
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
        Name in ``statsmodels.stats.multitest.multipletests``, see `correct_families`.
    bootstraps, seed : int
    covariates : DataFrame, index participant_id
        Numbers to be held constant, see `adjust_groups`.

    Returns
    -------
    DataFrame
        Per feature a row ``all`` with the test, and a row for each group.
    DataFrame
        Per feature and pair of groups one row.
    """
    label = people.set_index("participant_id")["label"].reindex(values.index)
    adjusted = covariates is not None
    overall, pairwise = [], []
    for feature, column in values.items():
        samples = [column[label == name].dropna().to_numpy(float) for name in groups]
        together = np.concatenate(samples)
        named = list(combinations(range(len(groups)), 2))
        test, pairs = {}, [{"p": np.nan} for _ in named]
        if all(len(sample) for sample in samples) and np.ptp(together) > 0:
            test, pairs = tests_of(samples, bootstraps, seed)
        else:
            counts = {name: len(sample) for name, sample in zip(groups, samples, strict=True)}
            LOG.warning("%s is not tested, values per group: %s", feature, counts)
        if adjusted:
            whole, parts = adjusted_tests(column, label, covariates, groups)
            held = {"adjusted_for": ", ".join(covariates)}
            test |= whole | held
            pairs = [a | b | held for a, b in zip(pairs, parts, strict=True)]
        for name, sample in zip(["all", *groups], [together, *samples], strict=True):
            quartiles = np.percentile(sample, [50, 25, 75]) if len(sample) else [np.nan] * 3
            row = {"feature": feature, "group": name, "n": len(sample)}
            row |= dict(zip(("median", "q1", "q3"), quartiles, strict=True))
            overall.append(row | (test | {"correction": correction} if name == "all" else {}))
        for (i, j), pair in zip(named, pairs, strict=True):
            row = {"feature": feature, "group_a": groups[i], "group_b": groups[j]}
            pairwise.append(row | {"n_a": len(samples[i]), "n_b": len(samples[j])} | pair)
    table = pd.DataFrame(overall, columns=[*GROUPS, *(ADJUSTED if adjusted else [])])
    columns = [*PAIRS, *(ADJUSTED_PAIRS if adjusted else [])]
    compared = pd.DataFrame(pairwise, columns=columns).assign(correction=correction)
    whole = ["df", *(["adjusted_n"] if adjusted else [])]
    table[whole] = table[whole].astype("Int64")
    for p in ["p", *(["adjusted_p"] if adjusted else [])]:
        correct_families(table, compared, correction, p)
    first = table["group"] == "all"
    table["n_tests"] = pd.Series(table["p"].notna().sum(), table.index, "Int64").where(first)
    return table, compared.assign(n_tests=int(compared["p"].notna().sum()))


def covariates_of(people, features, clinical, block: dict, key: str) -> pd.DataFrame | None:
    """Columns to hold constant as terms, of features.tsv where it has them; None without any.

    Raises
    ------
    InputError
        If a column is compared as well, is nowhere or n/a for everybody, or all are the same
        for everybody.
    """
    names = block["adjust"]
    if twice := sorted(set(names) & set(block["features"])):
        raise InputError(
            f"{key}.adjust: {', '.join(twice)} also stands in features; a column cannot be "
            "adjusted for itself: keep it in one"
        )
    measured = [name for name in names if name in features]
    asked = [name for name in names if name not in features]
    terms = [
        as_covariates(
            columns_of(people, table, columns, f"{key}.adjust", file), f"{key}.adjust", file
        )
        for table, columns, file in (
            (features, measured, "features.tsv"),
            (clinical, asked, "clinical.tsv"),
        )
        if columns
    ]
    if not terms:
        return None
    table = pd.concat(terms, axis=1)
    if table.empty:
        raise InputError(f"{key}.adjust: no column differs between participants; take out the key")
    return table


def main(source, out, params):
    """Write the comparison of the classes and of each two of them."""
    block, classes, described = params.groups, params.classes, resource("columns/statistics.tsv")
    people = members(read_table(source.population), classes, f"{params.key}.classes")
    key = f"{params.key}.evaluation.groups"
    features, clinical = read_table(source.features), read_table(source.clinical)
    values = columns_of(people, features, block["features"], f"{key}.features", "features.tsv")
    groups, pairwise = compare_groups(
        people,
        as_numbers(values, f"{key}.features", "features.tsv"),
        classes,
        block["correction"],
        params.bootstraps,
        params.seed,
        covariates_of(people, features, clinical, block, key),
    )
    write_table(groups, out.groups, described)
    write_table(pairwise, out.pairwise, described)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
