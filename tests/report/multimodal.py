"""Tables of a study with three classes, by the workflow's own functions, of simulated people."""

from functools import cache

import numpy as np
import pandas as pd

from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.draw_folds import draw_folds
from workflow_scripts.baselines.fit_models import (
    bootstrap,
    permute,
    predict,
    repeat_in_parallel,
    tabulate_coefficients,
)
from workflow_scripts.statistics.compare_groups import compare_groups
from workflow_scripts.statistics.compare_models import compare_models
from workflow_scripts.statistics.correlate_features import correlate_features
from workflow_scripts.statistics.curves import draw_patients
from workflow_scripts.statistics.describe_population import describe
from workflow_scripts.statistics.evaluate_models import (
    as_arrays,
    tabulate_curves,
    tabulate_metrics,
)

CLASSES = ["control", "non-NPSLE", "NPSLE"]
FEATURES = ["alps", "nwi", "lumen_area_mm2"]
STUDY = {
    "label": "group",
    "classes": CLASSES,
    "requires": ["dwi"],
    "split": 2,
    "seed": 1,
    "bootstraps": 100,
    "table1": ["age", "sex", "sledai_2k"],
    "comparison": {"features": FEATURES, "correction": "holm"},
    "correlations": {
        "features": FEATURES[:2],
        "clinical": ["moca", "sledai_2k"],
        "covariates": ["age"],
        "method": "spearman",
        "correction": "fdr_bh",
        "classes": CLASSES[1:],
    },
    "models": {
        "classes": CLASSES[1:],
        "clinical": ["age", "sledai_2k"],
        "mri": FEATURES[:2],
        "folds": 3,
        "repeats": 2,
        "permutations": 3,
        "bootstraps": 6,
    },
}


def simulate() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Population, features and participants: 12 of each class, ALPS falls, NWI rises."""
    rng = np.random.default_rng(3)
    label = np.repeat(CLASSES, 12)
    shift = np.repeat([0.0, 1.0, 2.0], 12)
    ids = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(36)]})
    population = ids.assign(session_id=np.nan, label=label)
    features = ids.assign(
        session_id=np.nan,
        alps=rng.normal(1.6, 0.12, 36) - 0.12 * shift,
        nwi=rng.normal(0.45, 0.03, 36) + 0.04 * shift,
        lumen_area_mm2=rng.normal(6, 0.5, 36),
    )
    features.loc[[0, 15], "nwi"] = np.nan
    participants = ids.assign(
        age=rng.integers(20, 70, 36).astype(float),
        sex=rng.choice(["F", "M"], 36, p=[0.8, 0.2]),
        sledai_2k=np.where(label == "control", np.nan, rng.integers(0, 20, 36)),
        moca=np.round(25 + 8 * (features["alps"] - 1.5) + rng.normal(0, 1, 36)),
    )
    return population, features, participants


@cache
def tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Wing and content of each table of the study."""
    population, features, participants = simulate()
    people = population.merge(participants, on="participant_id")
    values = features.set_index("participant_id")[FEATURES]
    groups, pairwise = compare_groups(population, values, CLASSES, "holm", 100, 1)
    lupus = people[people["label"] != "control"].set_index("participant_id")
    block = STUDY["correlations"]
    correlations = correlate_features(
        values.loc[lupus.index, block["features"]],
        lupus[block["clinical"]],
        lupus[block["covariates"]],
        block["method"],
        block["correction"],
    ).assign(classes=", ".join(block["classes"]))
    block = STUDY["models"]
    folds = draw_folds(population, block["classes"], block["folds"], block["repeats"], 1, "models")
    cases = build_cases(folds, features, participants, block, "models")
    predictions = predict(cases, block["classes"], 1)
    samples = repeat_in_parallel(bootstrap, cases, block["bootstraps"], 1, 1)
    permuted = repeat_in_parallel(permute, cases, block["permutations"], 1, 1)
    arrays = {
        key: as_arrays(rows, block["classes"])
        for key, rows in predictions.groupby(["model", "estimate"], sort=False)
    }
    drawn = draw_patients(next(iter(arrays.values()))[0], 100, 1)
    roc, calibration, decision = tabulate_curves(arrays, drawn)
    flow = pd.DataFrame(
        [
            {"stage": "screened", "n": 38},
            {"stage": "missing data", "reason": "dwi MISSING", "n": 2},
            {"stage": "analysed", "n": 36},
        ]
    )
    statistics = {
        "flow": flow,
        "table1": describe(people, STUDY["table1"], CLASSES),
        "groups": groups,
        "groups_pairwise": pairwise,
        "correlations": correlations,
        "models_metrics": tabulate_metrics(arrays, samples, permuted, drawn),
        "models_comparisons": compare_models(arrays, samples),
        "models_roc": roc,
        "models_calibration": calibration,
        "models_decision_curve": decision,
    }
    made = {name: ("statistics", table) for name, table in statistics.items()}
    made["models_coefficients"] = "baselines", tabulate_coefficients(cases, samples, 1)
    made["features"] = "cohort", features
    made[f"split-{STUDY['split']}_population"] = "cohort", population
    return made
