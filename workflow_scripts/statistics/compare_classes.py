"""Compare tissue fractions or regions between the classes, per split and over the population."""

import numpy as np
import pandas as pd
import pingouin
from scipy import stats

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN, read_splits
from workflow_scripts.common.tables import read_table, write_table

TESTED = ["t", "df", "p", "welch_p", "difference_low", "difference_high"]
TESTED += ["hedges_g", "hedges_g_low", "hedges_g_high"]
FRACTIONS = ["gm_fraction", "wm_fraction", "csf_fraction"]
REGIONS = [
    "white_matter",
    "grey_matter",
    "subcortical_grey_matter",
    "ventricles",
    "brainstem",
    "thalamus",
]


def bonferroni(p, number: int) -> np.ndarray:
    """p times the number of tests, at most 1; undefined p stay undefined."""
    return np.minimum(np.asarray(p, float) * number, 1.0)


def normality(values: np.ndarray) -> tuple[float, float]:
    """Shapiro-Wilk W and p; undefined for less than 3 or constant values."""
    if len(values) < 3 or np.ptp(values) == 0:
        return np.nan, np.nan
    return tuple(stats.shapiro(values))


def compare_classes(negative: np.ndarray, positive: np.ndarray) -> dict:
    """Describe and compare one measure in two independent classes.

    Parameters
    ----------
    negative, positive : float arrays, (N0,) and (N1,), without missing values

    Returns
    -------
    dict
        n, mean, SD and Shapiro-Wilk per class; Student's t-test with pooled
        variance (t, df, p), Welch's p, the difference of the means (positive
        minus negative) with its pooled 95 % interval, Hedges' g with its 95 %
        interval. What is undefined (less than two values in a class, no
        variance) is NaN.

    Notes
    -----
    Inglese et al. 2022 tested with Shapiro-Wilk and unpaired t-tests. The
    interval of g uses the normal-theory standard error of d
    (Hedges & Olkin 1985) as in ``pingouin.compute_esci``.
    """
    row = {}
    for name, values in (("negative", negative), ("positive", positive)):
        row[f"n_{name}"] = len(values)
        row[f"mean_{name}"] = values.mean() if len(values) else np.nan
        row[f"sd_{name}"] = values.std(ddof=1) if len(values) > 1 else np.nan
        row[f"shapiro_w_{name}"], row[f"shapiro_p_{name}"] = normality(values)
    row["difference"] = row["mean_positive"] - row["mean_negative"]
    row |= dict.fromkeys(TESTED, np.nan)
    enough = min(len(negative), len(positive)) > 1
    if enough and np.ptp(negative) + np.ptp(positive) > 0:
        student = stats.ttest_ind(positive, negative)
        interval = student.confidence_interval(0.95)
        g = pingouin.compute_effsize(positive, negative, eftype="hedges")
        g_low, g_high = pingouin.compute_esci(
            stat=g, nx=len(positive), ny=len(negative), eftype="hedges", decimals=12
        )
        welch = stats.ttest_ind(positive, negative, equal_var=False)
        tests = [student.statistic, student.df, student.pvalue, welch.pvalue]
        effects = [interval.low, interval.high, g, g_low, g_high]
        row |= dict(zip(TESTED, [*tests, *effects], strict=True))
    return row


def compare_measures(
    features: pd.DataFrame,
    splits: pd.DataFrame,
    measures: list[str],
    classes: list[str],
    per_split: bool,
) -> pd.DataFrame:
    """Tests of each measure in the test participants of each split and in all participants.

    Participants are the units: sessions are averaged first, and missing values
    are left out of that measure only.

    Parameters
    ----------
    features : DataFrame
        Columns participant_id, session_id and the measures.
    splits : DataFrame
        Columns split, participant_id, session_id, label, role; every split
        holds the whole population. External participants are left out.
    measures : list of str
    classes : [negative, positive]
    per_split : bool
        Whether the splits are tested besides the whole population.

    Returns
    -------
    DataFrame
        A row per split (1..n, then ``all``) and measure. Bonferroni counts
        splits x measures tests for the splits, and the measures for ``all``.

    Raises
    ------
    InputError
        If a scan of the splits has no row in the features.
    """
    splits = splits[splits["role"] != "external"]
    population = splits[[*SCAN, "label"]].drop_duplicates()
    joined = population.merge(features[SCAN + measures], on=SCAN, how="left", indicator=True)
    absent = joined.loc[joined["_merge"] == "left_only", "participant_id"]
    if len(absent):
        raise InputError(
            f"features: no row for {sorted(set(absent))} of the study's splits; "
            "rebuild cohort/features.tsv or draw a new split"
        )
    values = joined.groupby("participant_id")[measures].mean()
    values["label"] = joined.groupby("participant_id")["label"].first()

    groups = {}
    if per_split:
        tested = splits[splits["role"] == "test"]
        groups = {
            str(split): set(rows["participant_id"]) for split, rows in tested.groupby("split")
        }
    number = {split: len(groups) * len(measures) for split in groups} | {"all": len(measures)}
    groups["all"] = set(values.index)

    rows = []
    for split, members in groups.items():
        group = values[values.index.isin(members)]
        for measure in measures:
            negative, positive = (
                group.loc[group["label"] == name, measure].dropna().to_numpy(float)
                for name in classes
            )
            row = {
                "split": split,
                "measure": measure,
                "negative_class": classes[0],
                "positive_class": classes[1],
            } | compare_classes(negative, positive)
            row["n_tests"] = number[split]
            row["p_bonferroni"] = float(bonferroni(row["p"], number[split]))
            rows.append(row)
    return pd.DataFrame(rows)


def region_fractions(features: pd.DataFrame) -> pd.DataFrame:
    """Region volumes divided by the total intracranial volume.

    Parameters
    ----------
    features : DataFrame
        Columns participant_id, session_id, tiv_ml and ``<region>_volume_ml``, mL.

    Returns
    -------
    DataFrame
        participant_id, session_id and ``<region>_fraction`` (no unit).
    """
    fractions = features[["participant_id", "session_id"]].copy()
    for region in REGIONS:
        fractions[f"{region}_fraction"] = features[f"{region}_volume_ml"] / features["tiv_ml"]
    return fractions


def main(source, out, params, wildcards):
    """Write the comparison of the fractions, or of the regions over the whole population."""
    features, splits = read_table(source.features), read_splits(source.splits)
    measures, per_split = FRACTIONS, params.design == "random_trials"
    if wildcards.measures == "regions":
        features, per_split = region_fractions(features), False
        measures = [f"{region}_fraction" for region in REGIONS]
    table = compare_measures(features, splits, measures, params.classes, per_split)
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
