"""Classifier metrics with confidence intervals, and permutation tests."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.metrics import (
    METRICS,
    PROPORTIONS,
    auc_interval,
    balanced_accuracy_interval,
    metrics,
    ratio,
    wilson,
)


def evaluate_trial(rows: pd.DataFrame, positive_class: str) -> list[dict]:
    """Metrics of one model in one trial, with intervals (rows taken as independent)."""
    positive = (rows["label"] == positive_class).to_numpy()
    predicted = (rows["predicted"] == positive_class).to_numpy()
    weight = np.ones((1, len(rows)))
    found = metrics(positive, predicted, rows["score"].to_numpy(float), weight)
    value = {name: array[0] for name, array in found.items()}
    interval = {
        name: wilson(sum(value[c] for c in hits), sum(value[c] for c in total))
        for name, (hits, total) in PROPORTIONS.items()
    }
    interval["balanced_accuracy"] = balanced_accuracy_interval(
        *((value[name], *interval[name]) for name in ("sensitivity", "specificity"))
    )
    interval["auc"] = auc_interval(value["auc"], positive.sum(), (~positive).sum())
    method = dict.fromkeys(PROPORTIONS, "Wilson")
    method |= {"balanced_accuracy": "Zou-Donner from Wilson", "auc": "Newcombe method 5"}
    counts = {name: int(value[name]) for name in ("tn", "fp", "fn", "tp")}
    return [
        {
            "metric": name,
            "value": value[name],
            "ci_low": interval[name][0],
            "ci_high": interval[name][1],
            "ci_method": method[name],
            "n": len(rows),
            **counts,
        }
        for name in METRICS
    ]


def evaluate_all(rows: pd.DataFrame, positive_class: str, bootstraps: int, seed: int):
    """Means over the trials of one model, with a bootstrap over patients.

    The trials share patients, so patients are drawn (with replacement, within
    their class) and the mean over the trials is formed again with every test
    row counted as often as its patient was drawn. Trials in which a metric is
    undefined are left out of its mean. The interval is that of the test
    patients; training is not repeated. Where all samples give the same value
    (everyone right, or a constant prediction) the bootstrap says nothing, and
    the interval is that of a single trial with each patient's first test row.

    Returns
    -------
    list of dict
        As `evaluate_trial`, with sd (over the trials) and n_trials (with a
        defined value); the counts are summed over the trials.
    """
    rng = np.random.default_rng(seed)
    people = rows.groupby("participant_id")["label"].first()
    drawn = np.zeros((bootstraps + 1, len(people)))
    drawn[0] = 1
    for label in sorted(people.unique()):
        members = np.flatnonzero(people == label)
        equal = np.full(len(members), 1 / len(members))
        drawn[1:, members] = rng.multinomial(len(members), equal, size=bootstraps)
    trials = []
    for _, table in rows.groupby("trial"):
        trials.append(
            metrics(
                (table["label"] == positive_class).to_numpy(),
                (table["predicted"] == positive_class).to_numpy(),
                table["score"].to_numpy(float),
                drawn[:, people.index.get_indexer(table["participant_id"])],
            )
        )
    counts = {c: int(sum(trial[c][0] for trial in trials)) for c in ("tn", "fp", "fn", "tp")}
    once = evaluate_trial(rows.drop_duplicates("participant_id"), positive_class)
    single = {row["metric"]: row for row in once}
    n_positive = int((people == positive_class).sum())
    result = []
    for name in METRICS:
        values = np.stack([trial[name] for trial in trials])
        defined = np.isfinite(values)
        means = ratio(np.where(defined, values, 0).sum(0), defined.sum(0))
        observed = values[defined[:, 0], 0]
        sampled = means[1:][np.isfinite(means[1:])]
        method = "patient bootstrap"
        if len(sampled) and np.ptp(sampled) > 1e-9:
            low, high = np.percentile(sampled, [2.5, 97.5])
        else:
            low, high = single[name]["ci_low"], single[name]["ci_high"]
            if name == "auc":  # scores of different trials have no common scale
                low, high = auc_interval(means[0], n_positive, len(people) - n_positive)
            method = f"{single[name]['ci_method']}, one scan per patient"
        result.append(
            {
                "metric": name,
                "value": means[0],
                "sd": observed.std(ddof=1) if len(observed) > 1 else np.nan,
                "ci_low": low,
                "ci_high": high,
                "ci_method": method,
                "n": len(people),
                "n_trials": len(observed),
                **counts,
            }
        )
    return result


def evaluate(predictions: pd.DataFrame, classes, bootstraps: int, seed: int) -> pd.DataFrame:
    """Metrics of every model per trial and over all trials.

    Parameters
    ----------
    predictions : DataFrame
        Columns trial, model, participant_id, session_id, label, score, predicted.
    classes : [negative, positive]
    bootstraps, seed : int

    Returns
    -------
    DataFrame
        Columns model, trial (1..n, then ``all``), metric, value, sd, ci_low,
        ci_high, ci_method, n (test scans of the trial; participants for
        ``all``), n_trials, tn, fp, fn, tp.

    Raises
    ------
    InputError
        If a label or prediction is none of the classes.
    """
    for column in ("label", "predicted"):
        predictions = predictions.assign(**{column: predictions[column].astype(str)})
        unknown = sorted(set(predictions[column]) - set(classes))
        if unknown:
            raise InputError(
                f"predictions: {column} holds {unknown}, the classes are {classes}; "
                "make the predictions again"
            )
    rows = []
    for model, table in predictions.groupby("model", sort=False):
        for trial, part in table.groupby("trial"):
            for row in evaluate_trial(part, classes[1]):
                rows.append({"model": model, "trial": str(trial)} | row)
        for row in evaluate_all(table, classes[1], bootstraps, seed):
            rows.append({"model": model, "trial": "all"} | row)
    columns = ["model", "trial", "metric", "value", "sd", "ci_low", "ci_high", "ci_method"]
    columns += ["n", "n_trials", "tn", "fp", "fn", "tp"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"n_trials": "Int64"})


def permutation_test(metrics_table: pd.DataFrame, permutations: pd.DataFrame) -> pd.DataFrame:
    """Compare the observed means over the trials with those under permuted labels.

    Parameters
    ----------
    metrics_table : DataFrame
        From `evaluate`.
    permutations : DataFrame
        Columns model, permutation, balanced_accuracy, auc.

    Returns
    -------
    DataFrame
        Columns model, metric, observed, null_mean, null_low, null_high (2.5
        and 97.5 percentiles), p = (1 + b) / (1 + n) with b permutations at
        least as good as the observed value, n_permutations.
    """
    overall = metrics_table[metrics_table["trial"] == "all"].set_index(["model", "metric"])["value"]
    rows = []
    for model, table in permutations.groupby("model", sort=False):
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


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        described = resource("columns/statistics.tsv")
        predictions = pd.concat([read_table(path) for path in snakemake.input.predictions])  # noqa: F821
        table = evaluate(predictions, study["classes"], study["bootstraps"], study["seed"])
        write_table(table, snakemake.output.metrics, described)  # noqa: F821
        nulls = pd.concat([read_table(path) for path in snakemake.input.permutations])  # noqa: F821
        tested = permutation_test(table, nulls)
        write_table(tested, snakemake.output.permutation_test, described)  # noqa: F821
