import dcurves
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn import metrics as judge

from workflow_scripts.statistics.curves import (
    calibration_curve,
    calibration_line,
    decision_curve,
    draw_patients,
    roc_curve,
)
from workflow_scripts.statistics.delong import area


def example(n=60, repeats=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    probability = expit(rng.normal(size=(repeats, n)) + truth)
    fold = np.stack([rng.permutation(n) % 4 for _ in range(repeats)])
    return truth, probability, fold, draw_patients(truth, 200, seed=1)


def test_drawn_patients_keep_the_class_sizes():
    truth, _, _, drawn = example()
    assert (drawn[:, truth].sum(1) == 20).all() and (drawn[:, ~truth].sum(1) == 40).all()
    assert drawn.mean(0) == pytest.approx(np.ones(60), abs=0.4)


def test_roc_of_one_model_passes_through_the_points_of_sklearn():
    truth, probability, _, drawn = example(repeats=1)
    table = roc_curve(truth, probability, np.zeros((1, 60), int), drawn)
    fpr, tpr, _ = judge.roc_curve(truth, probability[0], drop_intermediate=False)
    for rate, sensitivity in zip(table["false_positive_rate"], table["sensitivity"], strict=True):
        assert sensitivity == pytest.approx(tpr[fpr <= rate + 1e-9].max())


def test_area_under_the_steps_is_the_auc_within_folds():
    """10 negatives in each fold put every step on the grid of hundredths."""
    truth, probability, fold, drawn = example()
    fold = np.stack([np.arange(60) // 3 % 4, np.arange(60) // 3 % 4, np.arange(60) // 15])
    table = roc_curve(truth, probability, fold, drawn)
    steps = table["sensitivity"].to_numpy()[:-1].mean()
    assert steps == pytest.approx(area(truth, probability, fold).auc)
    assert table["sensitivity"].is_monotonic_increasing
    assert table["sensitivity"].iloc[-1] == 1
    inside = (table["ci_low"] <= table["sensitivity"]) & (table["sensitivity"] <= table["ci_high"])
    assert inside.all() and (table["ci_high"] - table["ci_low"]).max() > 0.1


def test_calibration_bins():
    truth = np.array([False] * 10 + [True] * 10)
    probability = np.r_[np.full(10, 0.2), np.full(10, 0.9)][None]
    table = calibration_curve(truth, np.repeat(probability, 4, 0))
    assert table["n"].tolist() == [10, 10]
    assert table["predicted_probability"].tolist() == pytest.approx([0.2, 0.9])
    assert table["observed_share"].tolist() == [0, 1]
    assert table["ci_high"].iloc[0] == pytest.approx(0.2775, abs=5e-5)  # Wilson, 0 of 10
    constant = calibration_curve(truth, np.full((2, 20), 0.3))
    assert len(constant) == 1 and constant["observed_share"].iloc[0] == 0.5


def test_calibration_line_recovers_slope_and_intercept():
    """Outcomes drawn with log odds of 1 + x; predictions of 2 x are twice too extreme."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=20000)
    truth = rng.random(20000) < expit(1 + x)
    twice, exact = (calibration_line(truth, expit(factor * x)[None]) for factor in (2, 1))
    for (value, low, high), expected in (
        (twice["calibration_slope"], 0.5),
        (exact["calibration_slope"], 1),
        (exact["calibration_intercept"], 1),
    ):
        assert value == pytest.approx((low + high) / 2) and high - low < 0.1
        assert abs(value - expected) < 4 * (high - low) / (2 * 1.96)


def test_calibration_limits_count_patients_not_repeats():
    truth, probability, _, _ = example(repeats=1)
    once = calibration_line(truth, probability)
    many = calibration_line(truth, np.repeat(probability, 10, 0))
    for name, values in once.items():
        assert many[name] == pytest.approx(values, rel=0.05)


def test_calibration_slope_is_undefined_without_overlap_or_spread():
    truth = np.arange(20) < 10
    separated = np.where(truth, 0.8, 0.3)[None]
    assert np.isnan(calibration_line(truth, separated)["calibration_slope"]).all()
    constant = calibration_line(truth, np.full((1, 20), 0.2))
    assert np.isnan(constant["calibration_slope"]).all()
    assert constant["calibration_intercept"][0] == pytest.approx(-logit(0.2))


def test_net_benefit_agrees_with_dcurves():
    truth, probability, _, drawn = example(repeats=1)
    table = decision_curve(truth, probability, drawn).set_index("strategy")
    data = pd.DataFrame({"y": truth.astype(int), "p": probability[0]})
    thresholds = np.arange(1, 100) / 100
    other = dcurves.dca(data=data, outcome="y", modelnames=["p"], thresholds=thresholds)
    for mine, theirs in (("model", "p"), ("all", "all"), ("none", "none")):
        expected = other.loc[other["model"] == theirs, "net_benefit"]
        assert table.loc[mine, "net_benefit"].to_numpy() == pytest.approx(expected.to_numpy())
    limits = table.loc["model", "ci_high"] - table.loc["model", "ci_low"]
    assert limits.iloc[40:60].min() > 0.05


def test_net_benefit_of_all_by_hand():
    """Prevalence 1/3 at threshold 0.2: 1/3 - 2/3 * 0.25 = 1/6."""
    truth, probability, _, drawn = example()
    table = decision_curve(truth, probability, drawn).set_index(["strategy", "threshold"])
    assert table.loc[("all", 0.2), "net_benefit"] == pytest.approx(1 / 6)
    assert (table.loc["none", "net_benefit"] == 0).all()
