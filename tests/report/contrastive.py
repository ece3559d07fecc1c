"""Tables of the contrastive models, by the workflow's own functions, of simulated predictions."""

from functools import cache

import numpy as np
import pandas as pd

from workflow_scripts.statistics.compare_published import (
    compare_published,
    published_strategies,
    read_published,
)
from workflow_scripts.statistics.compare_strategies import compare_metrics
from workflow_scripts.statistics.split_metrics import evaluate

STRATEGIES = ["crop", "crop+flip", "crop+flip+rotate"]
MODELS = {
    name: {"kind": "contrastive", "inputs": ["brain"], "augmentation": name} for name in STRATEGIES
}
THRESHOLDS = [0.75, 0.85, 0.95]


def regions(classes) -> pd.DataFrame:
    """Structures above every threshold in the mean map of each class, over all trials."""
    rows = [
        {"explained": "difference", "split": "all", "class": name, "n": 3}
        | {"threshold": threshold, "region": "Caudate"}
        | {
            "side": "left",
            "volume_ml": 2.5,
            "share_of_mask": 0.4,
            "share_of_region": 0.1,
            "p": 0.03,
        }
        | {"peak": 0.8, "peak_x_mm": -12.0, "peak_y_mm": 14.0, "peak_z_mm": 8.0}
        for name in classes
        for threshold in THRESHOLDS
    ]
    return pd.DataFrame(rows)


def agreement(classes) -> pd.DataFrame:
    """How much the mean maps of a class agree from trial to trial, and with the other's."""
    return pd.DataFrame(
        {"explained": explained, "threshold": threshold, "class_a": a, "class_b": b, "pairs": 1,
         "dice": 0.4, "dice_low": 0.4, "dice_high": 0.4, "dice_by_chance": 0.1}
        for explained in ("difference", "logit") for threshold in THRESHOLDS
        for a, b in ((classes[0], classes[0]), classes, (classes[1], classes[1]))
    )  # fmt: skip


def predictions(classes, trials: int = 2, strategies=STRATEGIES, seed: int = 0) -> pd.DataFrame:
    """Scores of 4 + 3 participants in every trial by a model per strategy."""
    rng = np.random.default_rng(seed)
    label = np.repeat(classes, (4, 3))
    tables = []
    for trial in range(1, trials + 1):
        for strategy in strategies:
            score = rng.normal(0, 1, 7) + (label == classes[1])
            tables.append(
                pd.DataFrame(
                    {
                        "model": strategy,
                        "split": trial,
                        "repeat": 1,
                        "participant_id": [f"sub-{i:02d}" for i in range(1, 8)],
                        "session_id": np.nan,
                        "label": label,
                        "role": "test",
                        "score": score,
                        "threshold": 0.5,
                        "probability": np.nan,
                        "predicted": np.where(score > 0.5, classes[1], classes[0]),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def metrics(classes, **options) -> pd.DataFrame:
    return evaluate(predictions(classes, **options), classes)


@cache
def published() -> dict[str, pd.DataFrame]:
    """Tables of the folder ``published``, by name."""
    printed = read_published()
    return {
        "inglese2022": compare_published(printed),
        "inglese2022_strategies": published_strategies(printed),
    }


def tables(classes, **options) -> dict[str, pd.DataFrame]:
    """Tables of a study, by name: its contrastive models alone."""
    table = metrics(classes, **options)
    return {"metrics": table, "strategies": compare_metrics(table, list(table["model"].unique()))}


def sides() -> pd.DataFrame:
    """Sides of two trials, the second without a test side that has values."""
    rows = [("train", 1, 40, 10, 75), ("train", 2, 42, 9, 50), ("test", 1, 50, None, 100)]
    rows.append(("test", 2, None, None, None))
    return pd.DataFrame(
        [
            {"split": split, "role": role, "variable": variable} | values
            for role, split, mean, sd, percent in rows
            for variable, values in (
                ("age", {"mean": mean, "sd": sd}),
                ("sex", {"level": "F", "percent": percent}),
            )
        ]
    )
