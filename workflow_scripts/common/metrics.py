"""Figures of two-class predictions that several wings need.

The participant is the unit: scans of one participant count together as one.
"""

import numpy as np
import pandas as pd


def ratio(numerator, denominator):
    """Quotient, undefined (NaN) where the denominator is zero."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    empty = denominator == 0
    return np.where(empty, np.nan, numerator / np.where(empty, 1, denominator))


def scan_weights(person) -> np.ndarray:
    """1 / number of the participant's scans, for each scan (N,)."""
    _, place, counts = np.unique(np.asarray(person), return_inverse=True, return_counts=True)
    return 1 / counts[place]


def pairs_in_order(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """1 where a positive scores above a negative, 0.5 where equal, else 0: array (P, N)."""
    difference = positive[:, None] - negative[None, :]
    return (difference > 0) + 0.5 * (difference == 0)


def auc(truth: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Probability that a positive scores above a negative, ties counted half.

    Parameters
    ----------
    truth : bool array, (N,)
    score : float array, (N,)
    weight : array, (N,)
        Times a row counts; each once where not given.

    Returns
    -------
    NaN without one of the classes
    """
    order = pairs_in_order(score[truth], score[~truth])
    if weight is None:
        return float(order.mean()) if order.size else np.nan
    w1, w0 = weight[truth], weight[~truth]
    return float(ratio(w1 @ order @ w0, w1.sum() * w0.sum()))


def split_figures(truth, predicted, score, person) -> dict[str, float]:
    """What is kept of the test side of a split.

    Parameters
    ----------
    truth, predicted : bool arrays, (N,)
    score : float array, (N,)
    person : array, (N,)

    Returns
    -------
    dict
        n_positive, n_negative (participants), sensitivity, specificity and auc; NaN without the
        class.
    """
    weight = scan_weights(person)
    n_positive, n_negative = weight[truth].sum(), weight[~truth].sum()
    return {
        "n_positive": n_positive,
        "n_negative": n_negative,
        "sensitivity": float(ratio(weight[truth] @ predicted[truth], n_positive)),
        "specificity": float(ratio(weight[~truth] @ ~predicted[~truth], n_negative)),
        "auc": auc(truth, score, None if (weight == 1).all() else weight),
    }


def over_splits(figures: pd.DataFrame, by: list[str], pooled: bool) -> pd.DataFrame:
    """Balanced accuracy and AUC over the splits, after the mean over the repeats of a training.

    Parameters
    ----------
    figures : DataFrame
        split, the columns ``by`` and those of `split_figures`; a row per split and repeat.
    by : columns that tell apart what is averaged
    pooled : bool
        True where the test sides of the splits divide the participants among them: sensitivity,
        specificity and AUC are then those over all participants, and over all pairs of the same
        split. Else the means over the splits that define them.

    Returns
    -------
    DataFrame
        ``by``, balanced_accuracy, auc
    """
    names = ["n_positive", "n_negative", "sensitivity", "specificity", "auc"]
    mean = figures.groupby([*by, "split"], sort=False)[names].mean().reset_index()
    if not pooled:
        mean["balanced_accuracy"] = (mean["sensitivity"] + mean["specificity"]) / 2
        return mean.groupby(by, sort=False)[["balanced_accuracy", "auc"]].mean().reset_index()
    units = {
        "sensitivity": mean["n_positive"],
        "specificity": mean["n_negative"],
        "auc": mean["n_positive"] * mean["n_negative"],
    }
    keys = [mean[name] for name in by]
    found = pd.DataFrame(
        {
            name: (mean[name].fillna(0) * unit).groupby(keys, sort=False).sum()
            / unit.groupby(keys, sort=False).sum()
            for name, unit in units.items()
        }
    ).reset_index()
    found["balanced_accuracy"] = (found["sensitivity"] + found["specificity"]) / 2
    return found[[*by, "balanced_accuracy", "auc"]]
