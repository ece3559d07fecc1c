"""Metrics of a study's models per split and over the splits, with confidence intervals."""

import numpy as np
import pandas as pd

from workflow_scripts.common.metrics import ratio, scan_weights
from workflow_scripts.common.splits import blocks_of
from workflow_scripts.statistics.delong import area, auc_limits
from workflow_scripts.statistics.metrics import (
    METRICS,
    PROPORTIONS,
    auc_interval,
    balanced_accuracy_interval,
    metrics,
    wilson,
)
from workflow_scripts.statistics.scores import ESTIMATES, Scores, scores_of

COUNTS = ("tn", "fp", "fn", "tp")
COLUMNS = ["model", "estimate", "split", "metric", "value", "sd", "ci_low", "ci_high"]
COLUMNS += ["ci_method", "n", "n_splits", *COUNTS]
SINGLE = dict.fromkeys(PROPORTIONS, "Wilson") | {
    "balanced_accuracy": "Zou-Donner from Wilson",
    "auc": "Newcombe method 5",
}


def figures_of(rows: pd.DataFrame, positive_class: str, drawn=None) -> dict[str, np.ndarray]:
    """Metrics of one test side, the mean over the repeats of the training.

    Scans of a participant count together as one.

    Parameters
    ----------
    rows : DataFrame
        Predictions of one model and split.
    positive_class : str
    drawn : array, (B, rows)
        Times each row's participant is drawn, for B bootstrap samples; once where not given.

    Returns
    -------
    dict of float arrays, (B,)
        As `metrics.metrics`.
    """
    found = []
    for _, repeat in rows.groupby("repeat"):
        weight = np.ones((1, len(repeat)))
        if drawn is not None:
            weight = drawn[:, rows.index.get_indexer(repeat.index)]
        found.append(
            metrics(
                (repeat["label"] == positive_class).to_numpy(),
                (repeat["predicted"] == positive_class).to_numpy(),
                repeat["score"].to_numpy(float),
                weight * scan_weights(repeat["participant_id"]),
            )
        )
    return {name: mean_of_defined([f[name] for f in found]) for name in found[0]}


def mean_of_defined(values: list[np.ndarray]) -> np.ndarray:
    """Mean over the first axis of what is defined there; NaN where nothing is."""
    values = np.stack(values)
    if len(values) == 1:
        return values[0]
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0).sum(0), defined.sum(0))


def single_intervals(value: dict[str, float], n_positive: float, n_negative: float) -> dict:
    """95 % limits of the metrics of one test side, by metric (participants are independent)."""
    interval = {
        name: wilson(sum(value[c] for c in hits), sum(value[c] for c in total))
        for name, (hits, total) in PROPORTIONS.items()
    }
    interval["balanced_accuracy"] = balanced_accuracy_interval(
        *((value[name], *interval[name]) for name in ("sensitivity", "specificity"))
    )
    interval["auc"] = auc_interval(value["auc"], n_positive, n_negative)
    return interval


def counts_of(rows: pd.DataFrame, positive_class: str) -> dict[str, float]:
    """Scans by true and predicted class, the mean over the repeats of the training."""
    positive, predicted = (rows[c] == positive_class for c in ("label", "predicted"))
    repeats = rows["repeat"].nunique()
    cells = {
        "tn": ~positive & ~predicted,
        "fp": ~positive & predicted,
        "fn": positive & ~predicted,
        "tp": positive & predicted,
    }
    return {name: cell.sum() / repeats for name, cell in cells.items()}


def evaluate_split(rows: pd.DataFrame, positive_class: str) -> list[dict]:
    """Metrics of one model in one split, with intervals."""
    value = {name: array[0] for name, array in figures_of(rows, positive_class).items()}
    n_positive, n_negative = value["tp"] + value["fn"], value["tn"] + value["fp"]
    interval = single_intervals(value, n_positive, n_negative)
    counts = counts_of(rows, positive_class)
    return [
        {
            "metric": name,
            "value": value[name],
            "ci_low": interval[name][0],
            "ci_high": interval[name][1],
            "ci_method": SINGLE[name],
            "n": rows["participant_id"].nunique(),
            **counts,
        }
        for name in METRICS
    ]


