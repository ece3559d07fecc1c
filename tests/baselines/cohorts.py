"""Small cohorts of the tests of table models."""

import numpy as np
import pandas as pd

from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.cohort.draw_splits import draw_splits

CLASSES, KEY = ["healthy", "ill"], "studies.s"
TRIALS = {
    "kind": "random_trials",
    "classes": CLASSES,
    "trials": 6,
    "train": {"healthy": 9, "ill": 6},
    "test": {"healthy": 3, "ill": 3},
    "repeat_minority": True,
}
FOLDS = {"kind": "folds", "classes": CLASSES, "folds": 3, "repeats": 2, "validation": False}
INPUTS = {"clinical": ["age", "sex"], "mri": ["a", "b"]}
AS_IS = {"missing": "complete_cases", "harmonize": False}
SVM = {"kind": "svm", "inputs": ["mri"], "penalties": [0.1, 1, 10]} | AS_IS
LOGISTIC = {
    "kind": "logistic",
    "inputs": ["mri"],
    "penalties": [0.1, 1, 10],
    "selection": "balanced_accuracy",
    "threshold": "half",
} | AS_IS
YOUDEN = LOGISTIC | {
    "penalties": [0.001, 0.01, 0.1, 1, 10],
    "selection": "log_loss",
    "threshold": "youden",
}
MAJORITY = {"kind": "majority"}
MODELS = {"svm": SVM, "logistic": LOGISTIC, "majority": MAJORITY}
LOGISTICS = {
    "clinical": YOUDEN | {"inputs": ["clinical"]},
    "mri": YOUDEN,
    "combined": YOUDEN | {"inputs": ["clinical", "mri"]},
}


def scans_of(healthy=14, ill=10, sessions=1, external=0):
    """Population, the last so many of each class external; with one session it has no name."""
    rows = [
        {
            "participant_id": f"sub-{name[0]}{i:02d}",
            "session_id": f"ses-{session + 1}" if sessions > 1 else None,
            "label": name,
            "external": "yes" if i >= n - external else "no",
        }
        for name, n in zip(CLASSES, (healthy, ill), strict=True)
        for i in range(n)
        for session in range(sessions)
    ]
    return pd.DataFrame(rows)


def tables(effect=0.0, seed=0, design=TRIALS, **sizes):
    """Splits, features and clinical columns; ``a`` is shifted by ``effect`` in the ill."""
    rng = np.random.default_rng(seed)
    scans = scans_of(**sizes)
    n, ill = len(scans), (scans["label"] == "ill").to_numpy()
    keys = scans[["participant_id", "session_id"]]
    features = keys.assign(a=rng.normal(size=n) + effect * ill, b=rng.normal(size=n))
    sex = np.where(np.arange(n) % 3 == 0, "M", "F")
    clinical = keys.assign(age=rng.normal(40, 10, n), sex=sex)
    return draw_splits(scans, design, seed, KEY), features, clinical


def cases_of(effect=0.0, seed=0, inputs=INPUTS, **settings):
    return build_cases(*tables(effect, seed, **settings), inputs, CLASSES, KEY)
