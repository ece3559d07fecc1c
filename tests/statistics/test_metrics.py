import numpy as np
import pytest
from scipy.stats import norm

from workflow_scripts.statistics.metrics import (
    auc_interval,
    balanced_accuracy_interval,
    wilson,
    worth,
)


def test_worth_is_the_effective_sample_size_of_kish_and_at_most_the_participants():
    """Half of 12 weigh twice as much: variance p (1 - p) sum w^2 / (sum w)^2."""
    weight = np.repeat([1, 2], 6)
    variance = 0.25 * (weight**2).sum() / weight.sum() ** 2
    assert worth(0.25 / 12, variance, 12) == pytest.approx(18**2 / 30)
    assert worth(0.25 / 12, 0.01, 12) == worth(0.25 / 12, 0.0, 12) == 12


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
