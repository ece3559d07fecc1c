"""Cells of the report's part on published tables: what is printed, and what follows instead."""

import pandas as pd

from workflow_scripts.report.text import MISSING

RATES = {
    "precision": "precision",
    "precision_published": "printed as precision",
    "sensitivity": "recall",
}


def read_text(path) -> pd.DataFrame:
    """A printed table with its figures as text."""
    return pd.read_csv(path, sep="\t", dtype=str, na_values=[MISSING], keep_default_na=False)


def mark(row: pd.Series) -> dict:
    """Cell of the template: what is printed, and the recomputed figure where that disagrees."""
    decimals = int(row["printed_decimals"])
    return {
        "text": f"{row['printed']:.{decimals}f}",
        "instead": f"{row['recomputed']:.{decimals}f}" if row["agrees"] == "no" else None,
        "note": row["note"] if pd.notna(row["note"]) else None,
    }


def plain(text: str) -> dict:
    """Cell of the template without a judgement."""
    return {"text": text, "instead": None, "note": None}
