"""Who trains and who is tested in each split: the columns of Table 1, side by side."""

import pandas as pd

from workflow_scripts.common.splits import SCAN, USED

COLUMNS = ["split", "role", "variable", "level", "participants", "missing"]
COLUMNS += ["mean", "sd", "count", "percent"]


def describe_column(values: pd.Series, levels: list[str]) -> list[dict]:
    """Rows of a column: mean and SD of numbers, or count and percent of each level.

    Parameters
    ----------
    values : of the participants of one side; text where there are levels
    levels : empty for numbers
    """
    known = values.dropna()
    row = {"variable": values.name, "participants": len(values), "missing": values.isna().sum()}
    if not levels:
        return [row | {"mean": known.mean(), "sd": known.std()}]
    counts = [(known == level).sum() for level in levels]
    return [
        row | {"level": level, "count": n, "percent": 100 * n / len(known) if len(known) else None}
        for level, n in zip(levels, counts, strict=True)
    ]


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
        `COLUMNS`: a row per split, side and column; of columns that are no numbers, or numbers
        with at most two values, a row per level, with percent of those known.
    """
    people = splits[splits["role"].isin(USED)].drop_duplicates(["split", "role", "participant_id"])
    people = people[["split", "role", *SCAN]].merge(clinical[[*SCAN, *columns]], on=SCAN)
    levels: dict[str, list[str]] = {}
    for name in columns:
        numbers = pd.api.types.is_numeric_dtype(people[name])
        levels[name] = []
        if not (numbers and people[name].nunique() > 2):
            shown = people[name].map("{:g}".format if numbers else str, na_action="ignore")
            people[name] = shown
            levels[name] = sorted(shown.dropna().unique())
    rows = [
        {"split": split, "role": role} | row
        for split, of_split in people.groupby("split", sort=False)
        for role in USED
        if len(side := of_split[of_split["role"] == role])
        for name in columns
        if people[name].notna().any()
        for row in describe_column(side[name], levels[name])
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(["participants", "missing", "count"], "Int64"))
