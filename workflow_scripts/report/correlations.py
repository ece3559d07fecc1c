"""The report's part on correlations with clinical columns."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots
from workflow_scripts.report.text import ALPHA, interval, label, number, p_value, tabulate


def correlations_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a study's correlations.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    table, dictionary = read("correlations", "feature", "clinical", "covariates", "n", "r", "p")
    return {
        "method": label(table["method"].iloc[0]),
        "classes": table["classes"].iloc[0],
        "correction": label(table["correction"].iloc[0]),
        "tests": int(table["n_tests"].iloc[0]),
        "lines": [
            {
                "feature": label(row.feature),
                "clinical": label(row.clinical),
                "n": number(row.n),
                "r": interval(row.r, row.r_low, row.r_high, decimals=2),
                "within": interval(row.r_within, row.r_within_low, row.r_within_high, decimals=2),
                "p": p_value(row.p),
                "corrected": p_value(row.p_corrected),
                "significant": row.p_corrected < ALPHA,
                "adjusted": "nothing"
                if pd.isna(row.covariates)
                else ", ".join(map(label, row.covariates.split(", "))),
            }
            for row in table.itertuples()
        ],
        "all": tabulate(table, dictionary),
        "plot": plots.correlations(table, f"{name}-correlations"),
    }
