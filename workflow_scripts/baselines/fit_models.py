"""Logistic models of clinical, imaging and all columns on the same participants.

The apparent predictions score the people that a model was fitted to. They are
kept because papers print them; on some 80 people their AUC is no forecast for
new patients, as the same models with permuted labels show beside it.
"""

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from workflow_scripts.baselines.cases import Cases, build_cases
from workflow_scripts.baselines.classify_features import auc
from workflow_scripts.baselines.logistic import (
    brier,
    coefficients,
    cross_validate,
    fit_logistic,
    one_thread,
    penalty,
    weighted_auc,
    within_fold_auc,
)
from workflow_scripts.common.job import job
from workflow_scripts.common.people import SCAN
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

PREDICTIONS = ["model", "estimate", "repeat", "fold", *SCAN, "label", "probability"]
PREDICTIONS += ["threshold", "predicted", "penalty_c"]


def fit_apparent(cases: Cases, x: np.ndarray, seed: int):
    """Fit all cases; returns the pipeline, its probabilities of these cases, the threshold."""
    pipeline, threshold = fit_logistic(x, cases.y, np.ones(len(x), int), seed)
    return pipeline, pipeline.predict_proba(x)[:, 1], threshold


def predict(cases: Cases, classes: list[str], seed: int) -> pd.DataFrame:
    """Apparent and cross-validated predictions of every model.

    Returns
    -------
    DataFrame
        Columns ``PREDICTIONS``; estimate is ``apparent`` (repeat and fold missing)
        or ``cross_validated`` (one row per repeat and participant).
    """
    tables = []
    for model, terms in cases.x.items():
        x = terms.to_numpy(float)
        pipeline, probability, threshold = fit_apparent(cases, x, seed)
        tables.append(
            cases.scans.assign(
                model=model, estimate="apparent", y=cases.y, probability=probability,
                threshold=threshold, penalty_c=penalty(pipeline),
            )
        )  # fmt: skip
        probability, threshold, c = cross_validate(x, cases.y, cases.fold, seed)
        for i, fold in enumerate(cases.fold):
            tables.append(
                cases.scans.assign(
                    model=model, estimate="cross_validated", repeat=i + 1, fold=fold, y=cases.y,
                    probability=probability[i], threshold=threshold[i], penalty_c=c[i],
                )
            )  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    names = np.array(classes)
    table["label"] = names[table["y"].astype(int)]
    table["predicted"] = names[(table["probability"] >= table["threshold"]).astype(int)]
    return table.astype({"repeat": "Int64", "fold": "Int64"})[PREDICTIONS]


