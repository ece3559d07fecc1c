"""What a user is told without a run: `snakemake status`, and why jobs of a dry run would run."""

import shutil
from base64 import urlsafe_b64encode

import pytest

from tests.workflow.small_cohort import STUDY, configuration
from tests.workflow.snake import finished
from workflow_scripts.audit.records import read_jobs


@pytest.fixture
def results(small_study, tmp_path):
    return shutil.copytree(small_study / "results", tmp_path / "results", symlinks=True)


@pytest.fixture
def told(small_study, results, tmp_path):
    """Function: the lines of `snakemake status`, and rule or step -> numbers."""
    config = configuration(small_study / "bids", output_dir=str(results))

    def tell():
        lines = finished("status", config=config, folder=tmp_path).stdout.splitlines()
        heads = {line.split()[0]: line.split() for line in lines if line[:5] in ("step ", "rule ")}
        rows, head = {}, None
        for line in lines:
            head = heads.get(line.split()[0], head) if line else None
            if head and line.split()[0] not in heads:
                rows[line.split()[0]] = dict(zip(head[1:], line.split()[1:], strict=False))
        return lines, rows

    return tell


def test_every_job_of_a_finished_study_is_done_and_nothing_is_left(told, results):
    lines, rows = told()
    assert "To be done: nothing" in lines and "No run goes on" in lines
    done = {rule: int(row["DONE"]) for rule, row in rows.items() if row.get("DONE", ".") != "."}
    made = [record["rule"] for record in read_jobs(results).values()]
    assert done == {rule: made.count(rule) for rule in made}


def test_a_run_ends_with_what_to_look_at_first(small_study):
    """Brains of 4 mm are flagged all alike, which makes none of them one to look at."""
    said = (small_study / "said.txt").read_text()
    told = said.split("Look first at\n")[1].splitlines()
    numbered = [line for line in told if line[:2] in ("1.", "2.", "3.")]
    assert numbered[-1].startswith(f"{len(numbered)}. Studies, in {small_study / 'results'}/report")
    assert ", Overview first: study" in numbered[-1]


def test_what_is_missing_failed_or_goes_on_is_told_with_its_time_beside_a_run(told, results):
    """The report was never made, a registration failed, and a run goes on, whose lock stays."""
    before = {path.name for path in (results / "audit").iterdir()}
    (results / "report/index.html").unlink()
    (results / "logs/write_report.log").unlink()
    (results / "sub-3/anat/sub-3_space-MNI152NLin2009aSym_desc-preproc_T1w.json").unlink()
    going = "sub-2/anat/sub-2_dseg.json"
    marked = results / ".snakemake/incomplete" / urlsafe_b64encode(going.encode()).decode()
    marked.parent.mkdir(exist_ok=True)
    marked.write_text("{}")
    lock = results / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(going)
    lines, rows = told()
    assert rows["register_to_mni"] == {"DONE": "5", "RUNNING": ".", "FAILED": "1"} | {
        key: rows["register_to_mni"][key] for key in rows["register_to_mni"] if key == "MISSING"
    }
    assert rows["segment_brain"]["RUNNING"] == "1"
    assert rows["write_report"]["PENDING"] == "1"
    assert any(line.startswith("FAILED sub-3 register_to_mni") for line in lines)
    assert "A run goes on, or was killed (snakemake --unlock)" in lines
    [left] = [line for line in lines if line.startswith("To be done")]
    assert left.startswith("To be done: 3 jobs, by the times of this cohort's own jobs")
    assert lock.is_file() and {path.name for path in (results / "audit").iterdir()} == before


def test_a_dry_run_ends_with_why_in_words(small_study, results, tmp_path):
    """Results lie elsewhere, a key changed, a session is new, a file deleted."""
    plain = configuration(small_study / "bids", output_dir=str(results))
    told = finished("-n", config=plain, folder=tmp_path).stderr
    assert told.endswith("Why these jobs would run:\n  describe_dataset (1): its links changed\n")
    shutil.rmtree(results / "sub-3")
    (results / "sub-4/anat/sub-4_dseg.json").unlink()
    study = STUDY | {"permutations": 12}
    config = plain | {"studies": {"study": study}}
    told = finished("--dry-run", config=config, folder=tmp_path).stderr
    told = told.split("Configuration that is not as in the last run:\n")[1].splitlines()
    assert told[:2] == ["  studies.study.permutations: 10 -> 12", "Why these jobs would run:"]
    rules = {line.split()[0]: line.split(": ", 1)[1] for line in told[2:]}
    assert rules["prepare_t1w"] == "sessions are new: sub-3"
    assert rules["segment_brain"] == (
        "sessions are new: sub-3; failed before, or its files were deleted: sub-4"
    )
    assert "configuration key studies.study.permutations changed" in rules["refit_features"]
    assert rules["collect_sidecars"].startswith("after prepare_t1w")
    assert next(iter(rules)) == "prepare_t1w"
