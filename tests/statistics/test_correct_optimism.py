from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.statistics.predicted import CLASSES, MODELS, of_folds, with_scans
from tests.statistics.test_compare_models import bootstraps
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.correct_optimism import (
    COLUMNS,
    correct_optimism,
    null_distribution,
    tabulate_optimism,
)
from workflow_scripts.statistics.delong import area, area_interval
from workflow_scripts.statistics.evaluate_classifiers import main
from workflow_scripts.statistics.scores import by_model


def permutations():
    rows = [
        {"model": model, "permutation": i, "auc": 0.4 + 0.02 * i}
        for model in MODELS
        for i in range(1, 10)
    ]
    return pd.DataFrame(rows)


SIDES = ("bootstrap", "original")


def apparent(predictions):
    rows = predictions[predictions["role"] == "train"]
    return {model: scores for (model, _), scores in by_model(rows, CLASSES).items()}


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


def test_limits_that_do_not_hold_the_value_are_none():
    samples = pd.DataFrame(
        {f"{metric}_{of}": [0.9, 1.0] for metric in ("auc", "brier") for of in SIDES}
    )
    auc, _ = correct_optimism({"auc": 0.85, "brier": 0.95}, samples)
    assert auc["value"] == pytest.approx(0.85)
    assert np.isnan(auc["ci_low"]) and np.isnan(auc["ci_high"])


def test_permutation_p_counts_the_observed_one():
    found = null_distribution(0.55, np.array([0.4, 0.5, 0.55, 0.6]))
    assert found["p"] == pytest.approx(3 / 5) and found["n_permutations"] == 4
    assert found["null_mean"] == pytest.approx(0.5125)


def test_apparent_and_corrected_figures_stand_side_by_side():
    scores = apparent(of_folds())
    table = tabulate_optimism(scores, bootstraps(), permutations())
    assert list(table.columns) == COLUMNS and len(table) == 3 * 4
    rows = table.set_index(["model", "estimate", "metric"])
    rows = rows.sort_index()
    shift, found = rows.loc[("mri", "optimism_corrected", "auc")], rows.loc[("mri", "apparent")]
    assert shift["value"] == pytest.approx(found.loc["auc", "value"] - 0.1)
    limits = area_interval(area(scores["mri"]))
    assert tuple(found.loc["auc", ["ci_low", "ci_high"]]) == limits
    assert found.loc["auc", "p"] == pytest.approx(0.1)
    brier = found.loc["brier"]
    expected = np.mean((scores["mri"].probability - scores["mri"].truth) ** 2)
    assert brier["value"] == pytest.approx(expected) and pd.isna(brier["p"])
    assert brier["ci_low"] < brier["value"] < brier["ci_high"]
    assert rows.loc[("mri", "optimism_corrected", "brier"), "optimism"] == pytest.approx(-0.05)
    notes = rows.xs("apparent", level="estimate")["note"]
    assert notes.str.contains("not a forecast").all()
    assert rows.xs("optimism_corrected", level="estimate")["note"].isna().all()
    assert (table[["n_positive", "n_negative"]] == 20).all(axis=None)
    assert set(table["n_samples"].dropna()) == {30}


def test_scans_of_a_participant_count_as_one():
    once = of_folds()
    tables = [
        tabulate_optimism(apparent(rows), bootstraps(), permutations())
        for rows in (once, with_scans(once, 3, slice(12)))
    ]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)


def test_goes_through_files(tmp_path):
    rows = of_folds().query("role == 'train'")
    tables = {"apparent": rows, "samples": bootstraps(), "permutations": permutations()}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    source = SimpleNamespace(**{name: [tmp_path / f"{name}.tsv"] for name in tables})
    out = SimpleNamespace(table=tmp_path / "optimism.tsv")
    settings = {"classes": CLASSES, "bootstraps": 10, "seed": 1}
    main(source, out, SimpleNamespace(asked=settings), SimpleNamespace(evaluation="optimism"))
    assert read_table(out.table)["model"].unique().tolist() == MODELS
