"""Learners of a stack, from the simplest on."""

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

LEARNERS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=1.0)),
    "svm": CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC()), cv=3, ensemble=False),
    "random_forest": RandomForestClassifier(200, min_samples_leaf=3, random_state=0),
    "knn": make_pipeline(StandardScaler(), KNeighborsClassifier(7)),
    "gradient_boosting": GradientBoostingClassifier(n_estimators=50, max_depth=2, random_state=0),
}


def learner_of(name: str, y: np.ndarray, fold: np.ndarray):
    """A learner, with fewer neighbours or folds of its own where an inner fold leaves so few rows.

    Parameters
    ----------
    name : key of `LEARNERS`
    y, fold : of the rows that it is fitted to
    """
    model, left = clone(LEARNERS[name]), [y[fold != one] for one in np.unique(fold)]
    if name == "knn":
        neighbours = model[-1].n_neighbors
        model[-1].set_params(n_neighbors=min(neighbours, *map(len, left)))
    if name == "svm":
        model.set_params(cv=min(model.cv, *(min(part.sum(), (~part).sum()) for part in left)))
    return model
