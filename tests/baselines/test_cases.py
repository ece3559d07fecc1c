import numpy as np
import pandas as pd
import pytest

from tests.baselines.cohorts import CLASSES, FOLDS, INPUTS, KEY, cases_of, tables
from workflow_scripts.baselines.cases import build_cases, exchange, exchanged
from workflow_scripts.common.job import InputError


def build(splits, features, clinical, inputs=INPUTS):
    return build_cases(splits, features, clinical, inputs, CLASSES, KEY)


def test_models_are_compared_on_the_same_complete_cases(caplog):
    splits, features, clinical = tables(design=FOLDS)
    features.loc[3, "a"] = np.nan
    clinical.loc[20, "sex"] = None
    cases = build(splits, features, clinical)
    assert len(cases.y) == 22 and cases.y.sum() == 9
    assert {"sub-h03", "sub-i06"}.isdisjoint(cases.scans["participant_id"])
    assert "sub-h03, sub-i06" in caplog.text and "a 1, sex 1" not in caplog.text
    assert "sex 1" in caplog.text and "a 1" in caplog.text
    assert list(cases.terms(["clinical", "mri"])) == ["age", "sex_M", "a", "b"]
    assert list(cases.terms(["mri"])) == ["a", "b"]
    assert [len(x) for x in cases.x.values()] == [22, 22]
    roles = splits.set_index(["split", "participant_id"])["role"]
    assert cases.splits.tolist() == [1, 2, 3, 4, 5, 6]
    assert cases.role[4].tolist() == [roles[5, who] for who in cases.scans["participant_id"]]


def test_a_missing_scan_costs_that_session_alone():
    splits, features, clinical = tables(design=FOLDS, sessions=2)
    features.loc[7, "b"] = np.nan  # sub-h03, ses-2
    cases = build(splits, features, clinical)
    assert len(cases.y) == 47
    mine = cases.scans["participant_id"] == "sub-h03"
    assert cases.scans.loc[mine, "session_id"].tolist() == ["ses-1"]
    assert len(np.unique(cases.person)) == 24


def test_any_order_of_rows_gives_the_same_cases():
    splits, features, clinical = tables(design=FOLDS, sessions=2)
    once, again = build(splits, features, clinical), build(splits, features[::-1], clinical[::-1])
    pd.testing.assert_frame_equal(once.terms(list(INPUTS)), again.terms(list(INPUTS)))
    np.testing.assert_array_equal(once.role, again.role)


def test_who_does_not_stand_in_a_split_rests_there():
    splits, features, clinical = tables(design=FOLDS)
    absent = (splits["split"] == 2) & (splits["participant_id"] == "sub-h00")
    cases = build(splits[~absent], features, clinical)
    assert cases.role[1, 0] == "rest" and cases.weight[1, 0] == 0
    assert (cases.role[[0, 2, 3, 4, 5], 0] != "rest").all()


def test_a_confound_that_all_share_is_left_out_and_a_predictor_refused(caplog):
    splits, features, clinical = tables()
    clinical["sex"] = "F"
    confounds = build(splits, features, clinical, {"confounds": ["age", "sex"]})
    assert list(confounds.terms(["confounds"])) == ["age"]
    assert "studies.s.confounds: sex of clinical.tsv is the same for all 24" in caplog.text
    with pytest.raises(InputError, match="studies.s.confounds: no column differs"):
        build(splits, features, clinical, {"confounds": ["sex"]})
    with pytest.raises(InputError, match=r"studies.s.inputs.clinical.columns: sex .* the same"):
        build(splits, features, clinical, {"clinical": ["age", "sex"]})


def test_weights_are_those_of_the_splits():
    cases = cases_of()
    trained = cases.role == "train"
    assert (cases.weight[~trained] == 0).all()
    y = np.broadcast_to(cases.y, trained.shape)
    assert (cases.weight[trained & y] == 2).all() and (cases.weight[trained & ~y] == 1).all()


