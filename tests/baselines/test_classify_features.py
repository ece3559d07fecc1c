import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from workflow_scripts.baselines.classify_features import (
    MODELS,
    auc,
    balanced_accuracy,
    fit_nested,
    inner_folds,
    permutation_table,
    permute,
    predict,
)
from workflow_scripts.baselines.design import build_design
from workflow_scripts.baselines.draw_trials import draw_trials
from workflow_scripts.common.job import InputError
from workflow_scripts.common.trials import LeakageError

CLASSES = ["healthy", "ill"]
NAMES = ["a", "b"]
DESIGN = {
    "trials": 6,
    "train": {"healthy": 9, "ill": 6},
    "test": {"healthy": 3, "ill": 3},
    "repeat_minority": True,
}


def cohort(effect, seed=0, healthy=14, ill=10):
    """Features with unit variance; ``a`` is shifted by ``effect`` in the ill."""
    rng = np.random.default_rng(seed)
    label = np.array(["healthy"] * healthy + ["ill"] * ill)
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02d}" for i in range(len(label))],
            "session_id": np.nan,
            "label": label,
        }
    )
    features = people[["participant_id", "session_id"]].assign(
        a=rng.normal(size=len(label)) + effect * (label == "ill"), b=rng.normal(size=len(label))
    )
    return features, draw_trials(people, CLASSES, DESIGN, seed=seed, study="s")


def scores(features, trials, seed=1):
    return predict(build_design(features, trials, NAMES, "ill"), CLASSES, seed)


def test_metrics_agree_with_sklearn():
    rng = np.random.default_rng(0)
    truth = np.arange(20) < 7
    score = rng.normal(size=20).round(0)
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert balanced_accuracy(truth, score > 0) == pytest.approx(
        balanced_accuracy_score(truth, score > 0)
    )


def test_separable_classes_are_told_apart_and_only_test_scans_are_scored():
    features, trials = cohort(effect=20)
    features["b"] += features["a"]
    predictions = scores(features, trials)
    assert list(predictions.columns) == [
        "trial", "model", "participant_id", "session_id", "label", "score", "predicted",
    ]  # fmt: skip
    for name in MODELS:
        mine = predictions[predictions["model"] == name]
        assert (mine["label"] == mine["predicted"]).all()
        assert ((mine["score"] > 0) == (mine["label"] == "ill")).all()
    tested = trials.loc[trials["role"] == "test", ["trial", "participant_id"]]
    for _, mine in predictions.groupby("model"):
        found = mine[["trial", "participant_id"]]
        assert set(map(tuple, found.to_numpy())) == set(map(tuple, tested.to_numpy()))
        assert len(found) == len(tested)


def test_majority_says_the_larger_training_class():
    predictions = scores(*cohort(effect=0))
    majority = predictions[predictions["model"] == "majority"]
    assert (majority["predicted"] == "healthy").all()
    assert majority["score"].to_numpy() == pytest.approx(6 / 15)


def test_test_side_does_not_reach_the_fit():
    features, trials = cohort(effect=1)
    before = scores(features, trials)
    person = before.loc[before["trial"] == 1, "participant_id"].iloc[0]
    changed = features.copy()
    changed.loc[changed["participant_id"] == person, NAMES] = 1e4
    after = scores(changed, trials)
    others = (before["trial"] == 1) & (before["participant_id"] != person)
    pd.testing.assert_frame_equal(before[others], after[others])
    same = (before["trial"] == 1) & (before["participant_id"] == person)
    same &= before["model"] != "majority"
    assert (before.loc[same, "score"] != after.loc[same, "score"]).all()


@pytest.mark.parametrize("name", MODELS)
def test_weight_two_is_the_row_given_twice(name):
    rng = np.random.default_rng(2)
    y = np.arange(18) < 6
    x = rng.normal(size=(18, 2)) + 2 * y[:, None]
    person = np.arange(18)
    weight = 1.0 + y
    twice = np.repeat(np.arange(18), 1 + y)
    weighted = fit_nested(MODELS[name], x, y, weight, person, seed=0)
    repeated = fit_nested(MODELS[name], x[twice], y[twice], np.ones(24), person[twice], seed=0)
    np.testing.assert_allclose(weighted[0].mean_, x[twice].mean(0))
    np.testing.assert_allclose(
        weighted.decision_function(x), repeated.decision_function(x), atol=2e-3
    )


