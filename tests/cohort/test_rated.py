"""Scans that are left out because of how their pictures are rated."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.common.test_ratings import write
from workflow_scripts.cohort import startup
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.rated import EXCLUDED, rated_exclusions
from workflow_scripts.cohort.status import state_of_scan
from workflow_scripts.common.job import InputError
from workflow_scripts.common.ratings import picture_path, read_ratings
from workflow_scripts.common.rows import read_rows

PICTURE = hashlib.sha256(b"picture").hexdigest()


@pytest.fixture
def config(tmp_path):
    """Configuration of two participants with T1w and diffusion, and an empty folder of ratings."""
    for name in ("sub-1", "sub-2"):
        for file in (f"anat/{name}_T1w.nii.gz", f"dwi/{name}_dwi.nii.gz"):
            path = tmp_path / "bids" / name / file
            path.parent.mkdir(parents=True)
            path.touch()
    (tmp_path / "bids/dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (tmp_path / "bids/participants.tsv").write_text("participant_id\nsub-1\nsub-2\n")
    (tmp_path / "ratings").mkdir()
    made = {"bids_dir": "bids", "output_dir": "out", "ratings": "ratings", "exclude_rated": ["bad"]}
    paths = {key: f"{tmp_path}/{made[key]}" for key in ("bids_dir", "output_dir", "ratings")}
    return made | paths | {"anatomical": {}, "studies": {}}


def rate(config, *rows, name="ana"):
    own = {"session_id": "n/a", "sha256": PICTURE}
    return write(Path(config["ratings"], f"{name}.tsv"), *(own | row for row in rows))


def draw(config, content, **row):
    wanted = {"participant_id": "sub-1", "session_id": None, "picture": "desc-qc_T1w"} | row
    path = Path(config["output_dir"], picture_path(wanted))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def start(config, main_process=True):
    return startup.start(dict(config), None, main_process)


def states(started):
    """Status and reason of every scan by participant and suffix."""
    cohort = started.cohort
    return {
        (row["participant_id"], row["suffix"]): state_of_scan(row, None, cohort.exclusions)
        for row in cohort.index
        if row["path"]
    }


def test_a_scan_that_anybody_has_rated_bad_is_excluded_with_the_reason(config):
    draw(config, b"picture")
    rate(config, {}, {"picture": "desc-qc_dwi", "rating": "doubtful"})
    rate(config, {"rater": "Ben", "rating": "good"}, name="ben")
    started = start(config)
    assert states(started)["sub-1", "T1w"] == ("EXCLUDED", "rated bad by Ana: motion")
    kept = [key for key, (status, _) in states(started).items() if status == "AVAILABLE"]
    assert kept == [("sub-1", "dwi"), ("sub-2", "T1w"), ("sub-2", "dwi")]
    assert list(started.scans["T1w"]) == ["sub-2"]
    assert started.told == ("ratings: scans excluded for their pictures: 1",)


def test_what_excludes_is_configured(config):
    rate(config, {"rating": "doubtful", "picture": "desc-qc_dwi", "reason": "n/a"})
    assert list(start(config | {"exclude_rated": []}).scans["dwi"]) == ["sub-1", "sub-2"]
    assert list(start(config).scans["dwi"]) == ["sub-1", "sub-2"]
    started = start(config | {"exclude_rated": ["doubtful", "bad"]})
    assert states(started)["sub-1", "dwi"] == ("EXCLUDED", "rated doubtful by Ana")


def test_the_rating_of_a_picture_that_has_changed_excludes_nothing_and_is_named(config):
    draw(config, b"another picture")
    rate(config, {})
    started = start(config)
    assert list(started.scans["T1w"]) == ["sub-1", "sub-2"]
    [told] = started.told
    assert "1 that would exclude a scan are void" in told and "sub-1 T1w (Ana)" in told


def test_an_excluded_scan_stays_excluded_whether_its_picture_is_kept_or_not(config):
    draw(config, b"picture")
    rate(config, {})
    assert list(start(config).scans["T1w"]) == ["sub-2"]
    assert list(start(config).scans["T1w"]) == ["sub-2"]
    Path(config["output_dir"], "sub-1/figures/sub-1_desc-qc_T1w.webp").unlink()
    assert list(start(config).scans["T1w"]) == ["sub-2"]


def test_jobs_know_what_the_run_began_with_whatever_is_drawn_meanwhile(config):
    draw(config, b"another picture")
    rate(config, {})
    start(config)
    draw(config, b"picture")
    assert list(start(config, main_process=False).scans["T1w"]) == ["sub-1", "sub-2"]
    assert list(start(config).scans["T1w"]) == ["sub-2"]
    [row] = read_rows(Path(config["output_dir"], EXCLUDED))
    assert row["reason"] == "rated bad by Ana: motion"
    draw(config, b"another picture")
    assert list(start(config, main_process=False).scans["T1w"]) == ["sub-2"]


def test_without_the_key_what_was_kept_before_counts_no_more(config):
    rate(config, {})
    assert list(start(config).scans["T1w"]) == ["sub-2"]
    for main_process in (True, False):
        started = start(config | {"exclude_rated": []}, main_process)
        assert list(started.scans["T1w"]) == ["sub-1", "sub-2"]


def test_a_run_for_some_participants_keeps_to_the_ratings(config):
    rate(config, {}, {"participant_id": "sub-2", "rating": "good"})
    started = start(config | {"participants": ["sub-1"]})
    assert list(started.scans["T1w"]) == [] and list(started.scans["dwi"]) == ["sub-1"]


@pytest.mark.parametrize("row", [{"participant_id": "sub-9"}, {"session_id": "ses-1"}])
def test_ratings_of_sessions_that_do_not_exist_are_refused(config, row):
    file = rate(config, {}, row)
    with pytest.raises(InputError, match=f"{file} line 3: the dataset has no session sub-"):
        start(config)


def test_ratings_are_needed_to_exclude_by_them(config):
    with pytest.raises(InputError, match="exclude_rated: needs ratings"):
        check_config(config | {"ratings": None})
    with pytest.raises(InputError, match="exclude_rated"):
        check_config(config | {"exclude_rated": ["good"]})
    with pytest.raises(InputError, match="ratings: .*/nowhere: cannot be read"):
        start(config | {"ratings": "/nowhere"})


def test_the_simulated_cohort_is_rated_as_well(config):
    scan = {"participant_id": "sub-1", "session_id": None, "suffix": "T1w", "path": "sub-1/x"}
    people = [{"participant_id": name} for name in ("sub-1", "sub-2")]
    plan = SimpleNamespace(
        participants=people, sessions=[], masks=[], exclusions=[], body_part="brain"
    )
    plan.scans = [scan, scan | {"participant_id": "sub-2"}]
    rate(config, {})
    started = startup.start(config | {"bids_dir": None}, lambda _: plan, main_process=True)
    assert list(started.scans["T1w"]) == ["sub-2"]


def test_the_reason_of_two_raters_is_the_first_ones(tmp_path, config):
    rate(config, {"rater": "Ben", "reason": "cut off"}, {})
    ratings, _ = read_ratings([f"{config['ratings']}/ana.tsv"])
    rows, told = rated_exclusions(ratings, ["bad"], tmp_path)
    assert [row["reason"] for row in rows] == [
        "rated bad by Ana: motion",
        "rated bad by Ben: cut off",
    ]
    assert told == ["ratings: scans excluded for their pictures: 1"]
