from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.cohort.draw_splits import check_training, draw_splits, main
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import COLUMNS, SCAN, LeakageError, blocks_of, read_splits
from workflow_scripts.common.tables import write_table

CLASSES, WHERE = ["healthy", "ill"], "studies.s.design"
PUBLISHED = {
    "kind": "random_trials",
    "classes": CLASSES,
    "trials": 6,
    "train": {"healthy": 68, "ill": 34},
    "test": {"healthy": 9, "ill": 9},
    "repeat_minority": True,
}
SMALL = PUBLISHED | {"train": {"healthy": 3, "ill": 2}, "test": {"healthy": 1, "ill": 1}}
FOLDS = {"kind": "folds", "classes": CLASSES, "folds": 4, "repeats": 5, "validation": False}
HOLDOUT = {"kind": "holdout", "classes": CLASSES, "test": 0.2, "validation": 0.0}
SITES = {"kind": "leave_site_out", "classes": CLASSES, "column": "hospital"}
GIVEN = {"kind": "given", "classes": CLASSES, "table": "mine.tsv"}


def population(healthy=13, ill=8, other=0, sessions=("n/a",), external=()):
    """Participants sub-000 ... in the order of their classes; ``external`` are numbers."""
    labels = ["healthy"] * healthy + ["ill"] * ill + ["other"] * other
    return pd.DataFrame(
        [
            {
                "participant_id": f"sub-{i:03d}",
                "session_id": session,
                "label": label,
                "external": "yes" if i in external else "no",
            }
            for i, label in enumerate(labels)
            for session in sessions
        ]
    )


def draw(people, design, seed=1, given=None):
    return draw_splits(people, design, seed, WHERE, given)


def people_of(splits, role, split=1):
    rows = splits[(splits["split"] == split) & (splits["role"] == role)]
    return set(rows["participant_id"])


def test_published_design_has_published_sizes():
    trials = draw(population(120, 43), PUBLISHED)
    assert list(trials.columns) == COLUMNS
    assert (trials.groupby("split").size() == 163).all()
    for _, trial in trials.groupby("split"):
        counts = trial.value_counts(["role", "label"])
        assert counts["train", "healthy"] == 68
        assert counts["train", "ill"] == 34
        assert counts["test", "healthy"] == counts["test", "ill"] == 9
        assert counts["rest", "healthy"] == 120 - 68 - 9
        assert "rest" not in trial.loc[trial["label"] == "ill", "role"].to_list()
        assert trial["weight"].sum() == 136  # images per epoch, Inglese et al. 2022
        assert (trial.loc[trial["role"] != "train", "weight"] == 0).all()


def test_same_seed_same_trials_whatever_the_row_order_and_number_of_trials():
    people, design = population(12, 9), SMALL
    first = draw(people, design)
    pd.testing.assert_frame_equal(first, draw(people[::-1], design))
    fewer = draw(people, design | {"trials": 2})
    pd.testing.assert_frame_equal(first[first["split"] <= 2], fewer)
    assert (first["role"] != draw(people, design, seed=2)["role"]).any()


def test_draws_are_those_of_the_first_releases():
    """Kept splits can be drawn again: participants as `draw_trials` and `draw_folds` drew them."""
    people = population(6, 5)
    trials = draw(people, SMALL | {"trials": 2}, seed=3)
    assert [people_of(trials, "test", i) for i in (1, 2)] == [
        {"sub-001", "sub-006"},
        {"sub-004", "sub-010"},
    ]
    assert people_of(trials, "rest", 2) == {"sub-003", "sub-005", "sub-006", "sub-008"}
    folds = draw(people, FOLDS | {"folds": 3, "repeats": 1}, seed=3)
    assert [people_of(folds, "test", i) for i in (1, 2, 3)] == [
        {"sub-001", "sub-004", "sub-006", "sub-007"},
        {"sub-002", "sub-005", "sub-008", "sub-010"},
        {"sub-000", "sub-003", "sub-009"},
    ]


def test_every_participant_is_drawn_equally_often():
    design = SMALL | {"trials": 200, "repeat_minority": False}
    design |= {"train": {"healthy": 2, "ill": 2}}
    trials = draw(population(5, 5), design, seed=0)
    share = (trials["role"] == "test").groupby(trials["participant_id"]).mean()
    assert np.abs(share - 1 / 5).max() < 4 * np.sqrt(0.2 * 0.8 / 200)
    assert set(trials["weight"]) == {0, 1}


@pytest.mark.parametrize("design", [SMALL, FOLDS | {"folds": 2}, HOLDOUT | {"test": 0.3}])
def test_sessions_of_a_participant_stay_together(design):
    once = draw(population(6, 5), design)
    twice = draw(population(6, 5, sessions=("ses-1", "ses-2")), design)
    assert (twice.groupby(["split", "participant_id"])["role"].nunique() == 1).all()
    for session in ("ses-1", "ses-2"):
        rows = twice[twice["session_id"] == session].reset_index(drop=True)
        pd.testing.assert_series_equal(rows["role"], once["role"])


