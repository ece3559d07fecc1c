"""Columns whose names hold the name of an artery, as the tables in resources/columns have them.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re

ARTERY = "<artery>"


def described_as(column: str, described) -> str | None:
    """Name under which a column is described: its own, or one such as ``nwi_<artery>``."""
    if column in described:
        return column
    for name in described:
        before, found, after = name.partition(ARTERY)
        pattern = f"{re.escape(before)}[A-Za-z0-9]+(_left|_right)?{re.escape(after)}"
        if found and re.fullmatch(pattern, column):
            return name
    return None
