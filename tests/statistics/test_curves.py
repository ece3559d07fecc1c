import dcurves
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from sklearn import metrics as judge

from tests.statistics.predicted import CLASSES, arrays, of_trials, table
from workflow_scripts.statistics.curves import (
    calibration_curve,
    calibration_line,
    decision_curve,
    roc_curve,
)
from workflow_scripts.statistics.delong import area
from workflow_scripts.statistics.scores import draw_participants, scores_of
from workflow_scripts.statistics.split_metrics import evaluate


def example(n=60, repeats=3, seed=0, folds=4):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    probability = expit(rng.normal(size=(repeats, n)) + truth)
    fold = np.stack([rng.permutation(n) % folds for _ in range(repeats)])
    scores = arrays(truth, probability, fold)
    return scores, draw_participants(scores, 200, seed=1)


def test_roc_of_one_model_passes_through_the_points_of_sklearn():
    scores, drawn = example(repeats=1, folds=1)
    table = roc_curve(scores, drawn)
    fpr, tpr, _ = judge.roc_curve(scores.truth, scores.score[0], drop_intermediate=False)
    for rate, sensitivity in zip(table["false_positive_rate"], table["sensitivity"], strict=True):
        assert sensitivity == pytest.approx(tpr[fpr <= rate + 1e-9].max())


