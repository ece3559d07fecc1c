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
from workflow_scripts.statistics.permutation_test import compare_with_permutations, main
from workflow_scripts.statistics.split_metrics import evaluate


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


def run(folder, predictions, permuted):
    """The test of a study on files; everything is compared with itself."""
    splits = predictions.drop_duplicates(["split", "participant_id", "session_id"])
    columns = ["split", "participant_id", "session_id", "label", "role"]
    splits[columns].to_csv(folder / "splits.tsv", sep="\t", index=False, na_rep="n/a")
    metrics = evaluate(permuted, CLASSES)
    write_table(metrics, folder / "metrics.tsv", resource("columns/statistics.tsv"))
    paths = []
    for number, (_, rows) in enumerate(permuted.groupby("model", sort=False)):
        paths.append(folder / f"{number}.tsv")
        figures(rows, 1).to_csv(paths[-1], sep="\t", index=False, na_rep="n/a")
    empty = folder / "none.tsv"
    figures(permuted, 1).iloc[:0].to_csv(empty, sep="\t", index=False)
    source = SimpleNamespace(
        metrics=folder / "metrics.tsv",
        permutations=[*paths, empty],
        splits=folder / "splits.tsv",
    )
    out = SimpleNamespace(table=folder / "permutation_test.tsv")
    main(source, out, SimpleNamespace())
    return read_table(out.table)


@pytest.mark.parametrize("n", [24, 21])
def test_observed_figures_are_put_together_as_those_of_the_permutations(tmp_path, n):
    """Also of several scans and trainings, and of a model that has the first splits only."""
    predictions = with_repeats(with_scans(of_folds(n=n, repeats=2, apparent=False), 2, slice(9)), 2)
    few = (predictions["model"] != "clinical") | (predictions["split"] <= 6)
    table = run(tmp_path, predictions, predictions[few].reset_index(drop=True))
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
    table = run(tmp_path, predictions, predictions)
    np.testing.assert_allclose(table["null_mean"], table["observed"])
    assert table["observed"].between(0.01, 0.99).all()
