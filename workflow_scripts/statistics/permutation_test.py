"""Compare the models of a study with permutations of the labels.

With a refit for each, where a model's own job has made them. Where not, the labels of the tested
people are exchanged and the predictions stay: whether the score says anything of who is what,
given the models as they were trained.
"""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.metrics import over_splits, split_figures
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.predictions import PERMUTATIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import blocks_of
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.correction import corrected


def exchange_labels(
    rows: pd.DataFrame, permutations: int, seed: int, positive_class: str
) -> pd.DataFrame:
    """Figures of fixed predictions with the labels of the tested people exchanged.

    Each participant draws one number per permutation, the same in every split; on each test side
    the labels of a participant's scans, all together, go to another one with as many scans there,
    in the order of these numbers. So a class that changes between a participant's scans does so
    under every permutation too.

    Parameters
    ----------
    rows : DataFrame
        Predictions of one model, of test sides.

    Returns
    -------
    DataFrame
        Columns `PERMUTATIONS`.
    """
    rng, found = np.random.default_rng(seed), []
    names = np.unique(rows["participant_id"].to_numpy(str))
    drawn = rng.random((permutations, len(names)))
    for (model, split, repeat), part in rows.groupby(["model", "split", "repeat"], sort=False):
        people, person, scans = np.unique(
            part["participant_id"].to_numpy(str), return_inverse=True, return_counts=True
        )
        truth = (part["label"] == positive_class).to_numpy()
        place = np.searchsorted(names, people)
        called = np.tile(truth, (permutations, 1))
        for size in np.unique(scans):
            members = np.flatnonzero(scans == size)
            rows_of = np.stack([np.flatnonzero(person == member) for member in members])
            order = drawn[:, place[members]].argsort(axis=1)
            called[:, rows_of.ravel()] = truth[rows_of][order].reshape(permutations, -1)
        predicted = (part["predicted"] == positive_class).to_numpy()
        score = part["score"].to_numpy(float)
        found += [
            {"model": model, "split": split, "repeat": repeat, "permutation": number}
            | split_figures(labels, predicted, score, person)
            for number, labels in enumerate(called, start=1)
        ]
    return pd.DataFrame(found, columns=PERMUTATIONS)


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
    """Write the permutation tests of a study, of all models but those that rank nobody."""
    predictions, metrics = read_table(source.predictions), read_table(source.metrics)
    tables = [table for table in map(read_table, source.permutations) if len(table)]
    refitted = {model for table in tables for model in table["model"]}
    tested, rows = predictions[predictions["role"] == "test"], []
    for model, table in tested.groupby("model", sort=False):
        if (table.groupby(["split", "repeat"])["score"].nunique() < 2).all():
            continue
        if model in refitted:
            figures = pd.concat([one[one["model"] == model] for one in tables], ignore_index=True)
        else:
            figures = exchange_labels(table, params.permutations, params.seed, params.classes[1])
        pooled = blocks_of(table) is not None
        compared = compare_with_permutations(metrics, figures, pooled)
        rows.append(compared.assign(refitted="yes" if model in refitted else "no"))
    table = pd.concat(rows)
    table["p_holm"] = table.groupby("metric")["p"].transform(corrected, "holm")
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
