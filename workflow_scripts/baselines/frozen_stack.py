"""Stacks of models as files that score new people, without code in them and by any version.

A logistic learner is kept by its coefficients. Another one is kept by what it was fitted to, as a
nearest-neighbour learner is nothing else, and fitted again where it is used; there it must give
what it gave.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from workflow_scripts.baselines.learners import learner_of
from workflow_scripts.baselines.screening import Screening
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import coded

AGREEMENT = 1e-6  # of probabilities
PARTS = {"model", "classes", "of", "inputs", "splits"}


def described(name: str, fitted, x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> dict:
    """A fitted learner for a file.

    Parameters
    ----------
    name : key of `LEARNERS`
    fitted : the learner
    x, y, fold : terms (n, F), positive class and inner fold of the rows that it was fitted to
    """
    dropped = []
    if hasattr(fitted, "steps") and isinstance(fitted[0], Screening):
        dropped, x, fitted = fitted[0].dropped_, fitted[0].transform(x), fitted[-1]
    entry = {"learner": name, "dropped": dropped}
    if name == "logistic":
        scaler, model = fitted[0], fitted[-1]
        return entry | {
            "mean": scaler.mean_.tolist(),
            "sd": scaler.scale_.tolist(),
            "intercept": float(model.intercept_[0]),
            "coefficients": model.coef_[0].tolist(),
        }
    return entry | {
        "rows": x.tolist(),
        "positive": y.tolist(),
        "fold": fold.tolist(),
        "probability": fitted.predict_proba(x)[:, 1].tolist(),
    }


def probability(entry: dict, x: np.ndarray) -> np.ndarray:
    """Probability (n,) of the positive class by a learner as of `described`, of terms (n, F).

    Raises
    ------
    InputError
        If the learner, fitted again, does not give what it gave.
    """
    x = np.array(x, float)
    x[:, entry["dropped"]] = 0
    if entry["learner"] == "logistic":
        standardised = (x - np.array(entry["mean"])) / np.array(entry["sd"])
        return expit(entry["intercept"] + standardised @ np.array(entry["coefficients"]))
    rows, y = np.array(entry["rows"]), np.array(entry["positive"], bool)
    fitted = learner_of(entry["learner"], y, np.array(entry["fold"])).fit(rows, y)
    given = fitted.predict_proba(rows)[:, 1]
    if np.abs(given - entry["probability"]).max() > AGREEMENT:
        raise InputError(
            f"{entry['learner']}: fitted again it gives other scores than it gave; install "
            "envs/lock.txt of the version that trained it"
        )
    return fitted.predict_proba(x)[:, 1]


def read_stack(path) -> dict:
    """A stack from its file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        stack = json.loads(Path(path).read_text())
        if not stack.keys() >= PARTS:
            raise ValueError(f"has no {', '.join(sorted(PARTS - stack.keys()))}")
        return stack
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); make or copy it again") from error


def terms_of(stack: dict, values: pd.DataFrame, where: str) -> pd.DataFrame:
    """Columns of new sessions as terms of a stack; missing values stay missing.

    Parameters
    ----------
    values : columns by participant_id and session_id ("" of a session without a name)
    where : the stack's file, for messages

    Raises
    ------
    InputError
        If a value is no number where one is needed, or a text that the training did not have.
    """
    coding = {name: levels for part in stack["inputs"].values() for name, levels in part.items()}
    for name, levels in coding.items():
        given = values[name].dropna()
        known = (
            given.astype(str).isin(levels)
            if levels is not None
            else np.isfinite(pd.to_numeric(given, errors="coerce"))
        )
        if not known.all():
            person, value = session_prefix(*given.index[~known][0]), given[~known].iloc[0]
            wanted = f"one of {', '.join(levels)}" if levels else "a number"
            raise InputError(
                f"{where}: {name} of {person} is {value!r}, and the model knows {wanted}; correct "
                "it, or write n/a"
            )
    return coded(values, coding)
