"""Who a study can draw from."""

import json
from types import SimpleNamespace

import pytest

from workflow_scripts.cohort import freeze_population
from workflow_scripts.cohort.cohort import Cohort, make_cohort
from workflow_scripts.cohort.population import (
    check_labels,
    clinical_of_population,
    frozen_population,
    label_of,
    number_of_splits,
    population_today,
    screened,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import members
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.tables import read_table

STUDY = {
    "label": "dx",
    "classes": ["a", "b"],
    "other_labels": ["c"],
    "sessions": "first",
    "requires": ["T1w"],
    "split": 1,
    "design": {
        "kind": "random_trials",
        "classes": ["a", "b"],
        "train": {"a": 0, "b": 0},
        "test": {"a": 1, "b": 1},
    },
}
FOLDS = STUDY | {"design": {"kind": "folds", "classes": ["a", "b"]}}
EDSS = {"label": {"column": "edss", "at_least": 3.0}}
SITE_B = {"external": {"column": "site", "values": ["B", "02"]}}


def scan(participant, session=None, suffix="T1w", path="x"):
    names = {"participant_id": participant, "session_id": session, "suffix": suffix}
    return names | {"path": path and f"{participant}-{session}-{path}"}


def cohort(labels, index, exclusions=(), **columns):
    """Cohort of sub-1, sub-2 ..., with what the tables say of all sessions of each."""
    people = [
        {"participant_id": f"sub-{i}", "dx": label}
        | {name: values[i - 1] for name, values in columns.items()}
        for i, label in enumerate(labels, 1)
    ]
    by_name = {row["participant_id"]: row for row in people}
    clinical = {
        (row["participant_id"], row["session_id"]): by_name[row["participant_id"]]
        | {"session_id": row["session_id"]}
        for row in index
    }
    return Cohort(people, index, list(exclusions), clinical)


def exclusion(participant):
    names = {"participant_id": participant, "session_id": None, "suffix": None}
    return names | {"reason": "motion"}


def inside(participant, session, label, **more):
    return {
        "participant_id": participant,
        "session_id": session,
        "label": label,
        "external": "no",
    } | more


def test_population_is_labelled_usable_and_one_session_each():
    index = [
        scan("sub-1", "ses-1"),
        scan("sub-1", "ses-2"),
        scan("sub-2", path=None),
        scan("sub-3"),
        scan("sub-4"),
        scan("sub-5"),
        scan("sub-6"),
    ]
    everyone = cohort(["a", "a", "b", "b", None, "c"], index, [exclusion("sub-3")])
    assert population_today(everyone, STUDY) == [
        inside("sub-1", "ses-1", "a"),
        inside("sub-4", None, "b"),
    ]
    named = population_today(everyone, STUDY | {"sessions": "ses-2"})
    assert named == [inside("sub-1", "ses-2", "a")]
    both = population_today(everyone, STUDY | {"sessions": "all"})
    assert [row["session_id"] for row in both] == ["ses-1", "ses-2", None]


@pytest.mark.parametrize(
    ("edss_date", "acq_time", "taken"),
    [
        ("1925-03-01", "1925-03-01T08:30:00", True),
        ("1925-03-01", "1925-08-31", True),  # 183 days
        ("1925-08-31", "1925-03-01", True),
        ("1925-03-01", "1925-09-01", False),
        ("1925-03-01", None, False),
        (None, "1925-03-01", False),
    ],
)
def test_labels_far_from_the_scan_are_left_out_and_counted(edss_date, acq_time, taken):
    study = STUDY | EDSS | {"within_days": {"days": 183, "date": "edss_date", "scan": "acq_time"}}
    everyone = cohort(
        [None], [scan("sub-1")], edss=["2"], edss_date=[edss_date], acq_time=[acq_time]
    )
    check_labels(list(everyone.clinical.values()), "s", study)
    assert len(population_today(everyone, study)) == taken
    label = screened(everyone, study)["sub-1"][""]
    late = "more than 183 days from the scan, or one of them without a date"
    assert label == ("a" if taken else late)


def test_a_text_that_is_no_date_is_named():
    study = STUDY | EDSS | {"within_days": {"days": 183, "date": "edss_date", "scan": "acq_time"}}
    row = {"participant_id": "sub-1", "session_id": "ses-1", "edss": "2"}
    row |= {"edss_date": "01.03.1925", "acq_time": "1925-03-01"}
    with pytest.raises(InputError, match=r"sub-1_ses-1: edss_date is '01.03.1925'.*1925-12-31"):
        check_labels([row], "s", study)


def test_population_has_every_scan_that_the_study_requires():
    dwi = [scan(name, suffix="dwi") for name in ("sub-1", "sub-3")]
    index = [scan("sub-1"), scan("sub-2"), scan("sub-3", path=None), *dwi]
    everyone = cohort(["a", "a", "b"], index)
    for requires, names in (
        (["dwi"], ["sub-1", "sub-3"]),
        (["T1w", "dwi"], ["sub-1"]),
        (["T1w"], ["sub-1", "sub-2"]),
    ):
        population = population_today(everyone, STUDY | {"requires": requires})
        assert [row["participant_id"] for row in population] == names


def test_first_is_the_first_session_that_can_be_used():
    """Which lacks no scan, and has one of the classes: labels may differ between sessions."""
    sessions = [("sub-1", f"ses-{n}") for n in (1, 2, 3)]
    index = [scan(*session) for session in sessions]
    index += [scan(*session, suffix="FLAIR") for session in sessions[1:]]
    everyone = cohort(["a"], index)
    for session, label in zip(sessions, ["a", None, "b"], strict=True):
        everyone.clinical[session] = everyone.clinical[session] | {"dx": label}
    study = STUDY | {"requires": ["T1w", "FLAIR"]}
    assert population_today(everyone, study) == [inside("sub-1", "ses-3", "b")]
    assert population_today(everyone, STUDY) == [inside("sub-1", "ses-1", "a")]


def test_a_label_is_of_the_session():
    """Progression: below the threshold at first, above it later."""
    index = [scan("sub-1", "ses-1"), scan("sub-1", "ses-2"), scan("sub-1", "ses-3")]
    everyone = cohort([None], index)
    for number, edss in ((1, "2.5"), (2, "3"), (3, None)):
        session = "sub-1", f"ses-{number}"
        everyone.clinical[session] = everyone.clinical[session] | {"edss": edss}
    population = population_today(everyone, STUDY | EDSS | {"sessions": "all"})
    assert population == [inside("sub-1", "ses-1", "a"), inside("sub-1", "ses-2", "b")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2.99", "a"), ("3", "b"), ("3.0", "b"), ("-1", "a"), ("1e1", "b"), (None, None)],
)
def test_a_threshold_is_reached_by_its_own_value(value, expected):
    assert label_of({"edss": value}, STUDY | EDSS) == expected


def rows(**columns):
    return [
        {"participant_id": f"sub-{i}", "session_id": "ses-1"}
        | dict(zip(columns, entries, strict=True))
        for i, entries in enumerate(zip(*columns.values(), strict=True))
    ]


def test_known_other_and_missing_labels_are_fine():
    check_labels(rows(dx=["a", "b", "c", None]), "s", STUDY)
    check_labels(rows(edss=["1", "7.5", None]), "s", STUDY | EDSS)


def test_unknown_labels_are_named_with_their_session():
    with pytest.raises(InputError, match="sub-1_ses-1: dx is 'A', which is none of studies.s"):
        check_labels(rows(dx=["a", "A"]), "s", STUDY)


@pytest.mark.parametrize("stray", ["3,5", "high", "nan", "inf", "<3"])
def test_a_threshold_on_a_stray_text_is_refused_by_row(stray):
    message = f"sub-1_ses-1: edss is {stray!r}, which studies.s.label compares with 3; write a num"
    with pytest.raises(InputError, match=message) as error:
        check_labels(rows(edss=["2", stray, "4"]), "s", STUDY | EDSS)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"(?s)sub-0_ses-1.*sub-2_ses-1"):
        check_labels(rows(edss=[stray, "1", stray]), "s", STUDY | EDSS)


