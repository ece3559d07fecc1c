import numpy as np
import pytest
from MLstatkit import Delong_test
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.statistics.predicted import CLASSES, arrays, of_folds, of_trials, with_repeats
from workflow_scripts.statistics.delong import (
    area,
    area_interval,
    compare_areas,
    covariance,
    fold_areas,
    resampled_error,
    resampled_test,
)
from workflow_scripts.statistics.metrics import auc_interval, hanley_mcneil
from workflow_scripts.statistics.scores import by_model, scores_of

# DeLong et al. 1988, as in the SAS/STAT User's Guide, PROC LOGISTIC, "Comparing Receiver
# Operating Characteristic Curves": albumin, total protein, K-G score, outcome (0: event).
OVARIAN = """
3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1
3.8 5.7 5 1 3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0
2.3 4.4 6 1 4.2 7.6 4 0 4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1
3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0
3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1
3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1
"""


def example(n=30, repeats=1, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    scores = (rng.normal(size=(2, repeats, n)) + truth).round(1)
    return truth, scores, np.zeros((repeats, n), int)


def test_published_example():
    """SAS/STAT: areas and standard errors, and the contrasts with the K-G score."""
    table = np.array(OVARIAN.split(), float).reshape(43, 4)
    truth = table[:, 3] == 0
    albumin, protein, score = (
        area(arrays(truth, sign * table[:, i])) for sign, i in ((-1, 0), (-1, 1), (1, 2))
    )
    for found, auc, se in (
        (albumin, 0.7366, 0.0927),
        (protein, 0.6478, 0.1000),
        (score, 0.7258, 0.1028),
    ):
        assert found.auc == pytest.approx(auc, abs=5e-5)
        assert np.sqrt(covariance(found, found)) == pytest.approx(se, abs=5e-5)
    assert compare_areas(score, albumin)["p"] == pytest.approx(0.9102, abs=5e-5)
    assert compare_areas(score, protein)["p"] == pytest.approx(0.4561, abs=5e-5)


def test_covariance_of_the_placement_values_by_brute_force():
    truth, scores, _ = example()
    placed = []
    for score in scores[:, 0]:
        kernel = [
            [1.0 if p > q else 0.5 if p == q else 0.0 for q in score[~truth]] for p in score[truth]
        ]
        of_positive = [sum(row) / len(row) for row in kernel]
        of_negative = [sum(row[j] for row in kernel) / len(kernel) for j in range(20)]
        placed.append((of_positive, of_negative))
    expected = (
        np.cov(placed[0][0], placed[1][0])[0, 1] / 10
        + np.cov(placed[0][1], placed[1][1])[0, 1] / 20
    )
    a, b = (area(arrays(truth, score)) for score in scores)
    assert covariance(a, b) == pytest.approx(expected)
    assert a.auc == pytest.approx(np.mean(placed[0][0]))
    assert a.auc == pytest.approx(roc_auc_score(truth, scores[0, 0]))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_mlstatkit(seed):
    truth, scores, _ = example(seed=seed)
    z, p, *_ = Delong_test(truth.astype(int), scores[0, 0], scores[1, 0])
    found = compare_areas(*(area(arrays(truth, score)) for score in scores))
    assert found["z"] == pytest.approx(z) and found["p"] == pytest.approx(p)


def test_repeating_the_same_predictions_adds_no_information():
    truth, scores, _ = example()
    a, b = (area(arrays(truth, score)) for score in scores)
    many = [area(arrays(truth, np.repeat(score, 20, 0))) for score in scores]
    assert many[0].auc == pytest.approx(a.auc)
    assert covariance(many[0], many[0]) == pytest.approx(covariance(a, a))
    assert compare_areas(*many)["p"] == pytest.approx(compare_areas(a, b)["p"])


def test_only_pairs_of_the_same_fold_are_compared():
    truth, scores, _ = example()
    fold = (np.arange(30) // 6)[None] % 5
    score = scores[0]
    shifted, found = score + 100 * fold, area(arrays(truth, score, fold)).auc
    assert area(arrays(truth, shifted, fold)).auc == pytest.approx(found)
    mean = np.mean([roc_auc_score(truth[fold[0] == k], score[0, fold[0] == k]) for k in range(5)])
    assert found == pytest.approx(mean)


def test_variance_of_repeated_folds_agrees_with_the_jackknife():
    rng = np.random.default_rng(4)
    truth, scores, _ = example(n=60, repeats=8, seed=4)
    fold = np.stack([rng.permutation(60) % 4 for _ in range(8)])
    found = area(arrays(truth, scores[0], fold))
    jackknife = 0.0
    for member in (truth, ~truth):
        left = [
            area(arrays(np.delete(truth, i), *(np.delete(a, i, 1) for a in (scores[0], fold)))).auc
            for i in np.flatnonzero(member)
        ]
        jackknife += (len(left) - 1) * np.var(left)
    assert covariance(found, found) == pytest.approx(jackknife, rel=0.05)


def test_limits_are_newcombes_for_as_many_people_as_delongs_variance_is_worth():
    truth, scores, _ = example()
    found = area(arrays(truth, scores[0]))
    single = hanley_mcneil(found.auc, found.n_positive, found.n_negative)
    share = single / covariance(found, found)
    assert share < 1
    expected = auc_interval(found.auc, found.n_positive * share, found.n_negative * share)
    assert area_interval(found) == pytest.approx(expected)
    steady = area(arrays(truth, np.repeat(scores[0, :1], 5, 0) + np.arange(5)[:, None]))
    assert area_interval(steady) == pytest.approx(area_interval(area(arrays(truth, scores[0, :1]))))
    low, high = area_interval(area(arrays(truth, truth)))
    assert (low, high) == auc_interval(1.0, truth.sum(), (~truth).sum())
    alone = area(arrays(np.arange(8) == 0, np.arange(8.0)))
    assert area_interval(alone) == auc_interval(alone.auc, 1, 7)


def test_equal_models_have_no_test():
    truth, scores, _ = example()
    a = area(arrays(truth, scores[0]))
    found = compare_areas(a, a)
    assert found["auc_difference"] == 0
    assert np.isnan(found["p"]) and np.isnan(found["se"])


def test_corrected_resampled_t_by_hand():
    """Five folds in two repeats: variance times 1/10 + 1/4, 9 degrees of freedom."""
    truth = np.arange(20) % 2 == 0
    scores = arrays(truth, np.zeros((2, 20)), np.stack([np.arange(20) % 5] * 2))
    values = np.array([0.1, 0.3] * 5)
    se, df = resampled_error(values, scores)
    assert se == pytest.approx(np.sqrt(0.1 / 9 * 0.35)) and df == 9
    found = resampled_test(0.2, values, scores)
    t = 0.2 / se
    assert found["resampled_p"] == pytest.approx(2 * stats.t.sf(t, 9))
    assert found["resampled_low"] == pytest.approx(0.2 - stats.t.ppf(0.975, 9) * se)
    assert np.isnan(resampled_test(0.0, np.zeros(10), scores)["resampled_p"])


def test_resampled_t_is_for_splits_that_divide_the_participants():
    """Random trials leave people out; the same test side twice has no folds."""
    trials = scores_of(of_trials(), CLASSES)
    values = fold_areas(trials)
    assert len(values) == 4 and np.isnan(resampled_error(values, trials)[0])
    assert np.isnan(resampled_test(0.1, values, trials)["resampled_p"])
    same = arrays(np.arange(8) < 4, np.random.default_rng(0).normal(size=(3, 8)))
    assert np.isnan(resampled_error(fold_areas(same), same)[0])


def test_fold_areas_leave_out_folds_of_one_class():
    truth, scores, _ = example()
    fold = np.where(truth & (np.arange(30) < 15), 0, 1)[None]
    found = fold_areas(arrays(truth, scores[0], fold))
    inside = fold[0] == 1
    assert found == pytest.approx([roc_auc_score(truth[inside], scores[0, 0, inside])])


def clustered(seed=0, mixed=False):
    """20 people with 1 to 3 scans, which differ; some with scans of both classes."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(20), rng.integers(1, 4, 20))
    truth = person < 8
    if mixed:
        truth = truth ^ ((person % 5 == 0) & (np.diff(person, prepend=-1) == 0))
    effect = rng.normal(size=20)[person]
    return truth, rng.normal(size=len(person)) + effect + truth, person


def weighted_auc(truth, score, person, keep):
    """AUC of people, each with weight one, by the definition."""
    size = np.bincount(person)
    right = pairs = 0.0
    for i in np.flatnonzero(truth & keep):
        for j in np.flatnonzero(~truth & keep):
            weight = 1 / size[person[i]] / size[person[j]]
            right += weight * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
            pairs += weight
    return right / pairs


@pytest.mark.parametrize("seed", range(3))
def test_variance_of_clustered_scans_is_that_of_leaving_out_people(seed):
    truth, score, person = clustered(seed)
    found = area(arrays(truth, score, person=person))
    everybody = np.ones(len(truth), bool)
    assert found.auc == pytest.approx(weighted_auc(truth, score, person, everybody))
    assert (found.n_positive, found.n_negative) == pytest.approx((8, 12))
    jackknife = 0.0
    for people in (range(8), range(8, 20)):
        left = [weighted_auc(truth, score, person, person != p) for p in people]
        jackknife += (len(left) - 1) * np.var(left)
    assert covariance(found, found) == pytest.approx(jackknife, rel=1e-6)
    assert found.positive.sum() == pytest.approx(0) and found.negative.sum() == pytest.approx(0)


def test_people_with_scans_of_both_classes_count_with_both():
    truth, score, person = clustered(1, mixed=True)
    found = area(arrays(truth, score, person=person))
    both = (found.positive != 0) & (found.negative != 0)
    assert both.any()
    assert found.n_positive + found.n_negative == pytest.approx(20)
    total = (found.positive + found.negative)[both]
    apart = found.positive[both] ** 2 + found.negative[both] ** 2
    cross = (total**2 - apart).sum()
    plain = sum(
        n / (n - 1) * (x @ x)
        for x, n in (
            (found.positive, found.n_positive),
            (found.negative, found.n_negative),
        )
    )
    assert covariance(found, found) == pytest.approx(plain + cross)


def test_interval_of_clustered_scans_covers_and_that_of_independent_ones_does_not():
    """Three scans of 10 + 10 people that agree within a person, of equal classes."""
    rng, covered, naive = np.random.default_rng(7), 0, 0
    person = np.repeat(np.arange(20), 3)
    truth = person < 10
    for _ in range(300):
        score = rng.normal(size=20)[person] + 0.3 * rng.normal(size=60)
        low, high = area_interval(area(arrays(truth, score, person=person)))
        covered += low < 0.5 < high
        low, high = area_interval(area(arrays(truth, score)))
        naive += low < 0.5 < high
    assert 0.91 < covered / 300 < 0.99
    assert naive / 300 < 0.85


def test_trainings_of_a_split_are_averaged_and_never_compared_with_each_other():
    truth, scores, _ = example()
    offset = np.array([[0.0], [50.0], [-50.0]])
    three = arrays(truth, scores[0] + offset, repeat_of_training=True)
    one = area(arrays(truth, scores[0]))
    assert area(three).auc == pytest.approx(one.auc)
    assert covariance(area(three), area(three)) == pytest.approx(covariance(one, one))
    assert len(fold_areas(three)) == 1
    different = np.concatenate([scores[0], scores[1]])
    pair = arrays(truth, different, repeat_of_training=True)
    mean = np.mean([roc_auc_score(truth, row) for row in different])
    assert area(pair).auc == pytest.approx(mean) == fold_areas(pair)[0]


def test_trainings_do_not_add_degrees_of_freedom():
    predictions = of_folds(apparent=False)
    once = by_model(predictions, CLASSES)["mri", "test"]
    thrice = by_model(with_repeats(predictions), CLASSES)["mri", "test"]
    assert fold_areas(thrice) == pytest.approx(fold_areas(once))
    assert resampled_error(fold_areas(thrice), thrice) == pytest.approx(
        resampled_error(fold_areas(once), once)
    )
    assert area_interval(area(thrice)) == pytest.approx(area_interval(area(once)))


def test_scans_of_one_class_have_no_area():
    scores = arrays(np.ones(5, bool), np.arange(5.0))
    assert np.isnan(area(scores).auc) and np.isnan(area_interval(area(scores))).all()
