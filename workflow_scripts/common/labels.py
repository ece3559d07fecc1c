"""The class of a session by the text of its label column."""

import math

from workflow_scripts.common.values import NUMBER


def label_column(label) -> str:
    """Column of a label: a name, or a threshold ``{column, at_least}``."""
    return label if isinstance(label, str) else label["column"]


def class_of(value: str | None, label, classes: list[str]) -> str | None:
    """Class of a session, or another text of the label column; None where it has none.

    Parameters
    ----------
    value : of the label column
    label : column, or a threshold on its number, ``{column, at_least}``
    classes : of a threshold, the one below it first

    Raises
    ------
    ValueError
        If a value that a threshold applies to is no number.
    """
    if isinstance(label, str) or value is None:
        return value
    if not NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise ValueError(value)
    return classes[float(value) >= label["at_least"]]
