"""The report's parts on tissue fractions and region volumes of the two classes of a design."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report.text import ALPHA, interval, label, p_value, spread, tabulate

COLUMNS = ["split", "measure", "p_bonferroni", "n_negative", "n_positive"]


def by_split(table: pd.DataFrame) -> list[dict]:
    """Lines of the fractions' table: a split with, per measure, both classes and p."""
    return [
        {
            "split": split,
            "n": f"{rows['n_negative'].iloc[0]} + {rows['n_positive'].iloc[0]}",
            "cells": [
                {
                    "negative": spread(row.mean_negative, row.sd_negative),
                    "positive": spread(row.mean_positive, row.sd_positive),
                    "p": p_value(row.p),
                    "corrected": p_value(row.p_bonferroni),
                    "significant": row.p_bonferroni < ALPHA,
                }
                for row in rows.itertuples()
            ],
        }
        for split, rows in table.groupby("split", sort=False)
    ]


def by_measure(table: pd.DataFrame) -> list[dict]:
    """Lines of the regions' table: one per measure, over the whole population."""
    return [
        {
            "measure": label(row.measure),
            "negative": spread(row.mean_negative, row.sd_negative),
            "positive": spread(row.mean_positive, row.sd_positive),
            "difference": interval(row.difference, row.difference_low, row.difference_high),
            "g": interval(row.hedges_g, row.hedges_g_low, row.hedges_g_high),
            "p": p_value(row.p),
            "corrected": p_value(row.p_bonferroni),
            "significant": row.p_bonferroni < ALPHA,
        }
        for row in table.itertuples()
    ]


def fractions_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a study's tissue fractions.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    table, dictionary = read("fractions", *COLUMNS)
    table = table.astype({"split": str})
    return {
        "classes": study["design"]["classes"],
        "measures": [label(measure) for measure in table["measure"].unique()],
        "lines": by_split(table),
        "single": bool((table["split"] != "all").any()),
        "all": tabulate(table, dictionary),
    }


def regions_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a study's region volumes; arguments as `fractions_section`."""
    table, dictionary = read("regions", *COLUMNS)
    return {
        "classes": study["design"]["classes"],
        "lines": by_measure(table[table["split"].astype(str) == "all"]),
        "all": tabulate(table, dictionary),
    }
