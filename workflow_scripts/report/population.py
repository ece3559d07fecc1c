"""Features of the participants of a study, for its plots."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.splits import SCAN


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
