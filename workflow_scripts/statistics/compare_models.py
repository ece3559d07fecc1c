"""Differences in AUC and in balanced accuracy between the models of a study."""

from itertools import combinations

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.splits import SCAN
from workflow_scripts.statistics.correction import corrected
from workflow_scripts.statistics.delong import (
    Area,
    area,
    compare_areas,
    fold_areas,
    resampled_test,
)
from workflow_scripts.statistics.paired_bootstrap import BOOTSTRAPPED, compare_balanced_accuracy
from workflow_scripts.statistics.scores import Scores, by_model

COLUMNS = ["estimate", "model_a", "model_b", "auc_a", "auc_b", "auc_difference", "se"]
COLUMNS += ["ci_low", "ci_high", "z", "p", "resampled_low", "resampled_high", "resampled_p"]
COLUMNS += ["p_holm", *BOOTSTRAPPED, "bootstrap_p_holm", "n_negative", "n_positive", "note"]
ORDER = ["apparent", "optimism_corrected", "test", "external"]
NEW_PEOPLE = ("test", "external")
SAME = "not valid: both models were fitted to these people"
GIVEN = "p takes the fitted models as given and is too small"
NEARER = "; resampled_p is nearer"
SHARED = "; on the scans that both scored"


def same_scans(a: Scores, b: Scores) -> bool:
    """Whether two models scored the same scans in the same splits, however often trained."""
    return (
        np.array_equal(a.person, b.person)
        and np.array_equal(a.truth, b.truth)
        and np.array_equal(np.unique(a.fold, axis=0), np.unique(b.fold, axis=0))
    )


def tested_pair(
    predictions: pd.DataFrame, pair: tuple[str, str], classes: list[str], where: str, advice: str
) -> tuple[Scores, Scores]:
    """What two models gave to the test side.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    pair : names of the models
    where, advice : key and what to do, for the message

    Raises
    ------
    InputError
        If they did not score the same scans.
    """
    tested = predictions[(predictions["role"] == "test") & predictions["model"].isin(pair)]
    scores = by_model(tested, classes)
    one, other = (scores[name, "test"] for name in pair)
    if not same_scans(one, other):
        raise InputError(f"{where}: {' and '.join(pair)} did not score the same scans; {advice}")
    return one, other


def compare_pair(a: Scores, b: Scores, estimate: str) -> dict:
    """Difference in AUC of two models with the same scans, second minus first."""
    one, two = area(a), area(b)
    note = SAME if estimate == "apparent" else GIVEN
    row = {"auc_a": one.auc, "auc_b": two.auc, "note": note} | compare_areas(one, two)
    row |= {"n_negative": round(one.n_negative), "n_positive": round(one.n_positive)}
    if estimate == "test" and len(np.unique(a.fold[a.fold >= 0])) > 1:
        row |= resampled_test(two.auc - one.auc, fold_areas(b) - fold_areas(a), a)
        row["note"] += NEARER if np.isfinite(row["resampled_p"]) else ""
    return row


def compare_corrected(a: Area, b: Area, samples: pd.DataFrame, models: tuple[str, str]) -> dict:
    """Optimism-corrected difference, with limits from refitting both models to each sample."""
    wide = samples.pivot(index="bootstrap", columns="model")
    inside, original = wide["auc_bootstrap"], wide["auc_original"]
    optimism = (inside - original).mean()
    first, second = models
    difference = inside[second] - inside[first]
    shift = optimism[second] - optimism[first]
    low, high = np.percentile(difference, [2.5, 97.5]) - shift
    varies = np.ptp(difference) > 1e-9
    corrected = {"auc_a": a.auc - optimism[first], "auc_b": b.auc - optimism[second]}
    return corrected | {
        "auc_difference": corrected["auc_b"] - corrected["auc_a"],
        "ci_low": low if varies else np.nan,
        "ci_high": high if varies else np.nan,
        "n_negative": round(a.n_negative),
        "n_positive": round(a.n_positive),
    }