def test_label_of_the_first_session_stratifies_and_every_scan_keeps_its_own():
    people = population(6, 6, sessions=("ses-1", "ses-2"))
    became_ill = (people["participant_id"] == "sub-000") & (people["session_id"] == "ses-2")
    people.loc[became_ill, "label"] = "ill"
    splits = draw(people, FOLDS | {"folds": 3, "repeats": 1})
    mine = splits[(splits["participant_id"] == "sub-000") & (splits["split"] == 1)]
    assert mine["label"].tolist() == ["healthy", "ill"] and mine["role"].nunique() == 1
    plain = draw(population(6, 6, sessions=("ses-1", "ses-2")), FOLDS | {"folds": 3, "repeats": 1})
    pd.testing.assert_series_equal(splits["role"], plain["role"])


def test_class_with_two_members_is_refused_with_counts_and_key():
    with pytest.raises(InputError) as error:
        draw(population(100, 2), PUBLISHED)
    message = str(error.value)
    for part in ("class ill", "needs 43", "34 train + 9 test", "2 available", f"{WHERE}.train.ill"):
        assert part in message


def test_repeating_one_of_two_equal_classes_is_refused():
    design = SMALL | {"train": {"healthy": 3, "ill": 3}}
    with pytest.raises(InputError, match=f"set {WHERE}.repeat_minority to false"):
        draw(population(9, 9), design)


