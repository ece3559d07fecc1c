"""Predictions and permutations of all trainings of a study, in one table each."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table


def mean_permutations(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean over trials and repeats of each model's permutations.

    Parameters
    ----------
    tables : of single trainings: trial, model, repeat, permutation, balanced_accuracy, auc

    Returns
    -------
    DataFrame with model, permutation, balanced_accuracy, auc
    """
    table = pd.concat(tables, ignore_index=True)
    figures = ["balanced_accuracy", "auc"]
    return table.groupby(["model", "permutation"], sort=False)[figures].mean().reset_index()


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        columns = resource("columns/learning.tsv")
        predictions = pd.concat(map(read_table, source.predictions), ignore_index=True)
        write_table(predictions, out.predictions, columns)
        nulls = mean_permutations([read_table(path) for path in source.permutations])
        write_table(nulls, out.permutations, columns)
