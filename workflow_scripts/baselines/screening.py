"""Univariable screening of a model's terms, as a step that is fitted to its training side."""

import numpy as np
from scipy.special import xlogy
from scipy.stats import chi2
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression


def likelihood_ratio_p(x: np.ndarray, y: np.ndarray) -> float:
    """p of the likelihood-ratio test of one term (n,) in a logistic model of y (n,) bool.

    Finite too where the term separates the classes, which Wald's test is not.
    """
    spread = x.std()
    if spread == 0:
        return 1.0
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", max_iter=50)
    model.fit(((x - x.mean()) / spread)[:, None], y)
    fitted = model.predict_proba(((x - x.mean()) / spread)[:, None])[:, 1]
    gained = _log_likelihood(y, fitted) - _log_likelihood(y, np.full(len(y), y.mean()))
    return float(chi2.sf(2 * max(gained, 0.0), 1))


def _log_likelihood(y: np.ndarray, probability: np.ndarray) -> float:
    return float((xlogy(y, probability) + xlogy(~y, 1 - probability)).sum())


class Screening(TransformerMixin, BaseEstimator):
    """Terms without an association of their own with the class are 0 for everybody.

    Parameters
    ----------
    p : terms with a smaller p in the univariable logistic model stay; of none, the smallest does
    places : of the terms that are screened

    Attributes
    ----------
    dropped_ : places of the terms that are 0

    Notes
    -----
    Screening is published often and finds too little and too much (Sun et al. 1996,
    10.1016/0895-4356(96)00025-X): the model's own penalty is the better choice.
    """

    def __init__(self, p: float = 0.05, places: tuple[int, ...] = ()):
        self.p = p
        self.places = places

    def fit(self, x, y):
        p = np.array([likelihood_ratio_p(x[:, place], y) for place in self.places])
        dropped = p >= self.p
        if dropped.all() and len(p) == x.shape[1]:
            dropped[p.argmin()] = False
        self.dropped_ = [place for place, out in zip(self.places, dropped, strict=True) if out]
        return self

    def transform(self, x):
        kept = x.copy()
        kept[:, self.dropped_] = 0
        return kept
