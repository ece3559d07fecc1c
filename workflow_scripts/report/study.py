"""The report's section of one study."""

import textwrap

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.report import plots
from workflow_scripts.report.text import (
    interval,
    label,
    load,
    number,
    p_value,
    require,
    spread,
    tabulate,
)

METRICS = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision"]
METRICS += ["precision_published", "auc"]
LIMITS = ["value", "ci_low", "ci_high"]
ALPHA = 0.05
LINE = 15
REASON_CHARACTERS = 46


def flow_layout(flow: pd.DataFrame) -> dict:
    """Boxes of the flow figure: screened and analysed left, reasons right.

    Returns
    -------
    dict
        ``height`` of the drawing and ``boxes`` with side (left, right), y,
        height and lines of text.
    """
    boxes, y = [], 10
    for row in flow.itertuples():
        reason = "" if pd.isna(row.reason) else f": {row.reason}"
        lines = [*textwrap.wrap(f"{row.stage}{reason}", REASON_CHARACTERS), f"n = {row.n}"]
        side = "left" if row.stage in ("screened", "analysed") else "right"
        height = LINE * len(lines) + 16
        boxes.append({"side": side, "y": y, "height": height, "lines": lines})
        y += height + 14
    return {"height": y, "boxes": boxes}


def by_trial(table: pd.DataFrame) -> list[dict]:
    """Lines of the fractions' table: a trial with, per measure, both classes and p."""
    return [
        {
            "trial": trial,
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
        for trial, rows in table.groupby("trial", sort=False)
    ]


def comparison(table: pd.DataFrame) -> list[dict]:
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


def performance(metrics: pd.DataFrame, tests: pd.DataFrame) -> list[dict]:
    """Per model: mean and interval of each metric, counts, and the permutation tests."""
    models = []
    for model, rows in metrics[metrics["trial"].astype(str) == "all"].groupby("model", sort=False):
        row = rows.set_index("metric")
        test = tests[tests["model"] == model].set_index("metric")
        models.append(
            {
                "key": model,
                "name": label(model),
                "cells": {
                    name: {
                        "text": interval(
                            *row.loc[name, ["value", "ci_low", "ci_high"]], decimals=2
                        ),
                        "sd": number(row.at[name, "sd"]),
                        "method": row.at[name, "ci_method"],
                    }
                    for name in METRICS
                },
                "counts": {name: int(rows[name].iloc[0]) for name in ("tn", "fp", "fn", "tp")},
                "tests": {
                    name: {
                        "null": interval(
                            *test.loc[name, ["null_mean", "null_low", "null_high"]], decimals=2
                        ),
                        "p": p_value(test.at[name, "p"]),
                        "above": bool(test.at[name, "p"] < ALPHA),
                        "n": int(test.at[name, "n_permutations"]),
                    }
                    for name in test.index
                },
            }
        )
    return models


def trial_values(metrics: pd.DataFrame) -> dict:
    """Metrics of every trial, a line per model and trial, for the template."""
    wide = metrics[metrics["trial"].astype(str) != "all"].pivot(
        index=["model", "trial"], columns="metric", values="value"
    )[METRICS]
    wide = wide.rename_axis(columns=None).reset_index()
    wide["trial"] = wide["trial"].astype(int)
    wide = wide.sort_values(["model", "trial"]).assign(model=lambda t: t["model"].map(label))
    return tabulate(wide, {})


def study_section(name: str, study: dict, tables: dict[str, object]) -> dict:
    """Everything that the template shows of a study.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    tables : path of each table that the report was given, by the path relative
        to the output folder

    Raises
    ------
    InputError
        If a table that a panel needs was not given, is missing or lacks a column.
    """

    def read(table: str, *columns: str) -> tuple[pd.DataFrame, dict]:
        wanted = f"studies/{name}/{table}.tsv"
        path = next((p for key, p in tables.items() if key.endswith(wanted)), None)
        if path is None:
            raise InputError(f"{wanted}: was not given to the report; add it to its inputs")
        content, dictionary = load(path)
        require(content, path, list(columns))
        return content, dictionary

    negative, positive = study["classes"]
    flow, _ = read("flow", "stage", "reason", "n")
    table1, table1_units = read("table1", "variable", "level", "overall", "negative", "positive")
    fractions, fractions_units = read("fractions", "trial", "measure", "p_bonferroni")
    regions, regions_units = read("regions", "trial", "measure", "p_bonferroni")
    metrics, metrics_units = read("metrics", "model", "trial", "metric", "value", "ci_method")
    tests, _ = read("permutation_test", "model", "metric", "p", "null_low", "null_high")
    trials, _ = read(f"split-{study['split']}_trials", "participant_id", "session_id", "label")
    features, units = read("features", "participant_id", "session_id", *study["features"])
    columns = ["trial", "model", "participant_id", "label", "score", "predicted"]
    predictions = pd.concat(
        [read(f"model-{m}_predictions", *columns)[0] for m in ("features", "oneclasssvm")]
    )
    for table in (trials, predictions):
        table["label"] = table["label"].astype(str)

    models = performance(metrics, tests)
    drawn = [model["key"] for model in models if model["key"] != "majority"]
    people = trials[["participant_id", "session_id", "label"]].drop_duplicates()
    values = people.merge(features, on=["participant_id", "session_id"], how="left")
    measure_units = {key: entry.get("Units", "") for key, entry in units.items()}
    first = table1.drop(columns=["negative_class", "positive_class"]).rename(
        columns={"negative": negative, "positive": positive}
    )
    repeated = first["variable"].duplicated()
    first["variable"] = first["variable"].map(label)
    first.loc[repeated, ["p", "test", "missing"]] = None
    shown = tabulate(
        first,
        table1_units | {negative: table1_units["negative"], positive: table1_units["positive"]},
        {
            "level": lambda value: "" if pd.isna(value) else number(value),
            "missing": lambda value: "" if pd.isna(value) else number(value),
            "test": lambda value: "" if pd.isna(value) else value,
            "p": lambda value: "" if pd.isna(value) else p_value(value),
        },
    )
    stages = flow.groupby("stage")["n"].sum()
    return {
        "name": name,
        "classes": study["classes"],
        "label": study["label"],
        "screened": int(stages["screened"]),
        "analysed": int(stages["analysed"]),
        "flow": flow_layout(flow),
        "table1": shown,
        "fractions": by_trial(fractions),
        "measures": [label(measure) for measure in fractions["measure"].unique()],
        "fractions_all": tabulate(fractions, fractions_units),
        "regions": comparison(regions[regions["trial"].astype(str) == "all"]),
        "regions_all": tabulate(regions, regions_units),
        "metrics": [(metric, label(metric)) for metric in METRICS],
        "metric_note": metrics_units["metric"].get("Description", ""),
        "models": models,
        "trials": trial_values(metrics),
        "roc": plots.roc(
            predictions,
            {m["key"]: m["cells"]["auc"]["text"] for m in models if m["key"] in drawn},
            positive,
            f"{name}-roc",
        ),
        "scores": plots.scores(predictions, drawn, study["classes"], f"{name}-scores"),
        "distributions": plots.distributions(
            values, measure_units, study["features"], study["classes"], f"{name}-features"
        ),
    }
