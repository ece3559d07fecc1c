"""Metrics of a two-class classifier by name, and intervals of them.

Precision is TP / (TP + FP); ``precision_published`` is the TP / (TP + TN) that Inglese et al. 2022
printed under this name.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

Z = norm.ppf(0.975)
PROPORTIONS = {
    "accuracy": (("tn", "tp"), ("tn", "fp", "fn", "tp")),
    "sensitivity": (("tp",), ("tp", "fn")),
    "specificity": (("tn",), ("tn", "fp")),
    "precision": (("tp",), ("tp", "fp")),
    "precision_published": (("tp",), ("tp", "tn")),
}
METRICS = ["accuracy", "balanced_accuracy", *list(PROPORTIONS)[1:], "auc"]
SMALLEST = 1e-12


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


def worth(single, variance, n):
    """Independent participants that an estimate is worth, at most the n that there are.

    Parameters
    ----------
    single : variance that it would have from n independent participants
    variance : its variance between the participants; where either is zero or unknown, n are assumed

    Notes
    -----
    The effective sample size of Korn & Graubard 1998, Survey Methodology 24:193. More than n, as
    means over many repeats seem to give, are not taken: the models of the splits, which are in no
    variance between participants, share their training participants.
    """
    known = (np.asarray(variance) > SMALLEST) & (np.asarray(single) > SMALLEST)
    return n * np.where(known, np.minimum(1, single / np.where(known, variance, 1)), 1.0)


def hanley_mcneil(area: float, n_positive: float, n_negative: float) -> float:
    """Variance of an AUC of independent participants by Hanley & McNeil, as Newcombe has it."""
    others = (n_positive + n_negative) / 2 - 1
    spread = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (n_positive * n_negative)


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

    def distance(area):
        return (area - auc) ** 2 - Z**2 * hanley_mcneil(area, n_positive, n_negative)

    nearly = 1e-9  # 0 and 1 themselves are trivial roots
    exact = 1e-12  # weights of scans leave rounding errors
    low = 0.0 if auc < exact else brentq(distance, 0, min(auc, 1 - nearly))
    high = 1.0 if auc > 1 - exact else brentq(distance, max(auc, nearly), 1)
    return low, high