def test_area_under_the_steps_is_the_auc_within_folds():
    """10 negatives in each fold put every step on the grid of hundredths."""
    scores, drawn = example()
    fold = np.stack([np.arange(60) // 3 % 4, np.arange(60) // 3 % 4, np.arange(60) // 15])
    scores = arrays(scores.truth, scores.score, fold)
    table = roc_curve(scores, drawn)
    steps = table["sensitivity"].to_numpy()[:-1].mean()
    assert steps == pytest.approx(area(scores).auc)
    assert table["sensitivity"].is_monotonic_increasing
    assert table["sensitivity"].iloc[-1] == 1
    above, below = (table["sensitivity"] - table[end] for end in ("ci_low", "ci_high"))
    assert (above >= -1e-9).all() and (below <= 1e-9).all()
    assert (table["ci_high"] - table["ci_low"]).min() > 0.1


def test_calibration_bins():
    truth = np.array([False] * 10 + [True] * 10)
    probability = np.r_[np.full(10, 0.2), np.full(10, 0.9)][None]
    table = calibration_curve(arrays(truth, np.repeat(probability, 4, 0)))
    assert table["n"].tolist() == [10, 10]
    assert table["predicted_probability"].tolist() == pytest.approx([0.2, 0.9])
    assert table["observed_share"].tolist() == [0, 1]
    assert table["ci_high"].iloc[0] == pytest.approx(0.2775, abs=5e-5)  # Wilson, 0 of 10
    constant = calibration_curve(arrays(truth, np.full((2, 20), 0.3)))
    assert len(constant) == 1 and constant["observed_share"].iloc[0] == 0.5


def test_calibration_line_recovers_slope_and_intercept():
    """Outcomes drawn with log odds of 1 + x; predictions of 2 x are twice too extreme."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=20000)
    truth = rng.random(20000) < expit(1 + x)
    twice, exact = (calibration_line(arrays(truth, expit(factor * x))) for factor in (2, 1))
    for (value, low, high), expected in (
        (twice["calibration_slope"], 0.5),
        (exact["calibration_slope"], 1),
        (exact["calibration_intercept"], 1),
    ):
        assert value == pytest.approx((low + high) / 2) and high - low < 0.1
        assert abs(value - expected) < 4 * (high - low) / (2 * 1.96)


def test_calibration_limits_count_patients_not_repeats():
    scores, _ = example(repeats=1)
    once = calibration_line(scores)
    many = calibration_line(arrays(scores.truth, np.repeat(scores.score, 10, 0)))
    for name, values in once.items():
        assert many[name] == pytest.approx(values, rel=0.05)


def test_calibration_slope_is_undefined_without_overlap_or_spread():
    truth = np.arange(20) < 10
    separated = np.where(truth, 0.8, 0.3)[None]
    assert np.isnan(calibration_line(arrays(truth, separated))["calibration_slope"]).all()
    single = calibration_line(arrays(truth[9:11][::-1], [0.3, 0.3], person=np.zeros(2, int)))
    assert single["calibration_intercept"] == pytest.approx(
        (logit(0.5) - logit(0.3), np.nan, np.nan), nan_ok=True
    )
    constant = calibration_line(arrays(truth, np.full((1, 20), 0.2)))
    assert np.isnan(constant["calibration_slope"]).all()
    assert constant["calibration_intercept"][0] == pytest.approx(-logit(0.2))


def test_net_benefit_agrees_with_dcurves():
    scores, _ = example(repeats=1)
    table = decision_curve(scores).set_index("strategy")
    data = pd.DataFrame({"y": scores.truth.astype(int), "p": scores.probability[0]})
    thresholds = np.arange(1, 100) / 100
    other = dcurves.dca(data=data, outcome="y", modelnames=["p"], thresholds=thresholds)
    for mine, theirs in (("model", "p"), ("all", "all"), ("none", "none")):
        expected = other.loc[other["model"] == theirs, "net_benefit"]
        assert table.loc[mine, "net_benefit"].to_numpy() == pytest.approx(expected.to_numpy())


def test_limits_of_net_benefit_are_put_together_from_those_of_sensitivity_and_specificity():
    """At equal classes and threshold 1/2 net benefit is balanced accuracy less 1/2."""
    truth = np.arange(40) < 20
    probability = np.where(np.arange(40) % 4 == 0, 0.3, 0.7) * truth + 0.1 * (np.arange(40) > 29)
    probability = np.where(np.arange(40) == 25, 0.8, probability.clip(0.05))
    scores = arrays(truth, probability)
    row = decision_curve(scores).query("strategy == 'model' and threshold == 0.5").iloc[0]
    metrics = evaluate(table(truth, probability, 1), CLASSES).set_index(["split", "metric"])
    expected = metrics.loc[("all", "balanced_accuracy"), ["value", "ci_low", "ci_high"]] - 0.5
    assert row[["net_benefit", "ci_low", "ci_high"]].tolist() == pytest.approx(expected.tolist())
    everybody = decision_curve(arrays(truth, np.full(40, 0.9))).query("threshold == 0.2")
    limits = everybody.set_index("strategy").loc["model", ["net_benefit", "ci_low", "ci_high"]]
    assert limits["ci_low"] < limits["net_benefit"] == everybody["net_benefit"].iloc[1]


def test_net_benefit_of_all_by_hand():
    """Prevalence 1/3 at threshold 0.2: 1/3 - 2/3 * 0.25 = 1/6."""
    table = decision_curve(example()[0]).set_index(["strategy", "threshold"])
    assert table.loc[("all", 0.2), "net_benefit"] == pytest.approx(1 / 6)
    assert (table.loc["none", "net_benefit"] == 0).all()


def test_bins_hold_equally_many_people_by_the_quantiles_of_numpy():
    scores, _ = example(n=47, repeats=1)
    probability = scores.probability[0]
    edges = np.quantile(probability, np.arange(1, 4) / 4)
    expected = np.bincount(np.searchsorted(edges, probability, side="left"))
    assert calibration_curve(scores)["n"].tolist() == expected.tolist()


def sandwich(scores, rows):
    """Slope and standard error of statsmodels, clustered by participant, all rows alike."""
    y = np.broadcast_to(scores.truth, rows.shape)[rows].astype(float)
    x = sm.add_constant(logit(scores.probability[rows]))
    groups = np.broadcast_to(scores.person, rows.shape)[rows]
    fitted = sm.GLM(y, x, family=sm.families.Binomial())
    fitted = fitted.fit(cov_type="cluster", cov_kwds={"groups": groups})
    return fitted.params[1], stats.t.ppf(0.975, len(set(groups)) - 1) * fitted.bse[1]


def test_calibration_line_agrees_with_statsmodels_where_everybody_is_scored_alike():
    scores, _ = example()
    slope, half = sandwich(scores, np.ones((3, 60), bool))
    expected = (slope, slope - half, slope + half)
    assert calibration_line(scores)["calibration_slope"] == pytest.approx(expected, rel=1e-6)


def test_people_count_once_in_the_calibration_however_many_scans_or_trials():
    """A person with nine scans would pull the slope if every scan counted."""
    rng = np.random.default_rng(4)
    truth, x = np.arange(30) % 2 == 0, rng.normal(size=30)
    p = expit(x + truth)
    person = np.r_[np.zeros(9, int), np.arange(1, 30)]
    nine = arrays(truth[person], p[person], person=person)
    once = arrays(truth, p)
    for name, values in calibration_line(once).items():
        assert calibration_line(nine)[name] == pytest.approx(values, rel=1e-6)
    pd.testing.assert_frame_equal(calibration_curve(nine), calibration_curve(once))
    trials = scores_of(of_trials(), CLASSES)
    weighted = calibration_curve(trials)
    assert weighted["n"].sum() == pytest.approx(trials.participants())
    share = (weighted["n"] * weighted["observed_share"]).sum() / weighted["n"].sum()
    assert share == pytest.approx(trials.truth.mean())


def test_net_benefit_of_trials_is_the_mean_over_the_times_a_person_is_tested():
    trials = scores_of(of_trials(), CLASSES)
    table = decision_curve(trials)
    treated = np.nanmean(np.where(trials.fold >= 0, trials.probability >= 0.3, np.nan), axis=0)
    expected = (treated * np.where(trials.truth, 1, -0.3 / 0.7)).mean()
    row = table[(table["strategy"] == "model") & (table["threshold"] == 0.3)].iloc[0]
    assert row["net_benefit"] == pytest.approx(expected)


def test_roc_of_trials_compares_within_a_trial():
    trials = scores_of(of_trials(trials=3, tested=20), CLASSES)
    table = roc_curve(trials, draw_participants(trials, 20, seed=0))
    curves = []
    for row, fold in zip(trials.score, trials.fold, strict=True):
        fpr, tpr, _ = judge.roc_curve(
            trials.truth[fold >= 0], row[fold >= 0], drop_intermediate=False
        )
        rates = table["false_positive_rate"].to_numpy()[:, None] + 1e-9
        curves.append(np.where(fpr <= rates, tpr, 0).max(1))
    np.testing.assert_allclose(table["sensitivity"], np.mean(curves, axis=0))
