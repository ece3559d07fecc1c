"""The report's part on the comparison of the strategies of contrastive learning."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report.text import ALPHA, MISSING, label, number, p_value, tabulate

SYMBOLS = {"multivariate": "T²", "mauchly": "W"}
COLUMNS = ["metric", "strategy", "n_trials", "mean", "sd", "cv"]
COLUMNS += ["test", "value", "f", "df1", "df2", "p", "note"]


def strategy_lines(table: pd.DataFrame) -> list[dict]:
    """Mean, SD and CV of each strategy as text, of one metric."""
    return [
        {
            "name": row.strategy,
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


def strategies_section(name: str, study: dict, read: Callable, values: pd.DataFrame, units) -> dict:
    """What the template shows of the comparison of the strategies.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    values, units : not used
    """
    table, dictionary = read("strategies", *COLUMNS)
    return {
        "metrics": [
            {
                "name": label(metric),
                "strategies": strategy_lines(rows),
                "tests": test_lines(rows),
            }
            for metric, rows in table.groupby("metric", sort=False)
        ],
        "all": tabulate(table, dictionary),
    }