def test_every_participant_is_tested_once_per_repeat_in_balanced_folds():
    folds = draw(population(other=3), FOLDS)
    tested = folds[folds["role"] == "test"]
    tested = tested.assign(repeat=(tested["split"] - 1) // 4)
    assert set(folds["label"]) == set(CLASSES)
    assert blocks_of(tested) == [list(range(4 * r + 1, 4 * r + 5)) for r in range(5)]
    for _, repeat in tested.groupby("repeat"):
        assert repeat["participant_id"].nunique() == len(repeat) == 21
        sizes = pd.crosstab(repeat["split"], repeat["label"])
        assert sizes["healthy"].max() - sizes["healthy"].min() <= 1
        assert sizes["ill"].tolist() == [2, 2, 2, 2]
        assert sizes.sum(axis=1).max() - sizes.sum(axis=1).min() <= 1


def test_folds_depend_on_ids_labels_and_seed_only():
    folds = draw(population(other=3), FOLDS)
    pd.testing.assert_frame_equal(
        folds, draw(population(other=3).sample(frac=1, random_state=3), FOLDS)
    )
    few = draw(population(), FOLDS | {"repeats": 2})
    pd.testing.assert_frame_equal(few, folds[folds["split"] <= 8])
    assert not folds["role"].equals(draw(population(), FOLDS, seed=2)["role"])
    assert people_of(folds, "test", 1) != people_of(folds, "test", 5)


def test_validation_fold_is_the_next_one_in_turn():
    plain, apart = draw(population(), FOLDS), draw(population(), FOLDS | {"validation": True})
    for fold in range(1, 5):
        assert people_of(apart, "test", fold) == people_of(plain, "test", fold)
        assert people_of(apart, "validation", fold) == people_of(plain, "test", fold % 4 + 1)
    assert set(apart["role"]) == {"train", "validation", "test"}
    assert (apart.loc[apart["role"] != "train", "weight"] == 0).all()


@pytest.mark.parametrize(
    ("ill", "change", "message"),
    [
        (4, {"folds": 5}, f"{WHERE}.folds: 5 folds .* 4 participants of class ill; lower .* to 4"),
        (3, {"folds": 2}, f"raise {WHERE}.folds to 3"),
        (2, {"folds": 2}, f"{WHERE}.classes: class ill has 2 participants, 3 are needed to test"),
        (0, {"folds": 2}, f"{WHERE}.classes: class ill has 0 participants"),
        (3, {"folds": 3, "validation": True}, "has 3 participants, 4 are needed to validate, test"),
        (6, {"folds": 2, "validation": True}, f"raise {WHERE}.folds to 3"),
    ],
)
def test_too_small_classes_say_what_to_change(ill, change, message):
    with pytest.raises(InputError, match=message):
        draw(population(ill=ill), FOLDS | change)


def test_a_training_side_keeps_two_of_each_class():
    for ill, folds, validation in ((3, 3, False), (4, 2, False), (5, 4, False), (4, 4, True)):
        table = draw(population(ill=ill), FOLDS | {"folds": folds, "validation": validation})
        trained = table[(table["label"] == "ill") & (table["role"] == "train")]
        assert trained.groupby("split").size().min() >= 2


def test_holdout_has_the_asked_shares_of_each_class():
    splits = draw(population(20, 10), HOLDOUT | {"test": 0.3, "validation": 0.1})
    assert splits.value_counts(["role", "label"]).to_dict() == {
        ("train", "healthy"): 12, ("test", "healthy"): 6, ("validation", "healthy"): 2,
        ("train", "ill"): 6, ("test", "ill"): 3, ("validation", "ill"): 1,
    }  # fmt: skip
    assert splits["split"].unique().tolist() == [1]
    pd.testing.assert_frame_equal(
        splits, draw(population(20, 10)[::-1], HOLDOUT | {"test": 0.3, "validation": 0.1})
    )
    small = draw(population(20, 10), HOLDOUT | {"test": 0.01})
    assert len(people_of(small, "test")) == 2  # one of each class at least


def test_holdout_that_leaves_nobody_to_train_on_is_refused():
    with pytest.raises(InputError, match="split 1 trains on 1 participants of class ill, 2 are"):
        draw(population(8, 4), HOLDOUT | {"test": 0.5, "validation": 0.25})


def with_sites(people, sites):
    number = people["participant_id"].str[4:].astype(int)
    return people.assign(site=[sites[i % len(sites)] for i in number])


def test_each_site_is_tested_by_models_of_the_others():
    people = with_sites(population(9, 9, sessions=("ses-1", "ses-2")), ["B", "A", "10"])
    splits = draw(people, SITES)
    sites = people.drop_duplicates("participant_id").set_index("participant_id")["site"]
    for split, site in enumerate(["10", "A", "B"], start=1):
        assert people_of(splits, "test", split) == set(sites.index[sites == site])
        assert people_of(splits, "train", split) == set(sites.index[sites != site])
    assert blocks_of(splits[splits["role"] == "test"]) == [[1, 2, 3]]
    pd.testing.assert_frame_equal(splits, draw(people, SITES, seed=9))


def test_external_sites_are_left_out_of_leave_site_out():
    people = with_sites(population(9, 9), ["A", "B", "C"])
    people["external"] = np.where(people["site"] == "C", "yes", "no")
    splits = draw(people, SITES)
    assert splits["split"].unique().tolist() == [1, 2]
    outside = set(people.loc[people["site"] == "C", "participant_id"])
    assert people_of(splits, "external", 1) == people_of(splits, "external", 2) == outside


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sub-004": None}, InputError, f"{WHERE}.column: hospital is missing for sub-004"),
        ("one", InputError, f"{WHERE}.column: hospital has one value only"),
        ("move", LeakageError, f"{WHERE}.column: sub-001 have sessions in several sites"),
        ("class", InputError, "split 2 trains on 0 participants of class ill"),
    ],
)
def test_sites_that_cannot_be_left_out_are_named(change, error, message):
    people = with_sites(population(6, 6, sessions=("ses-1", "ses-2")), ["A", "B"])
    if change == "one":
        people["site"] = "A"
    elif change == "move":
        people.loc[(people["participant_id"] == "sub-001").idxmax(), "site"] = "A"
    elif change == "class":
        people["site"] = np.where(people["label"] == "ill", "B", "A")
        people.loc[people["participant_id"] < "sub-003", "site"] = "B"
    else:
        people["site"] = people["site"].mask(people["participant_id"].isin(change))
    with pytest.raises(error, match=message):
        draw(people, SITES)


@pytest.mark.parametrize("design", [SMALL, FOLDS, HOLDOUT])
def test_external_participants_are_external_in_every_split_and_change_no_draw(design):
    outside = (2, 12, 14, 15)
    people = population(12, 10, external=outside)
    splits = draw(people, design)
    inside = draw(people[people["external"] == "no"], design)
    names = {f"sub-{i:03d}" for i in outside}
    for split in splits["split"].unique():
        assert people_of(splits, "external", split) == names
    rest = splits[splits["role"] != "external"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, inside)


def test_participant_inside_and_outside_is_a_leak():
    people = population(6, 6, sessions=("ses-1", "ses-2"))
    people.loc[people.index[people["participant_id"] == "sub-005"][1], "external"] = "yes"
    with pytest.raises(LeakageError, match="sub-005"):
        draw(people, FOLDS | {"folds": 3})


def given(*rows, columns=("split", "participant_id", "role")):
    return pd.DataFrame(rows, columns=columns)


def everybody(test=("sub-000", "sub-004")):
    """Eight participants, who train where they are not tested."""
    ids = [f"sub-{i:03d}" for i in range(8)]
    return given(*((1, name, "test" if name in test else "train") for name in ids))


