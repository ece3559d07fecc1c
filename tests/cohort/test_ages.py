"""Children are noted: the templates are those of adults."""

import json

import pytest

from tests.cohort.test_tables_as_they_come import cohort_of, dataset
from workflow_scripts.cohort.cohort import load_cohort
from workflow_scripts.cohort.config import check_config


def notes_of(root, **changes):
    config = check_config({"output_dir": "out", "anatomical": {}, "studies": {}} | changes)
    cohort = load_cohort(config, root, None, build_index=True)
    return {row["path"].rpartition("/")[2]: row["note"] for row in cohort.index if row.get("note")}


@pytest.mark.parametrize(
    ("age", "units", "said"),
    [
        ("3", None, "age 3 years: templates"),
        ("17.9", "years", "age 17.9 years"),
        ("0", "years", "age 0 years"),
        ("30", "Months", "age 2.5 years"),
        ("150", "weeks", "age 2.87 years"),
        ("1000", "days", "age 2.74 years"),
        ("999", None, "age 999 years: a code"),
        ("18", None, None),
        ("87", "year", None),
        ("89+", None, None),
        ("90+", "years", None),
        ("300", "months", None),
        ("n/a", None, None),
    ],
)
def test_age_of_participants_tsv(tmp_path, age, units, said):
    root = dataset(tmp_path, "age", ["40", age])
    if units:
        (root / "participants.json").write_text(json.dumps({"age": {"Units": units}}))
    found = notes_of(root)
    if units not in (None, "years", "year"):
        found.pop("sub-1_T1w.nii.gz")  # of 40 months, weeks or days
    assert list(found) == (["sub-2_T1w.nii.gz"] if said else [])
    assert not said or found["sub-2_T1w.nii.gz"].startswith(said)


@pytest.mark.parametrize("column", ["Age", "AGE"])
@pytest.mark.parametrize("entry", [{"Unit": "months"}, {"units": "Months"}])
def test_age_in_other_capitals(tmp_path, column, entry):
    root = dataset(tmp_path, column, ["40", "400", "old"])
    assert list(notes_of(root)) == ["sub-2_T1w.nii.gz"]
    (root / "participants.json").write_text(json.dumps({"age": entry}))
    assert list(notes_of(root)) == ["sub-1_T1w.nii.gz"]


def test_age_of_a_session_where_the_participant_has_none(tmp_path):
    root = dataset(tmp_path, "age", ["40", "n/a"])
    for session in ("1", "2"):
        folder = root / f"sub-2/ses-{session}/anat"
        folder.mkdir(parents=True)
        (folder / f"sub-2_ses-{session}_T1w.nii.gz").touch()
    (root / "sub-2/anat/sub-2_T1w.nii.gz").unlink()
    table = root / "sub-2/sub-2_sessions.tsv"
    table.write_text("session_id\tage\tx\nses-1\t16\t?\nses-2\t19\t?\n")
    assert notes_of(root)["sub-2_ses-1_T1w.nii.gz"].startswith("age 16 years")
    assert len(notes_of(root)) == 1
    for text in ("session_id\tage\nses-1\tyoung\n", "age\n3\n", "", "a\tb\n1\n"):
        table.write_text(text)
        assert notes_of(root) == {}


def test_note_stands_at_a_scan_that_is_used(tmp_path):
    root = dataset(tmp_path, "age", ["3"])
    (root / "sub-1/anat/sub-1_FLAIR.nii.gz").touch()
    assert list(notes_of(root)) == ["sub-1_T1w.nii.gz"]
    left_out = tmp_path / "exclusions.tsv"
    left_out.write_text("participant_id\tsession_id\tsuffix\treason\nsub-1\tn/a\tT1w\tmoved\n")
    assert list(notes_of(root, exclusions=str(left_out))) == ["sub-1_FLAIR.nii.gz"]
    assert list(notes_of(root, participants=["sub-1"])) == ["sub-1_T1w.nii.gz"]


def test_a_dataset_without_ages_is_fine(tmp_path):
    cohort, _ = cohort_of(dataset(tmp_path, "x", ["1", "2"]))
    assert not any(row.get("note") for row in cohort.index)
