"""Fit a table model in every split and score its test side and the external participants."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.baselines.cases import Cases, build_cases
from workflow_scripts.baselines.linear import fit, one_thread
from workflow_scripts.common.job import job
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCORED, read_splits
from workflow_scripts.common.tables import read_table, write_table


def scored_rows(cases: Cases, split: int) -> np.ndarray:
    """Rows of the cases that a split (by its place) scores."""
    return np.flatnonzero(np.isin(cases.role[split], SCORED))


def fit_split(settings: dict, x: np.ndarray, cases: Cases, split: int, seed: int):
    """The model of a split (by its place)."""
    train = np.flatnonzero(cases.role[split] == "train")
    weight = cases.weight[split, train]
    return fit(settings, x[train], cases.y[train], weight, cases.person[train], seed)


def predict(cases: Cases, model: str, settings: dict, classes: list[str], seed: int):
    """Predictions of a model for the scored scans of every split, and the fitted models.

    ``majority`` gives everyone the class with more training participants (the negative one if
    equal) and the training share of the positive class as score and probability.

    Returns
    -------
    DataFrame
        Columns ``PREDICTIONS``.
    list of dict
        Of a linear model per split: terms, mean, sd, coefficients, intercept, threshold, penalty.
    """
    tables, fitted_models, names = [], [], np.array(classes)
    majority = settings["kind"] == "majority"
    terms = None if majority else cases.terms(settings["inputs"])
    for place, split in enumerate(cases.splits):
        rows = scored_rows(cases, place)
        if majority:
            trained = cases.role[place] == "train"
            _, first = np.unique(cases.person[trained], return_index=True)
            share = cases.y[trained][first].mean()
            score, threshold, probability = np.full(len(rows), share), 0.5, share
        else:
            fitted = fit_split(settings, terms.to_numpy(float), cases, place, seed)
            x = terms.to_numpy(float)[rows]
            score, threshold = fitted.score(x), fitted.threshold
            probability = fitted.probability(x) if settings["kind"] == "logistic" else np.nan
            scaler = fitted.pipeline[0]
            fitted_models.append(
                {
                    "split": int(split),
                    "terms": list(terms),
                    "mean": scaler.mean_.tolist(),
                    "sd": scaler.scale_.tolist(),
                    "intercept": float(fitted.coefficients[0]),
                    "coefficients": fitted.coefficients[1:].tolist(),
                    "threshold": threshold,
                    "penalty_c": fitted.penalty,
                }
            )
        tables.append(
            cases.scans.iloc[rows].assign(
                model=model,
                split=split,
                repeat=1,
                role=cases.role[place, rows],
                score=score,
                threshold=threshold,
                probability=probability,
                predicted=names[(score > threshold).astype(int)],
            )
        )
    return pd.concat(tables, ignore_index=True)[PREDICTIONS], fitted_models


def read_cases(source, params) -> Cases:
    """Cases of a study from the inputs and params that the rules of table models share."""
    return build_cases(
        read_splits(source.splits),
        read_table(source.features),
        read_table(source.clinical),
        params.inputs,
        params.classes,
        params.key,
    )


def main(source, out, params, wildcards):
    """Write the predictions of a model and the models of all splits."""
    cases = read_cases(source, params)
    with one_thread():
        predictions, models = predict(
            cases, wildcards.model, params.settings, params.classes, params.seed
        )
    write_table(predictions, out.predictions, resource("columns/baselines.tsv"))
    described = {"kind": params.settings["kind"], "classes": params.classes, "models": models}
    Path(out.models).write_text(json.dumps(described, indent=2) + "\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
