"""The report's part on the tests of the published tables: t-tests and analyses of variance."""

import pandas as pd

from workflow_scripts.report.published_cells import RATES
from workflow_scripts.report.text import label, p_value


def fractions(printed: pd.DataFrame, table3: pd.DataFrame) -> list[dict]:
    """Lines of Table 3: a trial with, per fraction, both classes, the printed p and its range."""
    figures = printed.loc["3"].droplevel("strategy")
    lines = []
    for trial, rows in table3.groupby("trial", sort=False):
        cells = []
        for row in rows.itertuples():
            test = figures.loc[(trial, f"{row.measure}_p")]
            low, high = (p_value(test[f"recomputed_{end}"]) for end in ("low", "high"))
            cells.append(
                {
                    "positive": f"{row.mean_positive:.2f} ± {row.sd_positive:.2f}",
                    "negative": f"{row.mean_negative:.2f} ± {row.sd_negative:.2f}",
                    "p": row.p,
                    "range": f"{low} to {high}",
                    "outside": test["agrees"] == "no",
                    "note": test["note"] if pd.notna(test["note"]) else "",
                }
            )
        sums = [
            f"{figures.at[(trial, f'fractions_sum_{name}'), 'recomputed']:.2f}"
            for name in ("NPSLE", "non-NPSLE")
        ]
        n = f"{rows['n_negative'].iloc[0]} + {rows['n_positive'].iloc[0]}"
        lines.append({"trial": trial, "n": n, "cells": cells, "sums": sums})
    return lines


def corrected_fractions(printed: pd.DataFrame) -> dict:
    """Number of tests of Table 3 that Bonferroni counts, and the smallest corrected p."""
    figure = printed.index.get_level_values("figure").astype(str)
    corrected = printed.loc[figure.str.endswith("_p_bonferroni"), "recomputed"]
    return {"tests": len(corrected), "smallest": p_value(corrected.min())}


def analyses(published: pd.DataFrame, own: pd.DataFrame) -> dict:
    """Analyses of variance: p of each row of SPSS, by metric and what it was computed from.

    Parameters
    ----------
    published, own : tables of the paper (with basis, printed, agrees) and of this run

    Returns
    -------
    dict
        tests, lines with name, basis, printed p and cells; and those of the tests that give
        every printed p, ``matching``
    """
    both = pd.concat([published, own.assign(basis="this run")])
    both = both[both["test"].notna() & (both["test"] != "mauchly")]
    tests = list(both["test"].unique())
    lines = []
    for (metric, basis), rows in both.groupby(["metric", "basis"], sort=False):
        rows = rows.set_index("test").reindex(tests)
        printed = rows["printed"].dropna()
        cells = [
            {
                "p": p_value(row.p),
                "same": row.agrees == "yes",
                "note": "" if pd.isna(row.note) else row.note,
            }
            for row in rows.itertuples()
        ]
        name = RATES.get(metric, label(metric))
        lines.append(
            {
                "name": name,
                "basis": basis,
                "printed": f"{printed.iloc[0]:.3f}" if len(printed) else "",
                "cells": cells,
            }
        )
    wanted = set(published.loc[published["printed"].notna(), "metric"])
    same = published[published["agrees"] == "yes"].groupby("test")["metric"].agg(set)
    matching = [label(test) for test in tests if wanted and same.get(test) == wanted]
    return {"tests": [label(test) for test in tests], "lines": lines, "matching": matching}
