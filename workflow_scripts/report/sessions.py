"""Names of sessions, and what their sidecars say."""

import json
import re
from pathlib import Path

import pandas as pd

from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError

SESSION = ["participant_id", "session_id"]
NAME = re.compile(r"(?P<prefix>sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?)_(?P<kind>.+)\.\w+")


def prefixes(table: pd.DataFrame) -> pd.Series:
    """``sub-X[_ses-Y]`` of each row."""
    return pd.Series(
        [
            session_prefix(participant, None if pd.isna(session) else session)
            for participant, session in table[SESSION].itertuples(index=False)
        ],
        index=table.index,
        dtype=object,
    )


def names_of(table: pd.DataFrame) -> pd.Series:
    """``sub-X[, ses-Y]`` of each row, to be read."""
    return prefixes(table).str.replace("_ses-", ", ses-", regex=False)


def split_name(path) -> tuple[str, str]:
    """Session and kind of a derivative: ``sub-01_ses-1``, ``desc-preproc_dwi``."""
    found = NAME.fullmatch(Path(path).name)
    if not found:
        raise InputError(f"{path}: its name is not that of a session's file; rename it")
    return found["prefix"], found["kind"]


def read_sidecars(path) -> dict[str, dict[str, dict]]:
    """Content of the collected sidecars, by session and kind.

    Parameters
    ----------
    path : of a JSON file, each sidecar's path -> its content
    """
    return sort_sidecars(json.loads(Path(path).read_text()))


def sort_sidecars(contents: dict[str, dict]) -> dict[str, dict[str, dict]]:
    """Content of sidecars by session and kind, from a dictionary by path."""
    sidecars: dict[str, dict[str, dict]] = {}
    for name, content in contents.items():
        prefix, kind = split_name(name)
        sidecars.setdefault(prefix, {})[kind] = content
    return sidecars
