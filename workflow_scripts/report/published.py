"""The report's part on the published tables beside what this run found."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.published_cells import RATES, mark, plain, read_text
from workflow_scripts.report.published_population import population_tables
from workflow_scripts.report.published_tests import analyses, corrected_fractions, fractions
from workflow_scripts.report.repeated_measures import COLUMNS
from workflow_scripts.report.text import MISSING, label, number, tabulate

FROM_CELLS, FROM_1A = "printed cells", "Table 1A"


def percent(value, decimals: int = 1) -> str:
    """A proportion in percent, n/a where missing."""
    return MISSING if pd.isna(value) else f"{100 * value:.{decimals}f}"


def figure_name(figure: str) -> str:
    """Printed name of a figure of the comparison, with mean or SD after the metric's name."""
    for suffix, name in (("_mean", ", mean"), ("_sd", ", SD")):
        if figure.endswith(suffix):
            return label(figure.removesuffix(suffix)) + name
    return label(figure)


def run_cells(metrics: pd.DataFrame, strategy: str, metric: str) -> pd.DataFrame | None:
    """Values of this run's model of a strategy's name by split (and ``all``), None without one."""
    chosen = (metrics["model"] == strategy) & (metrics["metric"] == metric)
    rows = metrics[chosen & (metrics["estimate"] == "test")].set_index("split")
    return None if rows.empty else rows


def mean_sd(row: pd.Series, decimals: int) -> list[dict]:
    """Mean and SD over the trials as two cells, in percent."""
    return [plain(percent(row[column], decimals)) for column in ("value", "sd")]


def accuracies(printed: pd.DataFrame, counts: pd.DataFrame, metrics, strategies) -> list[dict]:
    """Lines of Table 2A: of each strategy the published and this run's.

    Parameters
    ----------
    printed : figures by (table, strategy, trial, figure), recomputed from counts
    counts : the printed counts of Table 2A
    metrics, strategies : this run's tables
    """
    lines = []
    for strategy, rows in counts[counts["trial"] != "all"].groupby("strategy", sort=False):
        figures = printed.loc["2A", strategy]
        lines.append(
            {
                "strategy": strategy,
                "source": "published",
                "tested": f"{rows['n_negative'].iloc[0]:.0f} + {rows['n_positive'].iloc[0]:.0f}",
                "cells": [
                    plain(
                        f"{row.tn:.0f}, {row.tp:.0f} "
                        f"({figures.at[(row.trial, 'accuracy'), 'recomputed']:.1f})"
                    )
                    for row in rows.itertuples()
                ],
                "mean_sd": [mark(figures.loc["all", f"accuracy_{x}"]) for x in ("mean", "sd")],
                "cv": number(figures.at[("all", "accuracy_sd_by_mean"), "recomputed"]),
            }
        )
        found = run_cells(metrics, strategy, "accuracy")
        if found is None:
            continue
        trials = found.drop("all")
        own = strategies[(strategies["metric"] == "accuracy") & strategies["strategy"].eq(strategy)]
        first = trials.iloc[0]
        lines.append(
            {
                "strategy": strategy,
                "source": "this run",
                "tested": " + ".join(
                    number(first[a] + first[b]) for a, b in (("tn", "fp"), ("fn", "tp"))
                ),
                "cells": [
                    plain(f"{number(row.tn)}, {number(row.tp)} ({percent(row.value)})")
                    for row in trials.itertuples()
                ],
                "mean_sd": mean_sd(found.loc["all"], 2),
                "cv": number(own["cv"].iloc[0] if len(own) else None),
            }
        )
    return lines


