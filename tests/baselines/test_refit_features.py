from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.baselines.cohorts import CLASSES, FOLDS, INPUTS, KEY, LOGISTICS, YOUDEN, tables
from workflow_scripts.baselines.fit_features import predict, read_cases
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.refit_features import main
from workflow_scripts.common.metrics import over_splits
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table

DESIGN = FOLDS | {"repeats": 1}


@pytest.fixture
def refit(tmp_path):
    """Function of a cohort, settings and kind to the table, with source and params."""

    def run(cohort, settings, kind, flagged=(), together=INPUTS, **more):
        for name, table in zip(("splits", "features", "clinical"), cohort, strict=True):
            table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
        outliers = pd.DataFrame(flagged, columns=[*SCAN, "measure"])
        outliers = outliers.assign(level="doubtful", common="no")
        outliers.to_csv(tmp_path / "flagged.tsv", sep="\t", index=False, na_rep="n/a")
        source = SimpleNamespace(
            **{n: tmp_path / f"{n}.tsv" for n in ("splits", "features", "clinical", "flagged")}
        )
        params = SimpleNamespace(
            settings=settings, inputs=INPUTS, together=list(together), classes=CLASSES, seed=1,
            key=KEY, permutations=9, added_value={"inputs": ["mri"]},
        )  # fmt: skip
        vars(params).update(more)
        out = SimpleNamespace(table=tmp_path / "made.tsv")
        main(source, out, params, SimpleNamespace(model="m", refit=kind), 1)
        return read_table(out.table), source, params

    return run


def test_ways_that_make_no_difference_are_not_fitted(refit):
    table, *_ = refit(tables(design=DESIGN), YOUDEN, "variants")
    assert len(table) == 0 and "variant" in table


def test_the_other_way_with_missing_values_is_that_of_the_other_setting(refit):
    splits, features, clinical = tables(effect=1, design=DESIGN)
    features.loc[[2, 20], "b"] = np.nan
    clinical.loc[5, "sex"] = None
    cohort = splits, features, clinical
    imputed = YOUDEN | {"missing": "impute"}
    # Complete cases of all models lack three people, of this one's own columns two.
    for settings, other, n in ((YOUDEN, "impute", 24), (imputed, "complete_cases", 22)):
        table, source, params = refit(cohort, settings, "variants")
        assert set(table["variant"]) == {other} and len(table) == n
        own = read_cases(source, params, settings | {"missing": other}, ["mri"])
        with one_thread():
            judge, _ = predict(own, "m", settings | {"missing": other}, CLASSES, 1)
        assert table["score"].to_numpy() == pytest.approx(judge["score"].to_numpy())


def test_flagged_sessions_neither_train_nor_are_tested(refit):
    splits, features, clinical = tables(effect=1, design=DESIGN, sessions=2)
    flagged = [("sub-h03", "ses-2", "tiv_ml"), ("sub-i01", "ses-1", "tiv_ml")]
    table, *_ = refit((splits, features, clinical), YOUDEN, "variants", flagged)
    assert set(table["variant"]) == {"not_flagged"} and len(table) == 46
    scored = set(map(tuple, table[SCAN].to_numpy()))
    assert scored.isdisjoint({row[:2] for row in flagged})
    for who, session, _ in flagged:
        mine = (features["participant_id"] == who) & (features["session_id"] == session)
        features.loc[mine, ["a", "b"]] = 1e4
    again, *_ = refit((splits, features, clinical), YOUDEN, "variants", flagged)
    pd.testing.assert_frame_equal(table, again)


def test_a_way_that_leaves_too_few_people_is_left_out_with_a_word(refit, caplog):
    cohort = tables(design=DESIGN)
    flagged = [(f"sub-i{i:02d}", None, "tiv_ml") for i in range(9)]
    table, *_ = refit(cohort, YOUDEN, "variants", flagged)
    assert len(table) == 0 and "not_flagged: not possible" in caplog.text


def test_a_permuted_block_loses_what_it_adds_and_nothing_else(refit):
    """``a`` tells the classes apart: permuted with ``b``, age and sex are left, which do not."""
    combined = LOGISTICS["combined"]
    table, *_ = refit(tables(effect=3, design=DESIGN), combined, "blocks")
    null = over_splits(table, ["permutation"], pooled=True)
    assert len(null) == 9 and abs(null["auc"].mean() - 0.5) < 0.2
    kept, *_ = refit(
        tables(effect=3, design=DESIGN), combined, "blocks", added_value={"inputs": ["clinical"]}
    )
    assert over_splits(kept, ["permutation"], pooled=True)["auc"].min() > 0.85


def test_harmonization_is_told_split_by_split(refit):
    splits, features, clinical = tables(design=DESIGN)
    site = np.arange(len(features)) % 2
    features["a"] += 5 * site
    clinical["session_site"] = np.array(["A", "B"])[site]
    clinical.loc[:1, "session_site"] = "C"
    table, *_ = refit((splits, features, clinical), YOUDEN | {"harmonize": True}, "harmonization")
    assert table["split"].tolist() == [1, 1, 2, 2, 3, 3] and set(table["term"]) == {"a", "b"}
    assert (table["n_sites"] == 2).all() and table.drop_duplicates("split")["n_left"].sum() == 2
    of = table[table["term"] == "a"]
    assert (of["site_share"] > 0.7).all() and (
        of["site_share_harmonized"] < 0.5 * of["site_share"]
    ).all()
