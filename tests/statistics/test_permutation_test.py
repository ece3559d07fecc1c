from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.statistics.predicted import (
    CLASSES,
    of_folds,
    of_trials,
    with_repeats,
    with_scans,
)
from workflow_scripts.common.metrics import split_figures
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.permutation_test import (
    compare_with_permutations,
    exchange_labels,
    main,
)
from workflow_scripts.statistics.split_metrics import evaluate

PERMUTATIONS = 400


def null_table(values, splits=2):
    """Permutations with the same figures in every split."""
    values = np.asarray(values, float)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": "svm",
                    "split": split,
                    "repeat": 1,
                    "permutation": np.arange(1, len(values) + 1),
                    "n_positive": 3.0,
                    "n_negative": 4.0,
                    "sensitivity": values,
                    "specificity": values,
                    "auc": values,
                }
            )
            for split in range(1, splits + 1)
        ],
        ignore_index=True,
    )


def observed(value, estimate="test"):
    return pd.DataFrame(
        {"model": "svm", "estimate": estimate, "split": ["1", "all"] * 2,
         "value": [0.0, value] * 2, "metric": np.repeat(["balanced_accuracy", "auc"], 2)}
    )  # fmt: skip


@pytest.mark.parametrize("pooled", [False, True])
def test_permutation_p_by_hand(tmp_path, pooled):
    null = null_table([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.5, 0.5])
    table = compare_with_permutations(observed(0.7), null, pooled)
    assert table["metric"].tolist() == ["balanced_accuracy", "auc"]
    assert table["p"].tolist() == [0.4, 0.4]  # (1 + 3) / (1 + 9)
    assert table["null_mean"].iloc[0] == pytest.approx(5.2 / 9)
    assert (table["n_permutations"] == 9).all()
    assert compare_with_permutations(observed(1.0), null, pooled)["p"].iloc[0] == 0.1
    assert compare_with_permutations(observed(0.1 + 0.2), null, pooled)["p"].iloc[0] == 1.0
    write_table(table, tmp_path / "permutation_test.tsv", resource("columns/statistics.tsv"))


def test_permutation_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(60):
        values = rng.normal(0.5, 0.1, 100)
        null = null_table(values[1:], splits=1)
        p.append(compare_with_permutations(observed(values[0]), null, False)["p"].iloc[0])
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_external_figures_are_not_what_is_compared():
    metrics = pd.concat([observed(0.9, "external"), observed(0.5)], ignore_index=True)
    table = compare_with_permutations(metrics, null_table([0.6, 0.4]), False)
    assert (table["observed"] == 0.5).all()


def figures(predictions, permutation):
    """The predictions as if they were those of a permutation."""
    rows = [
        dict(zip(("model", "split", "repeat"), key, strict=True))
        | {"permutation": permutation}
        | split_figures(
            (part["label"] == CLASSES[1]).to_numpy(),
            (part["predicted"] == CLASSES[1]).to_numpy(),
            part["score"].to_numpy(),
            part["participant_id"].to_numpy(),
        )
        for key, part in predictions.groupby(["model", "split", "repeat"], sort=False)
    ]
    return pd.DataFrame(rows)


def run(folder, permuted, refitted=lambda model: True):
    """The test of a study on files; what is fitted anew is compared with itself."""
    permuted.to_csv(folder / "predictions.tsv", sep="\t", index=False, na_rep="n/a")
    metrics = evaluate(permuted, CLASSES)
    write_table(metrics, folder / "metrics.tsv", resource("columns/statistics.tsv"))
    paths = []
    for number, (_, rows) in enumerate(permuted.groupby("model", sort=False)):
        if not refitted(rows["model"].iloc[0]):
            continue
        paths.append(folder / f"{number}.tsv")
        figures(rows, 1).to_csv(paths[-1], sep="\t", index=False, na_rep="n/a")
    empty = folder / "none.tsv"
    figures(permuted, 1).iloc[:0].to_csv(empty, sep="\t", index=False)
    source = SimpleNamespace(
        metrics=folder / "metrics.tsv",
        permutations=[*paths, empty],
        predictions=folder / "predictions.tsv",
    )
    out = SimpleNamespace(table=folder / "permutation_test.tsv")
    main(source, out, SimpleNamespace(permutations=PERMUTATIONS, seed=1, classes=CLASSES))
    return read_table(out.table)


@pytest.mark.parametrize("n", [24, 21])
def test_observed_figures_are_put_together_as_those_of_the_permutations(tmp_path, n):
    """Also of several scans and trainings, and of a model that has the first splits only."""
    predictions = with_repeats(with_scans(of_folds(n=n, repeats=2, apparent=False), 2, slice(9)), 2)
    few = (predictions["model"] != "clinical") | (predictions["split"] <= 6)
    table = run(tmp_path, predictions[few].reset_index(drop=True))
    assert table["model"].drop_duplicates().tolist() == ["clinical", "mri", "combined"]
    np.testing.assert_allclose(table["null_mean"], table["observed"])
    assert (table["p"] == 1).all() and (table["n_permutations"] == 1).all()