def test_labels_are_checked_where_a_cohort_is_put_together():
    config = {"studies": {"s": STUDY}, "participants": None}
    with pytest.raises(InputError, match="sub-1_ses-1: dx is 'A'"):
        make_cohort(config, [], [], [], rows(dx=["a", "A"]))


def test_participants_asked_for_must_be_there():
    config = {"studies": {"s": STUDY}, "participants": ["sub-0", "sub-9"]}
    people = rows(dx=["a", "b"])
    with pytest.raises(InputError, match=r"participants: sub-9 is not in participants.tsv"):
        make_cohort(config, people, [], [], people)
    some = make_cohort(config | {"participants": ["sub-0"]}, people, [scan("sub-1")], [], people)
    assert [row["participant_id"] for row in some.participants] == ["sub-0"]
    assert not some.index


# External participants and sites


def test_external_participants_and_sites_stand_in_the_population():
    index = [scan(f"sub-{n}") for n in range(1, 5)]
    sites = ["A", "B", None, "02"]
    everyone = cohort(["a", "b", "a", "b"], index, site=sites, scanner=["X", "Y", "X", None])
    study = STUDY | SITE_B | {"design": {"kind": "leave_site_out", "column": "scanner"}}
    population = population_today(everyone, study)
    assert [row["external"] for row in population] == ["no", "yes", "no", "yes"]
    assert [row["site"] for row in population] == ["X", "Y", "X", None]
    assert all("site" not in row for row in population_today(everyone, STUDY | SITE_B))


