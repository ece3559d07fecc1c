import pandas as pd
import pytest

from workflow_scripts.cohort.check_cohort import check_status
from workflow_scripts.cohort.cohort import Cohort, complete, frozen_population
from workflow_scripts.cohort.disk import estimate_bytes
from workflow_scripts.cohort.tabulate_cohort import scan_status
from workflow_scripts.common.job import InputError

STUDY = {
    "label": "dx",
    "classes": ["a", "b"],
    "session": "first",
    "requires": ["T1w"],
    "split": 1,
    "design": {"train": {"a": 0, "b": 0}, "test": {"a": 1, "b": 1}},
}


def scan(participant, suffix="T1w", session=None, path="x"):
    return {
        "participant_id": participant,
        "session_id": session,
        "suffix": suffix,
        "path": path and f"{participant}-{session}-{path}",
    }


def exclusion(participant, suffix=None, session=None):
    return {
        "participant_id": participant,
        "session_id": session,
        "suffix": suffix,
        "reason": "motion",
    }


def test_the_four_states():
    index = [scan("sub-1"), scan("sub-2", path=None), scan("sub-3"), scan("sub-4")]
    status = scan_status(
        index, {"bids::sub-1-None-x": None, "bids::sub-4-None-x": "empty"}, [exclusion("sub-3")]
    )
    assert status["status"].tolist() == ["AVAILABLE", "MISSING", "EXCLUDED", "INVALID"]
    assert status["reason"].tolist()[1:] == ["no T1w in the dataset", "motion", "empty"]


def test_check_names_every_invalid_scan_and_the_way_out():
    index = [scan("sub-1"), scan("sub-2"), scan("sub-3")]
    status = scan_status(
        index,
        {
            "bids::sub-1-None-x": "empty",
            "bids::sub-2-None-x": "damaged",
            "bids::sub-3-None-x": None,
        },
        [],
    )
    with pytest.raises(InputError) as error:
        check_status(status)
    message = str(error.value)
    assert "2 scans cannot be used" in message
    assert "sub-1\tn/a\tT1w\tempty" in message
    assert "sub-2\tn/a\tT1w\tdamaged" in message


def test_check_counts_a_good_cohort():
    status = scan_status(
        [scan("sub-1"), scan("sub-2", path=None)], {"bids::sub-1-None-x": None}, []
    )
    assert check_status(status) == "T1w\tAVAILABLE\t1\nT1w\tMISSING\t1\n"


def test_scans_that_are_not_there_are_missing_not_forgotten():
    people = [{"participant_id": "sub-1"}, {"participant_id": "sub-2"}]
    index = complete([scan("sub-1", session="ses-1")], people, ["T1w", "FLAIR"])
    assert [tuple(row.values()) for row in index] == [
        ("sub-1", "ses-1", "FLAIR", None),
        ("sub-1", "ses-1", "T1w", "sub-1-ses-1-x"),
        ("sub-2", None, "FLAIR", None),
        ("sub-2", None, "T1w", None),
    ]


def cohort(labels, index, exclusions=()):
    people = [{"participant_id": f"sub-{i}", "dx": label} for i, label in enumerate(labels, 1)]
    return Cohort(people, index, list(exclusions))


def test_population_is_labelled_usable_and_one_session_each():
    index = [
        scan("sub-1", session="ses-1"),
        scan("sub-1", session="ses-2"),
        scan("sub-2", path=None),
        scan("sub-3"),
        scan("sub-4"),
        scan("sub-5"),
    ]
    everyone = cohort(["a", "a", "b", "b", None], index, [exclusion("sub-3")])
    assert everyone.population(STUDY) == [
        {"participant_id": "sub-1", "session_id": "ses-1", "label": "a"},
        {"participant_id": "sub-4", "session_id": None, "label": "b"},
    ]
    named = everyone.population(STUDY | {"session": "ses-2"})
    assert named == [{"participant_id": "sub-1", "session_id": "ses-2", "label": "a"}]


def test_population_has_every_scan_that_the_study_requires():
    dwi = [scan(name) | {"suffix": "dwi"} for name in ("sub-1", "sub-3")]
    index = [scan("sub-1"), scan("sub-2"), scan("sub-3", path=None), *dwi]
    everyone = cohort(["a", "a", "b"], index)
    for requires, names in (
        (["dwi"], ["sub-1", "sub-3"]),
        (["T1w", "dwi"], ["sub-1"]),
        (["T1w"], ["sub-1", "sub-2"]),
    ):
        population = everyone.population(STUDY | {"requires": requires})
        assert [row["participant_id"] for row in population] == names


def keep(path, population):
    pd.DataFrame(population).to_csv(path, sep="\t", index=False, na_rep="n/a")


def test_kept_population_does_not_grow_with_the_cohort(tmp_path):
    kept = tmp_path / "population.tsv"
    before = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    population = frozen_population(kept, STUDY, "s", before)
    assert [row["participant_id"] for row in population] == ["sub-1", "sub-2"]
    keep(kept, population)
    grown = cohort(["a", "b", "b"], [scan("sub-1"), scan("sub-2"), scan("sub-3")])
    assert frozen_population(kept, STUDY, "s", grown) == population


@pytest.mark.parametrize(
    "later",
    [
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2")], [exclusion("sub-2")]),
        cohort(["a", "a"], [scan("sub-1"), scan("sub-2")]),
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2", path=None)]),
        cohort(["a", "b"], [scan("sub-1"), scan("sub-2", session="ses-1")]),
    ],
    ids=["excluded", "other label", "scan gone", "other session"],
)
def test_change_of_a_kept_participant_is_not_passed_over(tmp_path, later):
    kept = tmp_path / "population.tsv"
    before = cohort(["a", "b"], [scan("sub-1"), scan("sub-2")])
    keep(kept, frozen_population(kept, STUDY, "s", before))
    with pytest.raises(InputError, match="(?s)split 1 was drawn with sub-2.*split to 2"):
        frozen_population(kept, STUDY, "s", later)


def test_class_that_is_too_small_is_named_before_anything_runs(tmp_path):
    study = STUDY | {"design": {"train": {"a": 1, "b": 2}, "test": {"a": 1, "b": 1}}}
    people = cohort(["a", "a", "b", "b"], [scan(f"sub-{i}") for i in range(1, 5)])
    message = r"studies.s.design: class b has 2 participants .* needs 3 .2 to train and 1 to test"
    with pytest.raises(InputError, match=message):
        frozen_population(tmp_path / "none.tsv", study, "s", people)


def test_disk_estimate_grows_with_sessions_scans_and_resolution():
    one = estimate_bytes(1_000_000, 1, 2, nonlinear=True)
    assert estimate_bytes(2_000_000, 2, 2, nonlinear=True) == 2 * one
    assert estimate_bytes(1_000_000, 1, 1, nonlinear=True) > one
    assert estimate_bytes(1_000_000, 1, 2, nonlinear=False) < one
