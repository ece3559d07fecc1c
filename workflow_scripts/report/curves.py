"""The report's parts on ROC, calibration and decision curves of the models."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots_classifiers
from workflow_scripts.report.text import interval, label, tabulate

STYLES = {"test": "test sides solid", "external": "external participants dash-dotted"}
STYLES |= {"apparent": "apparent (no forecast) dashed"}


def styles(table: pd.DataFrame) -> str:
    """Which line is which in a figure of these curves."""
    return ", ".join(text for key, text in STYLES.items() if key in set(table["estimate"]))


def roc_part(name: str, read: Callable, texts: dict[str, str]) -> dict:
    """ROC curves; ``texts`` are written into the panels, by model."""
    table, _ = read("roc", "model", "estimate", "false_positive_rate", "sensitivity")
    areas = {model: texts.get(model, "") for model in table["model"].unique()}
    plot = plots_classifiers.roc(table, areas, f"{name}-roc")
    return {"plot": plot, "styles": styles(table)}


def calibration_part(name: str, read: Callable) -> dict:
    """Calibration curves, and a line of figures per model and estimate."""
    table, _ = read("calibration", "model", "estimate", "predicted_probability", "observed_share")
    figures, dictionary = read("calibration_figures", "model", "estimate", "metric", "value")
    models, metrics = list(table["model"].unique()), list(figures["metric"].unique())
    estimates = [key for key in STYLES if key in set(figures["estimate"])]
    limits = figures[["value", "ci_low", "ci_high"]].to_numpy()
    figures = figures.assign(text=[interval(*row, decimals=2) for row in limits])
    wide = figures.pivot(index=["model", "estimate"], columns="metric", values="text")[metrics]
    keys = [(model, key) for model in models for key in estimates]
    wide = wide.reindex([key for key in keys if key in wide.index]).rename_axis(columns=None)
    wide = wide.reset_index().fillna("n/a")
    shown = wide.assign(**{key: wide[key].map(label) for key in ("model", "estimate")})
    return {
        "plot": plots_classifiers.calibration(table, models, f"{name}-calibration"),
        "styles": styles(table),
        "figures": tabulate(shown, {}),
        "all": tabulate(figures.drop(columns="text"), dictionary),
    }


def decision_part(name: str, read: Callable) -> dict:
    """Decision curves."""
    table, _ = read("decision_curve", "model", "estimate", "threshold", "net_benefit")
    models = [model for model in table["model"].unique() if model not in ("all", "none")]
    plot = plots_classifiers.decision(table, models, f"{name}-decision")
    return {"plot": plot, "styles": styles(table)}