def evaluate_resampled(rows: pd.DataFrame, positive_class: str, bootstraps: int, seed: int):
    """Means over the splits of one model, with a bootstrap over participants.

    The splits share participants, so participants are drawn (with replacement, within
    their class) and the mean over the splits is formed again with every test
    row counted as often as its participant was drawn. Splits in which a metric is
    undefined are left out of its mean. The interval is that of the test
    participants; training is not repeated. Where all samples give the same value
    (everyone right, or a constant prediction) the bootstrap says nothing, and
    the interval is that of a single split with each participant's first test row.

    Returns
    -------
    dict
        Metric to value, ci_low, ci_high, ci_method.
    """
    rng = np.random.default_rng(seed)
    people = rows.groupby("participant_id")["label"].first()
    drawn = np.zeros((bootstraps + 1, len(people)))
    drawn[0] = 1
    for label in sorted(people.unique()):
        members = np.flatnonzero(people == label)
        equal = np.full(len(members), 1 / len(members))
        drawn[1:, members] = rng.multinomial(len(members), equal, size=bootstraps)
    found = [
        figures_of(
            table, positive_class, drawn[:, people.index.get_indexer(table["participant_id"])]
        )
        for _, table in rows.groupby("split")
    ]
    single = {
        row["metric"]: row
        for row in evaluate_split(rows.drop_duplicates("participant_id"), positive_class)
    }
    n_positive = int((people == positive_class).sum())
    result = {}
    for name in METRICS:
        means = mean_of_defined([figures[name] for figures in found])
        sampled = means[1:][np.isfinite(means[1:])]
        method = "patient bootstrap"
        if len(sampled) and np.ptp(sampled) > 1e-9:
            low, high = np.percentile(sampled, [2.5, 97.5])
        else:
            low, high = single[name]["ci_low"], single[name]["ci_high"]
            if name == "auc":  # scores of different splits have no common scale
                low, high = auc_interval(means[0], n_positive, len(people) - n_positive)
            method = f"{single[name]['ci_method']}, one scan per patient"
        result[name] = (means[0], low, high, method)
    return result


def evaluate_blocks(scores: Scores) -> dict:
    """Metrics over splits whose test sides divide the participants among them.

    A participant counts once, by the mean over the repeats of the folds and of the training; AUC
    is that of all pairs of the same split. The limits are those of as many participants as there
    are.

    Returns
    -------
    dict
        Metric to value, ci_low, ci_high, ci_method.
    """
    truth, weight = scores.truth, scores.weight
    cells = {
        "tn": (weight * ~scores.predicted)[:, ~truth],
        "fp": (weight * scores.predicted)[:, ~truth],
        "fn": (weight * ~scores.predicted)[:, truth],
        "tp": (weight * scores.predicted)[:, truth],
    }
    value = {name: cell.sum() for name, cell in cells.items()}
    rows = {name: cell.sum(1) for name, cell in cells.items()}
    for name, (hits, total) in PROPORTIONS.items():
        of_rows = ratio(sum(rows[c] for c in hits), sum(rows[c] for c in total))
        value[name] = float(mean_of_defined(list(of_rows)))
    value["balanced_accuracy"] = (value["sensitivity"] + value["specificity"]) / 2
    found = area(scores)
    value["auc"] = found.auc
    interval = single_intervals(value, found.n_positive, found.n_negative)
    method = dict.fromkeys(PROPORTIONS, "Wilson, patients")
    method["balanced_accuracy"] = "Zou-Donner from Wilson, patients"
    *interval["auc"], method["auc"] = auc_limits(found, scores)
    return {name: (value[name], *interval[name], method[name]) for name in METRICS}


def evaluate(predictions: pd.DataFrame, classes, bootstraps: int, seed: int) -> pd.DataFrame:
    """Metrics of every model per split and over all splits.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    classes : [negative, positive]
    bootstraps, seed : int

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``; estimate is test or external, split a number and then ``all``; n are
        participants; the counts are scans, summed over the splits for ``all``.

    Raises
    ------
    InputError
        If a label or prediction is none of the classes.
    """
    rows = []
    for (model, role), table in predictions.groupby(["model", "role"], sort=False):
        identity = {"model": model, "estimate": ESTIMATES[role]}
        scores = scores_of(table, classes)
        splits = []
        for split, part in table.groupby("split"):
            splits += [{"split": str(split)} | row for row in evaluate_split(part, classes[1])]
        rows += [identity | row for row in splits]
        if blocks_of(table):
            found = evaluate_blocks(scores)
        else:
            found = evaluate_resampled(table, classes[1], bootstraps, seed)
        counts = counts_of(table, classes[1])
        for name, (value, low, high, method) in found.items():
            values = [row["value"] for row in splits if row["metric"] == name]
            values = np.array([value for value in values if np.isfinite(value)])
            rows.append(
                identity
                | {
                    "split": "all",
                    "metric": name,
                    "value": value,
                    "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
                    "ci_low": low,
                    "ci_high": high,
                    "ci_method": method,
                    "n": table["participant_id"].nunique(),
                    "n_splits": len(values),
                    **counts,
                }
            )
    table = pd.DataFrame(rows, columns=COLUMNS)
    whole = all((table[name] % 1 == 0).all() for name in COUNTS)
    return table.astype({"n_splits": "Int64"} | dict.fromkeys(COUNTS if whole else (), int))
