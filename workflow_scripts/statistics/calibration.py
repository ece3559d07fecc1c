"""How well the probabilities of models agree with the outcome."""

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from workflow_scripts.statistics.metrics import SMALLEST
from workflow_scripts.statistics.scores import Scores


def brier_score(scores: Scores) -> dict:
    """Mean squared difference of probability and outcome, with t limits on the logit scale.

    The variance is that between the participants of a class; without any, as with one probability
    for all, the limits are missing.

    Parameters
    ----------
    scores : of a model with probabilities

    Returns
    -------
    dict
        value, ci_low, ci_high, ci_method
    """
    difference = np.nan_to_num(scores.probability) - scores.truth
    error, n = (scores.weight * difference**2).sum(0), scores.participants()
    value, limits = error.sum() / n, (np.nan, np.nan)
    variance = scores.variance_between(error / n) * n / max(n - 2, 1)
    if variance > SMALLEST and n > 2:
        half = stats.t.ppf(0.975, n - 2) * np.sqrt(variance) / (value * (1 - value))
        limits = expit(logit(value) - half), expit(logit(value) + half)
    method = "t between patients, logit scale"
    return {"value": value, "ci_low": limits[0], "ci_high": limits[1], "ci_method": method}