def compare_models(scores: dict, samples: pd.DataFrame | None = None) -> pd.DataFrame:
    """Difference in AUC between each two models that scored the same scans.

    AUCs are compared by DeLong's test. On apparent predictions it is printed because papers
    print it, and marked as not valid: fitting has used the outcome that the test takes as new
    (Demler et al. 2012, 10.1002/sim.5328). On those of test sides it ignores that another
    training sample gives other models; the corrected resampled t-test beside it allows for
    that, roughly.

    Parameters
    ----------
    scores : dict
        (model, estimate) to Scores.
    samples : DataFrame
        Bootstrap samples of the models that have apparent predictions, if any.

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``.
    """
    rows = []
    for a, b in combinations(dict.fromkeys(model for model, _ in scores), 2):
        pair = {"model_a": a, "model_b": b}
        for estimate in ("apparent", "test", "external"):
            if not {(a, estimate), (b, estimate)} <= scores.keys():
                continue
            one, two = scores[a, estimate], scores[b, estimate]
            if not (same_scans(one, two) and one.both_classes):
                continue
            rows.append(pair | {"estimate": estimate} | compare_pair(one, two, estimate))
            if estimate == "apparent" and samples is not None:
                found = compare_corrected(area(one), area(two), samples, (a, b))
                rows.append(pair | {"estimate": "optimism_corrected"} | found)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("estimate", key=lambda names: names.map(ORDER.index), kind="stable")


def scored_by_both(predictions: pd.DataFrame, models: tuple[str, str]) -> tuple:
    """Predictions of two models of the scans that both scored in the same split.

    Apparent ones stay as they are: models fitted to other people are not compared by them.

    Returns
    -------
    DataFrame, and whether any was left out
    """
    rows = predictions[predictions["model"].isin(models)]
    keys = (
        rows[["split", "role", *SCAN]].fillna("").agg(lambda row: "/".join(map(str, row)), axis=1)
    )
    both = keys.groupby(keys).transform(lambda own: rows.loc[own.index, "model"].nunique()) == 2
    kept = both | (rows["role"] == "train")
    return rows[kept], not kept.all()


def compare_predictions(
    predictions: pd.DataFrame,
    classes: list[str],
    bootstraps: int,
    seed: int,
    samples: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """`compare_models` of each two models, on the scans that both scored, with Holm's correction.

    Models score other scans where one imputes what another leaves out. Beside the AUCs stand the
    balanced accuracies, see `compare_balanced_accuracy`. p_holm counts the pairs of
    an estimate, with the p over the splits where there is one, else DeLong's.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, apparent ones among them.
    classes : [negative, positive]
    bootstraps, seed : of the balanced accuracies
    samples : as of `compare_models`
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    for pair in combinations(predictions["model"].unique(), 2):
        rows, left_out = scored_by_both(predictions, pair)
        scores = by_model(rows, classes)
        table = compare_models(scores, samples)
        for place, estimate in table["estimate"].items():
            if estimate in NEW_PEOPLE:
                both = (scores[model, estimate] for model in pair)
                found = compare_balanced_accuracy(*both, bootstraps, seed)
                table.loc[place, BOOTSTRAPPED] = list(found.values())
        if left_out:
            table.loc[table["estimate"].isin(NEW_PEOPLE), "note"] += SHARED
        tables.append(table)
    table = pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)
    table = table.sort_values("estimate", key=lambda names: names.map(ORDER.index), kind="stable")
    tested = table["resampled_p"].fillna(table["p"])
    tested = tested.where(table["estimate"].isin(NEW_PEOPLE))
    for name, p in (("p_holm", tested), ("bootstrap_p_holm", table["bootstrap_p"])):
        table[name] = p.astype(float).groupby(table["estimate"]).transform(corrected, "holm")
    return table
