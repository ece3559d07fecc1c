"""Stability of features against the mask, as a step that is fitted to a model's training side."""

import logging

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from workflow_scripts.common.stability import MASKS, icc

LOG = logging.getLogger(__name__)


class Stable(TransformerMixin, BaseEstimator):
    """Features that change with the edge of their mask are 0 for everybody.

    It is given the terms of a model, then the features of every further mask, which it takes off,
    then what other steps need.

    Parameters
    ----------
    terms : number of the model's terms
    places : of those that are features of a region
    least : the ICC(A,1) over the masks from which each of them stays

    Attributes
    ----------
    icc_ : float array, (len(places),), of the training sessions; NaN where it is not known
    dropped_ : places of the terms that are 0: a smaller ICC, or none
    """

    def __init__(self, terms: int = 0, places: tuple[int, ...] = (), least: tuple[float, ...] = ()):
        self.terms = terms
        self.places = places
        self.least = least

    def fit(self, x, y=None):
        further = np.split(self._further(x), len(MASKS) - 1, axis=1)
        self.icc_, _ = icc(np.stack([x[:, list(self.places)], *further], axis=1))
        stays = self.icc_ >= np.array(self.least)
        self.dropped_ = [place for place, kept in zip(self.places, stays, strict=True) if not kept]
        if not stays.any():
            LOG.warning("no feature is as stable as asked for in %d training sessions", len(x))
        return self

    def transform(self, x):
        kept = np.delete(x, np.s_[self.terms : self.terms + self._further(x).shape[1]], axis=1)
        kept[:, self.dropped_] = 0
        return kept

    def _further(self, x):
        """Features of the further masks, (N, masks x features), one mask after the other."""
        return x[:, self.terms : self.terms + (len(MASKS) - 1) * len(self.places)]
