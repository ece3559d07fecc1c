"""Metrics of a study's models per split and over the splits, with confidence intervals."""

import numpy as np
import pandas as pd

from workflow_scripts.common.metrics import ratio, scan_weights
from workflow_scripts.common.splits import SCAN, blocks_of
from workflow_scripts.statistics.delong import area, auc_limits
from workflow_scripts.statistics.metrics import METRICS, PROPORTIONS, metrics, single_intervals
from workflow_scripts.statistics.scores import AVERAGED, ESTIMATES, Scores, scores_of

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
    interval = single_intervals(value, value, n_positive, n_negative)
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


def people_in_cells(scores: Scores) -> dict[str, np.ndarray]:
    """Participants by true and predicted class, a share of each per row: float arrays, (R,)."""
    truth, weight = scores.truth, scores.weight
    cells = {
        "tn": (weight * ~scores.predicted)[:, ~truth],
        "fp": (weight * scores.predicted)[:, ~truth],
        "fn": (weight * ~scores.predicted)[:, truth],
        "tp": (weight * scores.predicted)[:, truth],
    }
    return {name: cell.sum(1) for name, cell in cells.items()}


def varies(rows: pd.DataFrame) -> bool:
    """Whether a model predicts both classes in some split and repeat."""
    return bool((rows.groupby(["split", "repeat"])["predicted"].nunique() > 1).any())


def resampled_limits(rows: pd.DataFrame, classes, bootstraps: int, seed: int) -> tuple[dict, dict]:
    """Means over the splits of one model, and percentile limits over samples of participants.

    Participants are drawn with replacement within their class, and the mean over the splits is
    formed again with every test row counted as often as its participant was drawn. Splits in
    which a metric is undefined are left out of its mean.
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
        figures_of(table, classes[1], drawn[:, people.index.get_indexer(table["participant_id"])])
        for _, table in rows.groupby("split")
    ]
    value, limits = {}, {}
    for name in METRICS:
        means = mean_of_defined([figures[name] for figures in found])
        sampled = means[1:][np.isfinite(means[1:])]
        value[name] = float(means[0])
        limits[name] = np.percentile(sampled, [2.5, 97.5]) if len(sampled) else (np.nan, np.nan)
    return value, limits


def evaluate_resampled(rows: pd.DataFrame, scores: Scores, classes, bootstraps: int, seed: int):
    """Means over the splits of one model, with limits for the test participants.

    The splits share participants, so the limits are those of a bootstrap over participants;
    training is not repeated. It says nothing where its limits coincide, or where no split has
    both predictions: the limits are then those of as many independent participants as were
    tested, around the mean. So are those of accuracy where sensitivity or specificity needs it.

    Returns
    -------
    dict
        Metric to value, ci_low, ci_high, ci_method.
    """
    value, limits = resampled_limits(rows, classes, bootstraps, seed)
    both = varies(rows)
    telling = {
        name: limits[name][1] - limits[name][0] > 1e-9 and (both or name == "auc")
        for name in METRICS
    }
    for name in ("accuracy", "balanced_accuracy"):
        telling[name] &= telling["sensitivity"] & telling["specificity"]
    people = {name: cell.sum() for name, cell in people_in_cells(scores).items()}
    n = [scores.participants(who) for who in (scores.truth, ~scores.truth)]
    single = single_intervals(value, people, *n)
    return {
        name: (value[name], *limits[name], "patient bootstrap")
        if telling[name]
        else (value[name], *single[name], f"{SINGLE[name]}, patients")
        for name in METRICS
    }


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
    rows = people_in_cells(scores)
    people = {name: cell.sum() for name, cell in rows.items()}
    value = {}
    for name, (hits, total) in PROPORTIONS.items():
        of_rows = ratio(sum(rows[c] for c in hits), sum(rows[c] for c in total))
        value[name] = float(mean_of_defined(list(of_rows)))
    value["balanced_accuracy"] = (value["sensitivity"] + value["specificity"]) / 2
    found = area(scores)
    value["auc"] = found.auc
    interval = single_intervals(value, people, found.n_positive, found.n_negative)
    method = {name: f"{SINGLE[name]}, patients" for name in METRICS}
    *interval["auc"], method["auc"] = auc_limits(found, scores)
    return {name: (value[name], *interval[name], method[name]) for name in METRICS}


def averaged(rows: pd.DataFrame, classes) -> pd.DataFrame:
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


def tables_of_models(predictions: pd.DataFrame, classes):
    """Model, estimate and predictions of what `evaluate` has rows of."""
    for (model, role), table in predictions.groupby(["model", "role"], sort=False):
        yield model, ESTIMATES[role], table
        if role == "external" and len(table[["split", "repeat"]].drop_duplicates()) > 1:
            yield model, AVERAGED, averaged(table, classes)


def evaluate(predictions: pd.DataFrame, classes, bootstraps: int, seed: int) -> pd.DataFrame:
    """Metrics of every model per split and over all splits.

    External participants that several splits score also stand there by their mean score, as
    estimate `AVERAGED`.

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
    for model, estimate, table in tables_of_models(predictions, classes):
        identity = {"model": model, "estimate": estimate}
        scores = scores_of(table, classes)
        splits = []
        for split, part in table.groupby("split"):
            splits += [{"split": str(split)} | row for row in evaluate_split(part, classes[1])]
        rows += [identity | row for row in splits if estimate != AVERAGED]
        if blocks_of(table):
            found = evaluate_blocks(scores)
        else:
            found = evaluate_resampled(table, scores, classes, bootstraps, seed)
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
