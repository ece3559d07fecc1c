import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.baselines.cohorts import LOGISTIC, SVM, YOUDEN
from workflow_scripts.baselines.linear import (
    balanced_accuracy,
    fit,
    inner_folds,
    one_thread,
    youden_threshold,
)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def test_balanced_accuracy_agrees_with_sklearn():
    truth, predicted = np.arange(20) < 7, np.random.default_rng(0).random(20) < 0.5
    judge = balanced_accuracy_score(truth, predicted)
    assert balanced_accuracy(truth, predicted) == pytest.approx(judge)


def test_inner_folds_keep_participants_together_and_classes_mixed():
    person = np.repeat(np.arange(10), 2)
    y = person < 4
    seen = np.zeros(20)
    for fitted, validated in inner_folds(y, person, seed=0):
        assert not set(person[fitted]) & set(person[validated])
        assert y[validated].any() and not y[validated].all()
        seen += validated
    assert (seen == 1).all()


@pytest.mark.parametrize("settings", [SVM, LOGISTIC, YOUDEN])
def test_weight_two_is_the_row_given_twice(settings):
    rng = np.random.default_rng(2)
    y = np.arange(18) < 6
    x = rng.normal(size=(18, 2)) + 2 * y[:, None]
    person, weight = np.arange(18), 1.0 + y
    twice = np.repeat(np.arange(18), 1 + y)
    weighted = fit(settings, x, y, weight, person, seed=0)
    repeated = fit(settings, x[twice], y[twice], np.ones(24), person[twice], seed=0)
    np.testing.assert_allclose(weighted.pipeline[0].mean_, x[twice].mean(0))
    np.testing.assert_allclose(weighted.score(x), repeated.score(x), atol=2e-3)
    assert weighted.penalty == repeated.penalty
    assert weighted.threshold == pytest.approx(repeated.threshold, abs=1e-3)


def test_coefficients_of_weighted_rows_agree_with_sklearn():
    rng = np.random.default_rng(6)
    y = np.arange(20) < 8
    x, weight = rng.normal(size=(20, 2)) + y[:, None], 1 + (np.arange(20) % 3 == 0)
    twice = np.repeat(np.arange(20), weight)
    weighted = fit(YOUDEN, x, y, weight, np.arange(20), seed=0)
    scaled = StandardScaler().fit(x[twice])
    judge = LogisticRegression(C=weighted.penalty, tol=1e-8)
    judge.fit(scaled.transform(x[twice]), y[twice])
    expected = np.concatenate([judge.intercept_, judge.coef_[0]])
    assert weighted.coefficients == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "model", "scoring"),
    [
        (YOUDEN, LogisticRegression(), "neg_log_loss"),
        (LOGISTIC, LogisticRegression(), "balanced_accuracy"),
        (SVM, SVC(kernel="linear"), "balanced_accuracy"),
    ],
)
def test_penalty_and_coefficients_agree_with_a_grid_search(settings, model, scoring):
    """Equal inner folds: the mean over folds is the mean over rows."""
    rng = np.random.default_rng(5)
    y = np.arange(24) % 2 == 0
    x = rng.normal(size=(24, 3)) + y[:, None] * [1, 0, 0]
    fitted = fit(settings, x, y, np.ones(24, int), np.arange(24), seed=7)
    name = type(model).__name__.lower()
    judge = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {f"{name}__C": settings["penalties"]},
        cv=StratifiedKFold(3, shuffle=True, random_state=7),
        scoring=scoring,
    ).fit(x, y)
    assert judge.best_params_[f"{name}__C"] == fitted.penalty
    assert fitted.coefficients[1:] == pytest.approx(judge.best_estimator_[-1].coef_[0], abs=1e-3)
    np.testing.assert_allclose(fitted.score(x), judge.decision_function(x), atol=1e-3)


def test_smallest_of_equally_good_penalties_is_taken():
    y = np.arange(24) % 2 == 0
    x = np.where(y, 5.0, -5.0)[:, None] + np.random.default_rng(0).normal(size=(24, 1))
    for settings in (SVM, LOGISTIC):
        assert fit(settings, x, y, np.ones(24), np.arange(24), seed=1).penalty == 0.1


def test_youden_threshold_by_hand():
    """At 0.45 sensitivity is 1 and specificity 2/3, at 0.75 they are 1/2 and 1."""
    y = np.array([False, False, True, False, True])
    p = np.array([0.1, 0.4, 0.5, 0.7, 0.8])
    once = np.ones(5, int)
    assert youden_threshold(y, p, once) == pytest.approx(0.45)
    assert youden_threshold(y, p, np.array([1, 1, 1, 8, 1])) == pytest.approx(0.75)
    assert youden_threshold(y, np.full(5, 0.3), once) == pytest.approx(0.4)


def test_threshold_is_that_of_the_inner_folds_on_the_scale_of_the_score():
    rng = np.random.default_rng(3)
    y, person = np.arange(30) < 8, np.arange(30)
    x, weight = rng.normal(size=(30, 2)) + y[:, None], np.ones(30)
    fitted = fit(YOUDEN, x, y, weight, person, seed=4)
    inner = np.empty(30)
    for inside, outside in inner_folds(y, person, seed=4):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=fitted.penalty, tol=1e-8))
        inner[outside] = model.fit(x[inside], y[inside]).predict_proba(x[outside])[:, 1]
    expected = logit(youden_threshold(y, inner, weight))
    assert fitted.threshold == pytest.approx(expected, abs=1e-3) and fitted.threshold != 0
    assert expit(fitted.score(x)) == pytest.approx(fitted.pipeline.predict_proba(x)[:, 1])
    assert fit(YOUDEN | {"threshold": "half"}, x, y, weight, person, seed=4).threshold == 0


def test_column_that_is_constant_in_the_training_side_changes_nothing():
    rng = np.random.default_rng(8)
    y = np.arange(20) < 9
    x = rng.normal(size=(20, 2)) + y[:, None]
    alone = fit(YOUDEN, x, y, np.ones(20), np.arange(20), seed=0)
    with_it = fit(YOUDEN, np.c_[x, np.full(20, 7.0)], y, np.ones(20), np.arange(20), seed=0)
    assert with_it.coefficients[:3] == pytest.approx(alone.coefficients)
    assert with_it.coefficients[3] == pytest.approx(0)


def test_null_data_look_good_where_fitted():
    """12 null cohorts of 15 + 15 with 8 columns."""
    y, found = np.arange(30) < 15, []
    for seed in range(12):
        x = np.random.default_rng(seed).normal(size=(30, 8))
        score = fit(YOUDEN, x, y, np.ones(30, int), np.arange(30), seed=1).score(x)
        found.append((score[y][:, None] > score[~y][None, :]).mean())
    assert np.mean(found) > 0.7
