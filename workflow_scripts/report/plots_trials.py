"""Plots of classifiers that random trials tested."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from sklearn.metrics import roc_curve

from workflow_scripts.report.plots import BLUE, DARK, GREY, STYLE, panels, strips, to_svg
from workflow_scripts.report.text import label


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
            axis.plot(fpr, tpr, color=BLUE, lw=0.8, alpha=0.5)
            curves.append(np.interp(grid, fpr, tpr))
        mean = np.concatenate([[0], np.mean(curves, axis=0)])
        axis.plot(np.concatenate([[0], grid]), mean, color=DARK, lw=2.5)
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