def draw_bootstrap(y: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Times each participant is drawn, within the class, at least two different of each."""
    rng = np.random.default_rng([seed, 1, number])
    weight = np.zeros(len(y), int)
    for people in (np.flatnonzero(~y), np.flatnonzero(y)):
        while (weight[people] > 0).sum() < 2:
            drawn = rng.integers(len(people), size=len(people))
            weight[people] = np.bincount(drawn, minlength=len(people))
    return weight


def bootstrap(cases: Cases, number: int, seed: int) -> list[dict]:
    """Repeat the whole procedure on one bootstrap sample, per model.

    Returns
    -------
    list of dict
        AUC and Brier score of the model of the bootstrap sample in that sample
        and in the original cases, and its coefficients (under ``coefficients``).
    """
    weight = draw_bootstrap(cases.y, number, seed)
    inside, once = weight > 0, np.ones(len(weight), int)
    rows = []
    for model, terms in cases.x.items():
        x = terms.to_numpy(float)
        with one_thread():
            pipeline, _ = fit_logistic(x[inside], cases.y[inside], weight[inside], seed)
        probability = pipeline.predict_proba(x)[:, 1]
        rows.append(
            {
                "model": model,
                "bootstrap": number,
                "auc_bootstrap": weighted_auc(cases.y, probability, weight),
                "auc_original": auc(cases.y, probability),
                "brier_bootstrap": brier(cases.y, probability, weight),
                "brier_original": brier(cases.y, probability, once),
                "coefficients": coefficients(pipeline),
            }
        )
    return rows


def permute(cases: Cases, number: int, seed: int) -> list[dict]:
    """Exchange the columns between participants and repeat the whole procedure.

    Labels and folds stay where they are, which is the same as permuting the
    labels and keeps the folds stratified.
    """
    order = np.random.default_rng([seed, 2, number]).permutation(len(cases.y))
    rows = []
    for model, terms in cases.x.items():
        x = terms.to_numpy(float)[order]
        with one_thread():
            apparent = auc(cases.y, fit_apparent(cases, x, seed)[1])
            probability, _, _ = cross_validate(x, cases.y, cases.fold, seed)
        honest = within_fold_auc(cases.y, probability, cases.fold)
        for estimate, value in (("apparent", apparent), ("cross_validated", honest)):
            rows.append({"model": model, "estimate": estimate, "permutation": number, "auc": value})
    return rows


def repeat_in_parallel(function, cases: Cases, times: int, seed: int, threads: int) -> pd.DataFrame:
    """Rows of ``function(cases, number, seed)`` for the numbers 1..times."""
    results = Parallel(n_jobs=threads)(
        delayed(function)(cases, number, seed) for number in range(1, times + 1)
    )
    return pd.DataFrame([row for rows in results for row in rows])


def tabulate_coefficients(cases: Cases, samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Apparent coefficients per standard deviation, with bootstrap percentile intervals.

    Parameters
    ----------
    cases : Cases
    samples : DataFrame
        Rows of `bootstrap`.
    seed : int

    Returns
    -------
    DataFrame
        Per model a row for the intercept and for each term: mean and SD of the
        term, coefficient and odds ratio per SD with limits, penalty, counts.
    """
    tables = []
    for model, terms in cases.x.items():
        pipeline, _, _ = fit_apparent(cases, terms.to_numpy(float), seed)
        drawn = np.stack(samples.loc[samples["model"] == model, "coefficients"].to_list())
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        table = pd.DataFrame(
            {
                "model": model,
                "term": ["intercept", *terms],
                "mean": [np.nan, *pipeline[0].mean_],
                "sd": [np.nan, *pipeline[0].scale_],
                "coefficient": coefficients(pipeline),
                "coefficient_low": low,
                "coefficient_high": high,
                "penalty_c": penalty(pipeline),
                "n_negative": int((~cases.y).sum()),
                "n_positive": int(cases.y.sum()),
            }
        )
        for name in ("", "_low", "_high"):
            ratio = np.exp(table[f"coefficient{name}"])
            table[f"odds_ratio{name}"] = ratio.where(table["term"] != "intercept")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


if "snakemake" in globals():
    with job(snakemake), one_thread():  # noqa: F821
        study, out = snakemake.params.study, snakemake.output  # noqa: F821
        block, seed, threads = study["models"], study["seed"], snakemake.threads  # noqa: F821
        described = resource("columns/baselines.tsv")
        cases = build_cases(
            read_table(snakemake.input.folds),  # noqa: F821
            read_table(snakemake.input.features),  # noqa: F821
            read_table(snakemake.input.participants),  # noqa: F821
            block,
            f"studies.{snakemake.wildcards.study}.models",  # noqa: F821
        )
        write_table(predict(cases, block["classes"], seed), out.predictions, described)
        samples = repeat_in_parallel(bootstrap, cases, block["bootstraps"], seed, threads)
        write_table(tabulate_coefficients(cases, samples, seed), out.coefficients, described)
        write_table(samples.drop(columns="coefficients"), out.bootstraps, described)
        permuted = repeat_in_parallel(permute, cases, block["permutations"], seed, threads)
        write_table(permuted, out.permutations, described)