def test_given_splits_are_taken_as_they_are():
    people = population(4, 4, other=1, sessions=("ses-1", "ses-2"), external=(7,))
    table = everybody().assign(weight=3)
    table.loc[table["participant_id"] == "sub-007", "role"] = "external"
    second = table[table["participant_id"] != "sub-001"].assign(split=2)
    splits = draw(people, GIVEN, given=pd.concat([second, table]))
    assert list(splits.columns) == COLUMNS
    assert splits.groupby("split").size().to_dict() == {1: 16, 2: 14}
    assert people_of(splits, "test", 2) == {"sub-000", "sub-004"}
    assert people_of(splits, "external", 1) == {"sub-007"}
    assert set(splits.loc[splits["role"] == "train", "weight"]) == {3}
    assert set(splits.loc[splits["role"] != "train", "weight"]) == {0}
    assert splits[["split", *SCAN]].equals(splits.sort_values(["split", *SCAN])[["split", *SCAN]])


def test_given_sessions_take_part_alone():
    people = population(4, 4, sessions=("ses-1", "ses-2"))
    splits = draw(people, GIVEN, given=everybody().assign(session_id="ses-2"))
    assert set(splits["session_id"]) == {"ses-2"} and len(splits) == 8
    assert set(splits.loc[splits["role"] == "train", "weight"]) == {1}


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (everybody().drop(columns="role"), InputError, r"mine.tsv: lacks the columns \['role'\]"),
        (everybody().replace("train", "tarin"), InputError, r"role \['tarin'\] is none of"),
        (everybody().replace("sub-003", "sub-033"), InputError, "mine.tsv: sub-033 has no scan"),
        (everybody().replace({"split": {1: "first"}}), InputError, "split must be a whole number"),
        (everybody().replace({"split": {1: 0}}), InputError, "split must be a whole number"),
        (
            everybody().replace({"split": {1: 2}}),
            InputError,
            "its splits are 2; number them from 1",
        ),
        (everybody()[:0], InputError, "its splits are none; number them from 1"),
        (
            pd.concat([everybody(), everybody().assign(split=3)]),
            InputError,
            "splits are 1, 3; numb",
        ),
        (pd.concat([everybody()] * 2), InputError, "sub-000, sub-001.* stands twice in a split"),
        (everybody(test=()), InputError, f"{WHERE}: split 1 tests nobody"),
        (everybody(("sub-004", "sub-005", "sub-006")), InputError, "trains on 1 .* class ill"),
        (everybody().replace("sub-001", "sub-008"), InputError, "sub-008 has no scan"),
    ],
)
def test_given_table_that_does_not_fit_says_why(table, error, message):
    with pytest.raises(error, match=message):
        draw(population(4, 4, other=1), GIVEN, given=table)


def test_given_leaks_are_named():
    people = population(4, 4, sessions=("ses-1", "ses-2"))
    table = pd.concat([everybody().assign(session_id=s) for s in ("ses-1", "ses-2")])
    table.iloc[9, 2] = "test"  # the second session of sub-001
    with pytest.raises(LeakageError, match=r"sub-001 \(split 1\)"):
        draw(people, GIVEN, given=table)
    with pytest.raises(LeakageError, match="mine.tsv: sub-003 is external"):
        draw(population(4, 4, external=(3,)), GIVEN, given=everybody())
    second = everybody().assign(split=2)
    second.loc[second["participant_id"] == "sub-002", "role"] = "external"
    with pytest.raises(LeakageError, match="external participants train.*: sub-002"):
        draw(population(4, 4), GIVEN, given=pd.concat([everybody(), second]))


def test_training_is_counted_in_people():
    people = population(4, 2, sessions=("ses-1", "ses-2"))
    splits = people.assign(split=1, role="train", weight=1)
    splits.loc[splits["participant_id"] == "sub-000", "role"] = "test"
    check_training(splits, CLASSES, WHERE)
    with pytest.raises(InputError, match="trains on 1 participants of class ill"):
        check_training(splits[splits["participant_id"] != "sub-005"], CLASSES, WHERE)


def test_goes_through_files(tmp_path):
    described = resource("columns/cohort.tsv")
    people = with_sites(population(4, 4), ["1", "2"])
    write_table(people, tmp_path / "population.tsv", described)
    table = everybody(("sub-001", "sub-004")).assign(session_id="n/a")
    table.to_csv(tmp_path / "mine.tsv", sep="\t", index=False)
    for design in (SITES, GIVEN | {"table": tmp_path / "mine.tsv"}):
        main(
            SimpleNamespace(population=tmp_path / "population.tsv"),
            SimpleNamespace(splits=tmp_path / "splits.tsv"),
            SimpleNamespace(study={"design": design, "seed": 1}),
            SimpleNamespace(study="s"),
        )
        splits = read_splits(tmp_path / "splits.tsv")
        assert list(splits.columns) == COLUMNS and splits["session_id"].isna().all()
        assert "sub-001" in people_of(splits, "test", splits["split"].max())
