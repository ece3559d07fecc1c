"""Tables of a study with three classes, by the workflow's own functions, of simulated people."""

from functools import cache

import numpy as np
import pandas as pd

from workflow_scripts.baselines.bootstrap_models import (
    apparent_predictions,
    bootstrap,
    permute,
    repeat_in_parallel,
    tabulate_coefficients,
)
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.fit_features import predict
from workflow_scripts.baselines.permute_features import permute as permute_labels
from workflow_scripts.baselines.permute_features import permute_inputs
from workflow_scripts.baselines.sample_size import tabulate_instability, tabulate_sample_size
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.statistics.added_value import added_value
from workflow_scripts.statistics.calibrate_models import calibration_curves, calibration_figures
from workflow_scripts.statistics.compare_groups import compare_groups
from workflow_scripts.statistics.compare_models import compare_predictions
from workflow_scripts.statistics.correct_optimism import tabulate_optimism
from workflow_scripts.statistics.correlate_features import correlate_features
from workflow_scripts.statistics.describe_population import describe
from workflow_scripts.statistics.describe_sides import describe_sides
from workflow_scripts.statistics.missing_data import missing_data
from workflow_scripts.statistics.permutation_test import compare_with_permutations
from workflow_scripts.statistics.robustness import sensitivity, site_metrics
from workflow_scripts.statistics.scores import by_model
from workflow_scripts.statistics.split_metrics import evaluate
from workflow_scripts.statistics.trace_curves import decision_curves, roc_curves

CLASSES = ["control", "non-NPSLE", "NPSLE"]
FEATURES = ["alps", "nwi", "lumen_area_mm2"]
STUDY = {
    "label": "group",
    "classes": CLASSES,
    "requires": ["dwi"],
    "site": "centre",
    "split": 2,
    "permutations": 3,
    "bootstraps": 100,
    "table1": ["age", "sex", "sledai_2k"],
    "inputs": {
        "clinical": {"columns": ["age", "sledai_2k"]},
        "mri": {"columns": FEATURES[:2]},
    },
    "design": {"kind": "folds", "classes": CLASSES[1:], "folds": 3, "repeats": 2},
    "models": {
        "clinical": {"kind": "logistic", "inputs": ["clinical"], "penalties": [1]},
        "mri": {"like": "clinical", "inputs": ["mri"]},
        "combined": {"like": "clinical", "inputs": ["clinical", "mri"]},
    },
    "evaluation": {
        "groups": {"features": FEATURES, "adjust": ["age"]},
        "correlations": {
            "features": FEATURES[:2],
            "clinical": ["moca", "sledai_2k"],
            "covariates": ["age"],
            "classes": CLASSES[1:],
        },
        "metrics": None,
        "permutation": None,
        "comparisons": None,
        "roc": None,
        "calibration": None,
        "decision_curve": None,
        "optimism": {"samples": 6},
        "missing": None,
        "sites": None,
        "sensitivity": None,
        "added_value": {"model": "combined", "base": "clinical"},
    },
}


def simulate() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Population, features and participants: 12 of each class, ALPS falls, NWI rises."""
    rng = np.random.default_rng(3)
    label = np.repeat(CLASSES, 12)
    shift = np.repeat([0.0, 1.0, 2.0], 12)
    ids = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(36)]})
    population = ids.assign(session_id=np.nan, label=label, external="no")
    features = ids.assign(
        session_id=np.nan,
        alps=rng.normal(1.6, 0.12, 36) - 0.12 * shift,
        nwi=rng.normal(0.45, 0.03, 36) + 0.04 * shift,
        lumen_area_mm2=rng.normal(6, 0.5, 36),
    )
    features.loc[[0, 15], "nwi"] = np.nan
    participants = ids.assign(
        session_id=np.nan,
        age=rng.integers(20, 70, 36).astype(float),
        sex=rng.choice(["F", "M"], 36, p=[0.8, 0.2]),
        sledai_2k=np.where(label == "control", np.nan, rng.integers(0, 20, 36)),
        session_site=np.where(np.arange(36) % 4, "A", "B"),
        moca=np.round(25 + 8 * (features["alps"] - 1.5) + rng.normal(0, 1, 36)),
    )
    return population, features, participants


@cache
def cases():
    """Complete cases of the study in its splits."""
    population, features, participants = simulate()
    inputs = {name: entry["columns"] for name, entry in STUDY["inputs"].items()}
    splits = draw_splits(population, checked()["design"], 1, "design")
    return build_cases(splits, features, participants, inputs, CLASSES[1:], "s")


def checked() -> dict:
    """The study's checked configuration."""
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY}}
    return check_config(config)["studies"]["s"]


