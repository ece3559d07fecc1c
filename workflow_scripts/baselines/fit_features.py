"""Fit a table model in every split and score its test side and the external participants."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.baselines.cases import Cases, build_cases
from workflow_scripts.baselines.linear import fit, one_thread
from workflow_scripts.baselines.preparation import before, described
from workflow_scripts.common.engines import region_label
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
    steps = before(cases, settings)
    return fit(settings, x[train], cases.y[train], weight, cases.person[train], seed, steps)


def predict(cases: Cases, model: str, settings: dict, classes: list[str], seed: int):
    """Predictions of a model for the scored scans of every split, and the fitted models.

    ``majority`` gives everyone the class with more training participants (the negative one if
    equal) and the training share of the positive class as score and probability.

    Returns
    -------
    DataFrame
        Columns ``PREDICTIONS``.
    list of dict
        Of a linear model per split: terms, mean, sd, coefficients, intercept, threshold, penalty,
        and what was done before, see `preparation.described`.
    """
    tables, fitted_models, names = [], [], np.array(classes)
    majority = settings["kind"] == "majority"
    terms = [] if majority else list(cases.terms(settings["inputs"]))
    x = None if majority else cases.matrix(settings)
    for place, split in enumerate(cases.splits):
        rows = scored_rows(cases, place)
        if majority:
            trained = cases.role[place] == "train"
            _, first = np.unique(cases.person[trained], return_index=True)
            share = cases.y[trained][first].mean()
            score, threshold, probability = np.full(len(rows), share), 0.5, share
        else:
            fitted = fit_split(settings, x, cases, place, seed)
            score, threshold = fitted.score(x[rows]), fitted.threshold
            probability = fitted.probability(x[rows]) if settings["kind"] == "logistic" else np.nan
            fitted_models.append(
                {
                    "split": int(split),
                    "terms": terms,
                    **described(fitted.pipeline, cases, settings),
                    "mean": fitted.scaler.mean_.tolist(),
                    "sd": fitted.scaler.scale_.tolist(),
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


def read_cases(source, params, settings: dict, together: list[str] | None = None) -> Cases:
    """Cases of a model from the inputs and params that the rules of table models share.

    Those without a missing value in the inputs ``together``, which are where not given those of
    all models that take complete cases; all scans where the model imputes.
    """
    imputed = settings.get("missing") == "impute"
    names = settings["inputs"] if imputed else together or params.together
    inputs = {name: params.inputs[name] for name in names}
    regions = {one["region"] for one in inputs.values() if isinstance(one, dict)}
    return build_cases(
        read_splits(source.splits),
        read_table(source.features),
        read_table(source.clinical),
        inputs,
        params.classes,
        params.key,
        imputed,
        {
            region: read_table(path)
            for region in regions
            for path in source.radiomics
            if Path(path).name.startswith(f"{region_label(region)}_")
        },
    )


def main(source, out, params, wildcards):
    """Write the predictions of a model and the models of all splits."""
    cases = read_cases(source, params, params.settings)
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
