"""The figure on radiomics, as inline SVG."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.lines import Line2D

from workflow_scripts.report.plots import DARK, GROUPS, STYLE, dots, offsets, panels, to_svg


@mpl.rc_context(STYLE)
def stability(table: pd.DataFrame, least: float, name: str) -> Markup:
    """ICC of each feature, a row per family, a colour per contrast, and the ICC asked for.

    Parameters
    ----------
    table : feature, contrast, family, name, n and icc
    """
    families, contrasts = list(table["family"].unique()), sorted(table["contrast"].unique())
    colours = {c: GROUPS[place % len(GROUPS)] for place, c in enumerate(contrasts)}
    known = table.dropna(subset="icc").sort_values("icc")
    figure, [axis] = panels(1, 1, 5.4, 1.1 + 0.28 * len(families))
    axis.axvline(least, color=DARK, lw=1, ls="--")
    for place, family in enumerate(families):
        rows = known[known["family"] == family]
        texts = [f"{r.contrast} {r.name}: ICC {r.icc:.2f}, n = {r.n}" for r in rows.itertuples()]
        heights = place + 0.6 * offsets(len(rows))
        style = {"c": rows["contrast"].map(colours), "alpha": 0.7} if len(rows) else {}
        dots(axis, rows["icc"], heights, texts, 4, **style)
    axis.set_yticks(np.arange(len(families)), families)
    axis.set(xlabel="ICC(A,1)", xlim=(min(0, known["icc"].min()) - 0.02, 1))
    axis.set_ylim(len(families) - 0.5, -0.5)
    if len(contrasts) > 1:
        handles = [
            Line2D([], [], marker="o", ls="", ms=5, color=colours[c], label=c) for c in contrasts
        ]
        place = {"loc": "outside upper center", "ncols": len(contrasts), "frameon": False}
        figure.legend(handles=handles, fontsize=9, handletextpad=0, **place)
    caption = f"ICC of each feature by family, and the ICC asked for, {least:g}"
    return to_svg(figure, name, caption)
