"""The report's part on the repeated-measures comparison of models over the splits."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report.text import ALPHA, MISSING, label, number, p_value, tabulate

SYMBOLS = {"multivariate": "T²", "mauchly": "W"}
COLUMNS = ["metric", "strategy", "n_trials", "mean", "sd", "cv"]
COLUMNS += ["test", "value", "f", "df1", "df2", "p", "note"]


def model_lines(table: pd.DataFrame) -> list[dict]:
    """Mean, SD and CV of each model as text, of one metric."""
    return [
        {
            "name": label(row.strategy),
            "n": int(row.n_trials),
            "mean": number(row.mean),
            "sd": number(row.sd),
            "cv": number(row.cv),
        }
        for row in table[table["strategy"] != "all"].itertuples()
    ]


def test_lines(table: pd.DataFrame) -> list[dict]:
    """Rows of the analysis of variance as text, of one metric."""
    lines = []
    for row in table[table["strategy"] == "all"].itertuples():
        df = [number(value) for value in (row.df1, row.df2) if pd.notna(value)]
        value = MISSING
        if pd.notna(row.value):
            value = f"{SYMBOLS.get(row.test, 'ε')} = {number(row.value)}"
        lines.append(
            {
                "test": label(row.test),
                "value": value,
                "f": number(row.f),
                "df": ", ".join(df) or MISSING,
                "p": p_value(row.p),
                "significant": bool(row.p < ALPHA) and row.test != "mauchly",
                "note": "" if pd.isna(row.note) else row.note,
            }
        )
    return lines


def repeated_measures_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of the comparison.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    table, dictionary = read("strategies", *COLUMNS)
    return {
        "metrics": [
            {
                "name": label(metric),
                "models": model_lines(rows),
                "tests": test_lines(rows),
            }
            for metric, rows in table.groupby("metric", sort=False)
        ],
        "all": tabulate(table, dictionary),
    }
