"""The one format of predictions, which every model writes and every evaluation reads.

A row per split, repeat of the training and scored scan: of the test side, of external
participants and, by networks, of the side for validation, which no figure is made of.
``predicted`` is the positive class where the score lies above ``threshold``; ``probability`` (of
the positive class) is missing where a model has none.
"""

from workflow_scripts.common.splits import SCAN

PREDICTIONS = ["model", "split", "repeat", *SCAN, "label", "role"]
PREDICTIONS += ["score", "threshold", "probability", "predicted"]
PERMUTATIONS = ["model", "split", "repeat", "permutation", "n_positive", "n_negative"]
PERMUTATIONS += ["sensitivity", "specificity", "auc"]
