"""Recompute the tables of Inglese et al. 2022 from their own printed counts."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.metrics import ratio
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.metrics import PROPORTIONS
from workflow_scripts.statistics.printed import agreement, half_unit, line, read_printed
from workflow_scripts.statistics.published_fractions import fraction_lines
from workflow_scripts.statistics.published_population import (
    activity_lines,
    percent_lines,
    population_lines,
)
from workflow_scripts.statistics.repeated_measures import compare_strategies

COUNTS, CELLS = "counts of Table 2A", "printed cells"
# Rates that are recomputed, and the columns of Table 2B in which their cells are printed.
RATES = {"precision_published": "precision", "sensitivity": "recall", "precision": None}


def read_published() -> dict[str, pd.DataFrame]:
    """The printed tables of the paper by name, as text."""
    paths = {
        "table1a": resource("published/inglese2022_table1a.tsv"),
        "table1bc": resource("published/inglese2022_table1bc.tsv"),
        "table2a": resource("published/inglese2022_table2a.tsv"),
        "table2b": resource("published/inglese2022_table2b.tsv"),
        "table3": resource("published/inglese2022_table3.tsv"),
        "anova": resource("published/inglese2022_anova.tsv"),
        "notes": resource("published/inglese2022_notes.tsv"),
    }
    return {name: read_printed(path) for name, path in paths.items()}


def from_counts(table2a: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, sensitivity, precision (two ways) in percent of the trials of Table 2A."""
    cells = table2a[table2a["trial"] != "all"]
    n = cells[["n_negative", "n_positive", "tn", "tp"]].astype(int)
    n = n.assign(fp=n["n_negative"] - n["tn"], fn=n["n_positive"] - n["tp"])
    made = cells[["strategy", "trial"]].copy()
    for name in ("accuracy", *RATES):
        hits, total = PROPORTIONS[name]
        made[name] = 100 * ratio(n[list(hits)].sum(axis=1), n[list(total)].sum(axis=1))
    return made


def summary_lines(table, strategy, figure, printed, counted, cells=None) -> list[dict]:
    """Rows of a mean and SD over the trials, from the counts and from the printed cells.

    Parameters
    ----------
    printed : (mean, sd) as printed
    counted : float array, recomputed from the counts
    cells : the printed figures of the trials, whose own rounding is allowed for
    """
    values = {COUNTS: (counted, 0.0)}
    if cells is not None:
        values[CELLS] = cells.astype(float).to_numpy(), cells.map(half_unit).min()
    return [
        line(table, strategy, "all", f"{figure}_{name}", basis, text, value, limits)
        for basis, (array, slack) in values.items()
        for name, text, summarise in zip(
            ("mean", "sd"), printed, (np.mean, lambda array: np.std(array, ddof=1)), strict=True
        )
        for value in [summarise(array)]
        for limits in [(value - slack, value + slack) if slack else None]
    ]


def classifier_lines(table2a: pd.DataFrame, table2b: pd.DataFrame) -> list[dict]:
    """Rows of Tables 2A and 2B."""
    counted, lines = from_counts(table2a), []
    for strategy, made in counted.groupby("strategy", sort=False):
        printed = table2a[table2a["strategy"] == strategy].set_index("trial")
        for cell in made.itertuples():
            accuracy = printed.at[cell.trial, "accuracy"]
            lines.append(
                line("2A", strategy, cell.trial, "accuracy", COUNTS, accuracy, cell.accuracy)
            )
        accuracy = made["accuracy"].to_numpy()
        both = printed.loc["all", ["accuracy", "accuracy_sd"]]
        lines += summary_lines("2A", strategy, "accuracy", both, accuracy)
        variation = accuracy.std(ddof=1) / accuracy.mean()
        for name, value in (("sd_by_mean", variation), ("mean_by_sd", 1 / variation)):
            lines.append(line("2A", strategy, "all", f"accuracy_{name}", COUNTS, None, value))
    for strategy, made in counted.groupby("strategy", sort=False):
        printed = table2b[table2b["strategy"] == strategy].set_index("trial")
        for figure, column in (
            ("precision_published", "precision"),
            ("precision", "precision"),
            ("sensitivity", "recall"),
        ):
            cells = printed[column].drop("all")
            for trial, value in zip(made["trial"], made[figure], strict=True):
                lines.append(line("2B", strategy, trial, figure, COUNTS, cells[trial], value))
            both = printed.loc["all", [column, f"{column}_sd"]]
            as_printed = None if figure == "precision" else cells
            lines += summary_lines(
                "2B", strategy, figure, both, made[figure].to_numpy(), as_printed
            )
    return lines