def test_a_participant_inside_and_outside_is_refused(tmp_path):
    index = [scan("sub-1", "ses-1"), scan("sub-1", "ses-2"), *map(scan, ("sub-2", "sub-3"))]
    everyone = cohort(["a", "b", "a"], index, site=["A", "A", "B"])
    moved = "sub-1", "ses-2"
    everyone.clinical[moved] = everyone.clinical[moved] | {"site": "B"}
    study = STUDY | SITE_B | {"sessions": "all"}
    message = "studies.s.external: sub-1 have sessions inside and outside; site must be the same"
    with pytest.raises(InputError, match=message):
        frozen_population(tmp_path / "none.tsv", study, "s", everyone)


def test_an_external_cohort_of_nobody_is_refused(tmp_path):
    everyone = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")], site=["A", "b"])
    message = r"studies.s.external: no session with a usable T1w has site in \['B', '02'\]"
    with pytest.raises(InputError, match=message):
        frozen_population(tmp_path / "none.tsv", STUDY | SITE_B, "s", everyone)


# The population of a split that is kept


def keep(path, population):
    """As the rule writes it."""
    freeze_population.main(
        None, SimpleNamespace(table=path), SimpleNamespace(population=population)
    )


def test_kept_population_does_not_grow_with_the_cohort(tmp_path):
    kept = tmp_path / "population.tsv"
    before = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    population = frozen_population(kept, STUDY, "s", before)
    assert [row["participant_id"] for row in population] == ["sub-1", "sub-2"]
    keep(kept, population)
    grown = cohort(["a", "b", "b"], [scan("sub-1"), scan("sub-2"), scan("sub-3")])
    assert frozen_population(kept, STUDY, "s", grown) == population


def test_a_kept_population_is_read_as_it_was(tmp_path):
    """Classes and sites that look like numbers stay text, for the Snakefile and for the jobs."""
    kept = tmp_path / "population.tsv"
    classes = ["01", "02"]
    design = {"kind": "leave_site_out", "column": "scanner", "classes": classes}
    study = STUDY | SITE_B | {"classes": classes, "design": design}
    index = [scan(f"sub-{n}", "ses-1") for n in range(1, 8)]
    everyone = cohort(
        ["01", "02", "01", "02", "01", "02", "01"],
        index,
        site=["A"] * 6 + ["02"],
        scanner=["1", "1", "1", "2.0", "2.0", "2.0", None],
    )
    population = frozen_population(kept, study, "s", everyone)
    keep(kept, population)
    assert frozen_population(kept, study, "s", everyone) == population == read_rows(kept)
    table = read_table(kept)
    assert table["label"].tolist() == [row["label"] for row in population]
    assert table["site"].dropna().tolist() == ["1", "1", "1", "2.0", "2.0", "2.0"]
    people = members(table, classes, "studies.s.classes")
    assert people["label"].tolist() == ["01", "02"] * 3  # without the external one
    assert number_of_splits(population, design) == 2


@pytest.mark.parametrize(
    "later",
    [
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2")], [exclusion("sub-2")]),
        cohort(["a", "a"], [scan("sub-1"), scan("sub-2")]),
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2", path=None)]),
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2", "ses-1")]),
    ],
    ids=["excluded", "other label", "scan gone", "other session"],
)
def test_change_of_a_kept_participant_is_not_passed_over(tmp_path, later):
    kept = tmp_path / "population.tsv"
    before = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    keep(kept, frozen_population(kept, STUDY, "s", before))
    with pytest.raises(InputError, match="(?s)split 1 was drawn with sub-2, .*split to 2"):
        frozen_population(kept, STUDY, "s", later)


def test_a_kept_participant_who_is_external_now_is_not_passed_over(tmp_path):
    kept = tmp_path / "population.tsv"
    index = [scan(f"sub-{n}") for n in range(1, 4)]
    before = cohort(["a", "b", "a"], index, site=["A", "A", "B"])
    study = STUDY | SITE_B
    keep(kept, frozen_population(kept, study, "s", before))
    moved = cohort(["a", "b", "a"], index, site=["A", "B", "B"])
    with pytest.raises(InputError, match="split 1 was drawn with sub-2, "):
        frozen_population(kept, study, "s", moved)


