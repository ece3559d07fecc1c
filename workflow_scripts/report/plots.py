"""Plots of the report as inline SVG, the same bytes for the same numbers.

Points carry what they are and their value as a `<title>`, which the page shows where one points
or goes with the arrow keys.
"""

import io
import re
from html import escape
from textwrap import fill

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from workflow_scripts.report.sessions import names_of
from workflow_scripts.report.text import interval, label, number, p_value, unit_of, with_unit

# Paul Tol's muted colours, told apart with colour-blind eyes too.
GROUPS = ["#4477aa", "#cc6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"]
BLUE, DARK, GREY, ALERT = GROUPS[0], "#003366", "#888888", "#c1121f"
DOTS = 300
TOLD = 5000  # points of a figure from which on they carry no text
WIDTH_OF_LABEL, WIDTH_OF_TITLE = 36, 26  # characters
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
    # Matplotlib has no titles, but a link per point.
    link = r"""<a xlink:href=(["'])(.*?)\1[^>]*>"""
    titled = r"<g><title>\2</title>" if len(re.findall(link, body)) <= TOLD else "<g>"
    body = re.sub(link, titled, body).replace("</a>", "</g>")
    box = re.search(r'viewBox="([^"]*)"', text).group(1)
    width = float(box.split()[2])
    return Markup(
        f'<svg id="figure-{escape(name)}" role="img" aria-label="{escape(caption)}" '
        f'viewBox="{box}" style="width:{width:.0f}pt" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{body}"
    )


def dots(axis, x, y, texts, size: float, **style) -> None:
    """Points, each with its text.

    Parameters
    ----------
    axis : of a figure for `to_svg`
    x, y : of the points; those that are not numbers are left out
    texts : one per point
    size : diameter, points
    style : of `matplotlib.axes.Axes.scatter`
    """
    style = {"linewidths": 0, "clip_on": False, "zorder": 2} | style
    # The last link is nobody's: a single one would be that of all points.
    axis.scatter(x, y, size**2, urls=[*texts, ""], **style)


def offsets(number: int) -> np.ndarray:
    """Fixed sideways offsets, -0.5..0.5, of the dots of a strip, (number,)."""
    return (np.arange(number) * 0.618034 % 1) - 0.5


def strips(axis, groups: list[pd.Series], names: list[str], titles: pd.Series) -> None:
    """Box plots side by side, with the values as dots where there are not too many.

    Parameters
    ----------
    groups : values of each box
    names : of the boxes
    titles : what each value is of, by the index of the values
    """
    places = range(1, len(groups) + 1)
    axis.boxplot(
        groups, widths=0.6, showfliers=False, medianprops={"color": "black"}, manage_ticks=False
    )
    for place, values in zip(places, groups, strict=True):
        if sum(map(len, groups)) <= DOTS:
            colour = GROUPS[(place - 1) % len(GROUPS)]
            texts = titles[values.index] + ": " + values.map(number)
            aside = place + 0.4 * offsets(len(values))
            dots(axis, aside, values, texts, 4, alpha=0.6, color=colour)
    axis.set_xticks(places, [f"{n}\nn = {len(g)}" for n, g in zip(names, groups, strict=True)])
    axis.set_xlim(0.5, len(groups) + 0.5)