def test_inner_folds_keep_participants_together_and_classes_mixed():
    person = np.repeat(np.arange(10), 2)
    y = person < 4
    seen = np.zeros(20)
    for fitted, validated in inner_folds(y, person, seed=0):
        assert not set(person[fitted]) & set(person[validated])
        assert y[validated].any() and not y[validated].all()
        seen += validated
    assert (seen == 1).all()


def test_planted_effect_is_found_and_permutation_p_is_small():
    design = build_design(*cohort(effect=3), NAMES, "ill")
    found = predict(design, CLASSES, seed=1)
    null = permutation_table(design, permutations=19, seed=1, threads=1)
    assert list(null.columns) == ["model", "permutation", "balanced_accuracy", "auc"]
    for name in MODELS:
        mine = found[found["model"] == name]
        observed = roc_auc_score(mine["label"] == "ill", mine["score"])
        assert observed > 0.9
        assert (null.loc[null["model"] == name, "auc"] < observed).all()
    assert null.groupby("model")["permutation"].apply(list).map(len).eq(19).all()


def test_null_table_is_at_chance_and_its_permutation_rank_is_not_extreme():
    """Mean over independent null cohorts lies within 4 standard errors of one half."""
    observed, ranks = [], []
    for seed in range(10):
        design = build_design(*cohort(effect=0, seed=seed), NAMES, "ill")
        null = permutation_table(design, permutations=4, seed=seed, threads=1)
        mine = predict(design, CLASSES, seed).query("model == 'logistic'")
        values = [
            balanced_accuracy_score(part["label"], part["predicted"])
            for _, part in mine.groupby("trial")
        ]
        observed.append(np.mean(values))
        null = null.loc[null["model"] == "logistic", "balanced_accuracy"]
        ranks.append((null >= observed[-1] - 1e-9).sum())
    error = np.std(observed, ddof=1) / np.sqrt(len(observed))
    assert abs(np.mean(observed) - 0.5) < 4 * error
    # uniform on 0..4 under the null: mean 2, SD sqrt(2); ties push the rank up a little
    assert abs(np.mean(ranks) - 2) < 4 * np.sqrt(2 / len(ranks))


def test_permuting_keeps_class_sizes_on_every_side(monkeypatch):
    design = build_design(*cohort(effect=1), NAMES, "ill")
    seen = []

    def record(model, permuted, seed):
        seen.append(permuted)
        yield np.arange(2), np.array([True, False]), np.array([1.0, -1.0])

    monkeypatch.setattr("workflow_scripts.baselines.classify_features.score_trials", record)
    permute(design, 1, seed=0)
    permuted = seen[0]
    assert (permuted.positive != design.positive).any()
    np.testing.assert_array_equal(permuted.x, design.x)
    for role, weight in zip(permuted.role, permuted.weight, strict=True):
        assert ((role == "train") & permuted.positive).sum() == 6
        assert ((role == "train") & ~permuted.positive).sum() == 9
        assert ((role == "test") & permuted.positive).sum() == 3
        assert set(weight[(role == "train") & permuted.positive]) == {2}


def test_same_seed_same_result_with_any_number_of_threads():
    features, trials = cohort(effect=1)
    pd.testing.assert_frame_equal(scores(features, trials), scores(features[::-1], trials))
    design = build_design(features, trials, NAMES, "ill")
    pd.testing.assert_frame_equal(
        permutation_table(design, permutations=2, seed=5, threads=1),
        permutation_table(design, permutations=2, seed=5, threads=2),
    )


def test_leak_is_refused_before_fitting():
    features, trials = cohort(effect=1)
    train = trials.index[(trials["trial"] == 1) & (trials["role"] == "train")][0]
    leak = trials.loc[[train]].assign(role="test", session_id="ses-2")
    with pytest.raises(LeakageError, match=trials.loc[train, "participant_id"]):
        build_design(features, pd.concat([trials, leak]), NAMES, "ill")


def test_scan_without_a_feature_is_left_out_alone(caplog):
    features, trials = cohort(effect=1)
    features.loc[3, "a"] = np.nan
    design = build_design(features, trials, NAMES, "ill")
    assert len(design.x) == 23
    assert "sub-03" in caplog.text
    features["a"] = features["a"].where(features["participant_id"] < "sub-14")
    with pytest.raises(InputError, match="positive class"):
        build_design(features, trials, NAMES, "ill")
