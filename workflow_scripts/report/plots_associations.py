"""Figures on associations with outcomes and on change over time, as inline SVG."""

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup

from workflow_scripts.report.plots import (
    BLUE,
    GREY,
    GROUPS,
    STYLE,
    dots,
    forest,
    panels,
    tested,
    to_svg,
)
from workflow_scripts.report.sessions import names_of
from workflow_scripts.report.text import label, number

WORSENED, STABLE = GROUPS[1], BLUE


@mpl.rc_context(STYLE)
def betas(table: pd.DataFrame, name: str) -> Markup:
    """Forest plot of standardized betas with 95 % intervals, a panel per outcome.

    Parameters
    ----------
    table : rows of associations.tsv of a feature alone
    """
    outcomes = list(table["outcome"].unique())
    rows = table["outcome"].value_counts().max()
    figure, axes = panels(len(outcomes), 2, 4.6, 0.9 + 0.3 * rows)
    for axis, outcome in zip(axes, outcomes, strict=True):
        part = table[table["outcome"] == outcome]
        names, more = part["feature"].map(label), map(tested, part["p_corrected"], part["n"])
        forest(axis, part, ["beta", "beta_low", "beta_high"], names, 0, more)
        axis.set(title=label(outcome), xlabel="standardized beta (95 % interval)")
    caption = f"Standardized betas of {', '.join(map(label, outcomes))} on each feature"
    return to_svg(figure, name, caption)


@mpl.rc_context(STYLE)
def spaghetti(sessions: pd.DataFrame, name: str) -> Markup:
    """Each participant's change since the first session in percent, a panel per feature.

    Parameters
    ----------
    sessions : trajectories.tsv
    """
    features = list(sessions["feature"].unique())
    figure, axes = panels(len(features), 3, 3.2, 2.7)
    colours = {"yes": WORSENED, "no": STABLE}
    for axis, feature in zip(axes, features, strict=True):
        axis.axhline(0, color=GREY, lw=0.8)
        later_ones = []
        for _, rows in sessions[sessions["feature"] == feature].groupby("participant_id"):
            if len(rows) > 1:
                values = rows["value"].to_numpy()
                colour = colours.get(rows["worsened"].iloc[0], GREY)
                change = 100 * (values / values[0] - 1)
                axis.plot(rows["years"], change, lw=1, alpha=0.6, color=colour)
                # Not of the first session, where everybody is at 0.
                later = zip(names_of(rows), rows["years"], change, values, strict=True)
                texts = [
                    f"{of}, {number(years)} years: {number(percent)} %, {number(value)}"
                    for of, years, percent, value in [*later][1:]
                ]
                later_ones += zip(
                    rows["years"][1:], change[1:], texts, [colour] * len(texts), strict=True
                )
        if later_ones:  # at once, which is faster
            x, y, texts, colour = zip(*later_ones, strict=True)
            dots(axis, x, y, texts, 3.5, alpha=0.6, color=colour)
        axis.set(title=label(feature), xlabel="years")
    axes[0].set_ylabel("change, %")
    handles = [mpl.lines.Line2D([], [], color=colour) for colour in colours.values()]
    axes[0].legend(handles, ["worsened", "stable"], fontsize=8, frameon=False, loc="lower left")
    caption = f"Change since the first session of {', '.join(map(label, features))}"
    return to_svg(figure, name, caption)
