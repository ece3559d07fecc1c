"""Compare the strategies of contrastive learning over the trials."""

import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics import repeated_measures

METRICS = ["accuracy", "balanced_accuracy", "auc"]
PREFIX = "contrastive_"


def compare_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Compare the models contrastive_<strategy> in each of `METRICS`.

    Parameters
    ----------
    metrics : DataFrame
        From `evaluate_classifiers.evaluate`.

    Returns
    -------
    DataFrame
        As `repeated_measures.compare_strategies`, with the column metric first.

    Raises
    ------
    InputError
        If no model is named so.
    """
    trials = metrics[metrics["trial"].astype(str) != "all"]
    trials = trials[trials["model"].str.startswith(PREFIX)]
    if trials.empty:
        raise InputError(
            f"metrics: no model is named {PREFIX}<strategy>; evaluate the contrastive models"
        )
    strategies = trials["model"].str.removeprefix(PREFIX)
    trials = trials.assign(trial=trials["trial"].astype(int), strategy=strategies)
    tables = {
        metric: repeated_measures.compare_strategies(
            trials[trials["metric"] == metric]
            .pivot(index="trial", columns="strategy", values="value")
            .reindex(columns=strategies.unique())
        )
        for metric in METRICS
    }
    return pd.concat(tables, names=["metric"]).reset_index("metric").reset_index(drop=True)


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        table = compare_metrics(read_table(snakemake.input.metrics))  # noqa: F821
        write_table(table, snakemake.output.table, resource("columns/statistics.tsv"))  # noqa: F821
