"""The report's part on a study's models: metrics, permuted labels, ROC curves and scores.

What else a study asks of its models stands in `curves`, `comparisons` and `optimism`.
"""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.splits import SCAN, SCORED
from workflow_scripts.report import plots, plots_classifiers
from workflow_scripts.report.comparisons import comparisons_part
from workflow_scripts.report.curves import calibration_part, decision_part, roc_part
from workflow_scripts.report.design import word
from workflow_scripts.report.optimism import optimism_part
from workflow_scripts.report.population import first_sessions
from workflow_scripts.report.published_figures import published_part
from workflow_scripts.report.text import (
    ALPHA,
    interval,
    label,
    number,
    p_value,
    reading,
    tabulate,
)

METRICS = ["auc", "balanced_accuracy", "sensitivity", "specificity", "accuracy", "precision"]
PUBLISHED = "precision_published"
COUNTS = ["tn", "fp", "fn", "tp"]
ESTIMATES = ["test", "external", "external_averaged"]


def kind_of(study: dict, model: str) -> str:
    """Printed name of the kind of a model."""
    return label(f"kind_{study['models'][model]['kind']}")


def over_splits(rows: pd.DataFrame) -> dict:
    """Metrics over the splits, with interval, and counts, of one model and estimate."""
    row = rows.set_index("metric")
    return {
        "cells": {
            name: {
                "text": interval(*row.loc[name, ["value", "ci_low", "ci_high"]], decimals=2),
                "method": row.at[name, "ci_method"],
                "sd": number(row.at[name, "sd"]),
            }
            for name in row.index
        },
        "counts": [number(rows[name].iloc[0]) for name in COUNTS],
        "splits": int(row["n_splits"].max()),
        "n": int(row["n"].iloc[0]),
    }


def permuted(rows: pd.DataFrame) -> dict[str, dict]:
    """Permutation test of one model as text, by metric."""
    return {
        row.metric: {
            "null": interval(row.null_mean, row.null_low, row.null_high, decimals=2),
            "p": p_value(row.p),
            "holm": p_value(row.p_holm),
            "above": bool(row.p < ALPHA),
            "refitted": row.refitted,
            "n": int(row.n_permutations),
        }
        for row in rows.itertuples()
    }


def judgement(kind: str, tests: pd.DataFrame) -> str:
    """What the permutation tests of a model say, or why there is none."""
    if kind == "majority":
        return "benchmark: reads nothing"
    if tests.empty:
        return "not tested with permutations"
    p = dict(zip(tests["metric"].map(label), tests["p"], strict=True))
    return reading(p, int(tests["n_permutations"].iloc[0]))


def performance(study: dict, metrics: pd.DataFrame, tests: pd.DataFrame) -> list[dict]:
    """Per model its estimates over the splits and its permutation tests."""
    overall = metrics[metrics["split"].astype(str) == "all"]
    lines = []
    for model, settings in study["models"].items():
        rows, own = overall[overall["model"] == model], tests[tests["model"] == model]
        lines.append(
            {
                "key": model,
                "name": label(model),
                "kind": kind_of(study, model),
                "estimates": {
                    name: over_splits(part)
                    for name in ESTIMATES
                    if len(part := rows[rows["estimate"] == name])
                },
                "tests": permuted(own),
                "reading": judgement(settings["kind"], own),
            }
        )
    return [line for line in lines if line["estimates"]]


def split_values(metrics: pd.DataFrame, shown, models, names: dict[str, str], called: str) -> dict:
    """Metrics of every split, a line per model, estimate and split, for the template.

    Parameters
    ----------
    metrics : metrics.tsv
    shown, models : metrics and models, in order
    names : printed name of each split
    called : what a split is called
    """
    single = metrics[metrics["split"].astype(str) != "all"].astype({"split": int})
    keys = ["model", "estimate", "split"]
    wide = single.pivot(index=keys, columns="metric", values="value")[shown]
    place = {name: order for order, name in enumerate([*models, *ESTIMATES])}
    wide = wide.sort_index(key=lambda index: index.map(lambda name: place.get(name, name)))
    wide = wide.rename_axis(columns=None).reset_index()
    wide["split"] = wide["split"].astype(str).map(names)
    wide["model"] = wide["model"].map(label)
    if (wide["estimate"] == "test").all():
        wide = wide.drop(columns="estimate")
    return tabulate(wide.rename(columns={"split": called}), {})


