"""A study's participants with the columns that its analyses use, checked."""

import logging

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.values import MOST_LEVELS, value_problem

CONFOUNDS = "confounds"  # the input of the model of a study's confounds, and its name
LOG = logging.getLogger(__name__)


def members(population: pd.DataFrame, classes: list[str], key: str) -> pd.DataFrame:
    """Participants of some classes with their first session, ordered by participant id.

    External ones are left out.

    Parameters
    ----------
    population : DataFrame
        Columns participant_id, session_id, label, and external (yes or no) if there are any.
    classes : list of str
    key : str
        Key of the configuration that ``classes`` comes from, for messages.

    Returns
    -------
    DataFrame
        participant_id, session_id, label (text); one row per participant.

    Raises
    ------
    InputError
        If a class has no participant.
    """
    if "external" in population:
        population = population[population["external"] == "no"]
    people = population.loc[population["label"].isin(classes), [*SCAN, "label"]]
    people = people.drop_duplicates("participant_id").sort_values("participant_id")
    empty = [name for name in classes if name not in set(people["label"])]
    if empty:
        raise InputError(
            f"{key}: the population has no participant of {empty} (found: "
            f"{sorted(population['label'].unique())}); correct the key or the labels"
        )
    return people.reset_index(drop=True)


def columns_of(
    people: pd.DataFrame, table: pd.DataFrame, names: list[str], key: str, file: str
) -> pd.DataFrame:
    """Columns of a table for these participants.

    Parameters
    ----------
    people : DataFrame
        From `members`.
    table : DataFrame
        participant_id, session_id where the table has sessions, and the columns.
    names : list of str
    key, file : str
        Key of the configuration that ``names`` comes from and name of the
        table, for messages.

    Returns
    -------
    DataFrame
        Index participant_id in the order of ``people``, columns ``names``.

    Raises
    ------
    InputError
        If a column is not there or is named twice, or a participant has no row.
    """
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise InputError(
            f"{key}: {file} has no column {', '.join(unknown)} (found: "
            f"{', '.join(table.columns)}); correct the key or the table"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{key}: {', '.join(twice)} stands twice; name it once")
    on = [name for name in SCAN if name in table.columns]
    rows = people[SCAN].merge(table[[*on, *names]], on=on, how="left", indicator=True)
    absent = rows.loc[rows["_merge"] == "left_only", "participant_id"]
    if len(absent):
        raise InputError(
            f"{file}: no row for {', '.join(absent)} of the study's population; "
            "add the rows or draw a new split"
        )
    return rows.set_index("participant_id")[names]


def _require_variation(values: pd.DataFrame, key: str, file: str) -> None:
    for name in values:
        different = values[name].nunique()
        if different < 2:
            what = "the same for all" if different else "n/a for all"
            raise InputError(
                f"{key}: {name} of {file} is {what} {len(values)} participants of the analysis; "
                "take it out of the key"
            )


def as_numbers(values: pd.DataFrame, key: str, file: str) -> pd.DataFrame:
    """Columns as floats.

    Raises
    ------
    InputError
        If a column has no value or one value only, or a value is not a finite number.
    """
    _require_variation(values, key, file)
    for name, column in values.items():
        number = pd.to_numeric(column, errors="coerce")
        bad = column.notna() & ~np.isfinite(number.to_numpy(float))
        if bad.any():
            raise InputError(
                f"{key}: {name} of {file} is {str(column[bad].iloc[0])!r} in "
                f"{column.index[bad][0]}; it must be a finite number or n/a"
            )
    return values.apply(pd.to_numeric).astype(float)


def as_terms(values: pd.DataFrame, key: str, file: str) -> pd.DataFrame:
    """Columns as terms of a model: numbers as they are, text coded as 0 and 1.

    A text column with k values gives k - 1 columns named ``<column>_<value>``,
    1 where the participant has that value; the first in alphabetical order is
    the reference. Missing values stay missing.

    Raises
    ------
    InputError
        If a column has no value or one value only, a text column more than 6
        different ones, numbers among them or one in several spellings, or a number is not
        finite.
    """
    _require_variation(values, key, file)
    for name, column in values.items():
        if pd.api.types.is_numeric_dtype(column):
            as_numbers(column.astype(float).to_frame(), key, file)
            continue
        text = _texts(column).dropna()
        levels = sorted(text.unique())
        if len(levels) > MOST_LEVELS:
            raise InputError(
                f"{key}: {name} of {file} has {len(levels)} different texts ({levels[0]!r}, "
                f"{levels[1]!r} ...), at most {MOST_LEVELS} can be coded; write numbers with a "
                "decimal point, or take it out of the key"
            )
        if problem := value_problem(name, list(text.items())):
            raise InputError(f"{key}: {file}: {problem}")
    return coded(values, coding_of(values))


def _texts(column: pd.Series) -> pd.Series:
    return column.astype(object).map(str, na_action="ignore")


def coding_of(values: pd.DataFrame) -> dict[str, list[str] | None]:
    """How `as_terms` codes columns: of each its texts in order, None of a column of numbers."""
    numbers = pd.api.types.is_numeric_dtype
    return {
        name: None if numbers(column) else sorted(set(_texts(column).dropna()))
        for name, column in values.items()
    }


def coded(values: pd.DataFrame, coding: dict[str, list[str] | None]) -> pd.DataFrame:
    """Columns as terms by a coding as of `coding_of`; a text that it does not know is missing."""
    terms = {}
    for name, levels in coding.items():
        if levels is None:
            terms[name] = pd.to_numeric(values[name]).astype(float)
            continue
        text = _texts(values[name])
        for level in levels[1:]:
            terms[f"{name}_{level}"] = (text == level).astype(float).where(text.isin(levels))
    return pd.DataFrame(terms, index=values.index)


def as_covariates(values: pd.DataFrame, key: str, file: str) -> pd.DataFrame:
    """Columns to hold constant as terms, without those that are the same for everybody.

    Such a column explains nothing: it is left out with a warning.

    Raises
    ------
    InputError
        As `as_terms`.
    """
    constant = [name for name in values if values[name].nunique() == 1]
    if constant:
        LOG.warning(
            "%s: %s of %s is the same for all %d participants of the analysis, left out",
            *(key, ", ".join(constant), file, len(values)),
        )
    return as_terms(values.drop(columns=constant), key, file)
