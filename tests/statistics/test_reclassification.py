import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.statistics.reclassification import reclassification

CLASSES = ["control", "patient"]
SETTINGS = {"classes": CLASSES, "bootstraps": 500, "seed": 1, "key": "studies.s.evaluation.r"}
SETTINGS |= {"reclassification": {"model": "combined", "base": "clinical"}}


def predictions(truth, **probabilities):
    """A test side scored by several models."""
    tables = []
    for model, given in probabilities.items():
        table = pd.DataFrame({"probability": given})
        table["participant_id"] = [f"sub-{i:03d}" for i in range(len(truth))]
        table["label"] = np.where(truth, CLASSES[1], CLASSES[0])
        table = table.assign(
            model=model, split=1, repeat=1, session_id=np.nan, role="test", score=given,
            threshold=0.5, predicted=np.where(np.array(given) > 0.5, CLASSES[1], CLASSES[0]),
        )  # fmt: skip
        tables.append(table[PREDICTIONS])
    return pd.concat(tables, ignore_index=True)


def values(table):
    return table.set_index("metric")["value"]


def test_events_and_nonevents_by_hand():
    """Of three events two rise and one falls; of two non-events one falls and one stays."""
    truth = np.array([True, True, True, False, False])
    found = values(
        reclassification(
            predictions(
                truth, clinical=[0.5, 0.5, 0.5, 0.4, 0.4], combined=[0.9, 0.6, 0.4, 0.1, 0.4]
            ),
            SETTINGS,
        )
    )
    assert found["nri_events"] == pytest.approx(1 / 3)
    assert found["nri_nonevents"] == pytest.approx(1 / 2)
    assert found["nri"] == pytest.approx(1 / 3 + 1 / 2)
    assert found["idi_events"] == pytest.approx((0.4 + 0.1 - 0.1) / 3)
    assert found["idi_nonevents"] == pytest.approx(0.3 / 2)
    assert found["idi"] == pytest.approx(found["idi_events"] + found["idi_nonevents"])


def test_limits_hold_no_gain_where_there_is_none():
    """Both models are the truth's own probability with independent noise: intervals hold 0."""
    rng = np.random.default_rng(2)
    truth = rng.random(200) < 0.5
    logits = 1.5 * truth + rng.normal(size=(2, 200))
    one, other = 1 / (1 + np.exp(-logits))
    table = reclassification(predictions(truth, clinical=one, combined=other), SETTINGS)
    both = table.set_index("metric").loc[["nri", "idi"]]
    assert ((both["ci_low"] < 0) & (both["ci_high"] > 0)).all()
    assert (table["n"] <= 200).all()


def test_other_scans_and_missing_probabilities_are_named():
    truth = np.arange(6) % 2 == 1
    given = np.linspace(0.1, 0.9, 6)
    table = predictions(truth, clinical=given, combined=given)
    with pytest.raises(InputError, match="did not score the same scans"):
        reclassification(table.iloc[1:], SETTINGS)
    table.loc[table["model"] == "combined", "probability"] = np.nan
    with pytest.raises(InputError, match="gives no probabilities"):
        reclassification(table, SETTINGS)