def test_a_population_of_version_0_6_is_told_from_a_change(tmp_path):
    kept = tmp_path / "population.tsv"
    kept.write_text("participant_id\tsession_id\tlabel\nsub-1\tn/a\ta\nsub-2\tn/a\tb\n")
    everyone = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    with pytest.raises(InputError, match="population.tsv: was kept by version 0.6; .*split to 2"):
        frozen_population(kept, STUDY, "s", everyone)


# Sizes


def test_class_that_is_too_small_is_named_before_anything_runs(tmp_path):
    design = STUDY["design"] | {"train": {"a": 1, "b": 2}}
    people = cohort(["a", "a", "b", "b"], [scan(f"sub-{i}") for i in range(1, 5)])
    message = (
        r"studies.s.design: class b has 2 participants .* trial needs 3 .2 to train and 1 to test"
    )
    with pytest.raises(InputError, match=message):
        frozen_population(tmp_path / "none.tsv", STUDY | {"design": design}, "s", people)


def test_people_are_counted_and_not_their_scans_nor_external_ones(tmp_path):
    index = [scan(f"sub-{i}", f"ses-{n}") for i in range(1, 7) for n in (1, 2)]
    sites = ["A", "A", "A", "A", "A", "B"]
    people = cohort(["a", "a", "a", "b", "b", "b"], index, site=sites)
    study = FOLDS | SITE_B | {"sessions": "all"}
    with pytest.raises(InputError, match="class b has 2 participants .* 3 are needed to test one"):
        frozen_population(tmp_path / "none.tsv", study, "s", people)
    del study["external"]
    assert len(frozen_population(tmp_path / "none.tsv", study, "s", people)) == 12


@pytest.mark.parametrize("study", [STUDY, FOLDS, {k: v for k, v in STUDY.items() if k != "design"}])
def test_a_class_of_nobody_is_named(tmp_path, study):
    people = cohort(["a", "a", "c"], [scan(f"sub-{i}") for i in range(1, 4)])
    with pytest.raises(InputError, match="studies.s.classes: no participant of class b has a usa"):
        frozen_population(tmp_path / "none.tsv", study, "s", people)


def test_a_study_without_a_design_asks_for_no_sizes(tmp_path):
    people = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    study = {key: value for key, value in STUDY.items() if key != "design"}
    assert len(frozen_population(tmp_path / "none.tsv", study, "s", people)) == 2


def test_number_of_splits_of_each_design(tmp_path):
    population = [inside(f"sub-{n}", None, "ab"[n % 2], site="XYZ"[n % 3]) for n in range(9)]
    outside = inside("sub-10", None, "a", site="W") | {"external": "yes"}
    other = inside("sub-11", None, "c", site="V")
    population += [outside, other]
    given = tmp_path / "given.tsv"
    given.write_text("split\tparticipant_id\n1\tsub-1\n01\tsub-2\n2\tsub-1\n")
    for design, expected in (
        ({"kind": "random_trials", "trials": 6}, 6),
        ({"kind": "folds", "folds": 3, "repeats": 5}, 15),
        ({"kind": "holdout"}, 1),
        ({"kind": "leave_site_out"}, 3),
        ({"kind": "given", "table": str(given)}, 2),
    ):
        assert number_of_splits(population, design | {"classes": ["a", "b"]}) == expected
    given.write_text("fold\tparticipant_id\n1\tsub-1\n")
    with pytest.raises(InputError, match="given.tsv: lacks the column split"):
        number_of_splits(population, {"kind": "given", "table": str(given)})


# What else is made of it


def test_every_session_of_every_participant_is_screened():
    index = [scan("sub-1", "ses-1"), scan("sub-1", "ses-2"), scan("sub-2"), scan("sub-3")]
    everyone = cohort(["c", "c", None], index)
    later = "sub-1", "ses-2"
    everyone.clinical[later] = everyone.clinical[later] | {"dx": "b"}
    assert screened(everyone, STUDY) == {
        "sub-1": {"ses-1": "c", "ses-2": "b"},
        "sub-2": {"": "c"},
        "sub-3": {"": None},
    }
    assert json.loads(json.dumps(screened(everyone, STUDY))) == screened(everyone, STUDY)


def test_clinical_table_has_the_sessions_of_the_population_alone():
    index = [scan("sub-1", "ses-1"), scan("sub-1", "ses-2"), scan("sub-2", "ses-1")]
    everyone = cohort(["a", "c"], index, edss=["03.5", "1"])
    population = population_today(everyone, STUDY)
    assert clinical_of_population(everyone, population, ["edss"]) == [
        {"participant_id": "sub-1", "session_id": "ses-1", "edss": "03.5"}
    ]
