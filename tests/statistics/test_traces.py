"""Tables of ROC, calibration and decision curves of a study's models."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from tests.statistics.predicted import (
    CLASSES,
    MODELS,
    arrays,
    external,
    of_folds,
    of_trials,
    with_repeats,
    with_scans,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics import calibrate_models, trace_curves
from workflow_scripts.statistics.calibration import brier_score
from workflow_scripts.statistics.evaluate_classifiers import main
from workflow_scripts.statistics.scores import scores_of


def traced(predictions, bootstraps=40):
    return {
        "roc": trace_curves.roc_curves(predictions, CLASSES, bootstraps, 1),
        "calibration": calibrate_models.calibration_curves(predictions, CLASSES),
        "figures": calibrate_models.calibration_figures(predictions, CLASSES),
        "decisions": trace_curves.decision_curves(predictions, CLASSES),
    }


def test_curves_of_every_model():
    found = traced(of_folds())
    by = ["model", "estimate"]
    roc, decisions = found["roc"], found["decisions"]
    assert roc.groupby(by).size().eq(101).all() and len(roc) == 606
    people = found["calibration"].groupby(by)["n"].sum().to_numpy()
    assert people == pytest.approx(40)
    assert set(decisions["model"]) == {*MODELS, "all", "none"}
    assert decisions.groupby(by).size().eq(99).all()
    assert found["figures"].groupby(by).size().eq(3).all()
    assert set(roc["estimate"]) == {"test", "apparent"}
    for table in found.values():
        assert list(table.columns[:2]) == by


def test_brier_score_agrees_with_sklearn_and_has_limits_around_it():
    predictions = of_folds(repeats=1, apparent=False).query("model == 'mri'")
    scores = scores_of(predictions.reset_index(drop=True), CLASSES)
    found = brier_score(scores)
    judge = brier_score_loss(predictions["label"] == "NPSLE", predictions["probability"])
    assert found["value"] == pytest.approx(judge)
    error = (predictions["probability"] - (predictions["label"] == "NPSLE")) ** 2
    within = [own.var(ddof=0) for _, own in error.groupby(predictions["label"])]
    half = stats.t.ppf(0.975, 38) * np.sqrt(np.mean(within) / 38) / (judge * (1 - judge))
    limits = expit(logit(judge) + half * np.array([-1, 1]))
    assert [found["ci_low"], found["ci_high"]] == pytest.approx(limits)


def test_brier_score_of_one_probability_for_all_has_no_limits():
    found = brier_score(arrays(np.arange(20) < 8, np.full(20, 0.4)))
    assert found["value"] == pytest.approx(0.24)
    assert np.isnan([found["ci_low"], found["ci_high"]]).all()


def test_brier_score_of_trials_counts_people_not_times_tested():
    predictions = of_trials()
    scores = scores_of(predictions, CLASSES)
    truth = predictions["label"] == "NPSLE"
    error = (predictions["probability"] - truth) ** 2
    expected = error.groupby(predictions["participant_id"]).mean().mean()
    assert brier_score(scores)["value"] == pytest.approx(expected)


def test_calibration_figures_of_good_and_of_uninformative_models():
    figures = traced(of_folds())["figures"].set_index(["model", "estimate", "metric"])
    brier = figures.xs("brier", level="metric")
    assert (brier["ci_low"] < brier["value"]).all() and (brier["value"] < brier["ci_high"]).all()
    slope = figures.loc[("clinical", "test", "calibration_slope")]
    assert slope["ci_high"] < 1 and slope["ci_method"] == "clustered by patient"


def few_folds(seed):
    return of_folds(n=24, repeats=2, folds=2, seed=seed, apparent=False)


@pytest.mark.parametrize("made", [few_folds, of_trials])
@pytest.mark.parametrize("change", ["all scans", "some scans", "repeats"])
def test_scans_and_repeats_are_no_other_people(made, change):
    once = external(made(seed=8).query("model != 'mri'").reset_index(drop=True), n=10)
    if change == "repeats":
        more = with_repeats(once)
    else:
        more = with_scans(once, 3, slice(None) if change == "all scans" else slice(4, 11))
    tables = traced(once)
    for name, table in traced(more).items():
        pd.testing.assert_frame_equal(table, tables[name], rtol=1e-6)


def test_models_without_probabilities_have_a_roc_curve_only():
    predictions = of_folds(apparent=False)
    svm = predictions["model"] == "clinical"
    predictions.loc[svm, "probability"] = np.nan
    found = traced(predictions)
    assert set(found["roc"]["model"]) == set(MODELS)
    assert set(found["calibration"]["model"]) == set(found["figures"]["model"]) == set(MODELS[1:])
    assert set(found["decisions"]["model"]) == {*MODELS[1:], "all", "none"}
    alone = predictions[svm].reset_index(drop=True)
    with pytest.raises(InputError, match="take calibration out of evaluation"):
        calibrate_models.calibration_figures(alone, CLASSES)
    with pytest.raises(InputError, match="take decision_curve out of the study's evaluation"):
        trace_curves.decision_curves(alone, CLASSES)


def test_external_people_of_one_class_have_neither_roc_nor_calibration():
    predictions = external(of_folds(apparent=False))
    sick = (predictions["role"] == "external") & (predictions["label"] == "NPSLE")
    found = traced(predictions[~sick].reset_index(drop=True))
    for name in ("roc", "calibration", "figures"):
        assert set(found[name]["estimate"]) == {"test"}
    assert set(found["decisions"]["estimate"]) == {"test", "external"}
    none = found["decisions"].query("model == 'none'")
    assert (none["net_benefit"] == 0).all() and len(none) == 2 * 99


def test_constant_probabilities_of_the_majority_have_no_slope():
    predictions = of_folds(apparent=False).query("model == 'mri'").reset_index(drop=True)
    predictions["probability"] = 0.4
    figures = traced(predictions)["figures"].set_index("metric")
    assert np.isnan(figures.loc["calibration_slope", "value"])
    assert figures.loc["brier", "value"] == pytest.approx((0.36 + 0.16) / 2)


def test_all_go_through_files(tmp_path):
    predictions = of_folds(repeats=1)
    for name, rows in predictions.groupby(predictions["role"] == "train"):
        rows.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    settings = {"classes": CLASSES, "bootstraps": 10, "seed": 1}
    source = SimpleNamespace(
        predictions=tmp_path / "False.tsv", apparent=[tmp_path / "True.tsv"], samples=[]
    )
    out = SimpleNamespace(table=tmp_path / "table.tsv")
    tables = traced(predictions, 10)
    tables["calibration_figures"] = tables.pop("figures")
    tables["decision_curve"] = tables.pop("decisions")
    for name, table in tables.items():
        asked = SimpleNamespace(evaluation=name)
        main(source, out, SimpleNamespace(asked=settings), asked)
        expected = table.reset_index(drop=True)
        pd.testing.assert_frame_equal(read_table(out.table), expected, check_dtype=False)