@cache
def fitted() -> dict[str, dict]:
    """Content of the JSON of each fitted model."""
    found = {}
    for name, model in checked()["models"].items():
        models = predict(cases(), name, model, CLASSES[1:], 1)[1]
        found[name] = {"kind": "logistic", "classes": CLASSES[1:], "models": models}
    return found


@cache
def tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Wing and content of each table of the study."""
    population, features, participants = simulate()
    study = check_config({"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY}})["studies"][
        "s"
    ]
    people = population.merge(participants, on=["participant_id", "session_id"])
    values = features.set_index("participant_id")[FEATURES]
    age = participants.set_index("participant_id")[["age"]]
    groups, pairwise = compare_groups(population, values, CLASSES, "holm", 100, 1, age)
    lupus = people[people["label"] != "control"].set_index("participant_id")
    block = study["evaluation"]["correlations"]
    correlations = correlate_features(
        values.loc[lupus.index, block["features"]],
        lupus[block["clinical"]],
        lupus[block["covariates"]],
        lupus["label"],
        block["method"],
        block["correction"],
    ).assign(classes=", ".join(block["classes"]))
    splits = draw_splits(population, study["design"], 1, "design")
    inputs = {name: entry["columns"] for name, entry in study["inputs"].items()}
    models, classes = study["models"], CLASSES[1:]
    cases = build_cases(splits, features, participants, inputs, classes, "s")
    predictions = pd.concat(
        [predict(cases, name, model, classes, 1)[0] for name, model in models.items()]
    )
    apparent_rows = apparent_predictions(cases, models, classes, 1)
    with_apparent = pd.concat([predictions, apparent_rows])
    samples = repeat_in_parallel(bootstrap, cases, models, 6, 1, 1)
    permuted = repeat_in_parallel(permute, cases, models, 3, 1, 1)
    permutations = pd.DataFrame(
        [
            {"model": name} | row
            for name, model in models.items()
            for number in (1, 2, 3)
            for row in permute_labels(cases, model, number, 1)
        ]
    )
    settings = {"classes": classes, "bootstraps": 100, "seed": 1, "models": models}
    settings["design"] = study["design"]
    settings |= {"added_value": study["evaluation"]["added_value"]}
    everybody = build_cases(splits, features, participants, inputs, classes, "s", imputed=True)
    imputing = models["mri"] | {"missing": "impute"}
    imputed, _ = predict(everybody, "mri", imputing, classes, 1)
    imputed = imputed.assign(variant="impute")
    sizes = tabulate_sample_size(cases, models)
    blocks = pd.DataFrame(
        [row for n in (1, 2, 3) for row in permute_inputs(cases, models["combined"], ["mri"], n, 1)]
    )
    scores = by_model(with_apparent, classes)
    apparent = {model: own for (model, key), own in scores.items() if key == "apparent"}
    metrics = evaluate(predictions, classes)
    calibration = calibration_curves(with_apparent, classes)
    figures = calibration_figures(with_apparent, classes)
    flow = pd.DataFrame(
        [
            {"stage": "screened", "n": 38},
            {"stage": "missing data", "reason": "dwi MISSING", "n": 2},
            {"stage": "analysed", "n": 36},
        ]
    ).assign(sessions=None)
    statistics = {
        "flow": flow,
        "sides": describe_sides(splits, participants, STUDY["table1"]),
        "table1": describe(people, STUDY["table1"], CLASSES),
        "groups": groups,
        "groups_pairwise": pairwise,
        "correlations": correlations,
        "predictions": predictions,
        "metrics": metrics,
        "permutation_test": compare_with_permutations(metrics, permutations, pooled=True).assign(
            p_holm=1.0, refitted="yes"
        ),
        "comparisons": compare_predictions(with_apparent, classes, 50, 1, samples),
        "roc": roc_curves(with_apparent, classes, 100, 1),
        "calibration": calibration,
        "calibration_figures": figures,
        "decision_curve": decision_curves(with_apparent, classes),
        "optimism": tabulate_optimism(apparent, samples, permuted),
        "missing": missing_data(splits, features, participants, models, study["inputs"], classes),
        "sites": site_metrics(predictions, participants, [], settings),
        "sensitivity": sensitivity(predictions, imputed, predictions[:0], settings),
        "added_value": added_value(predictions, blocks, sizes, settings),
    }
    made = {name: ("statistics", table) for name, table in statistics.items()}
    made["instability"] = "baselines", tabulate_instability(cases, apparent_rows, samples)
    made["sample_size"] = "baselines", sizes
    made["coefficients"] = "baselines", tabulate_coefficients(cases, models, samples, 1)
    made[f"split-{study['split']}_splits"] = "cohort", splits
    made["features"] = "cohort", features
    made[f"split-{study['split']}_population"] = "cohort", population
    return made
