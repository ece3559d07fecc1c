"""Metrics of a two-class classifier and their intervals."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.common.metrics import pairs_in_order, ratio

Z = norm.ppf(0.975)
PROPORTIONS = {
    "accuracy": (("tn", "tp"), ("tn", "fp", "fn", "tp")),
    "sensitivity": (("tp",), ("tp", "fn")),
    "specificity": (("tn",), ("tn", "fp")),
    "precision": (("tp",), ("tp", "fp")),
    "precision_published": (("tp",), ("tp", "tn")),
}
METRICS = ["accuracy", "balanced_accuracy", *list(PROPORTIONS)[1:], "auc"]


def metrics(positive, predicted, score, weight) -> dict:
    """Weighted confusion counts and metrics of one test side.

    Parameters
    ----------
    positive, predicted : bool arrays, (N,)
    score : float array, (N,)
        Higher means more like the positive class.
    weight : array, (B, N)
        Times each row counts, for B bootstrap samples.

    Returns
    -------
    dict of float arrays, (B,)
        tn, fp, fn, tp and `METRICS`; NaN where a metric is undefined.

    Notes
    -----
    Precision is TP / (TP + FP); ``precision_published`` is the TP / (TP + TN)
    that Inglese et al. 2022 printed under this name.
    """
    weight = np.asarray(weight, float)
    found = {
        "tn": weight @ (~positive & ~predicted),
        "fp": weight @ (~positive & predicted),
        "fn": weight @ (positive & ~predicted),
        "tp": weight @ (positive & predicted),
    }
    for name, (hits, total) in PROPORTIONS.items():
        found[name] = ratio(sum(found[c] for c in hits), sum(found[c] for c in total))
    found["balanced_accuracy"] = (found["sensitivity"] + found["specificity"]) / 2
    above = pairs_in_order(score[positive], score[~positive])
    w1, w0 = weight[:, positive], weight[:, ~positive]
    found["auc"] = ratio(((w1 @ above) * w0).sum(1), w1.sum(1) * w0.sum(1))
    return found


def wilson(hits: float, total: float) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion; undefined without observations."""
    if total == 0 or not np.isfinite(hits):
        return np.nan, np.nan
    return proportion_confint(min(hits, total), total, method="wilson")


def balanced_accuracy_interval(sensitivity, specificity) -> tuple[float, float]:
    """95 % interval of the mean of two independent proportions.

    Parameters
    ----------
    sensitivity, specificity : (value, low, high)
        With Wilson limits.

    Notes
    -----
    Method of variance estimates recovery, Zou & Donner 2008, 10.1002/sim.3095.
    """
    (a, a_low, a_high), (b, b_low, b_high) = sensitivity, specificity
    centre = (a + b) / 2
    return centre - np.hypot(a - a_low, b - b_low) / 2, centre + np.hypot(
        a_high - a, b_high - b
    ) / 2


def auc_interval(auc: float, n_positive: float, n_negative: float) -> tuple[float, float]:
    """95 % score interval of the AUC, also for a perfect separation.

    The limits are the areas whose Hanley-McNeil standard error puts the
    observed area 1.96 standard errors away.

    Notes
    -----
    Newcombe 2006, method 5, 10.1002/sim.2324. DeLong's variance and the
    bootstrap are zero where the classes are separated, which is common in
    small test sets.
    """
    if not np.isfinite(auc):
        return np.nan, np.nan
    others = (n_positive + n_negative) / 2 - 1

    def distance(area):
        spread = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
        variance = area * (1 - area) * spread / (n_positive * n_negative)
        return (area - auc) ** 2 - Z**2 * variance

    nearly = 1e-9  # 0 and 1 themselves are trivial roots
    exact = 1e-12  # weights of scans leave rounding errors
    low = 0.0 if auc < exact else brentq(distance, 0, min(auc, 1 - nearly))
    high = 1.0 if auc > 1 - exact else brentq(distance, max(auc, nearly), 1)
    return low, high


def single_intervals(
    value: dict[str, float], people: dict[str, float], n_positive: float, n_negative: float
) -> dict[str, tuple[float, float]]:
    """95 % limits around the metrics of independent participants, by metric.

    Parameters
    ----------
    value : the metrics
    people : participants by cell (tn, fp, fn, tp), which need not be whole numbers
    n_positive, n_negative : participants by class
    """
    interval = {}
    for name, (_, total) in PROPORTIONS.items():
        n = sum(people[cell] for cell in total)
        interval[name] = wilson(value[name] * n, n)
    interval["balanced_accuracy"] = around(value, interval)
    interval["auc"] = auc_interval(value["auc"], n_positive, n_negative)
    return interval


def around(value: dict[str, float], interval: dict) -> tuple[float, float]:
    """Limits of balanced accuracy from those of sensitivity and specificity."""
    parts = ("sensitivity", "specificity")
    limits = balanced_accuracy_interval(*((value[name], *interval[name]) for name in parts))
    shift = value["balanced_accuracy"] - np.mean([value[name] for name in parts])
    return tuple(np.clip(np.array(limits) + shift, 0, 1))
