import numpy as np
import pytest
from MLstatkit import Delong_test
from scipy import stats
from sklearn.metrics import roc_auc_score

from workflow_scripts.statistics.delong import (
    area,
    area_interval,
    compare_areas,
    covariance,
    fold_areas,
    resampled_error,
    resampled_interval,
    resampled_test,
)

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
    truth, fold = table[:, 3] == 0, np.zeros((1, 43), int)
    albumin, protein, score = (
        area(truth, (sign * table[:, i])[None], fold) for sign, i in ((-1, 0), (-1, 1), (1, 2))
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
    truth, scores, fold = example()
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
    a, b = (area(truth, score, fold) for score in scores)
    assert covariance(a, b) == pytest.approx(expected)
    assert a.auc == pytest.approx(np.mean(placed[0][0]))
    assert a.auc == pytest.approx(roc_auc_score(truth, scores[0, 0]))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_mlstatkit(seed):
    truth, scores, fold = example(seed=seed)
    z, p, *_ = Delong_test(truth.astype(int), scores[0, 0], scores[1, 0])
    found = compare_areas(*(area(truth, score, fold) for score in scores))
    assert found["z"] == pytest.approx(z) and found["p"] == pytest.approx(p)


def test_repeating_the_same_predictions_adds_no_information():
    truth, scores, fold = example()
    a, b = (area(truth, score, fold) for score in scores)
    many = [area(truth, np.repeat(score, 20, 0), np.repeat(fold, 20, 0)) for score in scores]
    assert many[0].auc == pytest.approx(a.auc)
    assert covariance(many[0], many[0]) == pytest.approx(covariance(a, a))
    assert compare_areas(*many)["p"] == pytest.approx(compare_areas(a, b)["p"])


def test_only_pairs_of_the_same_fold_are_compared():
    truth, scores, _ = example()
    fold = (np.arange(30) // 6)[None] % 5
    score = scores[0]
    shifted = score + 100 * fold
    assert area(truth, shifted, fold).auc == pytest.approx(area(truth, score, fold).auc)
    mean = np.mean([roc_auc_score(truth[fold[0] == k], score[0, fold[0] == k]) for k in range(5)])
    assert area(truth, score, fold).auc == pytest.approx(mean)


def test_variance_of_repeated_folds_agrees_with_the_jackknife():
    rng = np.random.default_rng(4)
    truth, scores, _ = example(n=60, repeats=8, seed=4)
    fold = np.stack([rng.permutation(60) % 4 for _ in range(8)])
    found = area(truth, scores[0], fold)
    jackknife = 0.0
    for member in (truth, ~truth):
        left = [
            area(np.delete(truth, i), np.delete(scores[0], i, 1), np.delete(fold, i, 1)).auc
            for i in np.flatnonzero(member)
        ]
        jackknife += (len(left) - 1) * np.var(left)
    assert covariance(found, found) == pytest.approx(jackknife, rel=0.05)


def test_interval_is_on_the_logit_scale_and_newcombes_for_separated_classes():
    truth, scores, fold = example()
    found = area(truth, scores[0], fold)
    low, high, method = area_interval(found)
    assert method == "DeLong, logit scale"
    middle = (np.log(low / (1 - low)) + np.log(high / (1 - high))) / 2
    assert middle == pytest.approx(np.log(found.auc / (1 - found.auc)))
    low, high, method = area_interval(area(truth, truth[None].astype(float), fold))
    assert high == 1 and 0.5 < low < 1 and method == "Newcombe method 5"


def test_equal_models_have_no_test():
    truth, scores, fold = example()
    a = area(truth, scores[0], fold)
    found = compare_areas(a, a)
    assert found["auc_difference"] == 0
    assert np.isnan(found["p"]) and np.isnan(found["se"])


def test_corrected_resampled_t_by_hand():
    """Five folds in two repeats: variance times 1/10 + 1/4, 9 degrees of freedom."""
    fold = np.stack([np.arange(20) % 5] * 2)
    values = np.array([0.1, 0.3] * 5)
    se, df = resampled_error(values, fold)
    assert se == pytest.approx(np.sqrt(0.1 / 9 * 0.35)) and df == 9
    found = resampled_test(0.2, values, fold)
    t = 0.2 / se
    assert found["resampled_p"] == pytest.approx(2 * stats.t.sf(t, 9))
    assert found["resampled_low"] == pytest.approx(0.2 - stats.t.ppf(0.975, 9) * se)
    assert np.isnan(resampled_test(0.0, np.zeros(10), fold)["resampled_p"])


def test_fold_areas_leave_out_folds_of_one_class():
    truth, scores, _ = example()
    fold = np.where(truth & (np.arange(30) < 15), 0, 1)[None]
    found = fold_areas(truth, scores[0], fold)
    inside = fold[0] == 1
    assert found == pytest.approx([roc_auc_score(truth[inside], scores[0, 0, inside])])


def test_interval_of_a_cross_validated_auc_stays_within_its_range():
    truth, scores, _ = example(repeats=3)
    fold = np.stack([np.arange(30) // 3 % 5] * 3)
    low, high, method = resampled_interval(area(truth, scores[0], fold), truth, scores[0], fold)
    assert 0 <= low < area(truth, scores[0], fold).auc < high <= 1
    assert method == "corrected resampled t"
    perfect = truth[None].astype(float)
    low, high, method = resampled_interval(area(truth, perfect, fold[:1]), truth, perfect, fold[:1])
    assert 0.5 < low < high == 1 and method == "Newcombe method 5"
