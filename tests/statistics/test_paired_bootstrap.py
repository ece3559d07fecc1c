"""Differences in balanced accuracy by a bootstrap of participants."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from tests.statistics.predicted import arrays
from workflow_scripts.statistics.paired_bootstrap import (
    balanced_accuracies,
    compare_balanced_accuracy,
)

TRUTH = np.repeat([False, True], [12, 18])


def scored(rng, right, **known):
    """Predictions of which a share is right."""
    return arrays(TRUTH, np.where((rng.random(len(TRUTH)) < right) == TRUTH, 0.9, 0.1), **known)


def test_limits_are_those_of_scipy():
    """Of single scans in one split, drawn within the classes and in pairs."""
    rng = np.random.default_rng(0)
    a, b = scored(rng, 0.6), scored(rng, 0.85)
    found = compare_balanced_accuracy(a, b, 4000, seed=1)
    gain = (b.predicted[0] == TRUTH).astype(int) - (a.predicted[0] == TRUTH)
    judge = bootstrap(
        (gain[TRUTH], gain[~TRUTH]),
        lambda one, other, axis: (one.mean(axis) + other.mean(axis)) / 2,
        method="percentile",
        n_resamples=4000,
        rng=rng,
    )
    expected = (gain[TRUTH].mean() + gain[~TRUTH].mean()) / 2
    assert found["balanced_accuracy_difference"] == pytest.approx(expected)
    limits = found["bootstrap_low"], found["bootstrap_high"]
    np.testing.assert_allclose(limits, judge.confidence_interval, atol=0.02)
    below = (judge.bootstrap_distribution <= 0).mean()
    assert found["bootstrap_p"] == pytest.approx(2 * below, abs=0.015)


def test_scans_of_a_person_are_drawn_together_and_count_as_one():
    """Each scan twice, as a second one of the same person: nothing changes."""
    rng = np.random.default_rng(2)
    once = [scored(rng, right) for right in (0.6, 0.8)]
    person = np.tile(np.arange(len(TRUTH)), 2)
    twice = [arrays(np.tile(TRUTH, 2), np.tile(one.score, 2), person=person) for one in once]
    one, two = (compare_balanced_accuracy(*pair, 200, seed=3) for pair in (once, twice))
    assert one == pytest.approx(two)


def test_rows_are_averaged_where_each_defines_both_classes():
    """Two rows: 3 of 4 positives, 1 of 2 negatives right; then 1 of 2 positives, no negative."""
    truth = np.array([True, True, True, True, False, False])
    score = np.array([[0.9, 0.9, 0.9, 0.1, 0.1, 0.9], [0.9, 0.1, np.nan, np.nan, np.nan, np.nan]])
    fold = np.array([[0] * 6, [0, 0, -1, -1, -1, -1]])
    scores = arrays(truth, score, fold)
    found = balanced_accuracies(scores, np.ones((1, 6), int))
    assert found[0] == pytest.approx(((3 / 4 + 1 / 2) / 2 + 1 / 2) / 2)


def test_a_model_against_itself_differs_by_nothing():
    model = scored(np.random.default_rng(4), 0.7)
    assert list(compare_balanced_accuracy(model, model, 50, 1).values()) == [0, 0, 0, 1]
