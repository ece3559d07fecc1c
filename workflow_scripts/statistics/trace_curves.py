"""ROC or decision curves of a study's models."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.curves import decision_curve, roc_curve
from workflow_scripts.statistics.scores import by_model, draw_participants

CURVES = {"roc": roc_curve, "decision_curve": decision_curve}


def trace_curves(
    predictions: pd.DataFrame, curve: str, classes: list[str], bootstraps: int, seed: int
) -> pd.DataFrame:
    """A curve of every model and estimate that can have it.

    ROC curves need scans of both classes, decision curves probabilities.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, apparent ones among them.
    curve : roc or decision_curve
    classes : [negative, positive]
    bootstraps, seed : int

    Returns
    -------
    DataFrame
        Columns model (of decision curves also all and none, once per estimate), estimate, and
        those of `curves.roc_curve` or `curves.decision_curve`.

    Raises
    ------
    InputError
        If no model can have it.
    """
    tables = []
    for (model, estimate), scores in by_model(predictions, classes).items():
        if scores.both_classes if curve == "roc" else scores.calibrated:
            table = CURVES[curve](scores, draw_participants(scores, bootstraps, seed))
            if curve == "decision_curve":
                strategies = table.pop("strategy").replace("model", model)
                table.insert(0, "model", strategies)
            else:
                table.insert(0, "model", model)
            table.insert(1, "estimate", estimate)
            tables.append(table)
    if not tables:
        lack = "scans of both classes" if curve == "roc" else "probabilities"
        raise InputError(f"no model has {lack}; take {curve} out of the study's evaluation")
    table = pd.concat(tables, ignore_index=True)
    return table.drop_duplicates(["estimate", "model", table.columns[2]])
