from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from MLstatkit import Delong_test

from tests.statistics.predicted import (
    CLASSES,
    MODELS,
    external,
    of_folds,
    of_trials,
    with_repeats,
    with_scans,
)
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_models import COLUMNS, compare_models, compare_predictions
from workflow_scripts.statistics.evaluate_classifiers import main
from workflow_scripts.statistics.scores import by_model


def bootstraps(n=30, seed=1):
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([range(1, n + 1), MODELS], names=["bootstrap", "model"])
    table = pd.DataFrame(index=rows).reset_index()
    for metric, middle, optimism in (("auc", 0.8, 0.1), ("brier", 0.2, -0.05)):
        value = middle + rng.normal(0, 0.02, len(table))
        table[f"{metric}_bootstrap"] = value
        table[f"{metric}_original"] = value - optimism
    return table


def compare(predictions, samples=None):
    return compare_models(by_model(predictions, CLASSES), samples)


def test_comparisons_say_which_are_not_valid(tmp_path):
    table = compare(of_folds(), bootstraps())
    assert list(table.columns) == COLUMNS and len(table) == 9
    rows = table.set_index(["estimate", "model_a", "model_b"])
    notes = rows.loc["apparent", "note"]
    assert notes.str.startswith("not valid: both models were fitted").all()
    honest = rows.loc[("test", "clinical", "combined")]
    assert "too small" in honest["note"] and honest["p"] < honest["resampled_p"] < 0.05
    assert "resampled_p is nearer" in honest["note"]
    assert honest["resampled_low"] < honest["ci_low"] < honest["ci_high"] < honest["resampled_high"]
    assert honest["auc_difference"] == pytest.approx(honest["auc_b"] - honest["auc_a"])
    corrected = rows.loc[("optimism_corrected", "clinical", "mri")]
    apparent = rows.loc[("apparent", "clinical", "mri")]
    assert corrected["auc_difference"] == pytest.approx(apparent["auc_difference"])
    assert corrected["ci_low"] < 0 < corrected["ci_high"] and np.isnan(corrected["p"])
    assert table["estimate"].drop_duplicates().tolist() == [
        "apparent", "optimism_corrected", "test",
    ]  # fmt: skip
    assert (table[["n_negative", "n_positive"]] == 20).all(axis=None)
    write_table(table, tmp_path / "comparisons.tsv", resource("columns/statistics.tsv"))


def test_a_single_test_side_agrees_with_mlstatkit_and_has_no_resampled_t():
    predictions = of_folds(repeats=1, folds=1, apparent=False)
    row = compare(predictions).iloc[0]
    of = predictions.set_index("model")
    truth = (of.loc["mri", "label"] == "NPSLE").to_numpy().astype(int)
    z, p, *_ = Delong_test(truth, of.loc["clinical", "score"], of.loc["mri", "score"])
    assert abs(row["z"]) == pytest.approx(abs(z)) and row["p"] == pytest.approx(p)
    assert np.isnan(row["resampled_p"]) and "resampled_p" not in row["note"]


def test_external_people_are_compared_with_the_mean_over_the_models():
    table = compare(external(of_folds(repeats=2, apparent=False)))
    assert table["estimate"].tolist() == ["test"] * 3 + ["external"] * 3
    outside = table[table["estimate"] == "external"]
    assert (outside[["n_negative", "n_positive"]] == 7).all(axis=None)
    assert outside["resampled_p"].isna().all() and outside["p"].notna().all()


def test_random_trials_have_no_resampled_t():
    predictions = pd.concat(
        [of_trials(seed=0, model="a"), of_trials(seed=0, model="b")], ignore_index=True
    )
    b = predictions["model"] == "b"
    predictions.loc[b, "score"] += np.random.default_rng(1).normal(size=b.sum())
    row = compare(predictions).iloc[0]
    assert np.isfinite(row["p"]) and np.isnan(row["resampled_p"])
    assert "resampled_p" not in row["note"]


def test_models_are_compared_on_the_same_scans_only():
    predictions = of_folds(apparent=False)
    mine = predictions["model"] == "mri"
    without = predictions[~(mine & (predictions["participant_id"] == "sub-003"))]
    assert compare(without)[["model_a", "model_b"]].to_numpy().tolist() == [
        ["clinical", "combined"]
    ]
    few = predictions[~mine | (predictions["split"] <= 4)]
    assert len(compare(few)) == 1
    # a scan for another leaves as many rows, but not the same people of each class
    first, second = ("sub-003", "sub-004")
    other = predictions.copy()
    gone = (mine & (other["participant_id"] == first)) | (
        ~mine & (other["participant_id"] == second)
    )
    assert len(compare(other[~gone])) == 1


