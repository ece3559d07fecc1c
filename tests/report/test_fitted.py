import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.report import multimodal
from workflow_scripts.common.logistic import on_raw_scale
from workflow_scripts.report.fitted import equation, fitted_section, misclassified
from workflow_scripts.report.optimism import farthest

NAME = "multimodal"


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("fitted"), []
    for name, content in multimodal.fitted().items():
        path = folder / f"studies/{NAME}/models/model-{name}_models.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        paths.append(path)
    other = folder / "studies/another/models/model-mri_models.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")

    def read(name, *columns):
        return multimodal.tables()[name][1], {}

    return fitted_section(NAME, multimodal.checked(), read, [other, *paths])


def log_odds(text: str, values: pd.DataFrame) -> np.ndarray:
    """What an equation gives for people with these values, on raw scales."""
    first, *rest = re.split(r" (?=[+-] )", text)
    total = np.full(len(values), float(first))
    for part in rest:
        sign, number, _, term = part.split(" ")
        total += (-1 if sign == "-" else 1) * float(number) * values[term].to_numpy()
    return total


def test_equations_give_the_scores_of_the_models_from_raw_values(section):
    _, features, participants = multimodal.simulate()
    values = features.merge(participants, on="participant_id").set_index("participant_id")
    predictions = multimodal.tables()["predictions"][1]
    lines = [line for line in section["equations"] if line["of"] != "everybody"]
    assert len(lines) == 3 * 6
    for line in lines:
        model = {"MRI": "mri"}.get(line["model"], line["model"])
        of = (predictions["model"] == model) & (predictions["split"] == int(line["of"]))
        rows = predictions[of]
        found = log_odds(line["text"], values.loc[rows["participant_id"]])
        np.testing.assert_allclose(found, rows["score"], atol=1e-3)
        cut = 1 / (1 + np.exp(-rows["threshold"].iloc[0]))
        assert line["positive"] == f"{cut:.3f}"


def test_equation_of_everybody_stands_first_and_gives_the_apparent_scores(section):
    first = section["equations"][:3]
    assert [line["of"] for line in first] == ["everybody"] * 3
    _, features, participants = multimodal.simulate()
    values = features.merge(participants, on="participant_id").set_index("participant_id")
    models, cases = multimodal.checked()["models"], multimodal.cases()
    made = multimodal.apparent_predictions(cases, models, multimodal.CLASSES[1:], 1)
    for line, model in zip(first, models, strict=True):
        rows = made[made["model"] == model]
        found = log_odds(line["text"], values.loc[rows["participant_id"]])
        np.testing.assert_allclose(found, rows["score"], atol=1e-3)


def test_signs_and_scales_by_hand():
    raw = on_raw_scale(1.0, [2.0, -3.0], [10.0, 5.0], [4.0, 0.5])
    assert raw[0] == 1 - 2 / 4 * 10 + 3 / 0.5 * 5
    assert equation(*raw, ["a", "b_F"]) == "26 + 0.5 * a - 6 * b_F"


def test_an_equation_of_very_many_terms_is_not_printed():
    """Terms of coefficient 0, of which a lasso has many, do not count."""
    terms = [f"f{number}" for number in range(500)]
    few, many = np.zeros(500), np.full(500, -0.25)
    few[[7, 499]] = 2, -3
    assert equation(1.0, few, terms) == "1 + 2 * f7 - 3 * f499"
    assert equation(1.0, many, terms) == "500 terms, too many to print"


def test_of_very_many_terms_those_farthest_from_no_effect_are_drawn():
    small = pd.DataFrame({"model": "small", "term": ["a", "b"], "odds_ratio": 1.0})
    large = pd.DataFrame({"model": "large", "term": [f"f{number}" for number in range(300)]})
    large["odds_ratio"] = np.exp(np.where(np.arange(300) % 20 == 0, -2.0, 0.5 / (1 + large.index)))
    drawn = farthest(pd.concat([small, large], ignore_index=True))
    assert drawn.groupby("model").size().to_dict() == {"small": 2, "large": 30}
    assert {f"f{number}" for number in (0, 20, 280, 1, 15)} <= set(drawn["term"])
    assert "f17" not in set(drawn["term"])


def test_misclassified_scans_are_counted_per_model_worst_first():
    rows = [
        ("sub-1", "svm", "a", "b"), ("sub-1", "svm", "a", "a"), ("sub-1", "net", "a", "a"),
        ("sub-2", "svm", "b", "a"), ("sub-2", "svm", "b", "a"),
        ("sub-3", "svm", "a", "a"), ("sub-3", "net", "a", "a"), ("sub-3", "most", "a", "b"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["participant_id", "model", "label", "predicted"])
    table = pd.concat([table.assign(role="test"), table.assign(role="external", predicted="x")])
    table["session_id"] = None
    kinds = {"svm": "svm", "net": "cnn", "most": "majority"}
    study = {"models": {name: {"kind": kind} for name, kind in kinds.items()}}
    found = misclassified(study, lambda *_: (table, {}))
    assert (found["n"], found["tested"]) == (2, 3)
    assert found["table"]["rows"] == [
        ("sub-2", "b", "2 of 2", ""),
        ("sub-1", "a", "1 of 2", "0 of 1"),
    ]
    right = table.assign(predicted=table["label"])
    assert misclassified(study, lambda *_: (right, {})) is None
