"""Support vector machine and logistic regression on a study's features."""

from dataclasses import replace

import numpy as np
import pandas as pd
import sklearn
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from workflow_scripts.baselines.design import SCAN, Design, build_design
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

MODELS = {
    "svm": SVC(kernel="linear"),
    "logistic": LogisticRegression(solver="newton-cholesky"),
}
GRID = (0.1, 1.0, 10.0)
INNER_FOLDS = 3
PREDICTIONS = ["trial", "model", *SCAN, "label", "score", "predicted"]


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of sensitivity and specificity; two bool arrays, both classes in ``truth``."""
    return (predicted[truth].mean() + (~predicted[~truth]).mean()) / 2


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    above = score[truth][:, None] - score[~truth][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def inner_folds(y: np.ndarray, person: np.ndarray, seed: int):
    """Stratified folds by participant inside the training side.

    Yields pairs of bool arrays over the rows: fitted, validated.
    """
    people, first = np.unique(person, return_index=True)
    n_splits = min(INNER_FOLDS, np.bincount(y[first]).min())
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    for _, validated in splitter.split(people, y[first]):
        outside = np.isin(person, people[validated])
        yield ~outside, outside


def fit_nested(model, x, y, weight, person, seed):
    """Fit scaler and model, C chosen by cross-validation inside these rows.

    Parameters
    ----------
    model : classifier with a parameter C
    x : float array, (R, F)
    y : bool array, (R,)
    weight : array, (R,)
        Times a row counts, for the scaler too: weight 2 is a row given twice.
    person : int array, (R,)
        Rows of one participant stay in one fold.
    seed : int

    Returns
    -------
    Pipeline
        Standardization and the model with the C of the highest mean balanced
        accuracy (the smallest of equal ones), fitted to all rows.
    """
    candidates = [clone(model).set_params(C=c) for c in GRID]
    gained = np.zeros(len(GRID))
    for inside, outside in inner_folds(y, person, seed):
        scaler = StandardScaler().fit(x[inside], sample_weight=weight[inside])
        fitted, validated = scaler.transform(x[inside]), scaler.transform(x[outside])
        for i, candidate in enumerate(candidates):
            candidate.fit(fitted, y[inside], sample_weight=weight[inside])
            gained[i] += balanced_accuracy(y[outside], candidate.predict(validated))
    pipeline = make_pipeline(StandardScaler(), candidates[np.argmax(gained.round(9))])
    name = pipeline.steps[-1][0]
    return pipeline.fit(
        x, y, **{"standardscaler__sample_weight": weight, f"{name}__sample_weight": weight}
    )


def score_trials(model, design: Design, seed: int):
    """Fit on the training side of every trial and score its test side.

    Yields per trial: rows of the test scans, their classes (bool), their decision values.
    """
    y = design.positive[design.person]
    for role, weight in zip(design.role, design.weight, strict=True):
        train = np.flatnonzero(role[design.person] == "train")
        test = np.flatnonzero(role[design.person] == "test")
        fitted = fit_nested(
            model,
            design.x[train],
            y[train],
            weight[design.person[train]],
            design.person[train],
            seed,
        )
        yield test, y[test], fitted.decision_function(design.x[test])


def predict(design: Design, classes: list[str], seed: int) -> pd.DataFrame:
    """Predictions of every model for the test scans of every trial.

    ``majority`` gives everyone the class with more training participants
    (the negative one if equal) and the training share of the positive class as score.

    Returns
    -------
    DataFrame
        Columns trial, model, participant_id, session_id, label, score, predicted.
    """
    scored = [
        (trial, name, test, y, score, score > 0)
        for name, model in MODELS.items()
        for trial, (test, y, score) in zip(
            design.trials, score_trials(model, design, seed), strict=True
        )
    ]
    for trial, role in zip(design.trials, design.role, strict=True):
        test = np.flatnonzero(role[design.person] == "test")
        share = design.positive[role == "train"].mean()
        y = design.positive[design.person[test]]
        scored.append((trial, "majority", test, y, share, np.full(len(test), share > 0.5)))

    names = np.array(classes)
    tables = [
        design.scans.iloc[test].assign(
            trial=trial,
            model=name,
            label=names[y.astype(int)],
            score=score,
            predicted=names[predicted.astype(int)],
        )
        for trial, name, test, y, score, predicted in scored
    ]
    return pd.concat(tables, ignore_index=True)[PREDICTIONS]


def permute(design: Design, number: int, seed: int) -> list[dict]:
    """One permutation: exchange the labels between participants and refit everything.

    A participant takes over another one's label together with its roles and
    weights in all trials, so that class sizes on every side stay those of the
    design. C is selected anew. Valid under exchangeability of participants,
    since the trials were drawn without looking at the features.
    """
    order = np.random.default_rng([seed, number]).permutation(len(design.positive))
    design = replace(
        design,
        positive=design.positive[order],
        role=design.role[:, order],
        weight=design.weight[:, order],
    )
    rows = []
    with (
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
        threadpool_limits(1),
    ):
        for name, model in MODELS.items():
            scored = list(score_trials(model, design, seed))
            rows.append(
                {
                    "model": name,
                    "permutation": number,
                    "balanced_accuracy": np.mean(
                        [balanced_accuracy(y, score > 0) for _, y, score in scored]
                    ),
                    "auc": np.mean([auc(y, score) for _, y, score in scored]),
                }
            )
    return rows


def permutation_table(design: Design, permutations: int, seed: int, threads: int) -> pd.DataFrame:
    """Columns model, permutation (1..n), balanced_accuracy, auc: means over the trials."""
    rows = Parallel(n_jobs=threads)(
        delayed(permute)(design, number, seed) for number in range(1, permutations + 1)
    )
    return pd.DataFrame(
        [row for pair in rows for row in pair],
        columns=["model", "permutation", "balanced_accuracy", "auc"],
    )


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        columns = resource("columns/baselines.tsv")
        design = build_design(
            read_table(snakemake.input.features),  # noqa: F821
            read_table(snakemake.input.trials),  # noqa: F821
            study["features"],
            study["classes"][1],
        )
        with threadpool_limits(1):
            predictions = predict(design, study["classes"], study["seed"])
        write_table(predictions, snakemake.output.predictions, columns)  # noqa: F821
        nulls = permutation_table(
            design,
            study["permutations"],
            study["seed"],
            snakemake.threads,  # noqa: F821
        )
        write_table(nulls, snakemake.output.permutations, columns)  # noqa: F821