def metrics_part(study: dict, read: Callable, design: dict) -> dict:
    """Metrics of the models, and their tests against permuted labels where there are any."""
    table, dictionary = read("metrics", "model", "estimate", "split", "metric", "ci_method")
    shown = [*METRICS, PUBLISHED] if "published" in study["evaluation"] else METRICS
    tests = pd.DataFrame(columns=["model"])
    tested = "permutation" in study["evaluation"]
    if tested:
        tests, _ = read(
            "permutation_test",
            *("model", "metric", "p", "p_holm", "null_low", "null_high", "refitted"),
        )
    lines = performance(study, table, tests)
    thresholds = []
    if "thresholds" in study["evaluation"]:
        chosen, _ = read("thresholds", "model", "estimate", "split", "metric", "threshold")
        thresholds = performance(study, chosen, tests[:0])
    cells = [c for line in lines for e in line["estimates"].values() for c in e["cells"].values()]
    return {
        "names": [(metric, label(metric)) for metric in shown],
        "published": PUBLISHED in shown,
        "note": dictionary["metric"].get("Description", ""),
        "lines": lines,
        "thresholds": thresholds,
        "external": any("external" in line["estimates"] for line in lines),
        "permutation": tested,
        "refitted": not tested or (tests["refitted"] == "yes").all(),
        "methods": list(dict.fromkeys(cell["method"] for cell in cells)),
        "method_note": dictionary["ci_method"].get("Description", ""),
        "splits": split_values(table, shown, study["models"], design["names"], word(study)),
        "all": tabulate(table, dictionary),
    }


def features_plot(name: str, study: dict, read: Callable):
    """Features that the models read by class, None without any that is not shown elsewhere."""
    values, units = first_sessions(study, read)
    inputs = [key for model in study["models"].values() for key in model.get("inputs", [])]
    columns = [column for key in inputs for column in study["inputs"][key].get("columns", [])]
    shown = study["evaluation"].get("groups", {}).get("features", [])
    wanted = [c for c in dict.fromkeys(columns) if c in units and c not in shown]
    if not wanted:
        return None
    classes = study["design"]["classes"]
    return plots.distributions(values, units, wanted, classes, f"{name}-features")


def area_texts(study: dict, metrics: dict | None, optimism: dict | None) -> dict[str, str]:
    """Per model what is known of its AUC, a line per estimate, for the ROC curves."""
    texts: dict[str, list[str]] = {model: [] for model in study["models"]}
    for line in metrics["lines"] if metrics else ():
        found = {key: made["cells"]["auc"]["text"] for key, made in line["estimates"].items()}
        texts[line["key"]] += [f"{label(key)} {text}" for key, text in found.items()]
    for line in optimism["lines"] if optimism else ():
        texts[line["key"]].append(f"{label('optimism_corrected')} {line['corrected']}")
        texts[line["key"]].append(f"{label('apparent')} {line['apparent']}")
    return {model: "\n".join(["AUC", *lines] if lines else []) for model, lines in texts.items()}


def not_scored(predictions: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """Models that leave scans of their test sides without a score, and how many, as text."""
    told = []
    for model, rows in predictions.groupby("model", sort=False):
        tested = splits[splits["role"].isin(SCORED) & splits["split"].isin(rows["split"])]
        n, scored = (len(table.drop_duplicates(SCAN)) for table in (tested, rows))
        if scored < n:
            told.append(f"{label(model)} {n - scored} of {n}")
    return told


def classifiers_section(name: str, study: dict, read: Callable, design: dict) -> dict:
    """What the template shows of a study's models.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    design : of the same study, from `design.design_section`
    """
    asked, classes = study["evaluation"], study["design"]["classes"]
    predictions, _ = read("predictions", *PREDICTIONS)
    tested = predictions[predictions["role"] == "test"]
    drawn = [
        model
        for model, settings in study["models"].items()
        if settings["kind"] != "majority" and model in set(tested["model"])
    ]
    metrics = metrics_part(study, read, design) if "metrics" in asked else None
    optimism = optimism_part(name, read) if "optimism" in asked else None
    texts = area_texts(study, metrics, optimism)
    areas = {model: texts[model] for model in drawn}
    return {
        "not_scored": not_scored(predictions, read(f"split-{study['split']}_splits", "role")[0]),
        "models": [(label(model), kind_of(study, model)) for model in study["models"]],
        "metrics": metrics,
        "optimism": optimism,
        "comparisons": comparisons_part(read) if "comparisons" in asked else None,
        "published": published_part(study, read),
        "features": features_plot(name, study, read),
        "scores": plots_classifiers.scores(tested, drawn, classes, f"{name}-scores")
        if drawn
        else None,
        "split_roc": plots_classifiers.split_roc(tested, areas, classes[1], f"{name}-roc")
        if drawn and "roc" not in asked
        else None,
        "roc": roc_part(name, read, texts) if "roc" in asked else None,
        "calibration": calibration_part(name, read) if "calibration" in asked else None,
        "decision": decision_part(name, read) if "decision_curve" in asked else None,
    }
