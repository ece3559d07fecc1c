"""How well the probabilities of models agree with the outcome."""

import numpy as np

from workflow_scripts.statistics.scores import Scores


def brier_score(scores: Scores, drawn: np.ndarray) -> dict:
    """Mean squared difference of probability and outcome, with percentile limits.

    The limits are missing where all samples have the same value, as with one probability for all.

    Parameters
    ----------
    scores : of a model with probabilities
    drawn : int array, (B, N)
        Times each scan is drawn, with its participant.

    Returns
    -------
    dict
        value, ci_low, ci_high, ci_method
    """
    difference = np.nan_to_num(scores.probability) - scores.truth
    error = (scores.weight * difference**2).sum(0)
    sampled = drawn @ error / scores.participants()
    low, high = np.percentile(sampled, [2.5, 97.5]) if np.ptp(sampled) > 1e-9 else [np.nan] * 2
    value = error.sum() / scores.participants()
    return {"value": value, "ci_low": low, "ci_high": high, "ci_method": "patient bootstrap"}
