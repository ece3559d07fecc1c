import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_models import compare_models
from workflow_scripts.statistics.curves import draw_patients
from workflow_scripts.statistics.evaluate_models import (
    as_arrays,
    correct_optimism,
    decisions,
    null_distribution,
    tabulate_curves,
    tabulate_metrics,
)

CLASSES, MODELS = ["non-NPSLE", "NPSLE"], ["clinical", "mri", "combined"]
COLUMNS = resource("columns/statistics.tsv")


def predictions(n=40, repeats=4, seed=0):
    """Informative mri and combined, uninformative clinical predictions."""
    rng = np.random.default_rng(seed)
    truth, ids = np.arange(n) % 2 == 0, [f"sub-{i:02d}" for i in range(n)]
    tables = []
    for model, gain in zip(MODELS, (0, 1.5, 2), strict=True):
        for repeat in range(repeats + 1):
            p = expit(rng.normal(size=n) + gain * (truth - 0.5))
            tables.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "estimate": "cross_validated" if repeat else "apparent",
                        "repeat": repeat or None,
                        "fold": rng.permutation(n) % 4 + 1 if repeat else None,
                        "participant_id": ids,
                        "label": np.where(truth, "NPSLE", "non-NPSLE"),
                        "probability": p,
                        "predicted": np.where(p >= 0.5, "NPSLE", "non-NPSLE"),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def bootstraps(n=30, seed=1):
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([range(1, n + 1), MODELS], names=["bootstrap", "model"])
    table = pd.DataFrame(index=rows).reset_index()
    for metric, middle, optimism in (("auc", 0.8, 0.1), ("brier", 0.2, -0.05)):
        value = middle + rng.normal(0, 0.02, len(table))
        table[f"{metric}_bootstrap"] = value
        table[f"{metric}_original"] = value - optimism
    return table


def permutations():
    rows = [
        {"model": m, "estimate": e, "permutation": i, "auc": 0.4 + 0.02 * i}
        for m in MODELS
        for e in ("apparent", "cross_validated")
        for i in range(1, 10)
    ]
    return pd.DataFrame(rows)


def arrays_of(table):
    return {
        key: as_arrays(rows, CLASSES)
        for key, rows in table.groupby(["model", "estimate"], sort=False)
    }


def test_arrays_are_ordered_by_participant_and_repeat():
    table = predictions()
    once = arrays_of(table)
    again = arrays_of(table.sample(frac=1, random_state=0))
    for key, values in once.items():
        for mine, other in zip(values, again[key], strict=True):
            np.testing.assert_array_equal(mine, other)
    truth, probability, fold, predicted = once["mri", "cross_validated"]
    assert truth.shape == (40,) and probability.shape == fold.shape == predicted.shape == (4, 40)
    assert once["mri", "apparent"][2].tolist() == [[0] * 40]
    with pytest.raises(InputError, match="models.classes"):
        as_arrays(table.replace({"label": {"NPSLE": "SLE"}}), CLASSES)


def test_decisions_are_means_over_repeats_with_limits_of_patients():
    """Half of the 10 positives right in each of 2 repeats; Wilson of 5 of 10."""
    truth = np.arange(20) < 10
    predicted = np.stack([np.arange(20) < 5, np.arange(20) >= 15])
    predicted[1, :10] = np.arange(10) >= 5
    found = decisions(truth, predicted)
    assert found["sensitivity"] == pytest.approx((0.5, 0.2366, 0.7634), abs=5e-5)
    assert found["specificity"][0] == pytest.approx(0.75)
    assert found["accuracy"][0] == pytest.approx(0.625)


def test_optimism_is_taken_off_with_its_sign():
    samples = pd.DataFrame(
        {
            "auc_bootstrap": [0.9, 1.0],
            "auc_original": [0.8, 0.7],
            "brier_bootstrap": [0.1, 0.1],
            "brier_original": [0.2, 0.3],
        }
    )
    auc, brier = correct_optimism({"auc": 0.95, "brier": 0.12}, samples)
    assert auc["optimism"] == pytest.approx(0.2) and auc["value"] == pytest.approx(0.75)
    assert auc["ci_low"] == pytest.approx(0.9025 - 0.2)
    assert auc["ci_high"] == pytest.approx(0.9975 - 0.2)
    assert brier["optimism"] == pytest.approx(-0.15) and brier["value"] == pytest.approx(0.27)
    assert np.isnan(brier["ci_low"])


