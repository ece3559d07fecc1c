"""The report's part on the populations of the published trials beside those of this run."""

import pandas as pd

from workflow_scripts.report.population import described
from workflow_scripts.report.published_cells import mark, plain
from workflow_scripts.report.text import MISSING, label

ROLES = ("train", "test")


def published_lines(table: pd.DataFrame, table1bc: pd.DataFrame) -> list[dict]:
    """Lines of Tables 1B and 1C as printed, with what Table 1A gives where that disagrees.

    Parameters
    ----------
    table : judged figures with table, trial and figure
    table1bc : as printed, figures as text
    """
    judged = {
        (row["table"], row["trial"], row["figure"]): mark(row)
        for _, row in table[table["table"].isin(table1bc["table"].unique())].iterrows()
    }
    lines = []
    for (name, variable), rows in table1bc.groupby(["table", "variable"], sort=False):
        cells = []
        for row in rows.itertuples():
            counted = pd.notna(row.percent)
            text = f"{row.percent} %" if counted else f"{row.mean} ± {row.sd}"
            figure = f"{variable}_{'percent' if counted else 'mean'}"
            cells.append(judged.get((name, row.trial, figure), plain(text)) | {"text": text})
        line = {"variable": label(variable), "role": rows["role"].iloc[0]}
        lines.append(line | {"source": f"Table {name}", "cells": cells})
    return lines


def run_lines(sides: pd.DataFrame) -> list[dict]:
    """Lines of this run's training and test sides, a column of Table 1 (and level) each."""
    shown = described(sides[sides["role"].isin(ROLES)])
    splits, lines = shown["split"].unique(), []
    for (role, name), rows in shown.groupby(["role", "name"], sort=False):
        texts = rows.set_index("split")["text"].reindex(splits, fill_value=MISSING)
        line = {"variable": name, "role": role, "source": "this run"}
        lines.append(line | {"cells": [plain(text) for text in texts]})
    return lines


def population_tables(table: pd.DataFrame, table1bc: pd.DataFrame, sides: pd.DataFrame):
    """Lines of the training sides, then of the test sides: the published ones first."""
    lines = published_lines(table, table1bc) + run_lines(sides)
    return [line for role in ROLES for line in lines if line["role"] == role]
