"""Plots of the report as inline SVG, the same bytes for the same numbers."""

import io
import re
from html import escape

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from workflow_scripts.report.text import label

NEGATIVE, POSITIVE, GREY, ALERT = "#4477aa", "#cc6677", "#888888", "#c1121f"
DOTS = 300
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


def panels(number: int, columns: int, width: float, height: float):
    """A figure with ``number`` axes in rows of ``columns``, each width x height inch."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(width * columns, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[number:]:
        spare.set_axis_off()
    return figure, axes[:number]


def to_svg(figure: Figure, name: str, caption: str) -> Markup:
    """Inline SVG with the id ``figure-<name>`` and ``caption`` as its accessible name."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    for unwanted in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
        body = re.sub(unwanted, "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    box = re.search(r'viewBox="([^"]*)"', text).group(1)
    width = float(box.split()[2])
    return Markup(
        f'<svg id="figure-{escape(name)}" role="img" aria-label="{escape(caption)}" '
        f'viewBox="{box}" style="width:{width:.0f}pt" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{body}"
    )


def _spread(values: np.ndarray) -> np.ndarray:
    """Fixed sideways offsets, -0.5..0.5, of the dots of a strip."""
    return (np.arange(len(values)) * 0.618034 % 1) - 0.5


def strips(axis, groups: list[np.ndarray], names: list[str]) -> None:
    """Box plots side by side, with the values as dots where there are not too many."""
    axis.boxplot(
        groups, widths=0.6, showfliers=False, medianprops={"color": "black"}, manage_ticks=False
    )
    for place, (values, colour) in enumerate(zip(groups, (NEGATIVE, POSITIVE), strict=True), 1):
        if sum(map(len, groups)) <= DOTS:
            axis.plot(place + 0.4 * _spread(values), values, "o", ms=3, alpha=0.6, color=colour)
    axis.set_xticks([1, 2], [f"{n}\nn = {len(g)}" for n, g in zip(names, groups, strict=True)])
    axis.set_xlim(0.5, 2.5)


@mpl.rc_context(STYLE)
def roc(predictions: pd.DataFrame, areas: dict[str, str], positive: str, name: str) -> Markup:
    """ROC curve of each model: trials thin, their mean bold, chance dashed.

    Parameters
    ----------
    predictions : DataFrame with model, trial, label, score
    areas : AUC as text, by model
    positive : name of the positive class
    """
    grid = np.linspace(0, 1, 101)
    figure, axes = panels(len(areas), 3, 3.1, 3.1)
    for axis, (model, area) in zip(axes, areas.items(), strict=True):
        curves = []
        for _, trial in predictions[predictions["model"] == model].groupby("trial"):
            fpr, tpr, _ = roc_curve(trial["label"] == positive, trial["score"])
            axis.plot(fpr, tpr, color=NEGATIVE, lw=0.8, alpha=0.5)
            curves.append(np.interp(grid, fpr, tpr))
        mean = np.concatenate([[0], np.mean(curves, axis=0)])
        axis.plot(np.concatenate([[0], grid]), mean, color="#003366", lw=2.5)
        axis.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        axis.set(title=label(model), xlabel="1 - specificity", aspect="equal")
        axis.text(0.98, 0.04, f"AUC {area}", ha="right", fontsize=8)
    axes[0].set_ylabel("sensitivity")
    caption = f"ROC curves of {', '.join(label(m) for m in areas)}: trials, mean and chance line"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def scores(predictions: pd.DataFrame, models: list[str], classes: list[str], name: str) -> Markup:
    """Scores of the test scans of all trials per class; above the dashed line is positive."""
    figure, axes = panels(len(models), 3, 3.1, 2.8)
    for axis, model in zip(axes, models, strict=True):
        rows = predictions[predictions["model"] == model]
        strips(axis, [rows.loc[rows["label"] == c, "score"].to_numpy() for c in classes], classes)
        axis.axhline(0, ls="--", color=GREY, lw=1)
        axis.set_title(label(model))
    axes[0].set_ylabel("score")
    return to_svg(figure, name, f"Scores of the test scans by class: {', '.join(classes)}")


@mpl.rc_context(STYLE)
def distributions(
    values: pd.DataFrame, units: dict, measures: list[str], classes: list[str], name: str
) -> Markup:
    """Measures of the study's participants per class.

    Parameters
    ----------
    values : DataFrame with label and the measures
    units : unit of each measure
    """
    figure, axes = panels(len(measures), 4, 2.6, 2.6)
    for axis, measure in zip(axes, measures, strict=True):
        known = values.dropna(subset=measure)
        strips(axis, [known.loc[known["label"] == c, measure].to_numpy() for c in classes], classes)
        axis.set_title(label(measure))
        axis.set_ylabel(units.get(measure, "").replace("1", "fraction"))
    return to_svg(figure, name, f"Distributions by class of {', '.join(map(label, measures))}")


@mpl.rc_context(STYLE)
def measures(features: pd.DataFrame, units: dict, outliers: pd.DataFrame, names, name) -> Markup:
    """Histogram of each checked measure over all sessions, flagged sessions marked below."""
    figure, axes = panels(len(names), 3, 3.1, 2.3)
    for axis, measure in zip(axes, names, strict=True):
        known = features[measure].dropna()
        axis.hist(known, bins=min(40, max(8, round(2 * len(known) ** 0.5))), color="#9db7d5")
        axis.axvline(known.median(), color="black", lw=1)
        flagged = outliers.loc[outliers["measure"] == measure, "value"].dropna()
        axis.plot(
            flagged,
            np.zeros(len(flagged)),
            "^",
            ms=8,
            color=ALERT,
            clip_on=False,
            zorder=5,
            in_layout=False,
        )
        unit = units.get(measure, "")
        axis.set_xlabel(label(measure) + (f", {unit}" if unit not in ("", "1") else ""))
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.xaxis.get_major_locator().set_params(nbins=5)
    axes[0].set_ylabel("sessions")
    caption = f"Histograms over all sessions of {', '.join(map(label, names))}, flagged ones marked"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def recovered(table: pd.DataFrame, names: list[str], name: str) -> Markup:
    """Recovered against true value of each measure, with the line of identity."""
    figure, axes = panels(len(names), 3, 2.9, 2.9)
    for axis, measure in zip(axes, names, strict=True):
        rows = table[table["measure"] == measure]
        ends = np.nanmin(rows[["true", "recovered"]]), np.nanmax(rows[["true", "recovered"]])
        axis.plot(ends, ends, "--", color=GREY, lw=1)
        axis.plot(rows["true"], rows["recovered"], "o", ms=4, alpha=0.7, color=NEGATIVE)
        axis.set(title=label(measure), xlabel="true, mL", aspect="equal")
    axes[0].set_ylabel("recovered, mL")
    caption = f"Recovered against true {', '.join(map(label, names))}, with the line of identity"
    return to_svg(figure, name, caption)
