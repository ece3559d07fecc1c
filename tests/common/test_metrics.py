import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from workflow_scripts.common.metrics import (
    auc,
    over_splits,
    pairs_in_order,
    ratio,
    scan_weights,
    split_figures,
)


def test_ratio_is_undefined_without_a_denominator():
    np.testing.assert_array_equal(ratio([1, 0, 2], [2, 0, 0]), [0.5, np.nan, np.nan])


def test_scans_of_a_person_weigh_one_together():
    person = np.array(["b", "a", "b", "c", "b"])
    np.testing.assert_allclose(scan_weights(person), [1 / 3, 1, 1 / 3, 1, 1 / 3])
    assert scan_weights(np.arange(4)).tolist() == [1, 1, 1, 1]


def test_pairs_by_hand():
    found = pairs_in_order(np.array([2.0, 1.0]), np.array([1.0, 3.0]))
    assert found.tolist() == [[1, 0], [0.5, 0]]


def test_auc_agrees_with_sklearn_also_weighted_and_with_ties():
    rng = np.random.default_rng(0)
    truth, score = np.arange(30) < 11, rng.normal(size=30).round(0)
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    weight = rng.integers(1, 4, 30)
    judge = roc_auc_score(truth, score, sample_weight=weight)
    assert auc(truth, score, weight) == pytest.approx(judge)
    twice = np.repeat(np.arange(30), weight)
    assert auc(truth, score, weight) == pytest.approx(auc(truth[twice], score[twice]))
    assert np.isnan(auc(np.ones(3, bool), np.arange(3.0)))
    assert np.isnan(auc(np.ones(3, bool), np.arange(3.0), np.ones(3)))


def test_figures_of_a_side_agree_with_sklearn_and_count_people():
    rng = np.random.default_rng(1)
    truth, person = np.arange(12) < 5, np.arange(12)
    score = rng.normal(size=12) + truth
    found = split_figures(truth, score > 0.5, score, person)
    assert (found["n_positive"], found["n_negative"]) == (5, 7)
    assert found["sensitivity"] == pytest.approx(recall_score(truth, score > 0.5))
    assert found["specificity"] == pytest.approx(recall_score(~truth, score <= 0.5))
    assert found["auc"] == pytest.approx(roc_auc_score(truth, score))
    rows = np.tile(np.arange(12), 3)
    again = split_figures(truth[rows], score[rows] > 0.5, score[rows], person[rows])
    assert again == pytest.approx(found)


def test_two_scans_of_one_person_by_hand():
    """Person 0 is right in one of two scans: 1.5 of 2 people, and 1.5 of 2 pairs."""
    truth = np.array([True, True, True, False])
    score = np.array([2.0, -1.0, 1.0, 0.0])
    found = split_figures(truth, score > 0, score, np.array([0, 0, 1, 2]))
    assert found == {
        "n_positive": 2, "n_negative": 1, "sensitivity": 0.75, "specificity": 1, "auc": 0.75,
    }  # fmt: skip


def test_side_without_a_class_has_no_figure_of_it():
    truth, score = np.zeros(3, bool), np.array([1.0, -1.0, -2.0])
    found = split_figures(truth, score > 0, score, np.arange(3))
    assert np.isnan(found["sensitivity"]) and np.isnan(found["auc"])
    assert found["n_positive"] == 0 and found["specificity"] == pytest.approx(2 / 3)


def figures(*rows):
    columns = ["split", "repeat", "n_positive", "n_negative", "sensitivity", "specificity", "auc"]
    return pd.DataFrame(rows, columns=columns).assign(model="m")


def test_mean_over_the_splits_after_the_mean_over_the_repeats():
    """Split 1 is trained twice and counts once."""
    table = figures(
        (1, 1, 2, 2, 1.0, 0.5, 0.9), (1, 2, 2, 2, 0.0, 0.5, 0.5), (2, 1, 2, 2, 1.0, 1.0, 1.0)
    )  # fmt: skip
    found = over_splits(table, ["model"], pooled=False).iloc[0]
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["auc"] == pytest.approx((0.7 + 1.0) / 2)


def test_undefined_split_is_left_out_of_a_mean_over_splits():
    table = figures((1, 1, 2, 2, 0.5, 0.5, 0.6), (2, 1, 0, 3, np.nan, 1.0, np.nan))
    found = over_splits(table, ["model"], pooled=False).iloc[0]
    assert found[["balanced_accuracy", "auc"]].tolist() == pytest.approx([0.5, 0.6])


def test_pooled_figures_are_those_of_all_people_and_of_the_pairs_within_splits():
    """Right: 4 of 5 positives, 4 of 6 negatives; pairs: 4 half right and 3 right."""
    table = figures(
        (1, 1, 4, 1, 0.75, 0.0, 0.5),
        (2, 1, 1, 3, 1.0, 1.0, 1.0),
        (3, 1, 0, 2, np.nan, 0.5, np.nan),
    )
    found = over_splits(table, ["model"], pooled=True)
    assert list(found.columns) == ["model", "balanced_accuracy", "auc"]
    assert found["balanced_accuracy"].iloc[0] == pytest.approx((4 / 5 + 4 / 6) / 2)
    assert found["auc"].iloc[0] == pytest.approx((4 * 0.5 + 3 * 1.0) / 7)
    plain = over_splits(table, ["model"], pooled=False)
    assert plain["auc"].iloc[0] == pytest.approx(0.75)


def test_models_and_permutations_are_kept_apart_in_their_order():
    table = figures((1, 1, 2, 2, 1.0, 1.0, 1.0))
    table = pd.concat([table.assign(model=name, permutation=n) for name in "ba" for n in (1, 2)])
    for pooled in (False, True):
        found = over_splits(table, ["model", "permutation"], pooled)
        assert found["model"].tolist() == ["b", "b", "a", "a"]
        assert found["permutation"].tolist() == [1, 2, 1, 2]
