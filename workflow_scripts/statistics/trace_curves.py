"""ROC and decision curves of a study's models.

Columns are model (of decision curves also all and none, once per estimate), estimate, and those of
`curves.roc_curve` or `curves.decision_curve`.
"""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.curves import decision_curve, roc_curve
from workflow_scripts.statistics.scores import by_model, draw_participants


def roc_curves(
    predictions: pd.DataFrame, classes: list[str], bootstraps: int, seed: int
) -> pd.DataFrame:
    """ROC curve of every model and estimate with scans of both classes.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, apparent ones among them.
    classes : [negative, positive]
    bootstraps, seed : int

    Raises
    ------
    InputError
        If there is none.
    """
    tables = [
        roc_curve(scores, draw_participants(scores, bootstraps, seed)).assign(model=m, estimate=e)
        for (m, e), scores in by_model(predictions, classes).items()
        if scores.both_classes
    ]
    return _together(tables, "scans of both classes; take roc out of the study's evaluation")


def decision_curves(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Decision curve of every model and estimate with probabilities; arguments as `roc_curves`."""
    tables = []
    for (model, estimate), scores in by_model(predictions, classes).items():
        if scores.calibrated:
            table = decision_curve(scores)
            names = table.pop("strategy").replace("model", model)
            tables.append(table.assign(model=names, estimate=estimate))
    table = _together(tables, "probabilities; take decision_curve out of the study's evaluation")
    return table.drop_duplicates(["estimate", "model", "threshold"])


def _together(tables: list[pd.DataFrame], lack: str) -> pd.DataFrame:
    if not tables:
        raise InputError(f"no model has {lack}")
    table = pd.concat(tables, ignore_index=True)
    return table[["model", "estimate", *table.columns.drop(["model", "estimate"])]]
