import pytest

from workflow_scripts.cohort import check_cohort, tabulate_cohort
from workflow_scripts.cohort.check_cohort import check_status
from workflow_scripts.cohort.cohort import complete
from workflow_scripts.cohort.disk import estimate_bytes
from workflow_scripts.cohort.index import write_index
from workflow_scripts.cohort.tabulate_cohort import scan_status
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table


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


class Files(dict):
    """Files of a rule: by name, by key and by place."""

    __getattr__ = dict.__getitem__

    def __getitem__(self, key):
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


def test_status_on_files_with_and_without_exclusions(tmp_path):
    index = [scan("sub-1", suffix="STIR"), scan("sub-2"), scan("sub-3", path=None)]
    write_index(index, tmp_path / "index.tsv")
    preflight = tmp_path / "preflight.tsv"
    preflight.write_text(
        "path\tsize_bytes\tproblem\nbids::sub-1-None-x\t1000\tn/a\nbids::sub-2-None-x\t500\tempty\n"
    )
    exclusions = tmp_path / "exclusions.tsv"
    exclusions.write_text("participant_id\tsession_id\tsuffix\treason\nsub-2\tn/a\tT1w\tmotion\n")
    source = Files(index=tmp_path / "index.tsv", preflight=preflight)
    out = Files(scans=tmp_path / "scans.tsv")
    params = Files(resolution=2, nonlinear=True)
    checked = Files(scans=out.scans, preflight=preflight)
    tabulate_cohort.main(source, out, None)
    assert read_table(out.scans)["status"].tolist() == ["AVAILABLE", "INVALID", "MISSING"]
    with pytest.raises(InputError, match="bids::sub-2-None-x: empty"):
        check_cohort.main(checked, Files(told=tmp_path / "check.txt"), params)
    tabulate_cohort.main(Files(source, exclusions=exclusions), out, None)
    assert read_table(out.scans)["status"].tolist() == ["AVAILABLE", "EXCLUDED", "MISSING"]
    rated = tmp_path / "exclusions_rated.tsv"
    rated.write_text("participant_id\tsession_id\tsuffix\treason\nsub-1\tn/a\tSTIR\trated bad\n")
    tabulate_cohort.main(Files(source, exclusions=exclusions, rated=rated), out, None)
    assert read_table(out.scans)["reason"].tolist()[:2] == ["rated bad", "motion"]
    tabulate_cohort.main(Files(source, exclusions=exclusions), out, None)
    check_cohort.main(checked, Files(told=tmp_path / "check.txt"), params)
    *counts, disk = (tmp_path / "check.txt").read_text().splitlines()
    assert counts == ["STIR\tAVAILABLE\t1", "T1w\tEXCLUDED\t1", "T1w\tMISSING\t1"]
    assert disk.startswith("estimated disk\t")


def test_scans_that_are_not_there_are_missing_not_forgotten():
    people = [{"participant_id": "sub-1"}, {"participant_id": "sub-2"}]
    index = complete([scan("sub-1", session="ses-1")], people, ["T1w", "FLAIR"])
    assert [tuple(row.values()) for row in index] == [
        ("sub-1", "ses-1", "FLAIR", None),
        ("sub-1", "ses-1", "T1w", "sub-1-ses-1-x"),
        ("sub-2", None, "FLAIR", None),
        ("sub-2", None, "T1w", None),
    ]


def test_disk_estimate_grows_with_sessions_scans_and_resolution():
    one = estimate_bytes(1_000_000, 1, 2, nonlinear=True)
    assert estimate_bytes(2_000_000, 2, 2, nonlinear=True) == 2 * one
    assert estimate_bytes(1_000_000, 1, 1, nonlinear=True) > one
    assert estimate_bytes(1_000_000, 1, 2, nonlinear=False) < one
