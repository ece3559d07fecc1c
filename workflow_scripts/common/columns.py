"""What the name of a column says of it: that it holds names, or the name of another column.

This may be that of an artery, or of a measure that was read twice.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re

ARTERY = "<artery>"
# Before the name of a measure that a second rater's contours give.
SECOND_RATER = "second_rater_"
READ_TWICE = ("nwi", "lumen_area_mm2", "wall_area_mm2", "wall_thickness_mean_mm")
READ_TWICE += ("wall_thickness_max_mm", "wall_eccentricity")
# Columns that hold what users call classes and sites, which may look like numbers.
NAMES = {"label", "predicted", "class", "site", "session_site", "group", "group_a", "group_b"}
# What raters write, and fingerprints in hexadecimal digits, which may look like numbers.
NAMES |= {"rater", "rater_a", "rater_b", "comment", "code", "values", "sketch", "sha256"}


def holds_names(column: str) -> bool:
    """Whether the values of a column stay text."""
    return column.endswith("_id") or column in NAMES


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
