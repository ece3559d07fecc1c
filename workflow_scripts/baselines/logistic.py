"""Penalised logistic regression with everything fitted inside the training side."""

from contextlib import contextmanager

import numpy as np
import sklearn
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workflow_scripts.baselines.classify_features import auc, inner_folds

GRID = (0.001, 0.01, 0.1, 1.0, 10.0)
SMALLEST = 1e-12


@contextmanager
def one_thread():
    """One thread and no repeated checks of the arrays, for fits that agree to the last bit."""
    settings = {"assume_finite": True, "skip_parameter_validation": True}
    with threadpool_limits(1), sklearn.config_context(**settings):
        yield


def brier(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Weighted mean squared difference of probability and outcome."""
    return float(np.average((probability - truth) ** 2, weights=weight))


def weighted_auc(truth: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """AUC of rows that count ``weight`` times (whole numbers)."""
    rows = np.repeat(np.arange(len(truth)), weight)
    return auc(truth[rows], score[rows])


def youden_threshold(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Threshold with the highest sensitivity + specificity; positive is at or above it.

    Candidates are the midpoints between neighbouring probabilities; of equally
    good ones the nearest to the share of positives, which is also the threshold
    where all probabilities are equal.
    """
    share = np.average(truth, weights=weight)
    different = np.unique(probability)
    if len(different) == 1:
        return float(share)
    middle = (different[1:] + different[:-1]) / 2
    above = probability[None, :] >= middle[:, None]
    youden = (above @ (weight * truth)) / (weight @ truth)
    youden -= (above @ (weight * ~truth)) / (weight @ ~truth)
    best = np.flatnonzero(youden > youden.max() - 1e-9)
    return float(middle[best[np.argmin(abs(middle[best] - share))]])


def fit_logistic(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, seed: int
) -> tuple[Pipeline, float]:
    """Fit scaling, L2 penalty, coefficients and threshold to these rows alone.

    Parameters
    ----------
    x : float array, (N, F)
    y : bool array, (N,)
        Two rows at least of each class.
    weight : int array, (N,)
        Times a row counts, at least 1: weight 2 is a row given twice, and both
        stay in the same inner fold.
    seed : int

    Returns
    -------
    Pipeline
        Standardization and logistic regression with the C of the lowest
        log loss in the inner folds (the smallest C of equal ones).
    float
        Threshold of the probability with the highest Youden index in the
        predictions of the inner folds with that C.
    """
    inner = np.empty((len(GRID), len(y)))
    for inside, outside in inner_folds(y, np.arange(len(y)), seed):
        scaler = StandardScaler().fit(x[inside], sample_weight=weight[inside])
        fitted, validated = scaler.transform(x[inside]), scaler.transform(x[outside])
        for row, c in zip(inner, GRID, strict=True):
            model = LogisticRegression(C=c, solver="newton-cholesky")
            model.fit(fitted, y[inside], sample_weight=weight[inside])
            row[outside] = expit(validated @ model.coef_[0] + model.intercept_[0])
    likelihood = np.clip(np.where(y, inner, 1 - inner), SMALLEST, None)
    loss = -(np.log(likelihood) @ weight) / weight.sum()
    best = int(np.argmin(loss.round(9)))
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=GRID[best], solver="newton-cholesky")
    )
    pipeline.fit(
        x, y, standardscaler__sample_weight=weight, logisticregression__sample_weight=weight
    )
    return pipeline, youden_threshold(y, inner[best], weight)


def penalty(pipeline: Pipeline) -> float:
    """C, the inverse of the strength of the L2 penalty."""
    return pipeline[-1].C


def coefficients(pipeline: Pipeline) -> np.ndarray:
    """Intercept and standardised coefficients, (1 + F,)."""
    return np.concatenate([pipeline[-1].intercept_, pipeline[-1].coef_[0]])


def cross_validate(x, y, fold, seed: int):
    """Predict every row by a model fitted without its fold, in each repeat.

    Parameters
    ----------
    x : float array, (N, F)
    y : bool array, (N,)
    fold : int array, (R, N)
        Fold of each row in each repeat.
    seed : int

    Returns
    -------
    probability, threshold, c : float arrays, (R, N)
        Threshold and penalty are those of the training side.
    """
    probability, threshold, c = (np.empty(fold.shape) for _ in range(3))
    for repeat, row in enumerate(fold):
        for number in np.unique(row):
            test = row == number
            weight = np.ones((~test).sum(), int)
            pipeline, threshold[repeat, test] = fit_logistic(x[~test], y[~test], weight, seed)
            probability[repeat, test] = pipeline.predict_proba(x[test])[:, 1]
            c[repeat, test] = penalty(pipeline)
    return probability, threshold, c


def within_fold_auc(y, probability, fold) -> float:
    """Share of the pairs of a positive and a negative of the same test fold in the right order.

    Pairs of different folds are never compared: their probabilities come from
    different models, and pooling them biases the AUC (Airola et al. 2011,
    10.1016/j.csda.2010.11.018). Arguments as in `cross_validate`.
    """
    right = pairs = 0
    for row, score in zip(fold, probability, strict=True):
        for number in np.unique(row):
            test = row == number
            n = int(y[test].sum()) * int((~y[test]).sum())
            if n:
                right += n * auc(y[test], score[test])
                pairs += n
    return right / pairs
