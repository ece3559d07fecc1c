"""The participants of a study: their features for its plots, and its sides as text."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.splits import SCAN
from workflow_scripts.report.text import MISSING, label, number, spread


def first_sessions(study: dict, read: Callable) -> tuple[pd.DataFrame, dict]:
    """Label and features of each participant's first session, external ones left out.

    Parameters
    ----------
    study : its configuration
    read : as from `study.reader`

    Returns
    -------
    DataFrame
        participant_id, session_id, label and the columns of features.tsv.
    dict
        Unit of each column.
    """
    people, _ = read(f"split-{study['split']}_population", *SCAN, "label")
    features, dictionary = read("features", *SCAN)
    if "external" in people:
        people = people[people["external"] == "no"]
    people = people.drop_duplicates("participant_id")[[*SCAN, "label"]]
    units = {key: entry.get("Units", "") for key, entry in dictionary.items()}
    return people.merge(features, on=SCAN, how="left"), units


def described(sides: pd.DataFrame) -> pd.DataFrame:
    """sides.tsv with the printed ``name`` of each row's column and level, and ``text``.

    The text is mean and SD, or the share of those known.
    """
    names, texts = [], []
    for row in sides.itertuples():
        counted = pd.notna(row.level)
        names.append(label(row.variable) + (f": {number(row.level)}" if counted else ""))
        share = MISSING if pd.isna(row.percent) else f"{row.percent:.0f} %"
        texts.append(share if counted else spread(row.mean, row.sd))
    return sides.assign(name=names, text=texts)
