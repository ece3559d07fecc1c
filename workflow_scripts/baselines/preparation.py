"""What is fitted to the columns of a training side before a model.

Stability of features, imputation and harmonization, which see no label, and screening, which does;
other sides are transformed by what the training side gave.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from workflow_scripts.baselines.cases import Cases
from workflow_scripts.baselines.screening import Screening
from workflow_scripts.baselines.stable import Stable
from workflow_scripts.common.metrics import ratio

FEWEST_SCANS = 3  # of a site, to know its location and scale
FEWEST_TERMS = 3  # that tell a site's effects from one another, for their empirical Bayes prior


def site_share(values: np.ndarray, site: np.ndarray) -> float:
    """Share of the variance of values (N,) that lies between sites (N,): eta squared."""
    known = np.isfinite(site) & np.isfinite(values)
    values, (_, number) = values[known], np.unique(site[known], return_inverse=True)
    means = np.bincount(number, values) / np.bincount(number)
    return float(
        ratio(((means[number] - values.mean()) ** 2).sum(), ((values - values.mean()) ** 2).sum())
    )


class ComBat(TransformerMixin, BaseEstimator):
    """Location and scale of each site brought to those of all, by empirical Bayes.

    The last column of what it is given is the number of the site, which it takes off. Scans of a
    site with fewer than three training scans, or none, stay as they are, and so do all where
    fewer than two sites have as many, and a column that is constant within one of the sites.

    Parameters
    ----------
    places : places of the columns that are harmonized

    Attributes
    ----------
    location_, scale_ : dicts of float arrays, (len(places),), by site
        Harmonized is ``location + scale * value``.

    Notes
    -----
    Johnson et al. 2007, 10.1093/biostatistics/kxj037; Fortin et al. 2018,
    10.1016/j.neuroimage.2017.11.024; estimated by neuroHarmonize, whose own application to other
    people fails unless all sites are among them, and gives nothing for an unknown site. With
    fewer than three columns that vary, or columns that are multiples of each other, there is no
    prior, and a site's own mean and variance are taken.
    """

    def __init__(self, places: tuple[int, ...] = ()):
        self.places = places

    def fit(self, x, y=None):
        values, site = x[:, list(self.places)], x[:, -1]
        known, counts = np.unique(site[np.isfinite(site)], return_counts=True)
        known = known[counts >= FEWEST_SCANS]
        rows = np.isin(site, known)
        within = [np.ptp(values[site == one], axis=0) > 0 for one in known]
        varies = np.all(within, axis=0) if len(known) else np.zeros(len(self.places), bool)
        self.location_, self.scale_ = {}, {}
        if len(known) < 2 or not varies.any():
            return self
        from neuroHarmonize import harmonizationLearn  # a second of imports that few models need

        data = values[rows][:, varies], pd.DataFrame({"SITE": site[rows]})
        for prior in (True, False) if varies.sum() >= FEWEST_TERMS else (False,):
            with np.errstate(all="ignore"):  # without a seed NumPy's generator would be set anew
                found, _ = harmonizationLearn(*data, eb=prior, seed=0)
            if np.isfinite(found["gamma_star"]).all() and np.isfinite(found["delta_star"]).all():
                break
        mean, sd = found["stand_mean"][:, 0], np.sqrt(found["var_pooled"][:, 0])
        for one, gamma, delta in zip(
            found["SITE_labels"], found["gamma_star"], found["delta_star"], strict=True
        ):
            scale, location = np.ones(len(varies)), np.zeros(len(varies))
            scale[varies] = 1 / np.sqrt(delta)
            location[varies] = mean - (mean + sd * np.asarray(gamma)) / np.sqrt(delta)
            self.location_[float(one)], self.scale_[float(one)] = location, scale
        return self

    def transform(self, x):
        values, site = x[:, :-1].copy(), x[:, -1]
        for one, location in self.location_.items():
            of_site = np.ix_(site == one, list(self.places))
            values[of_site] = location + self.scale_[one] * values[of_site]
        return values


class Imputer(TransformerMixin, BaseEstimator):
    """Each missing value from a scan's other columns by Bayesian ridge regression, in turn.

    Parameters
    ----------
    terms : number of columns that it reads; further ones are passed on
    """

    def __init__(self, terms: int = 0):
        self.terms = terms

    def fit(self, x, y=None):
        self.imputer_ = IterativeImputer(
            keep_empty_features=True, skip_complete=True, random_state=0
        )
        self.imputer_.fit(x[:, : self.terms])
        return self

    def transform(self, x):
        filled = self.imputer_.transform(x[:, : self.terms])
        return np.column_stack([filled, x[:, self.terms :]])


def before(cases: Cases, settings: dict) -> tuple:
    """Unfitted steps of a model between `Cases.matrix` and its scaling."""
    terms = list(cases.terms(settings["inputs"]))
    measured = tuple(place for place, name in enumerate(terms) if name in cases.measured)
    places, least = cases.radiomics(settings["inputs"])
    steps = [Stable(len(terms), places, least)] if places else []
    steps += [Imputer(len(terms))] if settings["missing"] == "impute" else []
    steps += [ComBat(measured)] if settings["harmonize"] else []
    if screening := settings.get("screening"):
        steps.append(Screening(screening, tuple(range(len(terms)))))
    return tuple(steps)


def described(pipeline, cases: Cases, settings: dict) -> dict:
    """What a fitted model does to its terms before the scaling, for the file of models.

    ``harmonized``: terms, and by site location and scale (location + scale * value); sites that
    are not there were too few in training, and are left as they are. ``imputed``: whether
    missing values are. ``screened_out``, ``unstable``: terms that count as 0.
    """
    found = {"imputed": True} if settings["missing"] == "impute" else {}
    terms = list(cases.terms(settings["inputs"]))
    if isinstance(pipeline[0], Stable):
        found["unstable"] = [terms[place] for place in pipeline[0].dropped_]
    if settings.get("screening"):
        found["screened_out"] = [terms[place] for place in pipeline[-3].dropped_]
    if settings["harmonize"]:
        combat = next(step for step in pipeline if isinstance(step, ComBat))
        found["harmonized"] = {
            "terms": [terms[place] for place in combat.places],
            "sites": {
                cases.sites[int(one)]: {
                    "location": combat.location_[one].tolist(),
                    "scale": combat.scale_[one].tolist(),
                }
                for one in combat.location_
            },
        }
    return found
