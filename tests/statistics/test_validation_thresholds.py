import numpy as np
import pandas as pd
import pytest

from tests.statistics.predicted import CLASSES
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.validation_thresholds import (
    at_validated_thresholds,
    youden_threshold,
)


def table(scores, positive, role, split=1, repeat=1):
    scores = np.asarray(scores, float)
    rows = pd.DataFrame(
        {
            "model": "net",
            "split": split,
            "repeat": repeat,
            "participant_id": [f"sub-{role}{split}{i}" for i in range(len(scores))],
            "session_id": None,
            "label": np.where(positive, CLASSES[1], CLASSES[0]),
            "role": role,
            "score": scores,
            "threshold": 0.0,
            "probability": 1 / (1 + np.exp(-scores)),
            "predicted": np.where(scores > 0, CLASSES[1], CLASSES[0]),
        }
    )
    return rows[PREDICTIONS]


@pytest.mark.parametrize("seed", range(5))
def test_threshold_has_the_highest_youden_index_of_all(seed):
    rng = np.random.default_rng(seed)
    truth = np.arange(15) < 6
    score, weight = rng.normal(size=15).round(1) + truth, rng.uniform(0.5, 1, 15)

    def youden(threshold):
        called = score > threshold
        return np.average(called[truth], weights=weight[truth]) - np.average(
            called[~truth], weights=weight[~truth]
        )

    found = youden_threshold(truth, score, weight)
    assert youden(found) == pytest.approx(max(map(youden, [*score, -10])))


def test_each_split_takes_its_own_threshold_and_no_other_scan_counts():
    truth = [False, False, True, True]
    validation = pd.concat(
        [
            table([-3, -2, -1, 0], truth, "validation", 1),
            table([1, 2, 3, 4], truth, "validation", 2),
        ]
    )
    tested = pd.concat(
        [table([-4, -1.6, -1.4, 3], truth, "test", 1), table([0, 2.4, 2.6, 5], truth, "test", 2)]
    )
    found = at_validated_thresholds(tested, validation, CLASSES)
    accuracy = found[found["metric"] == "accuracy"].set_index("split")
    assert accuracy["threshold"].to_dict() == pytest.approx(
        {"1": -1.5, "2": 2.5, "all": np.nan}, nan_ok=True
    )
    assert accuracy["value"].tolist() == [1, 1, 1]  # at 0 it would be .75 and .5


def test_trainings_without_both_classes_for_validation_have_no_row(tmp_path):
    tested = table([-1, 1, 0.5, 2], [False, False, True, True], "test")
    one = table([-1, 1], [True, True], "validation")
    found = at_validated_thresholds(tested, one, CLASSES)
    assert found.empty
    write_table(found, tmp_path / "t.tsv", resource("columns/statistics.tsv"))
