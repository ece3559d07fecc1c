"""Who trains and who is tested in each split: the columns of Table 1, side by side."""

import numpy as np
import pandas as pd

from workflow_scripts.common.splits import SCAN, USED

COLUMNS = ["split", "role", "variable", "level", "participants", "missing"]
COLUMNS += ["mean", "sd", "count", "percent", "standardized_difference"]


def as_measures(people: pd.DataFrame, columns: list[str]) -> dict[tuple, pd.Series]:
    """Numbers of each (column, None), or 0 and 1 of each (column, level); missing stays missing.

    Columns without a value are left out; those that are no numbers, or numbers with at most two
    values, have levels.
    """
    measures = {}
    for name in columns:
        values, numbers = people[name], pd.api.types.is_numeric_dtype(people[name])
        if numbers and values.nunique() > 2:
            measures[name, None] = values
            continue
        shown = values.map("{:g}".format if numbers else str, na_action="ignore")
        for level in sorted(shown.dropna().unique()):
            measures[name, level] = (shown == level).astype(float).where(shown.notna())
    return measures


def standardized_difference(values: pd.Series, reference: pd.Series) -> float:
    """Difference of the means over the root of the mean of both variances (n - 1).

    Missing where a side has less than two values or none vary. Austin 2009, 10.1002/sim.3697.
    """
    spread = np.sqrt((values.var() + reference.var()) / 2)
    return (values.mean() - reference.mean()) / spread if spread > 0 else np.nan


def describe_sides(splits: pd.DataFrame, clinical: pd.DataFrame, columns: list[str]):
    """Summarise columns over the participants of each side of each split.

    A participant counts once, by the first of its scans of a side. What is a number and what
    are levels is judged over all participants, so that all splits have the same rows.

    Parameters
    ----------
    splits : split, participant_id, session_id and role
    clinical : participant_id, session_id and ``columns``

    Returns
    -------
    DataFrame
        `COLUMNS`: a row per split, side and column, with mean and SD, or per level, with count
        and percent of those known; the difference is to the training side of the split.
    """
    people = splits[splits["role"].isin(USED)].drop_duplicates(["split", "role", "participant_id"])
    people = people[["split", "role", *SCAN]].merge(clinical[[*SCAN, *columns]], on=SCAN)
    measures, rows = as_measures(people, columns), []
    for split, of_split in people.groupby("split", sort=False):
        train = of_split.index[of_split["role"] == "train"]
        for role in USED:
            side = of_split.index[of_split["role"] == role]
            for (name, level), measure in measures.items() if len(side) else ():
                known, trained = measure[side].dropna(), measure[train].dropna()
                row = {"split": split, "role": role, "variable": name, "level": level}
                row |= {"participants": len(side), "missing": len(side) - len(known)}
                if level is None:
                    row |= {"mean": known.mean(), "sd": known.std()}
                else:
                    row |= {"count": known.sum(), "percent": 100 * known.mean()}
                if role != "train":
                    row["standardized_difference"] = standardized_difference(known, trained)
                rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(["participants", "missing", "count"], "Int64"))
