"""Compare the models of a study with their permutations of the labels."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.metrics import over_splits
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import blocks_of, read_splits
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.correction import corrected


def compare_with_permutations(
    metrics: pd.DataFrame, permutations: pd.DataFrame, pooled: bool
) -> pd.DataFrame:
    """Compare the observed values over the splits with those under permuted labels.

    Parameters
    ----------
    metrics : DataFrame
        From `split_metrics.evaluate`.
    permutations : DataFrame
        Columns ``PERMUTATIONS`` of `common.predictions`.
    pooled : bool
        How the figures of the splits are put together, see `over_splits`; as the observed ones.

    Returns
    -------
    DataFrame
        Columns model, metric, observed, null_mean, null_low, null_high (2.5
        and 97.5 percentiles), p = (1 + b) / (1 + n) with b permutations at
        least as good as the observed value, n_permutations.
    """
    overall = metrics[(metrics["split"] == "all") & (metrics["estimate"] == "test")]
    overall = overall.set_index(["model", "metric"])["value"]
    nulls = over_splits(permutations, ["model", "permutation"], pooled)
    rows = []
    for model, table in nulls.groupby("model", sort=False):
        for metric in ("balanced_accuracy", "auc"):
            null, observed = table[metric].to_numpy(float), overall[model, metric]
            low, high = np.percentile(null, [2.5, 97.5])
            rows.append(
                {
                    "model": model,
                    "metric": metric,
                    "observed": observed,
                    "null_mean": null.mean(),
                    "null_low": low,
                    "null_high": high,
                    "p": float(permutation_p(observed, null)),
                    "n_permutations": len(null),
                }
            )
    return pd.DataFrame(rows)


def main(source, out, params):
    """Write the permutation tests of a study."""
    splits = read_splits(source.splits)
    tables = [read_table(path) for path in source.permutations]
    permutations = pd.concat([table for table in tables if len(table)], ignore_index=True)
    tested, metrics = splits[splits["role"] == "test"], read_table(source.metrics)
    rows = []
    for _, table in permutations.groupby("model", sort=False):
        pooled = blocks_of(tested[tested["split"].isin(table["split"])]) is not None
        rows.append(compare_with_permutations(metrics, table, pooled))
    table = pd.concat(rows)
    table["p_holm"] = table.groupby("metric")["p"].transform(corrected, "holm")
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
