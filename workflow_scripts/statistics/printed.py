"""Printed figures as text, and whether they follow from others."""

import pandas as pd

KEY = ["table", "strategy", "trial", "figure"]


def read_printed(path) -> pd.DataFrame:
    """A printed table with its figures as text, so that their digits are known."""
    return pd.read_csv(path, sep="\t", dtype=str, na_values=["n/a"], keep_default_na=False)


def decimals_of(printed: str) -> int:
    """Number of digits after the point."""
    return len(printed.partition(".")[2])


def half_unit(printed: str) -> float:
    """Half a unit of the last digit that is printed."""
    return 0.5 * 10.0 ** -decimals_of(printed)


def agreement(printed, low: float, high: float):
    """Whether the rounding of ``printed`` meets low to high: yes, no; None unprinted."""
    if pd.isna(printed):
        return None
    reach = half_unit(printed) + 1e-9
    return "yes" if low - reach <= float(printed) <= high + reach else "no"


def line(table, strategy, trial, figure, basis, printed, recomputed, limits=None) -> dict:
    """Row of the comparison.

    Parameters
    ----------
    limits : lowest and highest figure that the rounding of what it was recomputed from allows;
        None where it follows from whole numbers
    """
    known = pd.notna(printed)
    low, high = limits or (recomputed, recomputed)
    return dict(zip(KEY, (table, strategy, trial, figure), strict=True)) | {
        "basis": basis,
        "printed": printed if known else None,
        "printed_decimals": decimals_of(printed) if known else None,
        "recomputed": recomputed,
        "recomputed_low": low if limits else None,
        "recomputed_high": high if limits else None,
        "agrees": agreement(printed, low, high),
    }
