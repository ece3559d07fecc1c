"""Recompute the tables of Inglese et al. 2022 from their own printed counts."""

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind_from_stats

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.metrics import PROPORTIONS, ratio
from workflow_scripts.statistics.repeated_measures import compare_strategies

KEY = ["table", "strategy", "trial", "figure"]
COUNTS, CELLS = "counts of Table 2A", "printed cells"


def read_printed(path) -> pd.DataFrame:
    """A printed table with its figures as text, so that their digits are known."""
    return pd.read_csv(path, sep="\t", dtype=str, na_values=["n/a"], keep_default_na=False)


def half_unit(printed: str) -> float:
    """Half a unit of the last digit that is printed."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def agreement(printed, recomputed: float, slack: float = 0.0):
    """Whether equal within the rounding of ``printed`` and ``slack``: yes, no; None unprinted."""
    if pd.isna(printed):
        return None
    near = abs(float(printed) - recomputed) <= half_unit(printed) + slack + 1e-9
    return "yes" if near else "no"


def line(table, strategy, trial, figure, basis, printed, recomputed, slack=0.0) -> dict:
    """Row of the comparison."""
    known = pd.notna(printed)
    return dict(zip(KEY, (table, strategy, trial, figure), strict=True)) | {
        "basis": basis,
        "printed": printed if known else None,
        "printed_decimals": len(printed.partition(".")[2]) if known else None,
        "recomputed": recomputed,
        "agrees": agreement(printed, recomputed, slack),
    }


def from_counts(table2a: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, sensitivity, precision (two ways) in percent of the trials of Table 2A."""
    cells = table2a[table2a["trial"] != "all"]
    n = cells[["n_negative", "n_positive", "tn", "tp"]].astype(int)
    n = n.assign(fp=n["n_negative"] - n["tn"], fn=n["n_positive"] - n["tp"])
    made = cells[["strategy", "trial"]].copy()
    for name in ("accuracy", "sensitivity", "precision", "precision_published"):
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
        line(table, strategy, "all", f"{figure}_{name}", basis, text, summarise(array), slack)
        for basis, (array, slack) in values.items()
        for name, text, summarise in zip(
            ("mean", "sd"), printed, (np.mean, lambda array: np.std(array, ddof=1)), strict=True
        )
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


def p_range(row) -> tuple[float, float]:
    """Smallest and largest p of a t-test that the rounding of means and SDs allows.

    Parameters
    ----------
    row : Series of n, mean and sd per class, as text
    """
    n = row[["n_positive", "n_negative"]].astype(int)
    means, sds = row[["mean_positive", "mean_negative"]], row[["sd_positive", "sd_negative"]]
    difference = abs(float(means.iloc[0]) - float(means.iloc[1]))
    shift, widths = means.map(half_unit).sum(), sds.map(half_unit)
    p = [
        ttest_ind_from_stats(
            max(difference - sign * shift, 0),
            float(sds.iloc[0]) + sign * widths.iloc[0],
            n.iloc[0],
            0,
            float(sds.iloc[1]) + sign * widths.iloc[1],
            n.iloc[1],
        ).pvalue
        for sign in (-1, 1)
    ]
    return p[0], p[1]


def fraction_lines(table3: pd.DataFrame) -> list[dict]:
    """Rows of Table 3: sums of the fractions, and t-tests (NPSLE minus non-NPSLE)."""
    lines = []
    for trial, rows in table3.groupby("trial", sort=False):
        for name, side in (("NPSLE", "positive"), ("non-NPSLE", "negative")):
            means = rows[f"mean_{side}"]
            total, slack = means.astype(float).sum(), means.map(half_unit).sum()
            made = line("3", None, trial, f"fractions_sum_{name}", "printed means", None, total)
            made["agrees"] = "yes" if abs(total - 1) <= slack + 1e-9 else "no"
            lines.append(made | {"note": f"1 within {slack:.3f}, the rounding of three fractions"})
        for _, row in rows.iterrows():
            sample = [
                float(row[f"{column}_{side}"])
                for side in ("positive", "negative")
                for column in ("mean", "sd", "n")
            ]
            t, p = ttest_ind_from_stats(*sample)
            low, high = p_range(row)
            basis = "printed means and SDs"
            lines += [
                line("3", None, trial, f"{row['measure']}_t", basis, None, t),
                line("3", None, trial, f"{row['measure']}_p", basis, None, p)
                | {"note": f"{low:.2g} to {high:.2g} within the rounding of means and SDs"},
                line(
                    "3",
                    None,
                    trial,
                    f"{row['measure']}_p_bonferroni",
                    basis,
                    None,
                    min(1.0, p * len(table3)),
                ),
            ]
    return lines


def population_lines(table1a: pd.DataFrame) -> list[dict]:
    """Rows of Table 1A: percentages from their counts."""
    printed = table1a.dropna(subset="percent")
    return [
        line(
            "1A",
            None,
            None,
            f"{row.variable}_percent_{row.group}",
            "counts of Table 1A",
            row.percent,
            100 * int(row.n_yes) / int(row.n_group),
        )
        for row in printed.itertuples(index=False)
    ]


def compare_published(
    table1a: pd.DataFrame,
    table2a: pd.DataFrame,
    table2b: pd.DataFrame,
    table3: pd.DataFrame,
    notes: pd.DataFrame,
) -> pd.DataFrame:
    """Recompute every figure that follows from the printed ones.

    Parameters
    ----------
    table1a, table2a, table2b, table3 : DataFrame of text, as `read_printed`
    notes : DataFrame
        Columns table, strategy, trial, figure, note; a missing strategy or
        trial stands for all.

    Returns
    -------
    DataFrame
        Columns table, strategy, trial, figure, basis (what it was recomputed
        from), printed (text), printed_decimals, recomputed, agrees (yes, no),
        note.
    """
    lines = population_lines(table1a) + classifier_lines(table2a, table2b) + fraction_lines(table3)
    table = pd.DataFrame(lines, columns=[*lines[0], "note"])
    for note in notes.itertuples():
        chosen = (table["table"] == note.table) & (table["figure"] == note.figure)
        for key in ("strategy", "trial"):
            if pd.notna(getattr(note, key)):
                chosen &= table[key] == getattr(note, key)
        table.loc[chosen, "note"] = note.note
    return table.astype({"printed_decimals": "Int64"})


def published_strategies(table2a: pd.DataFrame) -> pd.DataFrame:
    """The strategies of Table 2A compared as those of a run are: accuracy as a proportion."""
    accuracy = from_counts(table2a)
    wide = accuracy.pivot(index="trial", columns="strategy", values="accuracy")[
        accuracy["strategy"].unique()
    ]
    table = compare_strategies(wide / 100)
    table.insert(0, "metric", "accuracy")
    return table


def main(source, out, params):
    """Write the recomputed tables of the publication."""
    described = resource("columns/statistics.tsv")
    table2a = read_printed(resource("published/inglese2022_table2a.tsv"))
    table = compare_published(
        read_printed(resource("published/inglese2022_table1a.tsv")),
        table2a,
        read_printed(resource("published/inglese2022_table2b.tsv")),
        read_printed(resource("published/inglese2022_table3.tsv")),
        read_printed(resource("published/inglese2022_notes.tsv")),
    )
    write_table(table, out.table, described)
    write_table(published_strategies(table2a), out.strategies, described)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
