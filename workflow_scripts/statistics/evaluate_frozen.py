"""Figures of trained models on sessions of another cohort, where these have labels."""

import logging

import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.calibrate_models import calibration_figures
from workflow_scripts.statistics.split_metrics import evaluate

LOG = logging.getLogger(__name__)
TRAINING = r"model-(?P<model>.+)_split-(?P<split>\d+)_repeat-(?P<repeat>\d+)"


def evaluate_frozen(sessions: pd.DataFrame) -> pd.DataFrame:
    """Metrics and calibration of each training, and of those of a model by their mean score.

    Sessions of people that a model was trained on have no score, and take no part; nor do those
    whose label is none of its classes.

    Parameters
    ----------
    sessions : DataFrame
        From `predict_sessions` and `score_stacks`, with negative, positive and label.

    Returns
    -------
    DataFrame
        Columns of `evaluate`, estimate external; rows of brier, calibration_slope and
        calibration_intercept over all splits, where there are people of both classes.

    Raises
    ------
    InputError
        If no session that was scored has a label of the network's classes.
    """
    name = sessions["model"].str.extract(TRAINING)
    name["model"] = name["model"].fillna(sessions["model"])  # of version 0.6
    rows = sessions.assign(**name.fillna(1), role="external", threshold=0.0)
    rows = rows.astype({"split": int, "repeat": int})
    known = rows["label"].eq(rows["negative"]) | rows["label"].eq(rows["positive"])
    if (dropped := (rows["label"].notna() & ~known).sum()) > 0:
        LOG.warning("%d scores of sessions with another label take no part", dropped)
    rows = rows[known & rows["score"].notna()]
    if rows.empty:
        raise InputError(
            "frozen_label: no session that the networks may score has one of their classes; "
            "correct the key or the labels"
        )
    tables = []
    for classes, some in rows.groupby(["negative", "positive"]):
        tables.append(evaluate(some, list(classes)))
        if some["label"].nunique() < 2:
            LOG.warning("all labels are %s: no AUC, no calibration", some["label"].iloc[0])
            continue
        figures = calibration_figures(some, list(classes)).assign(split="all")
        tables.append(figures.assign(n=some["participant_id"].nunique()))
    return pd.concat(tables, ignore_index=True)


def main(source, out, params):
    """Write the figures."""
    table = evaluate_frozen(pd.concat([read_table(path) for path in source.predictions]))
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
