"""Metrics at the threshold that is best on the side for validation."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from workflow_scripts.common.metrics import scan_weights
from workflow_scripts.statistics.split_metrics import evaluate

TRAINING = ["model", "split", "repeat"]


def youden_threshold(truth, score, weight) -> float:
    """Score above which the positive class is predicted with the highest Youden index.

    Halfway between the scores that it parts; of equal ones the lowest threshold.

    Parameters
    ----------
    truth : bool array, (N,), both classes
    score, weight : float arrays, (N,)
    """
    false_positive, sensitivity, at_least = roc_curve(
        truth, score, sample_weight=weight, drop_intermediate=False
    )
    index = sensitivity - false_positive
    lowest = at_least[np.flatnonzero(index >= index.max() - 1e-9)[-1]]
    below = score[score < lowest]
    halfway = (lowest + below.max()) / 2 if len(below) else lowest - 1
    return float(min(halfway, np.nextafter(lowest, -np.inf)))


def at_validated_thresholds(
    predictions: pd.DataFrame, validation: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """`evaluate` of the trainings that have a side for validation with both classes.

    Parameters
    ----------
    predictions, validation : DataFrames
        Columns of `common.predictions`.
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        Columns of `evaluate`, and threshold: that of the split, its mean over repeats of the
        training; missing over all splits.
    """
    chosen = []
    for training, rows in validation.groupby(TRAINING, sort=False):
        truth = (rows["label"] == classes[1]).to_numpy()
        if truth.any() and not truth.all():
            weight = scan_weights(rows["participant_id"])
            threshold = youden_threshold(truth, rows["score"].to_numpy(float), weight)
            chosen.append((*training, threshold))
    chosen = pd.DataFrame(chosen, columns=[*TRAINING, "threshold"])
    rows = predictions.drop(columns="threshold").merge(chosen, on=TRAINING)
    rows["predicted"] = np.where(rows["score"] > rows["threshold"], classes[1], classes[0])
    table = evaluate(rows, classes)
    mean = chosen.groupby(["model", "split"])["threshold"].mean().reset_index()
    return table.merge(mean.astype({"split": str}), on=["model", "split"], how="left")
