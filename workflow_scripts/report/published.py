"""The report's part on the published tables beside what this run found."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.repeated_measures import COLUMNS, test_lines
from workflow_scripts.report.text import ALPHA, MISSING, label, number, p_value, tabulate

FROM_CELLS = "printed cells"
RATES = [
    ("precision", "precision"),
    ("printed as precision", "precision_published"),
    ("recall", "sensitivity"),
]


def percent(value, decimals: int = 1) -> str:
    """A proportion in percent, n/a where missing."""
    return MISSING if pd.isna(value) else f"{100 * value:.{decimals}f}"


def figure_name(figure: str) -> str:
    """Printed name of a figure of the comparison, with mean or SD after the metric's name."""
    for suffix, name in (("_mean", ", mean"), ("_sd", ", SD")):
        if figure.endswith(suffix):
            return label(figure.removesuffix(suffix)) + name
    return label(figure)


def mark(row: pd.Series) -> dict:
    """Cell of the template: what is printed, and the recomputed figure where that disagrees."""
    decimals = int(row["printed_decimals"])
    return {
        "text": f"{row['printed']:.{decimals}f}",
        "instead": f"{row['recomputed']:.{decimals}f}" if row["agrees"] == "no" else None,
        "note": row["note"] if pd.notna(row["note"]) else None,
    }


def plain(text: str) -> dict:
    """Cell of the template without a judgement."""
    return {"text": text, "instead": None, "note": None}


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
        for name, metric in RATES:
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


def fractions(printed: pd.DataFrame, table3: pd.DataFrame) -> list[dict]:
    """Lines of Table 3: a trial with, per fraction, both classes and the recomputed t-test."""
    figures = printed.loc["3"].droplevel("strategy")
    return [
        {
            "trial": trial,
            "cells": [
                {
                    "positive": f"{row.mean_positive:.2f} ± {row.sd_positive:.2f}",
                    "negative": f"{row.mean_negative:.2f} ± {row.sd_negative:.2f}",
                    "p": p_value(figures.at[(trial, f"{row.measure}_p"), "recomputed"]),
                    "range": figures.at[(trial, f"{row.measure}_p"), "note"],
                    "corrected": p_value(
                        corrected := figures.at[
                            (trial, f"{row.measure}_p_bonferroni"), "recomputed"
                        ]
                    ),
                    "significant": corrected < ALPHA,
                }
                for row in rows.itertuples()
            ],
            "sums": [
                f"{figures.at[(trial, f'fractions_sum_{name}'), 'recomputed']:.2f}"
                for name in ("NPSLE", "non-NPSLE")
            ],
        }
        for trial, rows in table3.groupby("trial", sort=False)
    ]


def contradictions(table: pd.DataFrame) -> list[dict]:
    """Lines of what does not follow from the printed counts, standard precision left out."""
    rows = table[table["agrees"] == "no"]
    return [
        {
            "table": row["table"],
            "strategy": "" if pd.isna(row["strategy"]) else row["strategy"],
            "trial": "" if pd.isna(row["trial"]) else row["trial"],
            "figure": figure_name(row["figure"]),
            "cell": mark(row),
        }
        for _, row in rows[
            ~rows["figure"].isin(["precision", "precision_mean", "precision_sd"])
        ].iterrows()
    ]


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
        "printed_decimals", "recomputed", "agrees", "note",
    )  # fmt: skip
    published, _ = read("published/inglese2022_strategies", *COLUMNS)
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
    own = test_lines(strategies[strategies["metric"] == "accuracy"])
    lines = accuracies(printed, counts, metrics, strategies)
    return {
        "trials": range(1, 1 + max(len(line["cells"]) for line in lines)),
        "accuracies": lines,
        "rates": rates(printed, metrics),
        "classes": study["design"]["classes"],
        "measures": [label(measure) for measure in table3["measure"].unique()],
        "fractions": fractions(printed, table3),
        "contradictions": contradictions(compared),
        "judged": len(judged),
        "agreeing": int((judged["agrees"] == "yes").sum()),
        "tests": list(zip(test_lines(published), own, strict=True)),
        "all": tabulate(table, dictionary),
    }