def test_permutation_p_counts_the_observed_one():
    found = null_distribution(0.55, np.array([0.4, 0.5, 0.55, 0.6]))
    assert found["p"] == pytest.approx(3 / 5) and found["n_permutations"] == 4
    assert found["null_mean"] == pytest.approx(0.5125)


def test_metrics_stand_side_by_side(tmp_path):
    arrays = arrays_of(predictions())
    drawn = draw_patients(arrays["mri", "apparent"][0], 200, seed=1)
    table = tabulate_metrics(arrays, bootstraps(), permutations(), drawn)
    metrics = table.set_index(["model", "estimate", "metric"])
    assert metrics.loc[("mri", "cross_validated", "auc"), "value"] > 0.7
    assert metrics.loc[("mri", "cross_validated", "auc"), "p"] == pytest.approx(0.1)
    honest = metrics.sort_index().loc[("clinical", "cross_validated")]
    assert honest.loc["auc", "ci_low"] < 0.5 < honest.loc["auc", "ci_high"]
    assert honest.loc["brier", "ci_low"] < honest.loc["brier", "value"]
    assert honest.loc["calibration_slope", "ci_high"] < 1
    shift = metrics.loc[("mri", "optimism_corrected", "auc")]
    apparent = metrics.loc[("mri", "apparent", "auc"), "value"]
    assert shift["value"] == pytest.approx(apparent - 0.1)
    assert metrics.xs("apparent", level="estimate")["note"].str.contains("not a forecast").all()
    assert metrics.xs("cross_validated", level="estimate")["note"].isna().all()
    assert (table["n_positive"] == 20).all()
    write_table(table, tmp_path / "metrics.tsv", COLUMNS)
    assert read_table(tmp_path / "metrics.tsv")["n_repeats"].dropna().isin([4, 30]).all()


def test_comparisons_say_which_are_not_valid(tmp_path):
    table = compare_models(arrays_of(predictions()), bootstraps())
    rows = table.set_index(["estimate", "model_a", "model_b"])
    assert rows.loc[("apparent", "mri", "combined"), "note"].startswith(
        "not valid: one model holds"
    )
    assert rows.loc[("apparent", "clinical", "mri"), "note"].startswith("not valid: both models")
    honest = rows.loc[("cross_validated", "clinical", "combined")]
    assert "too small" in honest["note"] and honest["p"] < honest["resampled_p"] < 0.05
    assert honest["resampled_low"] < honest["ci_low"] < honest["ci_high"] < honest["resampled_high"]
    assert honest["auc_difference"] == pytest.approx(honest["auc_b"] - honest["auc_a"])
    corrected = rows.loc[("optimism_corrected", "clinical", "mri")]
    apparent = rows.loc[("apparent", "clinical", "mri")]
    assert corrected["auc_difference"] == pytest.approx(apparent["auc_difference"])
    assert corrected["ci_low"] < 0 < corrected["ci_high"] and np.isnan(corrected["p"])
    assert table["estimate"].drop_duplicates().tolist() == [
        "apparent", "optimism_corrected", "cross_validated",
    ]  # fmt: skip
    write_table(table, tmp_path / "comparisons.tsv", COLUMNS)


def test_curves_of_every_model(tmp_path):
    arrays = arrays_of(predictions())
    drawn = draw_patients(arrays["mri", "apparent"][0], 50, seed=1)
    roc, calibration, decision = tabulate_curves(arrays, drawn)
    assert roc.groupby(["model", "estimate"]).size().eq(101).all() and len(roc) == 606
    assert calibration.groupby(["model", "estimate"])["n"].sum().to_numpy() == pytest.approx(40)
    assert set(decision["model"]) == {*MODELS, "all", "none"}
    assert decision.groupby(["model", "estimate"]).size().eq(99).all()
    for name, table in (("roc", roc), ("calibration", calibration), ("decision", decision)):
        write_table(table, tmp_path / f"{name}.tsv", COLUMNS)
