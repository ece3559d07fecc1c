"""Linear models on table columns, with everything fitted inside the training side."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import sklearn
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

MODELS = {
    "svm": SVC(kernel="linear"),
    "logistic": LogisticRegression(solver="newton-cholesky"),
    # liblinear penalizes the intercept too, by what intercept_scaling leaves of it: a hundredth.
    "lasso": LogisticRegression(
        solver="liblinear",
        l1_ratio=1,
        intercept_scaling=100,
        tol=1e-6,
        max_iter=10000,
        random_state=0,
    ),
}
INNER_FOLDS = 3
SMALLEST = 1e-12


@contextmanager
def one_thread():
    """One thread and no repeated checks of the arrays, for fits that agree to the last bit."""
    settings = {"assume_finite": True, "skip_parameter_validation": True}
    with threadpool_limits(1), sklearn.config_context(**settings):
        yield


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of sensitivity and specificity; two bool arrays, both classes in ``truth``."""
    return (predicted[truth].mean() + (~predicted[~truth]).mean()) / 2


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


def youden_threshold(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Threshold with the highest sensitivity + specificity; positive is above it.

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


@dataclass(frozen=True)
class Fitted:
    """A fitted model: scaling and classifier, and the threshold of its score."""

    pipeline: Pipeline
    threshold: float

    def score(self, x: np.ndarray) -> np.ndarray:
        """Decision values; of a logistic model the log odds of the positive class."""
        return self.pipeline.decision_function(x)

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Probability of the positive class by a logistic model."""
        return expit(self.score(x))

    @property
    def penalty(self) -> float:
        """C, the inverse of the strength of the penalty."""
        return self.pipeline[-1].C

    @property
    def scaler(self) -> StandardScaler:
        """Means and standard deviations of the terms."""
        return self.pipeline[-2]

    @property
    def coefficients(self) -> np.ndarray:
        """Intercept and standardised coefficients, (1 + F,)."""
        return np.concatenate([self.pipeline[-1].intercept_, self.pipeline[-1].coef_[0]])


def fit(settings: dict, x, y, weight, person, seed: int, before=()) -> Fitted:
    """Fit scaling, penalty, coefficients and threshold to these rows alone.

    Parameters
    ----------
    settings : dict
        Of a model: ``kind`` (svm, logistic) and ``penalties`` (values of C); of a logistic one
        also ``selection`` (log_loss, balanced_accuracy), ``threshold`` (youden, half) and
        ``penalty`` (l2, l1), L2 where not given.
    x : float array, (N, F)
    y : bool array, (N,)
        Two participants at least of each class.
    weight : array, (N,)
        Times a row counts, for the scaler too: weight 2 is a row given twice.
    person : int array, (N,)
        Rows of one participant stay in one inner fold.
    seed : int
    before : tuple of transformers
        Fitted to the same rows before the scaling: `preparation.before`.

    Returns
    -------
    Fitted
        With the C of the lowest log loss over the inner folds, or the highest mean balanced
        accuracy in them (the smallest of equal ones), fitted to all rows.
    """
    kind = "lasso" if settings.get("penalty") == "l1" else settings["kind"]
    candidates = [clone(MODELS[kind]).set_params(C=float(c)) for c in settings["penalties"]]
    scores, gained = np.empty((len(candidates), len(y))), np.zeros(len(candidates))
    for inside, outside in inner_folds(y, person, seed):
        scaler = make_pipeline(*map(clone, before), StandardScaler())
        scaler.fit(x[inside], y[inside], standardscaler__sample_weight=weight[inside])
        fitted, validated = scaler.transform(x[inside]), scaler.transform(x[outside])
        for i, candidate in enumerate(candidates):
            candidate.fit(fitted, y[inside], sample_weight=weight[inside])
            scores[i, outside] = candidate.decision_function(validated)
            gained[i] += balanced_accuracy(y[outside], candidate.predict(validated))
    if settings.get("selection") == "log_loss":
        likelihood = np.clip(np.where(y, expit(scores), 1 - expit(scores)), SMALLEST, None)
        gained = (np.log(likelihood) @ weight) / weight.sum()
    best = int(np.argmax(gained.round(9)))
    pipeline = make_pipeline(*map(clone, before), StandardScaler(), candidates[best])
    name = pipeline.steps[-1][0]
    pipeline.fit(
        x, y, **{"standardscaler__sample_weight": weight, f"{name}__sample_weight": weight}
    )
    threshold = 0.0
    if settings.get("threshold") == "youden":
        chosen = youden_threshold(y, expit(scores[best]), weight)
        threshold = float(logit(np.clip(chosen, SMALLEST, 1 - SMALLEST)))
    return Fitted(pipeline, threshold)
