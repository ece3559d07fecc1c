import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from tests.baselines.cohorts import (
    CLASSES,
    FOLDS,
    INPUTS,
    KEY,
    LOGISTIC,
    LOGISTICS,
    MAJORITY,
    MODELS,
    SVM,
    TRIALS,
    YOUDEN,
    cases_of,
    scans_of,
    tables,
)
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.fit_features import main, predict
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import LeakageError
from workflow_scripts.common.tables import read_table, write_table

ALL = MODELS | {"youden": YOUDEN}


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def scores(cases, models=ALL, seed=1):
    made = [predict(cases, name, settings, CLASSES, seed)[0] for name, settings in models.items()]
    return pd.concat(made, ignore_index=True)


def test_separable_classes_are_told_apart_and_only_test_scans_are_scored():
    splits, features, clinical = tables(effect=20)
    features["b"] += features["a"]
    predictions = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY))
    assert list(predictions.columns) == PREDICTIONS
    for name in ("svm", "logistic", "youden"):
        mine = predictions[predictions["model"] == name]
        assert (mine["label"] == mine["predicted"]).all()
        assert ((mine["score"] > mine["threshold"]) == (mine["label"] == "ill")).all()
    tested = splits.loc[splits["role"] == "test", ["split", "participant_id"]]
    for _, mine in predictions.groupby("model"):
        found = mine[["split", "participant_id"]]
        assert set(map(tuple, found.to_numpy())) == set(map(tuple, tested.to_numpy()))
        assert len(found) == len(tested) and set(mine["role"]) == {"test"}


def test_majority_says_the_larger_training_class():
    predictions = scores(cases_of(), {"majority": MAJORITY})
    assert (predictions["predicted"] == "healthy").all()
    assert predictions["score"].to_numpy() == pytest.approx(6 / 15)
    assert predictions["probability"].to_numpy() == pytest.approx(6 / 15)


def test_majority_counts_people_not_scans_and_says_negative_where_equal():
    splits, features, clinical = tables(design=FOLDS, healthy=9, ill=9, sessions=2)
    second = (splits["label"] == "healthy") & (splits["session_id"] == "ses-2")
    cases = build_cases(splits[~second], features, clinical, INPUTS, CLASSES, KEY)
    predictions = scores(cases, {"majority": MAJORITY})
    assert predictions["score"].unique() == pytest.approx(0.5)
    assert (predictions["predicted"] == "healthy").all()


def test_logistic_models_give_probabilities_and_the_svm_none():
    predictions = scores(cases_of(effect=1, design=FOLDS), ALL | LOGISTICS)
    of = predictions.set_index("model")
    assert of.loc["svm", "probability"].isna().all()
    for name in ("logistic", "youden", "combined"):
        np.testing.assert_allclose(of.loc[name, "probability"], expit(of.loc[name, "score"]))
    assert (of.loc[["svm", "logistic"], "threshold"] == 0).all()
    assert of.loc["youden"].groupby("split")["threshold"].nunique().eq(1).all()
    assert of.loc["youden", "threshold"].nunique() > 1
    assert of.groupby("model").size().eq(48).all()
    positive = predictions["score"] > predictions["threshold"]
    assert (predictions["predicted"] == np.where(positive, "ill", "healthy")).all()


@pytest.mark.parametrize("design", [TRIALS | {"trials": 2}, FOLDS])
def test_test_side_does_not_reach_the_fit(design):
    splits, features, clinical = tables(effect=1, design=design)
    before = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY))
    person = before.loc[before["split"] == 1, "participant_id"].iloc[0]
    features.loc[features["participant_id"] == person, ["a", "b"]] = 1e4
    after = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY))
    others = (before["split"] == 1) & (before["participant_id"] != person)
    pd.testing.assert_frame_equal(before[others], after[others])
    same = (before["split"] == 1) & (before["participant_id"] == person)
    same &= before["model"] != "majority"
    assert (before.loc[same, "score"] != after.loc[same, "score"]).all()
    assert (before.loc[same, "threshold"] == after.loc[same, "threshold"]).all()


