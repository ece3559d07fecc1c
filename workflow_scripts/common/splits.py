"""What holds for the splits of every design.

A table of splits has the columns split (1..n), participant_id, session_id, label, role and
weight (times a scan is used in training, 0 outside of it), a row for each split and scan. Roles
are `ROLES`.
"""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table

SCAN = ["participant_id", "session_id"]
COLUMNS = ["split", *SCAN, "label", "role", "weight"]
USED = ["train", "validation", "test", "external"]
ROLES = [*USED, "rest"]
SCORED = ["test", "external"]


class LeakageError(InputError):
    """A participant is on two sides of a split."""


def check_splits(splits: pd.DataFrame) -> None:
    """Raise LeakageError if a participant is on two sides, or an external one on any other.

    Sessions do not matter: two scans of one person on two sides are a leak.

    Parameters
    ----------
    splits : DataFrame
        Columns split, participant_id, role.
    """
    used = splits[splits["role"].isin(USED)]
    sides = used.groupby(["split", "participant_id"])["role"].nunique()
    leaks = sides[sides > 1].index
    if len(leaks):
        named = ", ".join(f"{participant} (split {split})" for split, participant in leaks)
        raise LeakageError(
            f"splits: participants on two sides of a split: {named}; "
            "give all sessions of a participant one role per split"
        )
    outside = set(used.loc[used["role"] == "external", "participant_id"])
    inside = set(used.loc[used["role"] != "external", "participant_id"])
    if outside & inside:
        raise LeakageError(
            f"splits: external participants train or are tested inside: "
            f"{', '.join(sorted(outside & inside))}; draw the splits again"
        )


def read_splits(path) -> pd.DataFrame:
    """Table of splits, checked.

    Raises
    ------
    LeakageError
        As `check_splits`.
    """
    splits = read_table(path)
    check_splits(splits)
    return splits


def blocks_of(splits: pd.DataFrame) -> list[list[int]] | None:
    """Splits whose test sides together are all tested scans, each once; block by block.

    The folds of a repeat are a block, sites that are left out in turn, a single test side.

    Parameters
    ----------
    splits : DataFrame
        split, participant_id, session_id; rows of one role that is scored.

    Returns
    -------
    None where the splits are no such blocks, as with random trials
    """
    scans = splits[SCAN].fillna("").agg("/".join, axis=1)
    sides = {split: set(scans[rows]) for split, rows in splits.groupby("split").groups.items()}
    everybody = set().union(*sides.values())
    blocks, block, tested = [], [], set()
    for split, side in sides.items():
        if tested & side:
            return None
        block.append(split)
        tested |= side
        if tested == everybody:
            blocks.append(block)
            block, tested = [], set()
    return None if block else blocks