def test_models_trained_once_and_thrice_are_compared():
    predictions = of_folds(apparent=False)
    mri = predictions["model"] == "mri"
    mixed = pd.concat([predictions[~mri], with_repeats(predictions[mri])], ignore_index=True)
    columns = ["model_a", "model_b"]
    once, thrice = (compare(rows).set_index(columns).sort_index() for rows in (predictions, mixed))
    pairs = thrice.index.map(lambda pair: frozenset(pair))
    by_pair = once.set_axis(once.index.map(lambda pair: frozenset(pair)))
    again = by_pair.loc[pairs, ["se", "p", "resampled_p"]]
    np.testing.assert_allclose(thrice[["se", "p", "resampled_p"]], again)
    assert len(thrice) == 3


@pytest.mark.parametrize("who", [slice(None), slice(5, 20)])
def test_scans_of_a_participant_count_as_one(who):
    once = external(of_folds())
    one, two = compare(once, bootstraps()), compare(with_scans(once, 2, who), bootstraps())
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)


def test_no_two_models_give_an_empty_table(tmp_path):
    predictions = of_folds(apparent=False).query("model == 'mri'")
    table = compare(predictions.reset_index(drop=True))
    assert table.empty and list(table.columns) == COLUMNS


def test_models_of_other_people_are_compared_on_those_of_both():
    """One leaves a person out, whom the other imputes."""
    predictions = of_folds()
    models = predictions["model"].unique()
    left_out = predictions["participant_id"].iloc[0]
    mine = (predictions["model"] == models[0]) & (predictions["participant_id"] == left_out)
    table = compare_predictions(predictions[~mine], CLASSES, 20, 1)
    pair = table[(table["model_a"] == models[0]) & (table["estimate"] == "test")]
    judge = compare(predictions[predictions["participant_id"] != left_out].reset_index(drop=True))
    judge = judge[(judge["model_a"] == models[0]) & (judge["estimate"] == "test")]
    assert len(pair) == 2 and pair["note"].str.endswith("on the scans that both scored").all()
    for name in ("auc_a", "auc_b", "p", "resampled_p", "n_positive"):
        np.testing.assert_allclose(pair[name].astype(float), judge[name].astype(float))
    others = table[(table["model_a"] != models[0]) & (table["estimate"] == "test")]
    assert not others["note"].str.contains("both scored").any()
    # Fitted to other people: no comparison of apparent figures.
    apparent = table[table["estimate"] == "apparent"]
    assert models[0] not in set(apparent["model_a"])


def test_p_is_corrected_over_the_pairs_of_an_estimate():
    table = compare_predictions(of_folds(), CLASSES, 20, 1)
    tested = table[table["estimate"] == "test"]
    p = tested["resampled_p"].fillna(tested["p"]).to_numpy(float)
    order = np.argsort(p)
    by_hand = np.maximum.accumulate(np.minimum(p[order] * [3, 2, 1], 1))
    np.testing.assert_allclose(tested["p_holm"].to_numpy(float)[order], by_hand)
    boot = tested["bootstrap_p"].to_numpy(float)
    order = np.argsort(boot, kind="stable")
    by_hand = np.maximum.accumulate(np.minimum(boot[order] * [3, 2, 1], 1))
    np.testing.assert_allclose(tested["bootstrap_p_holm"].to_numpy(float)[order], by_hand)
    apparent = table[table["estimate"] == "apparent"]
    assert apparent[["p_holm", "bootstrap_p", "bootstrap_p_holm"]].isna().all(axis=None)


def test_goes_through_files(tmp_path):
    predictions = of_folds()
    for name, rows in predictions.groupby(predictions["role"] == "train"):
        rows.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    bootstraps().to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    out = SimpleNamespace(table=tmp_path / "comparisons.tsv")
    asked = SimpleNamespace(evaluation="comparisons")
    settings = {"classes": CLASSES, "bootstraps": 5, "seed": 1}
    for apparent, samples, n in (([], [], 3), (["True.tsv"], ["samples.tsv"], 9)):
        source = SimpleNamespace(
            predictions=tmp_path / "False.tsv",
            apparent=[tmp_path / name for name in apparent],
            samples=[tmp_path / name for name in samples],
        )
        main(source, out, SimpleNamespace(asked=settings), asked)
        assert len(read_table(out.table)) == n
