"""The report's part on logistic models fitted to everybody: apparent AUC and its optimism."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from workflow_scripts.report import plots_classifiers
from workflow_scripts.report.text import interval, label, p_value, tabulate

LIMITS = ["value", "ci_low", "ci_high"]
MOST_DRAWN = 30  # terms of a model


def line_of(model: str, rows: pd.DataFrame) -> dict:
    """AUC of a model that scored the people it was fitted to, and less its optimism."""
    row = rows.set_index("estimate")
    apparent, corrected = row.loc["apparent"], row.loc["optimism_corrected"]
    return {
        "key": model,
        "name": label(model),
        "apparent": interval(*apparent[LIMITS], decimals=2),
        "null": interval(*apparent[["null_mean", "null_low", "null_high"]], decimals=2),
        "p": p_value(apparent["p"]),
        "optimism": f"{corrected['optimism']:z.2f}",
        "corrected": interval(*corrected[LIMITS], decimals=2),
    }


def farthest(table: pd.DataFrame) -> pd.DataFrame:
    """Of a model with more than `MOST_DRAWN` terms those whose odds ratios are farthest from 1.

    Parameters
    ----------
    table : coefficients.tsv without intercepts
    """
    place = np.log(table["odds_ratio"]).abs().groupby(table["model"]).rank("first", ascending=False)
    return table[place <= MOST_DRAWN]


def optimism_part(name: str, read: Callable) -> dict:
    """What the template shows of the optimism.

    Parameters
    ----------
    name : key of the study
    read : as from `study.reader`
    """
    table, dictionary = read("optimism", "model", "estimate", "metric", "optimism", "null_mean")
    coefficients, units = read("coefficients", "model", "term", "odds_ratio")
    terms = coefficients[coefficients["term"] != "intercept"]
    drawn = farthest(terms)
    auc = table[table["metric"] == "auc"]
    apparent = auc[auc["estimate"] == "apparent"]
    first, means = apparent.iloc[0], apparent["null_mean"]
    ends = dict.fromkeys(f"{value:.2f}" for value in (means.min(), means.max()))
    return {
        "lines": [line_of(model, rows) for model, rows in auc.groupby("model", sort=False)],
        "n": int(first["n_negative"] + first["n_positive"]),
        "permutations": int(first["n_permutations"]),
        "samples": int(auc["n_samples"].max()),
        "permuted": " to ".join(ends),
        "methods": list(dict.fromkeys(auc["ci_method"])),
        "coefficients": plots_classifiers.coefficients(drawn, f"{name}-coefficients"),
        "drawn": MOST_DRAWN if len(drawn) < len(terms) else None,
        "all": tabulate(table, dictionary),
        "coefficients_all": tabulate(coefficients, units),
    }
