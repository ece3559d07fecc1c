"""Fitted logistic models as files of a study, on the raw scales of their terms."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Logistic(NamedTuple):
    """Log odds of the positive class: ``intercept + slopes @ terms``.

    Attributes
    ----------
    split : number of the split whose training side it was fitted to
    terms : names, (F,); of a model that a stack stands on, its log odds
    intercept, slopes : float and (F,), per unit of each term
    mean, sd : (F,), of the training side; 0 and 1 of a term that was screened out
    threshold : log odds above which the positive class is predicted
    """

    split: int
    terms: list[str]
    intercept: float
    slopes: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    threshold: float


def on_raw_scale(intercept: float, coefficients, mean, sd) -> tuple[float, np.ndarray]:
    """Intercept and coefficients per unit of each term, from those per standard deviation."""
    slopes = np.asarray(coefficients, float) / np.asarray(sd, float)
    return intercept - float(slopes @ np.asarray(mean, float)), slopes


def read_logistic(path) -> list[Logistic]:
    """Logistic models of all splits, of a table model (``_models.json``) or a stack's.

    Of a stack those whose learner is the logistic one.
    """
    content = json.loads(Path(path).read_text())
    fitted = content.get("models") or [
        entry | {"terms": content["terms"], "threshold": 0.0}
        for entry in content["splits"]
        if entry["learner"] == "logistic"
    ]
    return [
        Logistic(
            one["split"],
            one["terms"],
            *on_raw_scale(one["intercept"], one["coefficients"], one["mean"], one["sd"]),
            np.array(one["mean"]),
            np.array(one["sd"]),
            one["threshold"],
        )
        for one in fitted
    ]
