"""Features over the sessions of each participant, and whose outcome worsened meanwhile."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import as_numbers, columns_of
from workflow_scripts.common.splits import SCAN

COLUMNS = [*SCAN, "feature", "years", "value", "outcome", "worsened"]
DAYS_OF_A_YEAR = 365.25


def worsened(first: float, last: float, rule: list[dict]) -> bool:
    """Whether an outcome worsened: by ``by`` at least of the last step ``from`` <= the first value.

    >>> edss = [{"from": 0, "by": 1.5}, {"from": 0.5, "by": 1.0}, {"from": 5.5, "by": 0.5}]
    >>> [worsened(0, 1.0, edss), worsened(2.0, 3.0, edss), worsened(6.0, 6.5, edss)]
    [False, True, True]

    Raises
    ------
    InputError
        If the first value lies below all steps.
    """
    steps = [step for step in sorted(rule, key=lambda s: s["from"]) if step["from"] <= first]
    if not steps:
        raise InputError(
            f"{first:g} lies below all steps of the rule; add a step that starts there"
        )
    return bool(last - first >= steps[-1]["by"])


def years_of(times: pd.Series, key: str) -> pd.Series:
    """Dates, or years, as years on one scale.

    Raises
    ------
    InputError
        If a value is neither.
    """
    if pd.api.types.is_numeric_dtype(times):
        return times.astype(float)
    dates = pd.to_datetime(times, format="ISO8601", errors="coerce", utc=True)
    bad = times.notna() & dates.isna()
    if bad.any():
        raise InputError(
            f"{key}: {times.name} is {times[bad].iloc[0]!r}; write dates as 2020-01-31, or years "
            "as numbers, and n/a where they are missing"
        )
    return (dates - dates.min()).dt.total_seconds() / (86400 * DAYS_OF_A_YEAR)


def trajectories(features, clinical, population, settings: dict) -> pd.DataFrame:
    """Values of features in the sessions of each participant, in the order of time.

    Parameters
    ----------
    features, clinical, population : tables of the study
    settings : longitudinal (features, outcome, time, worsening), classes and key

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: years since the participant's first session with the feature, and
        worsened (yes, no), from the outcome in the first and the last of these that have it,
        missing where these are not two. Sessions without the feature or a time are left out.

    Raises
    ------
    InputError
        If a column is nowhere, a time is no date, or the rule says nothing of an outcome.
    """
    asked, key = settings["longitudinal"], settings["key"]
    sessions = population[population["label"].isin(settings["classes"])]
    if "external" in sessions:
        sessions = sessions[sessions["external"] == "no"]
    sessions = sessions[[*SCAN]].reset_index(drop=True)

    def columns(table, names, part, file):
        return columns_of(sessions, table, names, f"{key}.{part}", file).reset_index(drop=True)

    values = as_numbers(columns(features, asked["features"], "features", "features.tsv"),
                        f"{key}.features", "features.tsv")  # fmt: skip
    told = columns(clinical, [asked["time"], asked["outcome"]], "time", "clinical.tsv")
    outcome = as_numbers(told[[asked["outcome"]]], f"{key}.outcome", "clinical.tsv")
    sessions["outcome"] = outcome[asked["outcome"]]
    sessions["years"] = years_of(told[asked["time"]], f"{key}.time")
    tables = []
    for name in asked["features"]:
        rows = sessions.assign(feature=name, value=values[name]).dropna(subset=["value", "years"])
        rows = rows.sort_values(["participant_id", "years"], kind="stable")
        rows["years"] -= rows.groupby("participant_id")["years"].transform("min")
        seen = rows.dropna(subset="outcome").groupby("participant_id")["outcome"]
        ends = seen.agg(["first", "last", "size"])
        ends = ends[ends["size"] > 1]
        try:
            found = [
                worsened(*pair, asked["worsening"]) for pair in ends[["first", "last"]].to_numpy()
            ]
        except InputError as error:
            raise InputError(f"{key}.worsening: {asked['outcome']} {error}") from error
        words = pd.Series(np.where(found, "yes", "no"), ends.index, dtype=object)
        tables.append(rows.assign(worsened=rows["participant_id"].map(words)))
    return pd.concat(tables, ignore_index=True)[COLUMNS]
