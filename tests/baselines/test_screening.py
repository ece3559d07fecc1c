import numpy as np
import pytest
import statsmodels.api as sm

from workflow_scripts.baselines.linear import fit
from workflow_scripts.baselines.screening import Screening, likelihood_ratio_p


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    y = np.arange(120) % 2 == 0
    return np.column_stack([rng.normal(1.0 * y, 1), rng.normal(0, 1, (120, 3))]), y


def test_p_is_that_of_statsmodels(data):
    x, y = data
    for column in x.T:
        judge = sm.Logit(y.astype(float), sm.add_constant(column)).fit(disp=0)
        assert likelihood_ratio_p(column, y) == pytest.approx(judge.llr_pvalue, rel=1e-4)


def test_a_term_that_separates_the_classes_has_a_small_p_and_a_constant_one_none():
    y = np.arange(40) < 20
    assert likelihood_ratio_p(np.where(y, 1.0, 0.0) + np.arange(40) / 100, y) < 1e-6
    assert likelihood_ratio_p(np.ones(40), y) == 1


def test_terms_without_an_association_of_their_own_are_0(data):
    x, y = data
    screened = Screening(0.001, (0, 1, 2, 3)).fit(x, y)
    assert screened.dropped_ == [1, 2, 3]
    np.testing.assert_array_equal(screened.transform(x), x * [1, 0, 0, 0])
    alone = Screening(0.001, (1, 2)).fit(x, y)
    assert alone.dropped_ == [1, 2]


def test_of_none_the_smallest_p_stays(data):
    x, y = data
    noise = x[:, 1:]
    kept = Screening(1e-9, (0, 1, 2)).fit(noise, y)
    p = [likelihood_ratio_p(column, y) for column in noise.T]
    assert kept.dropped_ == [place for place in range(3) if place != np.argmin(p)]


def test_a_model_of_table_columns_is_fitted_to_what_is_left(data):
    """As if the other columns had not been there."""
    x, y = data
    settings = {"kind": "logistic", "penalties": [1.0], "selection": "log_loss"}
    once, person = np.ones(len(y), int), np.arange(len(y))
    screened = fit(settings, x, y, once, person, 1, (Screening(0.001, (0, 1, 2, 3)),))
    alone = fit(settings, x[:, :1], y, once, person, 1)
    np.testing.assert_allclose(screened.score(x), alone.score(x[:, :1]), rtol=1e-6)
