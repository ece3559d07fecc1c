"""Figures on segmentations against masks drawn by hand, as inline SVG."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy import stats

from workflow_scripts.report.plots import (
    BLUE,
    DARK,
    GREY,
    GROUPS,
    STYLE,
    dots,
    offsets,
    panels,
    to_svg,
)
from workflow_scripts.report.sessions import names_of
from workflow_scripts.report.text import number

FEWEST = 5


def figures(overlaps: pd.DataFrame, region: str) -> dict[str, Markup]:
    """Violins of Dice, and Bland-Altman plots, of both sides together.

    Parameters
    ----------
    overlaps : rows of overlap.tsv of one region that have numbers
    """
    both = overlaps[overlaps["side"] == "both"]
    pairs = both.groupby(["engine", "reference"], sort=False)["participant_id"].nunique()
    found = {"dice": violins(both, f"segmentation-{region}-dice")}
    if (pairs >= FEWEST).any():
        found["volumes"] = bland_altman(
            both, pairs[pairs >= FEWEST].index, f"segmentation-{region}-volumes"
        )
    return found


@mpl.rc_context(STYLE)
def violins(both: pd.DataFrame, name: str) -> Markup:
    """Dice of each engine with each rater, a panel per rater."""
    raters = list(both["reference"].unique())
    most = both.groupby("reference")["engine"].nunique().max()
    figure, axes = panels(len(raters), 2, max(2.8, 0.75 * most + 1), 2.8)
    for axis, rater in zip(axes, raters, strict=True):
        rows = both[both["reference"] == rater]
        names = list(rows["engine"].unique())
        groups = [rows.loc[rows["engine"] == one, "dice"] for one in names]
        titles = names_of(rows)
        for place, values in enumerate(groups, 1):
            colour = GROUPS[(place - 1) % len(GROUPS)]
            if len(values) >= FEWEST and np.ptp(values) > 0:
                body = axis.violinplot([values], [place], widths=0.8, showextrema=False)
                body["bodies"][0].set(facecolor=colour, alpha=0.3)
            texts = titles[values.index] + ": " + values.map("{:.3f}".format)
            aside = place + 0.3 * offsets(len(values))
            dots(axis, aside, values, texts, 4, color=colour, alpha=0.7)
            axis.hlines(np.median(values), place - 0.25, place + 0.25, color="black", lw=1.2)
        axis.set_xticks(
            range(1, len(names) + 1),
            [f"{n}\nn = {len(g)}" for n, g in zip(names, groups, strict=True)],
        )
        axis.set(title=f"against {rater}", xlim=(0.4, len(names) + 0.6))
        axis.set_ylim(top=1)
    axes[0].set_ylabel("Dice")
    return to_svg(figure, name, "Dice of each engine with each rater, a dot per session")


@mpl.rc_context(STYLE)
def bland_altman(both: pd.DataFrame, pairs, name: str) -> Markup:
    """Difference of volumes against their mean: bias, limits of agreement and the slope."""
    figure, axes = panels(len(pairs), 3, 3.1, 2.7)
    for axis, (engine, rater) in zip(axes, pairs, strict=True):
        rows = both[(both["engine"] == engine) & (both["reference"] == rater)]
        rows = rows.drop_duplicates("participant_id")
        found, drawn = rows["volume_ml"].to_numpy(), rows["reference_volume_ml"].to_numpy()
        middle, difference = (found + drawn) / 2, found - drawn
        bias, sd = difference.mean(), difference.std(ddof=1)
        axis.axhline(0, color=GREY, lw=0.8)
        axis.axhline(bias, color=DARK, lw=1.2)
        for limit in (bias - 1.96 * sd, bias + 1.96 * sd):
            axis.axhline(limit, color=DARK, lw=1, ls="--")
        if np.ptp(middle) > 0:
            fit = stats.linregress(middle, difference)
            ends = np.array([middle.min(), middle.max()])
            axis.plot(ends, fit.intercept + fit.slope * ends, color=GROUPS[1], lw=1.2)
        texts = [
            f"{of}: {engine} {number(one)} mL, {rater} {number(other)} mL"
            for of, one, other in zip(names_of(rows), found, drawn, strict=True)
        ]
        dots(axis, middle, difference, texts, 5, alpha=0.7, color=BLUE)
        axis.set(title=f"{engine} - {rater}", xlabel="mean, mL")
    axes[0].set_ylabel("difference, mL")
    caption = "Difference of volumes against their mean, with bias, limits of agreement and slope"
    return to_svg(figure, name, caption)
