"""Predictions of the tests, as a table and as arrays."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from workflow_scripts.statistics.scores import Scores

CLASSES, MODELS = ["non-NPSLE", "NPSLE"], ["clinical", "mri", "combined"]


def arrays(truth, score, fold=None, person=None, repeat_of_training=False) -> Scores:
    """Scores of N scans in R rows; ``score`` (R, N) or (N,) is a probability where within 0..1.

    Splits of different rows are different ones, unless the rows are trainings of one split.
    """
    score = np.atleast_2d(np.asarray(score, float))
    fold = np.zeros(score.shape, int) if fold is None else np.atleast_2d(fold)
    if not repeat_of_training:
        fold = np.where(fold < 0, -1, fold + 1000 * np.arange(len(fold))[:, None])
    person = np.arange(len(truth)) if person is None else person
    return Scores(truth, person, score, score, score > 0.5, fold)


def table(truth, probability, split, model="m", role="test", repeat=1, ids=None, session=None):
    """Rows of predictions of scans that were scored once; probabilities (N,)."""
    names, ids = np.array(CLASSES), np.arange(len(truth)) if ids is None else ids
    return pd.DataFrame(
        {
            "model": model,
            "split": split,
            "repeat": repeat,
            "participant_id": [f"sub-{i:03d}" for i in ids],
            "session_id": pd.Series([session] * len(truth), dtype=object),
            "label": names[np.asarray(truth).astype(int)],
            "role": role,
            "score": logit(probability),
            "threshold": 0.0,
            "probability": probability,
            "predicted": names[(probability > 0.5).astype(int)],
        }
    )


def of_folds(n=40, repeats=4, folds=4, seed=0, apparent=True, gains=(0, 1.5, 2)):
    """Informative mri and combined, uninformative clinical predictions, of repeated folds."""
    rng = np.random.default_rng(seed)
    truth, tables = np.arange(n) % 2 == 0, []
    for model, gain in zip(MODELS, gains, strict=True):
        for repeat in range(repeats):
            p = expit(rng.normal(size=n) + gain * (truth - 0.5))
            fold = rng.permutation(n) % folds if model == MODELS[0] else None
            if fold is None:
                fold = tables[repeat]["split"].to_numpy() - 1 - folds * repeat
            tables.append(table(truth, p, 1 + fold + folds * repeat, model))
    if apparent:
        for model, gain in zip(MODELS, gains, strict=True):
            p = expit(rng.normal(size=n) + gain * (truth - 0.5))
            tables.append(table(truth, p, 0, model, role="train"))
    return pd.concat(tables, ignore_index=True)


def of_trials(n=30, trials=4, tested=12, seed=0, model="m"):
    """Predictions of random trials, in which people are tested unequally often."""
    rng, tables = np.random.default_rng(seed), []
    for split in range(1, trials + 1):
        half = n // 2
        ids = np.concatenate([rng.choice(half, tested // 2, False) + half * k for k in (0, 1)])
        p = expit(rng.normal(size=tested) + 1.5 * (ids >= half) - 0.7)
        tables.append(table(ids >= half, p, split, model, ids=ids))
    return pd.concat(tables, ignore_index=True)


def external(predictions, n=14, seed=3):
    """Predictions with those of ``n`` external people by every split's model."""
    rng, tables = np.random.default_rng(seed), [predictions]
    truth = np.arange(n) % 2 == 0
    of_test = predictions[predictions["role"] == "test"]
    for model, split in of_test[["model", "split"]].drop_duplicates().itertuples(index=False):
        p = expit(rng.normal(size=n) + truth - 0.5)
        tables.append(table(truth, p, split, model, "external", ids=900 + np.arange(n)))
    return pd.concat(tables, ignore_index=True)


def with_scans(predictions, times=2, who=slice(None)):
    """The scans of participants (numbers in their order) as so many sessions of each."""
    chosen = predictions["participant_id"].isin(predictions["participant_id"].unique()[who])
    several = [predictions[chosen].assign(session_id=f"ses-{i}") for i in range(times)]
    first = predictions.assign(session_id="ses-0")
    return pd.concat([first, *several[1:]], ignore_index=True)


def with_repeats(predictions, times=3):
    """The same predictions by so many trainings of every split."""
    return pd.concat([predictions.assign(repeat=i + 1) for i in range(times)], ignore_index=True)