@mpl.rc_context(STYLE)
def distributions(
    values: pd.DataFrame, units: dict, measures: list[str], classes: list[str], name: str
) -> Markup:
    """Measures of the study's participants per class.

    Parameters
    ----------
    values : DataFrame with participant_id, session_id, label and the measures
    units : unit of each measure
    """
    wide = max(2.6, 0.95 * len(classes))
    figure, axes = panels(len(measures), 10 // round(wide), wide, 2.6)
    for axis, measure in zip(axes, measures, strict=True):
        known = values.dropna(subset=measure)
        groups = [known.loc[known["label"] == c, measure] for c in classes]
        strips(axis, groups, classes, names_of(known))
        axis.set_title(label(measure))
        axis.set_ylabel(unit_of(measure, units))
    return to_svg(figure, name, f"Distributions by class of {', '.join(map(label, measures))}")


@mpl.rc_context(STYLE)
def measures(features: pd.DataFrame, units: dict, outliers: pd.DataFrame, names, name) -> Markup:
    """Histogram of each checked measure over all sessions, flagged sessions marked below."""
    figure, axes = panels(len(names), 3, 3.1, 2.3)
    for axis, measure in zip(axes, names, strict=True):
        known = features[measure].dropna()
        axis.hist(known, bins=min(40, max(8, round(2 * len(known) ** 0.5))), color="#9db7d5")
        axis.axvline(known.median(), color="black", lw=1)
        flagged = outliers[outliers["measure"] == measure].dropna(subset="value")
        value, none = flagged["value"], np.zeros(len(flagged))
        texts = names_of(flagged) + ": " + value.map(number)
        dots(axis, value, none, texts, 9, marker="^", color=ALERT, zorder=5, in_layout=False)
        axis.set_xlabel(fill(with_unit(measure, units), WIDTH_OF_LABEL))
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.xaxis.get_major_locator().set_params(nbins=4)
    axes[0].set_ylabel("sessions")
    caption = f"Histograms over all sessions of {', '.join(map(label, names))}, flagged ones marked"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def recovered(
    table: pd.DataFrame, names: list[str], units: dict, name: str, same_axes: bool = False
) -> Markup:
    """Recovered against true value of each measure, with the line of identity.

    Parameters
    ----------
    table : DataFrame with participant_id, measure, true, recovered
    units : unit of each measure
    same_axes : whether all panels have the same range
    """
    figure, axes = panels(len(names), 3, 2.9, 2.9)
    for axis, measure in zip(axes, names, strict=True):
        rows = table[table["measure"] == measure]
        ranged = table[table["measure"].isin(names)] if same_axes else rows
        low, high = (end(ranged[["true", "recovered"]]) for end in (np.nanmin, np.nanmax))
        ends = low - 0.05 * (high - low), high + 0.05 * (high - low)
        axis.plot(ends, ends, "--", color=GREY, lw=1)
        texts = [
            f"{row.participant_id}: recovered {number(row.recovered)}, true {number(row.true)}"
            for row in rows.itertuples()
        ]
        dots(axis, rows["true"], rows["recovered"], texts, 5, alpha=0.7, color=BLUE)
        unit = unit_of(measure, units)
        axis.set_title(fill(label(measure), WIDTH_OF_TITLE))
        axis.set_xlabel(f"true, {unit}" if unit else "true")
        axis.set(xlim=ends, ylim=ends, aspect="equal")
    axes[0].set_ylabel("recovered")
    caption = f"Recovered against true {', '.join(map(label, names))}, with the line of identity"
    return to_svg(figure, name, caption)


def forest(axis, table: pd.DataFrame, columns: list[str], names: list[str], null, more) -> None:
    """Estimates with their intervals, one below the other, and a line where there is no effect.

    Parameters
    ----------
    table : a row per estimate
    columns : of the estimate and the ends of its interval
    names : of the rows
    null : value without effect
    more : what else is told of each row
    """
    values, low, high = (table[column].to_numpy(float) for column in columns)
    places = np.arange(len(values))[::-1]
    texts = [
        f"{name}: {interval(*limits, decimals=2)}{rest}"
        for name, *limits, rest in zip(names, values, low, high, more, strict=True)
    ]
    axis.axvline(null, ls="--", color=GREY, lw=1)
    axis.hlines(places, low, high, color=BLUE, lw=1.5)
    dots(axis, values, places, texts, 6, marker="s", color=DARK, clip_on=True)
    axis.set_yticks(places, names)
    axis.set_ylim(-0.6, len(values) - 0.4)


def tested(p: float, n: float) -> str:
    """What stands behind an estimate: its corrected p and the number of participants."""
    return f", p corr. {p_value(p)}, n = {number(n)}"


@mpl.rc_context(STYLE)
def correlations(table: pd.DataFrame, name: str) -> Markup:
    """Forest plot of the correlations: r with its 95 % interval, a panel per feature."""
    features = list(table["feature"].unique())
    rows = table["feature"].value_counts().max()
    figure, axes = panels(len(features), 3, 3.6, 0.9 + 0.3 * rows)
    for axis, feature in zip(axes, features, strict=True):
        part = table[table["feature"] == feature]
        names, more = part["clinical"].map(label), map(tested, part["p_corrected"], part["n"])
        forest(axis, part, ["r", "r_low", "r_high"], names, 0, more)
        axis.set(title=label(feature), xlabel="r (95 % interval)", xlim=(-1, 1))
    caption = f"Correlations of {', '.join(map(label, features))} with clinical columns"
    return to_svg(figure, name, caption)
