"""Tables of a study with folds, people of another cohort and two sessions of each participant."""

from functools import cache

import numpy as np
import pandas as pd

from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.statistics.calibrate_models import calibration_curves, calibration_figures
from workflow_scripts.statistics.compare_models import compare_predictions
from workflow_scripts.statistics.describe_population import describe
from workflow_scripts.statistics.split_metrics import evaluate
from workflow_scripts.statistics.trace_curves import decision_curves, roc_curves

CLASSES = ["mild", "severe"]
MODELS = {"alps": 1.5, "noise": 0.0}  # how far the classes lie apart
STUDY = {
    "label": {"column": "edss", "at_least": 3.0},
    "classes": CLASSES,
    "sessions": "all",
    "external": {"column": "site", "values": ["B"]},
    "requires": ["dwi"],
    "bootstraps": 40,
    "inputs": {"mri": {"columns": ["alps"]}},
    "design": {"kind": "folds", "folds": 4},
    "models": {name: {"kind": "logistic", "inputs": ["mri"]} for name in MODELS},
    "evaluation": ["metrics", "comparisons", "roc", "calibration", "decision_curve"],
}
STUDY = check_config({"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY}})["studies"]["s"]


def population() -> pd.DataFrame:
    """16 participants and 8 external ones, half of each severe, with two sessions each."""
    return pd.DataFrame(
        [
            {
                "participant_id": f"sub-{number:02d}",
                "session_id": session,
                "label": CLASSES[number % 2],
                "external": "yes" if number > 16 else "no",
            }
            for number in range(1, 25)
            for session in ("ses-1", "ses-2")
        ]
    )


def predictions(splits: pd.DataFrame, classes: list[str], models: dict) -> pd.DataFrame:
    """Scores of the tested and external scans of all splits, by class and noise."""
    rng = np.random.default_rng(5)
    scored = splits[splits["role"].isin(["test", "external"])].drop(columns="weight")
    tables = []
    for model, apart in models.items():
        score = rng.normal(0, 1, len(scored)) + apart * (scored["label"] == classes[1])
        table = scored.assign(model=model, repeat=1, score=score, threshold=0.5)
        table["probability"] = 1 / (1 + np.exp(-score))
        table["predicted"] = np.where(score > 0.5, classes[1], classes[0])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


@cache
def tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Wing and content of each table of the study."""
    people = population()
    splits = draw_splits(people, STUDY["design"], 1, "design")
    scored = predictions(splits, CLASSES, MODELS)
    calibration = calibration_curves(scored, CLASSES)
    figures = calibration_figures(scored, CLASSES)
    once = people.drop_duplicates("participant_id")
    flow = pd.DataFrame([{"stage": stage, "n": 24} for stage in ("screened", "analysed")])
    statistics = {
        "flow": flow.assign(reason=None, sessions=[49, 48]),
        "table1": describe(once, [], CLASSES),
        "predictions": scored,
        "metrics": evaluate(scored, CLASSES),
        "comparisons": compare_predictions(scored, CLASSES, 50, 1),
        "roc": roc_curves(scored, CLASSES, 20, 1),
        "decision_curve": decision_curves(scored, CLASSES),
        "calibration": calibration,
        "calibration_figures": figures,
    }
    made = {name: ("statistics", table) for name, table in statistics.items()}
    alps = np.random.default_rng(0).normal(1.5, 0.1, len(people))
    made["features"] = "cohort", people[["participant_id", "session_id"]].assign(alps=alps)
    made["split-1_population"] = "cohort", people
    made["split-1_splits"] = "cohort", splits
    return made
