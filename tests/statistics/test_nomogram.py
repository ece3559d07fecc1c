import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from workflow_scripts.common.logistic import read_logistic
from workflow_scripts.report import plots_classifiers
from workflow_scripts.statistics.nomogram import nomogram, training_values

RNG = np.random.default_rng(0)
AGE, HLA = RNG.uniform(20, 60, 50), RNG.random(50) < 0.4
TERMS = ["signature", "age", "hla_b27", "sex_M", "noise"]
X = np.column_stack([RNG.normal(0, 2, 50), AGE, HLA, RNG.random(50) < 0.5, RNG.normal(size=50)])
SLOPES = np.array([0.8, -0.05, 1.5, 0.4, 0.0])
INTERCEPT = -0.3


@pytest.fixture
def model(tmp_path):
    """As a stack keeps it: coefficients per standard deviation."""
    mean, sd = X.mean(0), X.std(0)
    entry = {"split": 1, "learner": "logistic", "mean": mean.tolist(), "sd": sd.tolist()}
    entry |= {"intercept": INTERCEPT + float(SLOPES @ mean), "coefficients": (SLOPES * sd).tolist()}
    other = {"split": 2, "learner": "knn"}
    path = tmp_path / "model-combined_stack.json"
    path.write_text(json.dumps({"terms": TERMS, "splits": [entry, other]}))
    (found,) = read_logistic(path)
    np.testing.assert_allclose(found.slopes, SLOPES, atol=1e-12)
    assert found.intercept == pytest.approx(INTERCEPT) and found.threshold == 0
    return found


@pytest.fixture
def table(model):
    return nomogram(model, pd.DataFrame({"age": AGE, "hla_b27": HLA.astype(float)}))


def test_points_of_a_person_add_up_to_the_model_s_probability(table):
    """Both between marks, along the scales as they are drawn."""
    scales = dict(list(table.groupby("term")))
    for row in X:
        total = 0.0
        for term, value in zip(TERMS[:4], row, strict=False):
            part = scales[term].sort_values("value")
            slope = np.diff(part["points"].iloc[[0, -1]]) / np.diff(part["value"].iloc[[0, -1]])
            total += part["points"].iloc[0] + slope[0] * (value - part["value"].iloc[0])
        part = scales["probability"]
        line = np.polyfit(part["points"], logit(part["value"]), 1)
        assert expit(np.polyval(line, total)) == pytest.approx(
            expit(INTERCEPT + row @ SLOPES), abs=1e-6
        )


def test_scales_span_what_the_training_side_has(table):
    span = table.groupby("term")["value"].agg(["min", "max"])
    assert span.loc["age", "min"] <= AGE.min() and span.loc["age", "max"] >= AGE.max()
    assert span.loc["age", "min"] >= 10 and span.loc["age", "max"] <= 70
    assert span.loc["hla_b27"].tolist() == span.loc["sex_M"].tolist() == [0, 1]
    assert table[table["term"] != "probability"]["points"].max() == pytest.approx(100)
    assert table["points"].min() >= 0
    assert "noise" not in span.index  # without a slope
    age = table[table["term"] == "age"].sort_values("value")
    assert age["points"].is_monotonic_decreasing and age["points"].iloc[-1] == pytest.approx(0)


def test_values_are_those_of_the_training_side(model):
    splits = pd.DataFrame(
        {
            "split": [1, 1, 1, 2],
            "participant_id": ["sub-1", "sub-2", "sub-3", "sub-3"],
            "session_id": None,
            "label": "x",
            "role": ["train", "train", "test", "train"],
        }
    )
    people = splits.iloc[:3][["participant_id", "session_id"]]
    clinical = people.assign(age=[30, 40, 99], sex=["F", "M", "F"])
    features = people.assign(label="x", gm=[0.4, 0.5, 0.9])
    values = training_values(model, splits, features, clinical)
    assert values["age"].tolist() == [30, 40] and values["gm"].tolist() == [0.4, 0.5]
    assert "sex" not in values


def test_the_picture_has_a_scale_of_each_term(table):
    svg = str(plots_classifiers.nomogram(table, "s-nomogram"))
    for text in ("total points", "probability", "0.5", "age"):
        assert f">{text}<" in svg
