"""Metrics of a study's models per split and over the splits, with confidence intervals."""

import numpy as np
import pandas as pd

from workflow_scripts.common.splits import SCAN, blocks_of
from workflow_scripts.statistics.delong import area, area_interval
from workflow_scripts.statistics.metrics import (
    METRICS,
    PROPORTIONS,
    balanced_accuracy_interval,
    wilson,
    worth,
)
from workflow_scripts.statistics.scores import AVERAGED, ESTIMATES, Scores, scores_of

COUNTS = ("tn", "fp", "fn", "tp")
COLUMNS = ["model", "estimate", "split", "metric", "value", "sd", "ci_low", "ci_high"]
COLUMNS += ["ci_method", "n", "n_splits", *COUNTS]
METHODS = dict.fromkeys(PROPORTIONS, "Wilson, patients") | {
    "balanced_accuracy": "Zou-Donner from Wilson, patients",
    "auc": "Newcombe method 5, patients",
}


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


def cells_of(scores: Scores) -> dict[str, np.ndarray]:
    """What each scan counts in each row, by true and predicted class: float arrays, (R, N)."""
    truth, counted = scores.truth, (scores.fold >= 0) * scores.scan_weight
    return {
        "tn": counted * (~truth & ~scores.predicted),
        "fp": counted * (~truth & scores.predicted),
        "fn": counted * (truth & ~scores.predicted),
        "tp": counted * (truth & scores.predicted),
    }


def proportion(scores: Scores, name: str, mean: float | None = None) -> tuple:
    """Value and 95 % limits of one of `PROPORTIONS`, its mean over the rows that define it.

    The limits are Wilson's for as many independent participants as the mean is `worth`.

    Parameters
    ----------
    mean : taken for the mean over the rows, where given
    """
    cells = cells_of(scores)
    hits, total = (sum(cells[cell] for cell in part) for part in PROPORTIONS[name])
    sums = total.sum(1, keepdims=True)
    defined = sums[:, 0] > 0
    if not defined.any():
        return np.nan, np.nan, np.nan
    rates = hits.sum(1, keepdims=True)[defined] / sums[defined]
    share = (hits[defined] - rates * total[defined]) / sums[defined]
    value = float(rates.mean()) if mean is None else mean
    people = (scores.weight * (total > 0)).sum()
    variance = scores.variance_between(share.mean(0))
    n = float(worth(value * (1 - value) / people, variance, people))
    return value, *wilson(value * n, n)


def evaluate_scores(scores: Scores, means: dict[str, float] | None = None) -> dict[str, tuple]:
    """Value and 95 % limits of each of `METRICS`.

    A participant counts once, by the mean over the rows; AUC is that of all pairs of the same
    split.

    Parameters
    ----------
    means : taken for the values, where given
    """
    means = means or {}
    found = {name: proportion(scores, name, means.get(name)) for name in PROPORTIONS}
    parts = [found[name] for name in ("sensitivity", "specificity")]
    middle = np.mean([value for value, *_ in parts])
    value = means.get("balanced_accuracy", middle)
    limits = np.clip(np.array(balanced_accuracy_interval(*parts)) + value - middle, 0, 1)
    found["balanced_accuracy"] = value, *limits
    whole = area(scores)
    value = means.get("auc", whole.auc)
    return found | {"auc": (value, *area_interval(whole, value))}


def averaged(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Predictions of one model for scans that several splits score: as if by one model.

    By the mean of the probabilities over splits and repeats, positive above 0.5, where all have
    one; else by that of score minus threshold, positive above 0.
    """
    value, threshold = rows["probability"], 0.5
    if value.isna().any():
        value, threshold = rows["score"] - rows["threshold"], 0.0
    rows = rows.assign(score=value, session_id=rows["session_id"].fillna(""))
    mean = rows.groupby([*SCAN, "label"], sort=False)["score"].mean().reset_index()
    return mean.assign(
        model=rows["model"].iloc[0],
        split=1,
        repeat=1,
        threshold=threshold,
        probability=mean["score"] if threshold else np.nan,
        predicted=np.where(mean["score"] > threshold, classes[1], classes[0]),
    )


def tables_of_models(predictions: pd.DataFrame, classes: list[str]):
    """Model, estimate and predictions of what `evaluate` has rows of."""
    for (model, role), table in predictions.groupby(["model", "role"], sort=False):
        yield model, ESTIMATES[role], table
        if role == "external" and len(table[["split", "repeat"]].drop_duplicates()) > 1:
            yield model, AVERAGED, averaged(table, classes)


def evaluate(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Metrics of every model per split and over all splits.

    Where the test sides divide the participants among them, a participant counts once, else the
    means over the splits stand. External participants that several splits score also stand there
    by their mean score, as estimate `AVERAGED`.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    classes : [negative, positive]

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
    for model, estimate, table in tables_of_models(predictions, classes):
        parts = dict(list(table.groupby("split")))
        of_splits = {split: evaluate_scores(scores_of(p, classes)) for split, p in parts.items()}
        values = pd.DataFrame(of_splits).map(lambda found: found[0])
        means = None if blocks_of(table) else values.mean(axis=1).to_dict()
        whole = evaluate_scores(scores_of(table, classes), means)
        shown = {} if estimate == AVERAGED else of_splits
        for split, found in (shown | {"all": whole}).items():
            part = parts.get(split, table)
            shared = {"model": model, "estimate": estimate, "split": str(split)}
            shared |= {"n": part["participant_id"].nunique(), **counts_of(part, classes[1])}
            for name in METRICS:
                row = dict(zip(("value", "ci_low", "ci_high"), found[name], strict=True))
                row |= {"metric": name, "ci_method": METHODS[name]}
                if split == "all":
                    row |= {"sd": values.loc[name].std(), "n_splits": values.loc[name].count()}
                rows.append(shared | row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    whole = all((table[name] % 1 == 0).all() for name in COUNTS)
    return table.astype({"n_splits": "Int64"} | dict.fromkeys(COUNTS if whole else (), int))