def test_rest_and_validation_do_not_reach_the_fit():
    splits, features, clinical = tables(
        effect=1, design=FOLDS | {"validation": True, "folds": 4, "repeats": 1}
    )
    before = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY))
    apart = splits[(splits["split"] == 1) & (splits["role"] == "validation")]
    features.loc[features["participant_id"].isin(apart["participant_id"]), ["a", "b"]] *= -30
    after = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY))
    first = before["split"] == 1
    pd.testing.assert_frame_equal(before[first], after[first])
    assert set(before.loc[first, "participant_id"]).isdisjoint(apart["participant_id"])


def test_external_participants_are_scored_by_every_model_and_train_none():
    settings = {"healthy": 16, "ill": 12, "external": 2, "design": FOLDS}
    splits, features, clinical = tables(effect=1, **settings)
    models = {"svm": SVM, "youden": YOUDEN}
    before = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY), models)
    outside = scans_of(16, 12, external=2).query("external == 'yes'")["participant_id"]
    found = before[before["role"] == "external"]
    assert set(found["participant_id"]) == set(outside)
    assert found.groupby(["model", "split"]).size().eq(4).all()
    assert found["split"].nunique() == 6
    assert set(before.loc[before["role"] == "test", "participant_id"]).isdisjoint(outside)
    features.loc[features["participant_id"].isin(outside), ["a", "b"]] = 1e4
    after = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY), models)
    inside = before["role"] == "test"
    pd.testing.assert_frame_equal(before[inside], after[inside])
    alone = splits[splits["role"] != "external"]
    cases = build_cases(alone, features, clinical, INPUTS, CLASSES, KEY)
    columns = ["split", "participant_id", "score", "threshold"]
    pd.testing.assert_frame_equal(
        scores(cases, models)[columns], before.loc[inside, columns].reset_index(drop=True)
    )


def test_duplicated_scans_give_the_same_models_and_two_predictions_each():
    splits, features, clinical = tables(effect=1, design=FOLDS)
    once = scores(build_cases(splits, features, clinical, INPUTS, CLASSES, KEY), {"m": MAJORITY})
    both = [
        pd.concat([table.assign(session_id=name) for name in ("ses-1", "ses-2")])
        for table in (splits, features, clinical)
    ]
    twice = scores(build_cases(*both, INPUTS, CLASSES, KEY), {"m": MAJORITY, "svm": SVM})
    assert len(twice) == 4 * len(once)
    second = twice[twice["session_id"] == "ses-2"].reset_index(drop=True)
    first = twice[twice["session_id"] == "ses-1"].reset_index(drop=True)
    columns = ["model", "split", "participant_id", "score", "predicted"]
    by = ["model", "split", "participant_id"]
    pd.testing.assert_frame_equal(
        *(t[columns].sort_values(by, ignore_index=True) for t in (first, second))
    )
    assert twice.query("model == 'm'")["score"].mean() == pytest.approx(once["score"].mean())


def test_planted_effect_is_found_by_the_models_that_see_it():
    predictions = scores(cases_of(effect=3, design=FOLDS), LOGISTICS | {"svm": SVM})
    found = {
        model: np.mean([roc_auc_score(t["label"] == "ill", t["score"]) for t in parts])
        for model, parts in (
            (model, [t for _, t in rows.groupby("split")])
            for model, rows in predictions.groupby("model")
        )
    }
    assert min(found["svm"], found["mri"], found["combined"]) > 0.9 and found["clinical"] < 0.8


def test_null_data_are_at_chance():
    """Mean over independent null cohorts lies within 4 standard errors of one half."""
    observed, areas = [], []
    for seed in range(12):
        cases = cases_of(seed=seed, design=FOLDS | {"repeats": 1})
        parts = [t for _, t in scores(cases, {"m": LOGISTIC}, seed).groupby("split")]
        observed.append(
            np.mean([balanced_accuracy_score(t["label"], t["predicted"]) for t in parts])
        )
        areas.append(np.mean([roc_auc_score(t["label"] == "ill", t["score"]) for t in parts]))
    for values in (observed, areas):
        assert abs(np.mean(values) - 0.5) < 4 * np.std(values, ddof=1) / np.sqrt(12)