def rates(printed: pd.DataFrame, metrics: pd.DataFrame) -> list[dict]:
    """Lines of Table 2B: of each strategy and rate the published and this run's."""
    lines = []
    strategies = printed.loc["2B"].index.get_level_values("strategy").unique()
    for strategy in strategies:
        figures = printed.loc["2B", strategy]
        for metric, name in RATES.items():
            trials = figures.xs(metric, level="figure")
            both = [figures.loc["all", f"{metric}_{x}"] for x in ("mean", "sd")]
            if metric == "precision":
                source = "from the counts"
                cells = [plain(f"{value:.1f}") for value in trials["recomputed"]]
                both = [plain(f"{row['recomputed']:.1f}") for row in both]
            else:
                source = "published"
                cells = [mark(row) for _, row in trials.iterrows()]
                both = [mark(row) for row in both]
            line = {"strategy": strategy, "rate": name, "formula": label(metric)}
            lines.append(line | {"source": source, "cells": cells, "mean_sd": both})
            found = run_cells(metrics, strategy, metric)
            if found is not None:
                cells = [plain(percent(value)) for value in found.drop("all")["value"]]
                both = mean_sd(found.loc["all"], 1)
                lines.append(line | {"source": "this run", "cells": cells, "mean_sd": both})
    return lines


def contradictions(table: pd.DataFrame) -> list[dict]:
    """Lines of what does not follow from the printed figures, standard precision left out.

    Figures that disagree with Table 1A in every trial share a line.
    """
    rows = table[table["agrees"] == "no"]
    rows = rows[~rows["figure"].isin(["precision", "precision_mean", "precision_sd"])]
    lines = []
    line_of = rows["table"].where(rows["basis"] == FROM_1A, rows.index.astype(str))
    for _, same in rows.groupby(line_of, sort=False):
        row, cell = same.iloc[0], mark(same.iloc[0])
        if len(same) > 1:
            cell["text"] = ", ".join(mark(each)["text"] for _, each in same.iterrows())
            cell["note"] = f"trial {row['trial']}: {cell['note']}"
        if row["figure"].endswith("_differs"):
            cell |= {"text": "differs", "instead": "no star"}
        trials = ", ".join(same["trial"].dropna())
        lines.append(
            {
                "table": row["table"],
                "strategy": "" if pd.isna(row["strategy"]) else row["strategy"],
                "trial": trials,
                "figure": figure_name(row["figure"]),
                "cell": cell,
            }
        )
    return lines


def published_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of the published tables and of this run beside them.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    table, dictionary = read(
        "published/inglese2022", "table", "strategy", "trial", "figure", "basis", "printed",
        "printed_decimals", "recomputed", "recomputed_low", "recomputed_high", "agrees", "note",
    )  # fmt: skip
    tests = "published/inglese2022_strategies"
    published, explained = read(tests, "basis", "printed", "agrees", *COLUMNS)
    sides, _ = read("sides", "split", "role", "variable", "level", "mean", "sd", "percent")
    strategies, _ = read("strategies", *COLUMNS)
    metrics, _ = read(
        "metrics", "model", "estimate", "split", "metric", "value", "sd", "tn", "fp", "fn", "tp"
    )
    table, metrics = table.astype({"trial": str}), metrics.astype({"split": str})
    counts, table3 = (
        read_table(path).astype({"trial": str})
        for path in (
            resource("published/inglese2022_table2a.tsv"),
            resource("published/inglese2022_table3.tsv"),
        )
    )
    compared = table[table["basis"] != FROM_CELLS]
    printed = compared.set_index(["table", "strategy", "trial", "figure"])
    judged = compared[
        compared["agrees"].notna() & ~compared["figure"].str.fullmatch("precision(_mean|_sd)?")
    ]
    lines = accuracies(printed, counts, metrics, strategies)
    population = population_tables(
        table, read_text(resource("published/inglese2022_table1bc.tsv")), sides
    )
    columns = [line["cells"] for line in lines + population]
    return {
        "trials": range(1, 1 + max(map(len, columns))),
        "population": population,
        "accuracies": lines,
        "rates": rates(printed, metrics),
        "classes": study["design"]["classes"],
        "measures": [label(measure) for measure in table3["measure"].unique()],
        "fractions": fractions(printed, table3),
        "contradictions": contradictions(compared),
        "judged": len(judged),
        "agreeing": int((judged["agrees"] == "yes").sum()),
        "corrected": corrected_fractions(printed),
        "analyses": analyses(published, strategies[strategies["metric"] == "accuracy"]),
        "all": tabulate(table, dictionary),
        "all_tests": tabulate(published, explained),
    }
