"""Difference in balanced accuracy of two models by a bootstrap of the participants of both."""

import numpy as np

from workflow_scripts.common.metrics import ratio
from workflow_scripts.statistics.scores import Scores, draw_participants
from workflow_scripts.statistics.split_metrics import cells_of

BOOTSTRAPPED = ["balanced_accuracy_difference", "bootstrap_low", "bootstrap_high", "bootstrap_p"]


def balanced_accuracies(scores: Scores, drawn: np.ndarray) -> np.ndarray:
    """Balanced accuracy of each sample, the mean over the rows that define it: (B,).

    drawn : times each scan is drawn, (B, N)
    """
    found = 0.0
    cells = {name: drawn @ cell.T for name, cell in cells_of(scores).items()}
    for hit, missed in (("tp", "fn"), ("tn", "fp")):
        found = found + np.nanmean(ratio(cells[hit], cells[hit] + cells[missed]), axis=1) / 2
    return found


def compare_balanced_accuracy(a: Scores, b: Scores, bootstraps: int, seed: int) -> dict:
    """Balanced accuracy of model b minus that of a, of the same scans at their thresholds.

    Participants are drawn with all their scans, within their class, the same for both models, which
    are taken as given.

    Returns
    -------
    dict
        balanced_accuracy_difference, bootstrap_low and bootstrap_high (2.5 and 97.5 percentiles),
        bootstrap_p: twice the smaller share of the samples on either side of 0, the observed
        one counted among them, at most 1

    Notes
    -----
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 16.
    """
    drawn = np.vstack([np.ones(len(a.person), int), draw_participants(a, bootstraps, seed)])
    difference = balanced_accuracies(b, drawn) - balanced_accuracies(a, drawn)
    observed, samples = difference[0], difference[1:]
    low, high = np.percentile(samples, [2.5, 97.5])
    sides = [(1 + (side * samples >= 0).sum()) / (1 + bootstraps) for side in (1, -1)]
    return dict(zip(BOOTSTRAPPED, (observed, low, high, min(1.0, 2 * min(sides))), strict=True))