def test_same_result_for_any_order_of_rows():
    splits, features, clinical = tables(effect=1, design=FOLDS)
    once = build_cases(splits, features, clinical, INPUTS, CLASSES, KEY)
    again = build_cases(splits, features[::-1], clinical[::-1], INPUTS, CLASSES, KEY)
    pd.testing.assert_frame_equal(scores(once), scores(again), check_exact=True)


def files_of(folder, splits, features, clinical):
    columns = {"splits": "cohort", "features": None, "clinical": None}
    for name, table in zip(columns, (splits, features, clinical), strict=True):
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    return SimpleNamespace(**{name: folder / f"{name}.tsv" for name in columns})


def run(source, folder, settings, inputs=INPUTS):
    out = SimpleNamespace(predictions=folder / "p.tsv", models=folder / "m.json")
    shared = {"classes": CLASSES, "seed": 1, "key": KEY, "together": list(inputs)}
    params = SimpleNamespace(settings=settings, inputs=inputs, **shared)
    main(source, out, params, SimpleNamespace(model="mine"))
    return read_table(out.predictions), json.loads(out.models.read_text())


def test_models_can_be_applied_by_hand_from_their_file(tmp_path):
    splits, features, clinical = tables(effect=1, design=FOLDS)
    source = files_of(tmp_path, splits, features, clinical)
    settings = LOGISTICS["combined"]
    predictions, described = run(source, tmp_path, settings)
    assert (predictions["model"] == "mine").all() and (predictions["repeat"] == 1).all()
    assert described["kind"] == "logistic" and described["classes"] == CLASSES
    assert [model["split"] for model in described["models"]] == [1, 2, 3, 4, 5, 6]
    clinical["sex_M"] = (clinical["sex"] == "M").astype(float)
    table = features.merge(clinical, on="participant_id").set_index("participant_id")
    for model in described["models"]:
        x = table[model["terms"]].to_numpy(float)
        standard = (x - np.array(model["mean"])) / np.array(model["sd"])
        score = standard @ np.array(model["coefficients"]) + model["intercept"]
        mine = predictions[predictions["split"] == model["split"]].set_index("participant_id")
        by_hand = pd.Series(score, table.index)[mine.index]
        np.testing.assert_allclose(mine["score"], by_hand, atol=1e-9)
        np.testing.assert_allclose(mine["threshold"], model["threshold"])
        assert model["penalty_c"] in settings["penalties"]


def test_majority_alone_needs_no_columns(tmp_path):
    source = files_of(tmp_path, *tables(design=FOLDS))
    predictions, described = run(source, tmp_path, MAJORITY, inputs={})
    assert len(predictions) == 48 and described["models"] == []


def test_leak_is_refused_before_fitting(tmp_path):
    splits, features, clinical = tables(design=FOLDS)
    train = splits.index[(splits["split"] == 1) & (splits["role"] == "train")][0]
    leak = splits.loc[[train]].assign(role="test", session_id="ses-2")
    source = files_of(tmp_path, pd.concat([splits, leak]), features, clinical)
    with pytest.raises(LeakageError, match=rf"{splits.loc[train, 'participant_id']} \(split 1\)"):
        run(source, tmp_path, SVM)
    outside = splits.assign(role=splits["role"].mask(splits.index == train, "external"))
    source = files_of(tmp_path, outside, features, clinical)
    with pytest.raises(LeakageError, match=splits.loc[train, "participant_id"]):
        run(source, tmp_path, SVM)
    assert not (tmp_path / "p.tsv").exists()


def test_predictions_are_described(tmp_path):
    table = scores(cases_of(design=FOLDS), {"svm": SVM, "majority": MAJORITY})
    write_table(table, tmp_path / "predictions.tsv", resource("columns/baselines.tsv"))
