"""Numbers of the splits of training sides, on whose held-out folds stacks of models stand.

Imported by the Snakefile, so nothing heavy is imported here.
"""

MOST_SPLITS = 1000  # of a design


def inner_split(split: int, fold: int) -> int:
    """Number of the inner split that holds out a fold of the training side of a split.

    >>> inner_split(2, 3)
    2003
    """
    return MOST_SPLITS * split + fold


def is_inner(split: int) -> bool:
    """Whether a number is that of an inner split."""
    return split > MOST_SPLITS


def outer_split(split: int) -> int:
    """Number of the split whose training side an inner split parts; any other's own.

    >>> outer_split(2003), outer_split(2)
    (2, 2)
    """
    return split // MOST_SPLITS if is_inner(split) else split
