import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm
from sklearn import metrics as judge

from workflow_scripts.statistics.metrics import (
    METRICS,
    auc_interval,
    balanced_accuracy_interval,
    metrics,
    wilson,
)


def example(n=40, seed=0):
    rng = np.random.default_rng(seed)
    positive = np.arange(n) < n // 3
    score = (rng.normal(size=n) + positive).round(1)
    return positive, score > 0.3, score


def test_metrics_agree_with_sklearn_and_mann_whitney():
    positive, predicted, score = example()
    found = metrics(positive, predicted, score, np.ones((1, 40)))
    value = {name: array[0] for name, array in found.items()}
    tn, fp, fn, tp = judge.confusion_matrix(positive, predicted).ravel()
    assert [value[c] for c in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
    assert value["accuracy"] == pytest.approx(judge.accuracy_score(positive, predicted))
    assert value["balanced_accuracy"] == pytest.approx(
        judge.balanced_accuracy_score(positive, predicted)
    )
    assert value["sensitivity"] == pytest.approx(judge.recall_score(positive, predicted))
    assert value["specificity"] == pytest.approx(judge.recall_score(~positive, ~predicted))
    assert value["precision"] == pytest.approx(judge.precision_score(positive, predicted))
    u = mannwhitneyu(score[positive], score[~positive]).statistic
    assert value["auc"] == pytest.approx(u / (positive.sum() * (~positive).sum()))
    assert set(METRICS) < set(value)


def test_weights_are_repeated_rows():
    positive, predicted, score = example()
    weight = np.random.default_rng(1).integers(0, 4, (3, 40))
    weighted = metrics(positive, predicted, score, weight)
    for sample in range(3):
        rows = np.repeat(np.arange(40), weight[sample])
        once = metrics(positive[rows], predicted[rows], score[rows], np.ones((1, len(rows))))
        for name in METRICS:
            assert weighted[name][sample] == pytest.approx(once[name][0])


def test_published_precision_is_of_the_correct_ones():
    """Inglese 2022, Table 2, crop, trial 1: 6 and 5 of 9 right, printed 45.5 / 55.6."""
    positive = np.repeat([False, True], 9)
    predicted = np.array([False] * 6 + [True] * 3 + [True] * 5 + [False] * 4)
    found = metrics(positive, predicted, predicted.astype(float), np.ones((1, 18)))
    assert round(100 * found["precision_published"][0], 1) == 45.5
    assert round(100 * found["sensitivity"][0], 1) == 55.6
    assert found["precision"][0] == pytest.approx(5 / 8)


def test_undefined_is_nan_never_zero():
    positive = np.array([True, True, False, False])
    nobody = np.zeros(4, bool)
    found = metrics(positive, nobody, np.zeros(4), np.ones((1, 4)))
    assert np.isnan(found["precision"][0])
    assert found["sensitivity"][0] == 0
    assert found["auc"][0] == 0.5
    found = metrics(nobody, nobody, np.zeros(4), np.ones((1, 4)))
    for name in ("sensitivity", "balanced_accuracy", "auc", "precision"):
        assert np.isnan(found[name][0])
    assert found["specificity"][0] == 1


def test_wilson_known_values():
    """Newcombe 1998 (Stat Med 17:857), Table I: 81/263, 15/148, 0/20, 1/29."""
    known = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, total), limits in known.items():
        assert wilson(hits, total) == pytest.approx(limits, abs=5e-5)
    assert np.isnan(wilson(0, 0)).all()


def test_balanced_accuracy_interval_of_equal_parts():
    """Equal halves: the half-width is the part's divided by sqrt(2)."""
    low, high = balanced_accuracy_interval((0.8, 0.6, 0.9), (0.8, 0.6, 0.9))
    assert low == pytest.approx(0.8 - 0.2 / np.sqrt(2))
    assert high == pytest.approx(0.8 + 0.1 / np.sqrt(2))
    low, high = balanced_accuracy_interval((1, 0.7, 1), (1, 0.7, 1))
    assert 0 < low < high == 1


def test_auc_limits_solve_their_equation():
    auc, m, n = 0.8, 9, 12
    for limit in auc_interval(auc, m, n):
        q1, q2 = limit / (2 - limit), 2 * limit**2 / (1 + limit)
        others = (m + n) / 2 - 1
        variance = limit * (1 - limit) + others * (q1 - limit**2) + others * (q2 - limit**2)
        z = (auc - limit) / np.sqrt(variance / (m * n))
        assert abs(z) == pytest.approx(norm.ppf(0.975), rel=1e-6)


def test_auc_interval_is_mirrored_and_open_at_the_ends():
    low, high = auc_interval(1.0, 9, 9)
    assert high == 1 and 0.5 < low < 0.9
    mirrored = auc_interval(0.0, 9, 9)
    assert mirrored == pytest.approx((1 - high, 1 - low))
    low, high = auc_interval(0.5, 20, 20)
    assert low + high == pytest.approx(1)
    assert np.isnan(auc_interval(np.nan, 3, 0)).all()


@pytest.mark.parametrize("error", [2e-16, -2e-16])
def test_auc_interval_forgives_rounding_errors_of_weights(error):
    assert auc_interval(1 + error, 5.0, 7.0) == pytest.approx(auc_interval(1.0, 5, 7))
    assert auc_interval(error, 5.0, 7.0) == pytest.approx(auc_interval(0.0, 5, 7), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.2, 2.5])
def test_auc_interval_covers_the_true_area(shift):
    rng = np.random.default_rng(5)
    truth, covered = norm.cdf(shift / np.sqrt(2)), 0
    for _ in range(600):
        above = rng.normal(shift, 1, 9)[:, None] > rng.normal(0, 1, 9)[None, :]
        low, high = auc_interval(above.mean(), 9, 9)
        covered += low <= truth <= high
    assert 0.91 < covered / 600 <= 0.995
