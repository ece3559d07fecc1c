"""Calibration of a study's models that give probabilities."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.calibration import brier_score
from workflow_scripts.statistics.curves import calibration_curve, calibration_line
from workflow_scripts.statistics.scores import by_model

LINE = ["value", "ci_low", "ci_high"]


def calibrated_scores(predictions: pd.DataFrame, classes: list[str]) -> dict:
    """(model, estimate) to its scores, of models with probabilities and scans of both classes.

    Raises
    ------
    InputError
        If there are none.
    """
    found = {
        key: scores
        for key, scores in by_model(predictions, classes).items()
        if scores.calibrated and scores.both_classes
    }
    if not found:
        raise InputError(
            "no model gives probabilities of people of both classes; take calibration out of "
            "evaluation"
        )
    return found


def calibration_curves(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Calibration curve of every model of `calibrated_scores`.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, apparent ones among them.
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        Columns model, estimate, and those of `curves.calibration_curve`.
    """
    curves = [
        calibration_curve(scores).assign(model=model, estimate=estimate)
        for (model, estimate), scores in calibrated_scores(predictions, classes).items()
    ]
    table = pd.concat(curves, ignore_index=True)
    return table[["model", "estimate", *table.columns.drop(["model", "estimate"])]]


def calibration_figures(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Brier score, calibration slope and intercept of every model of `calibrated_scores`.

    Parameters
    ----------
    predictions, classes : as of `calibration_curves`

    Returns
    -------
    DataFrame
        Columns model, estimate, metric (brier, calibration_slope, calibration_intercept), value,
        ci_low, ci_high, ci_method.
    """
    figures = []
    for (model, estimate), scores in calibrated_scores(predictions, classes).items():
        identity = {"model": model, "estimate": estimate}
        figures.append(identity | {"metric": "brier"} | brier_score(scores))
        for name, values in calibration_line(scores).items():
            found = dict(zip(LINE, values, strict=True)) | {"ci_method": "clustered by patient"}
            figures.append(identity | {"metric": name} | found)
    return pd.DataFrame(figures)
