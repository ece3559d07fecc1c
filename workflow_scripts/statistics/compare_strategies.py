"""Compare models, such as strategies of contrastive learning, over the splits."""

import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics import repeated_measures

METRICS = ["accuracy", "balanced_accuracy", "auc"]


def compare_metrics(metrics: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Compare models in each of `METRICS`, over the splits that all of them have.

    Parameters
    ----------
    metrics : DataFrame
        From `split_metrics.evaluate`.
    models : names

    Returns
    -------
    DataFrame
        As `repeated_measures.compare_strategies`, with the column metric first.

    Raises
    ------
    InputError
        If a model has no metrics.
    """
    splits = metrics[(metrics["split"].astype(str) != "all") & (metrics["estimate"] == "test")]
    missing = [name for name in models if name not in set(splits["model"])]
    if missing:
        raise InputError(f"metrics: has no model {', '.join(missing)}; evaluate it first")
    splits = splits[splits["model"].isin(models)]
    splits = splits.assign(split=splits["split"].astype(int), strategy=splits["model"])
    tables = {
        metric: repeated_measures.compare_strategies(
            splits[splits["metric"] == metric]
            .pivot(index="split", columns="strategy", values="value")
            .reindex(columns=models)
        )
        for metric in METRICS
    }
    return pd.concat(tables, names=["metric"]).reset_index("metric").reset_index(drop=True)


def main(source, out, params):
    """Write the comparison of a study's models over the splits."""
    table = compare_metrics(read_table(source.metrics), params.models)
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
