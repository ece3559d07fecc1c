"""Plots of classifiers: test sides solid, external participants dash-dotted, apparent dashed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter
from sklearn.metrics import roc_curve

from workflow_scripts.common.metrics import scan_weights
from workflow_scripts.report.plots import (
    BLUE,
    DARK,
    GREY,
    GROUPS,
    STYLE,
    dots,
    forest,
    panels,
    strips,
    to_svg,
)
from workflow_scripts.report.sessions import names_of
from workflow_scripts.report.text import interval, label, number

# Line and colour of each estimate; that of the test sides is drawn last, on top.
LINES = {
    "apparent": {"color": GROUPS[1], "ls": "--", "lw": 1.2},
    "external": {"color": GROUPS[2], "ls": "-.", "lw": 1.6},
    "test": {"color": DARK, "ls": "-", "lw": 2},
}
LARGEST_RATIO = 100


def _by_model(table: pd.DataFrame, models: list[str], width: float, height: float):
    """Figure with a panel per model; yields axis, model and its rows by estimate."""
    figure, axes = panels(len(models), 3, width, height)
    parts = []
    for axis, model in zip(axes, models, strict=True):
        found = dict(list(table[table["model"] == model].groupby("estimate")))
        parts.append((axis, model, {key: found[key] for key in LINES if key in found}))
    return figure, parts


def _legend(figure, parts) -> None:
    """Legend below the panels of every line that one of them has."""
    found = {}
    for axis, *_ in parts:
        lines, names = axis.get_legend_handles_labels()
        found |= dict(zip(names, lines, strict=True))
    found = dict(reversed(found.items()))
    figure.legend(
        found.values(), found, loc="outside lower center", ncols=len(found), frameon=False,
        fontsize=9,
    )  # fmt: skip


@mpl.rc_context(STYLE)
def split_roc(predictions: pd.DataFrame, areas: dict[str, str], positive: str, name: str) -> Markup:
    """ROC curve of each model: trainings thin, their mean bold, chance dashed.

    Splits whose test side lacks a class have no curve. Scans of a participant count as one.

    Parameters
    ----------
    predictions : DataFrame of `common.predictions`, of test sides
    areas : lines of text, by model
    positive : name of the positive class
    """
    grid = np.linspace(0, 1, 101)
    figure, axes = panels(len(areas), 3, 3.1, 3.1)
    for axis, (model, area) in zip(axes, areas.items(), strict=True):
        curves = []
        for _, side in predictions[predictions["model"] == model].groupby(["split", "repeat"]):
            truth = side["label"] == positive
            if truth.all() or not truth.any():
                continue
            weight = scan_weights(side["participant_id"])
            fpr, tpr, _ = roc_curve(truth, side["score"], sample_weight=weight)
            axis.plot(fpr, tpr, color=BLUE, lw=0.8, alpha=0.5)
            curves.append(np.interp(grid, fpr, tpr))
        if curves:
            mean = np.concatenate([[0], np.mean(curves, axis=0)])
            axis.plot(np.concatenate([[0], grid]), mean, color=DARK, lw=2.5)
        axis.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        axis.set(title=label(model), xlabel="1 - specificity", aspect="equal")
        axis.text(0.98, 0.04, area, ha="right", va="bottom", fontsize=8)
    axes[0].set_ylabel("sensitivity")
    caption = f"ROC curves of {', '.join(label(m) for m in areas)}, their mean and chance line"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def scores(predictions: pd.DataFrame, models: list[str], classes: list[str], name: str) -> Markup:
    """Score minus threshold of the test scans per class; above the dashed line is positive."""
    figure, axes = panels(len(models), 3, 3.1, 2.8)
    above = predictions["score"] - predictions["threshold"]
    titles = names_of(predictions) + ", split " + predictions["split"].astype(str)
    for axis, model in zip(axes, models, strict=True):
        own = predictions["model"] == model
        groups = [above[own & (predictions["label"] == c)] for c in classes]
        strips(axis, groups, classes, titles)
        axis.axhline(0, ls="--", color=GREY, lw=1)
        axis.set_title(label(model))
    axes[0].set_ylabel("score - threshold")
    return to_svg(figure, name, f"Scores of the test scans by class: {', '.join(classes)}")


@mpl.rc_context(STYLE)
def roc(table: pd.DataFrame, areas: dict[str, str], name: str) -> Markup:
    """ROC curves of each model, with 95 % bands.

    Parameters
    ----------
    table : roc.tsv
    areas : lines of text, by model
    """
    figure, parts = _by_model(table, list(areas), 3.3, 3.5)
    for axis, model, rows in parts:
        for estimate, part in rows.items():
            line, rate = LINES[estimate], part["false_positive_rate"]
            band = {"color": line["color"], "alpha": 0.12, "lw": 0, "step": "post"}
            axis.fill_between(rate, part["ci_low"], part["ci_high"], **band)
            axis.step(rate, part["sensitivity"], where="post", label=label(estimate), **line)
        axis.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
        axis.set(title=label(model), xlabel="1 - specificity", box_aspect=1)
        axis.text(0.99, 0.02, areas[model], ha="right", va="bottom", fontsize=7.5)
    parts[0][0].set_ylabel("sensitivity")
    _legend(figure, parts)
    return to_svg(figure, name, f"ROC curves of {', '.join(map(label, areas))}")


@mpl.rc_context(STYLE)
def calibration(table: pd.DataFrame, models: list[str], name: str) -> Markup:
    """Observed share of positives against the predicted probability, with 95 % limits."""
    figure, parts = _by_model(table, models, 3.3, 3.8)
    for axis, model, rows in parts:
        axis.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
        for estimate, part in rows.items():
            line = LINES[estimate]
            x, y = part["predicted_probability"], part["observed_share"]
            axis.plot(x, y, label=label(estimate), **line)
            texts = [
                f"{label(estimate)}: {interval(row.observed_share, row.ci_low, row.ci_high, 2)} "
                f"observed, {row.predicted_probability:.2f} predicted, n = {number(row.n)}"
                for row in part.itertuples()
            ]
            dots(axis, x, y, texts, 5, color=line["color"])
            if estimate != "apparent":
                axis.vlines(x, part["ci_low"], part["ci_high"], color=line["color"], lw=1)
        axis.set(title=label(model), xlabel="predicted probability", box_aspect=1)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    parts[0][0].set_ylabel("observed share")
    _legend(figure, parts)
    return to_svg(figure, name, f"Calibration of {', '.join(map(label, models))}")


@mpl.rc_context(STYLE)
def decision(table: pd.DataFrame, models: list[str], name: str) -> Markup:
    """Net benefit of each model over the thresholds, beside treating all and none.

    Treating all has another net benefit in the external participants, whose prevalence differs.
    """
    figure, parts = _by_model(table, models, 3.3, 3.1)
    treated = dict(list(table[table["model"] == "all"].groupby("estimate")))
    prevalence = max(rows["net_benefit"].max() for rows in treated.values())
    for axis, model, rows in parts:
        for estimate, text, style in (("test", "all", "-"), ("external", "all, external", "-.")):
            if estimate in rows:
                every = treated[estimate]
                line = {"color": GREY, "lw": 1, "ls": style, "label": text}
                axis.plot(every["threshold"], every["net_benefit"], **line)
        axis.axhline(0, color="black", lw=1, label="none")
        for estimate, part in rows.items():
            line = LINES[estimate]
            if estimate == "test":
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
    """Forest plot of the odds ratios per standard deviation, a panel per model.

    Parameters
    ----------
    table : rows of coefficients.tsv, without intercepts
    """
    models = list(table["model"].unique())
    rows = table["model"].value_counts().max()
    figure, axes = panels(len(models), 3, 3.6, 1.0 + 0.3 * rows)
    columns = ["odds_ratio", "odds_ratio_low", "odds_ratio_high"]
    ratios = table[columns]
    reach = min(max(ratios.max().max(), 1 / ratios.min().min(), 2.0) * 1.1, LARGEST_RATIO)
    for axis, model in zip(axes, models, strict=True):
        part = table[table["model"] == model]
        people = part["n_negative"] + part["n_positive"]
        forest(axis, part, columns, part["term"].map(label), 1, people.map(", n = {}".format))
        axis.set_xscale("log")
        ticks = (0.2, 0.5, 1, 2, 5) if reach < 10 else (0.01, 0.1, 1, 10, 100)
        axis.set_xticks([tick for tick in ticks if 1 / reach <= tick <= reach])
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set(title=label(model), xlabel="odds ratio per SD", xlim=(1 / reach, reach))
    caption = f"Odds ratios per standard deviation in {', '.join(map(label, models))}"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def nomogram(table: pd.DataFrame, name: str) -> Markup:
    """Scales of points, of each term, of total points and of the probability, one below another."""
    terms = list(table["term"].unique())
    *own, total = terms
    most = table[table["term"] != total].groupby("term")["points"].max().sum()
    figure = Figure(figsize=(7.5, 1.2 + 0.55 * (len(terms) + 2)))
    scales = [("points", np.arange(0, 101, 10), np.arange(0, 101, 10), 100)]
    for term in own:
        part = table[table["term"] == term]
        scales.append((label(term), part["points"], part["value"], 100))
    sums = MaxNLocator(8).tick_values(0, most)
    sums = sums[sums <= most]
    part = table[table["term"] == total]
    scales += [("total points", sums, sums, most)]
    scales += [(label(total), part["points"], part["value"], most)]
    axes = figure.subplots(len(scales), 1)
    for axis, (text, places, values, end) in zip(axes, scales, strict=True):
        axis.set(xlim=(-0.02 * end, 1.02 * end), yticks=[])
        axis.spines["left"].set_visible(False)
        axis.spines["bottom"].set_bounds(min(places), max(places))
        axis.set_xticks(list(places), [f"{value:g}" for value in values], fontsize=8)
        axis.set_ylabel(text, rotation=0, ha="right", va="center")
        axis.set_facecolor("none")
    return to_svg(figure, name, f"Nomogram of {', '.join(map(label, own))}")
