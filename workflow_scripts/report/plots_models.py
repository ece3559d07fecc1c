"""Plots of the logistic models: apparent figures dashed, cross-validated ones solid."""

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import NullFormatter, ScalarFormatter

from workflow_scripts.report.plots import DARK, GREY, GROUPS, STYLE, forest, panels, to_svg
from workflow_scripts.report.text import label

# Line and colour of each estimate; the cross-validated one is drawn last, on top.
LINES = {
    "apparent": {"color": GROUPS[1], "ls": "--", "lw": 1.2},
    "cross_validated": {"color": DARK, "ls": "-", "lw": 2},
}
LARGEST_RATIO = 100


def _by_model(table: pd.DataFrame, models: list[str], width: float, height: float):
    """Figure with a panel per model; yields axis, model and its rows by estimate."""
    figure, axes = panels(len(models), 3, width, height)
    rows = [dict(list(table[table["model"] == model].groupby("estimate"))) for model in models]
    return figure, list(zip(axes, models, rows, strict=True))


def _legend(figure, parts) -> None:
    lines, names = parts[0][0].get_legend_handles_labels()
    figure.legend(
        lines, names, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9
    )


@mpl.rc_context(STYLE)
def roc(table: pd.DataFrame, areas: dict[str, str], name: str) -> Markup:
    """ROC curve of each model: apparent dashed, cross-validated solid, with 95 % bands.

    Parameters
    ----------
    table : models_roc.tsv
    areas : lines of text, by model
    """
    figure, parts = _by_model(table, list(areas), 3.3, 3.5)
    for axis, model, rows in parts:
        for estimate, line in LINES.items():
            part = rows[estimate]
            rate = part["false_positive_rate"]
            band = {"color": line["color"], "alpha": 0.12, "lw": 0, "step": "post"}
            axis.fill_between(rate, part["ci_low"], part["ci_high"], **band)
            axis.step(rate, part["sensitivity"], where="post", label=label(estimate), **line)
        axis.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
        axis.set(title=label(model), xlabel="1 - specificity", box_aspect=1)
        axis.text(0.99, 0.02, areas[model], ha="right", va="bottom", fontsize=7.5)
    parts[0][0].set_ylabel("sensitivity")
    _legend(figure, parts)
    caption = f"ROC curves of {', '.join(map(label, areas))}, apparent and cross-validated"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def calibration(table: pd.DataFrame, models: list[str], name: str) -> Markup:
    """Observed share of positives against the predicted probability, with 95 % limits."""
    figure, parts = _by_model(table, models, 3.3, 3.8)
    for axis, model, rows in parts:
        axis.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
        for estimate, line in LINES.items():
            part = rows[estimate]
            x, y = part["predicted_probability"], part["observed_share"]
            axis.plot(x, y, marker="o", ms=4, label=label(estimate), **line)
            if estimate == "cross_validated":
                axis.vlines(x, part["ci_low"], part["ci_high"], color=line["color"], lw=1)
        axis.set(title=label(model), xlabel="predicted probability", box_aspect=1)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    parts[0][0].set_ylabel("observed share")
    _legend(figure, parts)
    caption = f"Calibration of {', '.join(map(label, models))}, apparent and cross-validated"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def decision(table: pd.DataFrame, models: list[str], name: str) -> Markup:
    """Net benefit of each model over the thresholds, beside treating all and none."""
    figure, parts = _by_model(table, models, 3.3, 3.1)
    everybody = table[table["model"] == "all"].drop_duplicates("threshold")
    prevalence = everybody["net_benefit"].max()
    for axis, model, rows in parts:
        axis.plot(everybody["threshold"], everybody["net_benefit"], color=GREY, lw=1, label="all")
        axis.axhline(0, color="black", lw=1, label="none")
        for estimate, line in LINES.items():
            part = rows[estimate]
            if estimate == "cross_validated":
                band = {"color": line["color"], "alpha": 0.12, "lw": 0}
                axis.fill_between(part["threshold"], part["ci_low"], part["ci_high"], **band)
            axis.plot(part["threshold"], part["net_benefit"], label=label(estimate), **line)
        axis.set(title=label(model), xlabel="threshold", xlim=(0, 1))
        axis.set_ylim(-0.3 * prevalence, 1.3 * prevalence)
    parts[0][0].set_ylabel("net benefit")
    _legend(figure, parts)
    caption = f"Decision curves of {', '.join(map(label, models))}, of treating all and none"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def coefficients(table: pd.DataFrame, name: str) -> Markup:
    """Forest plot of the odds ratios per standard deviation, a panel per model."""
    table = table[table["term"] != "intercept"]
    models = list(table["model"].unique())
    rows = table["model"].value_counts().max()
    figure, axes = panels(len(models), 3, 3.6, 1.0 + 0.3 * rows)
    ratios = table[["odds_ratio", "odds_ratio_low", "odds_ratio_high"]]
    reach = min(max(ratios.max().max(), 1 / ratios.min().min(), 2.0) * 1.1, LARGEST_RATIO)
    for axis, model in zip(axes, models, strict=True):
        part = table[table["model"] == model]
        values = [part[column].to_numpy(float) for column in ratios]
        forest(axis, *values, list(part["term"].map(label)), 1)
        axis.set_xscale("log")
        ticks = [t for t in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100) if 1 / reach <= t <= reach]
        axis.set_xticks(ticks)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set(title=label(model), xlabel="odds ratio per SD", xlim=(1 / reach, reach))
    caption = f"Odds ratios per standard deviation in {', '.join(map(label, models))}"
    return to_svg(figure, name, caption)
