from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.baselines.cohorts import (
    CLASSES,
    FOLDS,
    INPUTS,
    KEY,
    LOGISTIC,
    SVM,
    TRIALS,
    YOUDEN,
    cases_of,
    tables,
)
from workflow_scripts.baselines.cases import exchange
from workflow_scripts.baselines.fit_features import predict
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.permute_features import permute
from workflow_scripts.baselines.refit_features import main
from workflow_scripts.common.metrics import over_splits, split_figures
from workflow_scripts.common.predictions import PERMUTATIONS
from workflow_scripts.common.tables import read_table

ONE_FOLDS = FOLDS | {"repeats": 1}


def observed(cases, settings, pooled, seed=1):
    """Balanced accuracy and AUC of the real labels over the splits."""
    with one_thread():
        predictions, _ = predict(cases, "m", settings, CLASSES, seed)
    rows = [
        {"split": split, "repeat": 1, "model": "m"}
        | split_figures(
            (part["label"] == "ill").to_numpy(),
            (part["predicted"] == "ill").to_numpy(),
            part["score"].to_numpy(),
            part["participant_id"].to_numpy(),
        )
        for split, part in predictions.groupby("split")
    ]
    return over_splits(pd.DataFrame(rows), ["model"], pooled).iloc[0]


@pytest.mark.parametrize("settings", [SVM, LOGISTIC])
@pytest.mark.parametrize("design", [TRIALS | {"trials": 3}, ONE_FOLDS])
def test_planted_effect_is_above_all_permutations(settings, design):
    cases, pooled = cases_of(effect=3, design=design), design is ONE_FOLDS
    found = observed(cases, settings, pooled)
    rows = [row for number in range(1, 6) for row in permute(cases, settings, number, seed=1)]
    null = over_splits(pd.DataFrame(rows), ["permutation"], pooled)
    assert null["permutation"].tolist() == [1, 2, 3, 4, 5]
    assert found["auc"] > 0.9 and (null["auc"] < found["auc"]).all()
    assert (null["balanced_accuracy"] < found["balanced_accuracy"]).all()


def test_permutation_rank_is_not_extreme_without_an_effect():
    ranks, design = [], TRIALS | {"trials": 2}
    for seed in range(9):
        cases = cases_of(seed=seed, design=design)
        value = observed(cases, LOGISTIC, False, seed)["balanced_accuracy"]
        rows = [row for number in (1, 2, 3, 4) for row in permute(cases, LOGISTIC, number, seed)]
        null = over_splits(pd.DataFrame(rows), ["permutation"], False)["balanced_accuracy"]
        ranks.append((null >= value - 1e-9).sum())
    # uniform on 0..4 under the null: mean 2, SD sqrt(2); ties push the rank up a little
    assert abs(np.mean(ranks) - 2) < 4 * np.sqrt(2 / len(ranks))


def test_figures_are_those_of_a_fit_to_the_exchanged_labels():
    cases = cases_of(effect=1, design=ONE_FOLDS, sessions=2, external=1)
    permuted = exchange(cases, 4, seed=2)
    names = np.array(CLASSES)
    scans = permuted.scans.assign(label=names[permuted.y.astype(int)])
    with one_thread():
        predictions, _ = predict(replace(permuted, scans=scans), "m", YOUDEN, CLASSES, 2)
    rows = permute(cases, YOUDEN, 4, seed=2)
    assert [row["split"] for row in rows] == [1, 2, 3]
    for row, (_, part) in zip(rows, predictions.groupby("split"), strict=True):
        figures = split_figures(
            (part["label"] == "ill").to_numpy(),
            (part["predicted"] == "ill").to_numpy(),
            part["score"].to_numpy(),
            part["participant_id"].to_numpy(),
        )
        assert {name: row[name] for name in figures} == pytest.approx(figures)
        assert row["permutation"] == 4 and row["n_positive"] == 3


def test_table_is_the_same_with_any_number_of_threads(tmp_path):
    for name, table in zip(
        ("splits", "features", "clinical"), tables(design=ONE_FOLDS), strict=True
    ):
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    source = SimpleNamespace(
        **{n: tmp_path / f"{n}.tsv" for n in ("splits", "features", "clinical")}
    )
    params = SimpleNamespace(
        settings=SVM,
        inputs=INPUTS,
        together=list(INPUTS),
        classes=CLASSES,
        seed=5,
        key=KEY,
        permutations=2,
    )
    made = []
    for threads in (1, 2):
        out = SimpleNamespace(table=tmp_path / "permutations.tsv")
        main(source, out, params, SimpleNamespace(model="svm", refit="permutations"), threads)
        made.append(read_table(out.table))
    pd.testing.assert_frame_equal(*made, check_exact=True)
    assert set(made[0].columns) == set(PERMUTATIONS) and len(made[0]) == 6
    assert (made[0]["model"] == "svm").all()
