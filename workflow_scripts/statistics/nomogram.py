"""A logistic model as a nomogram: points of each term, and of their sum a probability."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from scipy.special import logit

from workflow_scripts.common.logistic import Logistic
from workflow_scripts.common.splits import SCAN

COLUMNS = ["split", "term", "value", "points"]
PROBABILITY = "probability"
SHOWN = [0.01, 0.05, *np.arange(0.1, 0.91, 0.1).round(1), 0.95, 0.99]
LONGEST = 100.0  # points of the term with the longest reach
SPREAD_SD = 2.0  # of a term whose values are not at hand


def nomogram(model: Logistic, values: pd.DataFrame) -> pd.DataFrame:
    """Points of marked values of each term, and total points of marked probabilities.

    The points of a person's terms add up to ``LONGEST / reach * (log odds - least log odds)``,
    with the reach of the log odds of the longest term (Iasonos et al. 2008,
    10.1200/JCO.2007.12.9791).

    Parameters
    ----------
    model : fitted model; terms without a slope are left out
    values : columns of the people that it was fitted to, whose span a term of that name has.
        Another term is 0 or 1 if its mean and SD are those of such a one, else it has its mean
        and two SD to either side.

    Returns
    -------
    DataFrame: ``COLUMNS``; of the term ``probability`` the value is one, and the points are a sum
    """
    marked = {
        term: (slope, _marks(term, mean, sd, values))
        for term, slope, mean, sd in zip(
            model.terms, model.slopes, model.mean, model.sd, strict=True
        )
        if slope != 0
    }
    gained = {term: slope * marks for term, (slope, marks) in marked.items()}
    reach = max((np.ptp(gain) for gain in gained.values()), default=0) or 1.0
    rows = [
        (model.split, term, value, LONGEST * (gain - gained[term].min()) / reach)
        for term, (_, marks) in marked.items()
        for value, gain in zip(marks, gained[term], strict=True)
    ]
    least = model.intercept + sum(gain.min() for gain in gained.values())
    most = sum(LONGEST * np.ptp(gain) / reach for gain in gained.values())
    totals = [(value, LONGEST * (logit(value) - least) / reach) for value in SHOWN]
    rows += [(model.split, PROBABILITY, *one) for one in totals if 0 <= one[1] <= most]
    return pd.DataFrame(rows, columns=COLUMNS)


def _marks(term: str, mean: float, sd: float, values: pd.DataFrame) -> np.ndarray:
    if term in values:
        low, high = np.nanmin(values[term]), np.nanmax(values[term])
    elif np.isclose(sd**2, mean * (1 - mean)):
        low, high = 0.0, 1.0
    else:
        low, high = mean - SPREAD_SD * sd, mean + SPREAD_SD * sd
    if {low, high} == {0, 1}:
        return np.array([0.0, 1.0])
    return MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)


def training_values(model: Logistic, splits: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
    """Columns of tables of those whom a model's split trains on, as numbers where they are."""
    trained = splits[(splits["split"] == model.split) & (splits["role"] == "train")][SCAN]
    found = [
        trained.merge(table.drop(columns="label", errors="ignore"), on=SCAN, how="left")
        for table in tables
    ]
    columns = {name: part[name] for part in found for name in part if name not in SCAN}
    return pd.DataFrame(
        {name: column for name, column in columns.items() if pd.api.types.is_numeric_dtype(column)}
    )