def test_observed_figures_of_trials_are_put_together_as_those_of_the_permutations(tmp_path):
    """Three trainings that differ, and a trial without one of the classes."""
    once = of_trials(trials=3)
    once = once[(once["split"] != 2) | (once["label"] == CLASSES[0])]
    trained = []
    for repeat in (1, 2, 3):
        other = once.assign(repeat=repeat, score=once["score"] * (2 - repeat) + 50 * repeat)
        other.loc[:: repeat + 1, "predicted"] = CLASSES[1]
        trained.append(other)
    predictions = pd.concat(trained, ignore_index=True)
    table = run(tmp_path, predictions)
    np.testing.assert_allclose(table["null_mean"], table["observed"])
    assert table["observed"].between(0.01, 0.99).all()


def test_models_that_are_not_fitted_anew_keep_their_predictions(tmp_path):
    predictions = of_folds(n=24, repeats=2, apparent=False)
    table = run(tmp_path, predictions, refitted=lambda model: model == "mri")
    assert table.groupby("model")["refitted"].first().to_dict() == {
        "clinical": "no", "mri": "yes", "combined": "no"
    }  # fmt: skip
    assert (table.loc[table["refitted"] == "no", "n_permutations"] == PERMUTATIONS).all()


def test_a_model_that_ranks_nobody_is_not_tested(tmp_path):
    predictions = of_folds(n=24, repeats=1, apparent=False)
    predictions.loc[predictions["model"] == "mri", "score"] = 0.3
    table = run(tmp_path, predictions, refitted=lambda model: False)
    assert set(table["model"]) == {"clinical", "combined"}


@pytest.mark.parametrize("shift", [0, 0.8, 1.6])
def test_exchanged_labels_of_one_test_side_are_the_test_of_mann_and_whitney(shift):
    rng = np.random.default_rng(3)
    positive = np.arange(16) < 7
    score = rng.normal(size=16) + shift * positive
    rows = pd.DataFrame(
        {
            "model": "net",
            "split": 1,
            "repeat": 1,
            "participant_id": [f"sub-{i:02d}" for i in range(16)],
            "label": np.where(positive, CLASSES[1], CLASSES[0]),
            "score": score,
            "predicted": np.where(score > 0.5, CLASSES[1], CLASSES[0]),
        }
    )
    found = exchange_labels(rows, 4000, 1, CLASSES[1])
    assert (found["n_positive"] == 7).all() and (found["n_negative"] == 9).all()
    expected = stats.mannwhitneyu(
        score[positive], score[~positive], alternative="greater", method="exact"
    )
    observed = expected.statistic / (7 * 9)
    p = (1 + (found["auc"] >= observed - 1e-9).sum()) / 4001
    error = np.sqrt(expected.pvalue * (1 - expected.pvalue) / 4000)
    assert abs(p - expected.pvalue) < 4 * error + 1 / 4001


def test_scans_of_a_participant_are_exchanged_together():
    predictions = with_scans(of_folds(n=24, repeats=1, apparent=False), 2, slice(9))
    rows = predictions[predictions["model"] == "mri"].assign(score=0.0)
    people = rows.groupby("split")["participant_id"].nunique()
    found = exchange_labels(rows, 5, 1, CLASSES[1])
    sizes = found.assign(n=found["n_positive"] + found["n_negative"]).groupby("split")["n"]
    np.testing.assert_allclose(sizes.first(), people)
    np.testing.assert_allclose(found["n_positive"] % 1, 0, atol=1e-9)


def test_a_class_that_changes_within_a_participant_does_so_in_every_permutation():
    """Constant predictions are no better than with exchanged labels, whoever's class changes."""
    ids = ["sub-1", "sub-1", "sub-2", "sub-3", "sub-4", "sub-5", "sub-5"]
    rows = pd.DataFrame({"model": "net", "split": 1, "repeat": 1, "participant_id": ids})
    positive = np.array([False, True, True, False, True, True, True])
    rows["label"] = np.where(positive, CLASSES[1], CLASSES[0])
    score = np.random.default_rng(0).random(7)
    rows = rows.assign(score=score, predicted=CLASSES[1])
    found = exchange_labels(rows, 200, 1, CLASSES[1])
    assert (found["sensitivity"] == 1).all() and (found["specificity"] == 0).all()
    observed = split_figures(positive, np.ones(7, bool), score, np.array(ids))
    assert (found["n_positive"] == observed["n_positive"]).all()
    # the classes of sub-1 and sub-5 change places in half of them, those of the others among three
    assert found["auc"].nunique() == 2 * 3
