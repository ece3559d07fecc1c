"""The report's part on random trials: fractions, regions, classifiers."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots, plots_trials
from workflow_scripts.report.text import (
    ALPHA,
    interval,
    label,
    number,
    p_value,
    reading,
    spread,
    tabulate,
)

METRICS = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision"]
METRICS += ["precision_published", "auc"]


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
                        "reading": reading(
                            test.at[name, "p"], int(test.at[name, "n_permutations"])
                        ),
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


def trials_section(name: str, study: dict, read: Callable, values: pd.DataFrame, units) -> dict:
    """What the template shows of a study's random trials.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    values, units : features of the study's participants, and the units of the columns
    """
    positive = study["classes"][1]
    fractions, fractions_units = read("fractions", "trial", "measure", "p_bonferroni")
    regions, regions_units = read("regions", "trial", "measure", "p_bonferroni")
    metrics, metrics_units = read("metrics", "model", "trial", "metric", "value", "ci_method")
    tests, _ = read("permutation_test", "model", "metric", "p", "null_low", "null_high")
    columns = ["trial", "model", "participant_id", "label", "score", "predicted"]
    sources = ["features", "oneclasssvm"] + ["cnn"] * ("learning" in study)
    predictions = pd.concat([read(f"model-{m}_predictions", *columns)[0] for m in sources])
    predictions["label"] = predictions["label"].astype(str)
    models = performance(metrics, tests)
    drawn = [model["key"] for model in models if model["key"] != "majority"]
    areas = {m["key"]: m["cells"]["auc"]["text"] for m in models if m["key"] in drawn}
    return {
        "fractions": by_trial(fractions),
        "measures": [label(measure) for measure in fractions["measure"].unique()],
        "fractions_all": tabulate(fractions, fractions_units),
        "regions": comparison(regions[regions["trial"].astype(str) == "all"]),
        "regions_all": tabulate(regions, regions_units),
        "metrics": [(metric, label(metric)) for metric in METRICS],
        "metric_note": metrics_units["metric"].get("Description", ""),
        "models": models,
        "trials": trial_values(metrics),
        "roc": plots_trials.roc(predictions, areas, positive, f"{name}-roc"),
        "scores": plots_trials.scores(predictions, drawn, study["classes"], f"{name}-scores"),
        "distributions": plots.distributions(
            values, units, study["features"], study["classes"], f"{name}-features"
        ),
    }
