"""Logistic models fitted to everybody, refitted to bootstrap samples and to permuted columns.

The apparent predictions score the people that a model was fitted to. They are kept because
papers print them; on some 80 people their AUC is no forecast for new patients, as the same
models with permuted labels show beside it.
"""

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from workflow_scripts.baselines.cases import Cases, exchanged
from workflow_scripts.baselines.fit_features import read_cases
from workflow_scripts.baselines.linear import Fitted, fit, one_thread
from workflow_scripts.baselines.preparation import before
from workflow_scripts.baselines.sample_size import tabulate_instability, tabulate_sample_size
from workflow_scripts.common.job import job
from workflow_scripts.common.metrics import auc, scan_weights
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table


def fit_apparent(cases: Cases, x: np.ndarray, settings: dict, seed: int) -> Fitted:
    """The model of all cases."""
    once = np.ones(len(x), int)
    return fit(settings, x, cases.y, once, cases.person, seed, before(cases, settings))


def brier(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Weighted mean squared difference of probability and outcome."""
    return float(np.average((probability - truth) ** 2, weights=weight))


def apparent_predictions(cases: Cases, models: dict, classes: list[str], seed: int):
    """Every model's predictions of the people that it was fitted to, as split 0 of role train."""
    tables, names = [], np.array(classes)
    for model, settings in models.items():
        x = cases.matrix(settings)
        fitted = fit_apparent(cases, x, settings, seed)
        score = fitted.score(x)
        tables.append(
            cases.scans.assign(
                model=model,
                split=0,
                repeat=1,
                role="train",
                score=score,
                threshold=fitted.threshold,
                probability=fitted.probability(x),
                predicted=names[(score > fitted.threshold).astype(int)],
            )
        )
    return pd.concat(tables, ignore_index=True)[PREDICTIONS]


def draw_bootstrap(cases: Cases, number: int, seed: int) -> np.ndarray:
    """Times each scan is drawn, by participant within the class, at least two people of each."""
    rng = np.random.default_rng([seed, 1, number])
    _, first = np.unique(cases.person, return_index=True)
    y, weight = cases.y[first], np.zeros(len(first), int)
    for people in (np.flatnonzero(~y), np.flatnonzero(y)):
        while (weight[people] > 0).sum() < 2:
            drawn = rng.integers(len(people), size=len(people))
            weight[people] = np.bincount(drawn, minlength=len(people))
    return weight[cases.person]


def bootstrap(cases: Cases, models: dict, number: int, seed: int) -> list[dict]:
    """Repeat the whole procedure on one bootstrap sample, per model.

    Returns
    -------
    list of dict
        AUC and Brier score of the model of the bootstrap sample in that sample
        and in the original cases, its coefficients, and the probabilities of all cases.
    """
    weight = draw_bootstrap(cases, number, seed)
    inside, once = weight > 0, scan_weights(cases.person)
    rows = []
    for model, settings in models.items():
        x = cases.matrix(settings)
        with one_thread():
            drawn = (x[inside], cases.y[inside], weight[inside], cases.person[inside])
            fitted = fit(settings, *drawn, seed, before(cases, settings))
        probability = fitted.probability(x)
        rows.append(
            {
                "model": model,
                "bootstrap": number,
                "auc_bootstrap": auc(cases.y, probability, weight * once),
                "auc_original": auc(cases.y, probability, once),
                "brier_bootstrap": brier(cases.y, probability, weight * once),
                "brier_original": brier(cases.y, probability, once),
                "coefficients": fitted.coefficients,
                "probability": probability,
            }
        )
    return rows


def permute(cases: Cases, models: dict, number: int, seed: int) -> list[dict]:
    """Exchange the columns between participants and fit everybody again: the AUC by chance.

    Participants exchange them with others that have as many scans.
    """
    order = exchanged(cases.person, np.random.default_rng([seed, 2, number]))
    once = scan_weights(cases.person)
    rows = []
    for model, settings in models.items():
        x = cases.matrix(settings)[order]
        with one_thread():
            probability = fit_apparent(cases, x, settings, seed).probability(x)
        rows.append({"model": model, "permutation": number, "auc": auc(cases.y, probability, once)})
    return rows


def repeat_in_parallel(function, cases, models, times: int, seed: int, threads: int):
    """Rows of ``function(cases, models, number, seed)`` for the numbers 1..times."""
    results = Parallel(n_jobs=threads)(
        delayed(function)(cases, models, number, seed) for number in range(1, times + 1)
    )
    return pd.DataFrame([row for rows in results for row in rows])


def tabulate_coefficients(cases: Cases, models: dict, samples: pd.DataFrame, seed: int):
    """Apparent coefficients per standard deviation, with bootstrap percentile intervals.

    Parameters
    ----------
    samples : DataFrame
        Rows of `bootstrap`.

    Returns
    -------
    DataFrame
        Per model a row for the intercept and for each term: mean and SD of the
        term, coefficient and odds ratio per SD with limits, penalty, counts of participants.
    """
    tables = []
    once = scan_weights(cases.person)
    for model, settings in models.items():
        terms = cases.terms(settings["inputs"])
        fitted = fit_apparent(cases, cases.matrix(settings), settings, seed)
        drawn = np.stack(samples.loc[samples["model"] == model, "coefficients"].to_list())
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        table = pd.DataFrame(
            {
                "model": model,
                "term": ["intercept", *terms],
                "mean": [np.nan, *fitted.scaler.mean_],
                "sd": [np.nan, *fitted.scaler.scale_],
                "coefficient": fitted.coefficients,
                "coefficient_low": low,
                "coefficient_high": high,
                "penalty_c": fitted.penalty,
                "n_negative": round(once[~cases.y].sum()),
                "n_positive": round(once[cases.y].sum()),
            }
        )
        for name in ("", "_low", "_high"):
            ratio = np.exp(table[f"coefficient{name}"])
            table[f"odds_ratio{name}"] = ratio.where(table["term"] != "intercept")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def by_cases(models: dict) -> list[dict]:
    """Models of complete cases together, and each that imputes on its own: they share no people."""
    imputing = {key: own for key, own in models.items() if own["missing"] == "impute"}
    complete = {key: own for key, own in models.items() if key not in imputing}
    return [complete] * bool(complete) + [{key: own} for key, own in imputing.items()]


def main(source, out, params, threads: int):
    """Write what models of everybody, of bootstrap samples and of permuted columns give."""
    seed, made = params.seed, {}
    for models in by_cases(params.models):
        cases = read_cases(source, params, next(iter(models.values()))).inside()
        samples = repeat_in_parallel(bootstrap, cases, models, params.samples, seed, threads)
        with one_thread():
            apparent = apparent_predictions(cases, models, params.classes, seed)
            tables = {
                "predictions": apparent,
                "coefficients": tabulate_coefficients(cases, models, samples, seed),
                "samples": samples.drop(columns=["coefficients", "probability"]),
                "instability": tabulate_instability(cases, apparent, samples),
                "sample_size": tabulate_sample_size(cases, models),
            }
        tables["permutations"] = repeat_in_parallel(
            permute, cases, models, params.permutations, seed, threads
        )
        for name, table in tables.items():
            made.setdefault(name, []).append(table)
    for name, found in made.items():
        table = pd.concat(found, ignore_index=True)
        write_table(table, getattr(out, name), resource("columns/baselines.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.threads)
