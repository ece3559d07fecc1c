"""Flags of sessions: how grave they are, and which of them count."""

import pandas as pd


def counting(flags: pd.DataFrame) -> pd.DataFrame:
    """The flags that make a session a flagged one.

    Notes do not, nor what is doubtful in most sessions alike, which says something of the cohort.

    Parameters
    ----------
    flags : cohort/outliers.tsv
    """
    alone = (flags["level"] == "doubtful") & (flags["common"] == "no")
    return flags[alone | (flags["level"] == "unusable")]