@pytest.mark.parametrize("design", [{}, {"design": FOLDS}])
def test_a_study_without_columns_has_its_people_for_the_majority(design):
    cases = build(*tables(**design), inputs={})
    assert len(cases.y) == 24 and cases.x == {} and (cases.role == "test").any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mri": ["a", "dwi"]}, "studies.s.inputs.mri.columns: features.tsv has no column dwi"),
        ({"mri": ["a", "a"]}, "studies.s.inputs.mri.columns: a stands twice"),
        ({"mri": ["a", "empty"]}, r"split 1 trains on 0 .*class healthy .*\(empty: 24\)"),
        ({"mri": ["a", "rare"]}, r"trains on [01] .*class ill with a value .*\(rare: 8\)"),
        ({"mri": ["a", "same"]}, "studies.s.inputs.mri.columns: same of features.tsv is the same"),
        ({"mri": ["a", "text"]}, "studies.s.inputs.mri.columns: text of features.tsv is 'left' in"),
        ({"clinical": ["age", "site"]}, "studies.s.inputs.clinical.columns: site .* 24 different"),
        ({"clinical": ["born"]}, "studies.s.inputs.clinical.columns: born of clinical.tsv is 'inf"),
    ],
)
def test_bad_columns_name_their_key(change, message):
    splits, features, clinical = tables(design=FOLDS)
    rare = features["a"].where(features.index < 16)  # two ill people have it
    features = features.assign(empty=np.nan, same=1.0, text="left", rare=rare)
    features.loc[3, "text"] = "right"
    clinical = clinical.assign(site=[f"{i},5" for i in range(24)], born=1960.0)
    clinical.loc[0, "born"] = np.inf
    with pytest.raises(InputError, match=message):
        build(splits, features, clinical, INPUTS | change)


def test_row_that_is_not_in_a_table_is_named():
    splits, features, clinical = tables(design=FOLDS)
    with pytest.raises(InputError, match=r"features.tsv: no row for sub-h05"):
        build(splits, features.drop(index=5), clinical)


def test_no_test_side_with_both_classes_is_refused():
    splits, features, clinical = tables(design=FOLDS)
    splits = splits[splits["split"] == 1].copy()
    splits.loc[(splits["role"] == "test") & (splits["label"] == "ill"), "role"] = "rest"
    with pytest.raises(InputError, match="studies.s.design: no split tests .* both classes"):
        build(splits, features, clinical)


def test_people_of_a_class_are_counted_by_their_first_scan():
    """Inner folds are stratified by it: one ill and one who became ill are not two ill people."""
    splits, features, clinical = tables(design=FOLDS, sessions=2)
    splits = splits[splits["split"] == 1].copy()
    ill = splits.loc[(splits["role"] == "train") & (splits["label"] == "ill"), "participant_id"]
    _, other, *rest = ill.unique()
    splits.loc[splits["participant_id"].isin(rest), "role"] = "rest"
    build(splits, features, clinical)
    first = (splits["participant_id"] == other) & (splits["session_id"] == "ses-1")
    splits.loc[first, "label"] = "healthy"
    with pytest.raises(InputError, match="split 1 trains on 1 participants of class ill"):
        build(splits, features, clinical)


def test_external_participants_are_no_case_inside():
    cases = cases_of(external=2, healthy=16, ill=12)
    inside = cases.inside()
    assert len(cases.y) == 28 and len(inside.y) == 24
    assert not (inside.role == "external").any()
    assert len(inside.terms(["mri"])) == 24 and inside.person.max() == 23
    kept = cases.scans["participant_id"].isin(inside.scans["participant_id"])
    np.testing.assert_array_equal(cases.y[kept], inside.y)


def test_exchange_keeps_class_sizes_on_every_side():
    cases = cases_of(external=2, healthy=16, ill=12)
    permuted = exchange(cases, 1, seed=0)
    assert len(permuted.y) == 24
    assert (permuted.y != cases.inside().y).any()
    pd.testing.assert_frame_equal(permuted.terms(["mri"]), cases.inside().terms(["mri"]))
    for role, weight in zip(permuted.role, permuted.weight, strict=True):
        assert ((role == "train") & permuted.y).sum() == 6
        assert ((role == "train") & ~permuted.y).sum() == 9
        assert ((role == "test") & permuted.y).sum() == 3
        assert set(weight[(role == "train") & permuted.y]) == {2}


def test_participants_exchange_with_others_that_have_as_many_scans():
    person = np.repeat(np.arange(9), [1, 2, 1, 2, 3, 2, 1, 3, 4])
    scans = [np.flatnonzero(person == p) for p in range(9)]
    moved, seen = np.zeros(9, bool), set()
    for seed in range(30):
        source = exchanged(person, np.random.default_rng(seed))
        assert sorted(source) == list(range(len(person)))
        for p, rows in enumerate(scans):
            (other,) = set(person[source[rows]])
            assert len(scans[other]) == len(rows)
            assert source[rows].tolist() == scans[other].tolist()  # all scans, in order
            moved[p] |= other != p
            seen.add((p, int(other)))
    assert moved.tolist() == [True] * 8 + [False]  # nobody else has four scans
    assert len(seen) == 3 * 3 + 3 * 3 + 2 * 2 + 1


def test_permuted_sessions_of_a_person_keep_one_role():
    permuted = exchange(cases_of(sessions=2), 3, seed=1)
    for role in permuted.role:
        assert all(len(set(role[permuted.person == p])) == 1 for p in range(24))