def compare_published(printed: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Recompute every figure that follows from the printed ones.

    Parameters
    ----------
    printed : as from `read_published`. The notes have the columns table, strategy, trial, figure,
        note; a missing strategy or trial stands for all.

    Returns
    -------
    DataFrame
        Columns table, strategy, trial, figure, basis (what it was recomputed
        from), printed (text), printed_decimals, recomputed, recomputed_low, recomputed_high,
        agrees (yes, no), note.
    """
    lines = population_lines(printed["table1a"]) + percent_lines(printed["table1bc"])
    lines += activity_lines(printed["table1a"], printed["table1bc"])
    lines += classifier_lines(printed["table2a"], printed["table2b"])
    lines += fraction_lines(printed["table3"])
    table = pd.DataFrame(lines, columns=[*lines[0], "note"])
    for note in printed["notes"].itertuples():
        chosen = (table["table"] == note.table) & (table["figure"] == note.figure)
        for key in ("strategy", "trial"):
            if pd.notna(getattr(note, key)):
                chosen &= table[key] == getattr(note, key)
        table.loc[chosen, "note"] = note.note
    return table.astype({"printed_decimals": "Int64"})


def strategy_values(printed: dict[str, pd.DataFrame]) -> dict[tuple[str, str], pd.DataFrame]:
    """What the analyses of variance are of: per metric and basis a row per trial, as proportions.

    The columns are the strategies. The counts of Table 2A give every metric, Table 2B has the
    cells of what the paper calls precision and recall.
    """
    counted, cells = from_counts(printed["table2a"]), printed["table2b"]
    cells = cells[cells["trial"] != "all"]
    order = list(counted["strategy"].unique())

    def wide(table, column):
        numbers = table.assign(value=table[column].astype(float) / 100)
        return numbers.pivot(index="trial", columns="strategy", values="value")[order]

    values = {("accuracy", COUNTS): wide(counted, "accuracy")}
    for metric, column in RATES.items():
        values[metric, COUNTS] = wide(counted, metric)
        if column:
            values[metric, CELLS] = wide(cells, column)
    return values


def published_strategies(printed: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The strategies of the paper compared as those of a run are, and its printed p beside.

    Returns
    -------
    DataFrame
        As `compare_strategies`, with the columns metric and basis first, printed and agrees
        (of the tests of equal means: whether the row's p is the printed one) last. Which of
        SPSS's rows the paper took it does not say.
    """
    known = printed["anova"].set_index("metric")["p"]
    tables = []
    for (metric, basis), values in strategy_values(printed).items():
        table = compare_strategies(values)
        table.insert(0, "metric", metric)
        table.insert(1, "basis", basis)
        equal_means = table["test"].notna() & (table["test"] != "mauchly")
        table["printed"] = pd.Series(known.get(metric), table.index).where(equal_means, None)
        table["agrees"] = [
            agreement(text, p, p) for text, p in zip(table["printed"], table["p"], strict=True)
        ]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def main(source, out, params):
    """Write the recomputed tables of the publication."""
    described, printed = resource("columns/statistics.tsv"), read_published()
    write_table(compare_published(printed), out.table, described)
    write_table(published_strategies(printed), out.strategies, described)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
