import pytest

from workflow_scripts.cohort.cohort import Cohort
from workflow_scripts.cohort.status import SHOWN_FAILURES, Step, cohort_status, report_status
from workflow_scripts.common.rows import read_rows

STEPS = [
    Step("prepare", "T1w", "{folder}/anat/{prefix}_T1w.json", "logs/prepare/{prefix}.log"),
    Step("register", "T1w", "{folder}/anat/{prefix}_xfm.json", "logs/register/{prefix}.log"),
    Step("align", "FLAIR", "{folder}/anat/{prefix}_FLAIR.json", "logs/align/{prefix}.log"),
]


def scan(number, suffix="T1w", path="there"):
    session = {"participant_id": f"sub-{number}", "session_id": "ses-1", "suffix": suffix}
    return session | {"path": path and f"sub-{number}_{suffix}_{path}"}


def put(root, name, text="{}"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.fixture
def states(tmp_path):
    """Function that gives {(participant, step): row} of a cohort."""

    def made(index, exclusions=(), problems=None):
        rows = cohort_status(index, list(exclusions), problems or {}, lambda _: STEPS, tmp_path)
        return {(row["participant_id"], row["step"]): row for row in rows}

    return made


def test_done_failed_and_pending_follow_the_files(states, tmp_path):
    put(tmp_path, "sub-1/ses-1/anat/sub-1_ses-1_T1w.json")
    put(tmp_path, "logs/prepare/sub-1_ses-1.log", "INFO fine\n")
    put(tmp_path, "logs/register/sub-1_ses-1.log", "INFO begun\nValueError:\tno\tbrain \n\n")
    found = states([scan(1), scan(1, "FLAIR")])
    assert found["sub-1", "prepare"]["status"] == "DONE"
    failed = found["sub-1", "register"]
    assert failed["status"] == "FAILED"
    assert failed["reason"] == "ValueError: no brain"
    assert failed["log"] == "logs/register/sub-1_ses-1.log"
    assert found["sub-1", "align"]["status"] == "PENDING"


def test_a_job_that_died_without_a_word_has_failed(states, tmp_path):
    put(tmp_path, "logs/prepare/sub-1_ses-1.log", "")
    found = states([scan(1)])["sub-1", "prepare"]
    assert (found["status"], found["reason"]) == ("FAILED", "ended without a message")


def test_scans_that_are_not_used_give_their_reason_to_each_step(states):
    exclusion = {"participant_id": "sub-2", "session_id": None, "suffix": None, "reason": "motion"}
    index = [scan(1, path=None), scan(2), scan(3), scan(3, "FLAIR")]
    found = states(index, [exclusion], {"bids::sub-3_T1w_there": "empty"})
    for step in ("prepare", "register"):
        assert found["sub-1", step]["status"] == "MISSING"
        assert found["sub-2", step]["status"] == "EXCLUDED"
        assert found["sub-2", step]["reason"] == "motion"
        assert found["sub-3", step]["status"] == "INVALID"
        assert found["sub-3", step]["reason"] == "empty"
    assert found["sub-3", "align"]["status"] == "PENDING"
    assert ("sub-1", "align") not in found


def test_one_good_series_of_several_is_enough(states):
    index = [scan(1), scan(1, path="second")]
    assert states(index, problems={"bids::sub-1_T1w_second": "empty"})["sub-1", "prepare"][
        "status"
    ] == ("PENDING")


def test_table_dictionary_and_summary(tmp_path):
    index = [scan(number) for number in range(1, SHOWN_FAILURES + 4)]
    put(tmp_path, "sub-1/ses-1/anat/sub-1_ses-1_T1w.json")
    for number in range(2, SHOWN_FAILURES + 4):
        put(tmp_path, f"logs/prepare/sub-{number}_ses-1.log", "no space left")
    told = report_status(
        Cohort([], index, [], {}), lambda _: STEPS, tmp_path, tmp_path / "cohort/status.tsv"
    )
    rows = read_rows(tmp_path / "cohort/status.tsv")
    assert len(rows) == 2 * len(index)
    assert (tmp_path / "cohort/status.json").is_file()
    header, prepare, register, *failures, more = told.splitlines()
    assert header.split() == ["step", "DONE", "FAILED", "PENDING"]
    assert prepare.split() == ["prepare", "1", str(SHOWN_FAILURES + 2), "."]
    assert register.split() == ["register", ".", ".", str(SHOWN_FAILURES + 3)]
    assert failures[0] == (
        "FAILED sub-2_ses-1 prepare: no space left (logs/prepare/sub-2_ses-1.log)"
    )
    assert len(failures) == SHOWN_FAILURES
    assert more == "and 2 more in cohort/status.tsv"
