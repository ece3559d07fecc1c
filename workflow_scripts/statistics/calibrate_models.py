"""Calibration of a study's models that give probabilities."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.calibration import brier_score
from workflow_scripts.statistics.curves import calibration_curve, calibration_line
from workflow_scripts.statistics.scores import by_model, draw_participants

LINE = ["value", "ci_low", "ci_high"]


def calibrate_models(predictions: pd.DataFrame, classes: list[str], bootstraps: int, seed: int):
    """Calibration of every model with probabilities and every estimate with both classes.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, apparent ones among them.
    classes : [negative, positive]
    bootstraps, seed : int

    Returns
    -------
    two DataFrames
        Columns model, estimate, and those of `curves.calibration_curve`; and model, estimate,
        metric (brier, calibration_slope, calibration_intercept), value, ci_low, ci_high, ci_method.
    """
    curves, figures = [], []
    for (model, estimate), scores in by_model(predictions, classes).items():
        if not (scores.calibrated and scores.both_classes):
            continue
        identity = {"model": model, "estimate": estimate}
        curves.append(calibration_curve(scores).assign(**identity))
        error = brier_score(scores, draw_participants(scores, bootstraps, seed))
        figures.append(identity | {"metric": "brier"} | error)
        for name, values in calibration_line(scores).items():
            found = dict(zip(LINE, values, strict=True)) | {"ci_method": "clustered by patient"}
            figures.append(identity | {"metric": name} | found)
    if not curves:
        raise InputError("no model gives probabilities; take calibration out of evaluation")
    table = pd.concat(curves, ignore_index=True)
    table = table[["model", "estimate", *table.columns.drop(["model", "estimate"])]]
    return table, pd.DataFrame(figures)
