"""What a run leaves for its audit, and what the audit finds, on a cohort of six small brains."""

import json
import shutil
import subprocess
import zipfile

import pytest

from tests.audit.crates import crate_problems
from tests.workflow.small_cohort import configuration, t1w
from tests.workflow.snake import finished, said, snakemake
from workflow_scripts.audit.freeze import freeze, without_paths
from workflow_scripts.audit.recompute import Recomputation
from workflow_scripts.audit.records import (
    JOBS,
    MANIFEST,
    RUNS,
    last_run,
    read_environments,
    read_jobs,
    read_manifest,
)
from workflow_scripts.audit.trace import trace
from workflow_scripts.audit.verify import verify
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum
from workflow_scripts.common.tables import read_table

TABLE, RULE = "studies/study/metrics.tsv", "evaluate_classifiers"


@pytest.fixture
def copy(small_study, tmp_path):
    """A copy of dataset and results, moved to another place, that a test may spoil."""
    return shutil.copytree(small_study, tmp_path / "copy", symlinks=True)


def places(folder):
    return {"bids:raw:": str(folder / "bids")}


def found(folder):
    """Problems by path."""
    findings, _ = verify(folder / "results", places(folder), threads=2)
    return {finding.path: (finding.problem, finding.detail) for finding in findings}


def audit(folder, recompute):
    config = configuration(folder / "bids") | {"audit": {"recompute": recompute}}
    return snakemake("audit", config=config, folder=folder)


def test_run_says_where_its_record_stands(small_study):
    assert "SHA-256 of audit/runs/" in (small_study / "said.txt").read_text()


@pytest.mark.full
def test_everything_on_record_is_there_and_every_job_makes_the_same_files_again(copy):
    process = audit(copy, "all")
    assert process.returncode == 0, said(process)[-3000:]
    jobs = read_jobs(copy / "results")
    assert f"{len(jobs)} of {len(jobs)} jobs done again" in said(process)
    assert "0 files identical" not in said(process) and "tolerance" not in said(process)
    assert len(read_table(copy / "results/audit/verification.tsv")) == 0


def test_every_result_has_its_job_and_every_raw_scan_its_checksum(small_study):
    rows = {row["path"]: row for row in read_manifest(small_study / "results" / MANIFEST)}
    for number in range(1, 7):
        raw = rows[f"bids:raw:sub-{number}/anat/sub-{number}_T1w.nii.gz"]
        assert raw["sha256"] == checksum(t1w(small_study / "bids", number))["sha256"]
    assert rows[TABLE]["rule"] == "evaluate_classifiers"
    assert rows[TABLE]["sha256"] == checksum(small_study / "results" / TABLE)["sha256"]
    assert {row["kind"] for row in rows.values()} == {"input", "result"}


def test_run_says_what_it_ran_with(small_study):
    run = last_run(small_study / "results")
    assert run["succeeded"]
    assert run["config"]["studies"]["study"]["seed"] == 1
    assert run["software"]["packages"]["numpy"]
    assert len(run["software"]["lock_sha256"]) == 64
    assert run["hardware"]["processor"]
    assert "workflow_scripts/anatomical/prepare_t1w.py" in run["code"]
    record = read_jobs(small_study / "results")["logs/prepare_t1w/sub-1/sub-1.log"]
    assert record["seconds"] > 0 and record["max_rss_mb"] > 10


def test_crate_is_a_provenance_run_crate(small_study):
    assert crate_problems(small_study / "results") == []


def test_changed_table_is_named_with_its_rule(copy):
    path = copy / "results" / TABLE
    path.write_text(path.read_text().replace("accuracy", "precision", 1))
    assert found(copy)[TABLE][0] == "CHANGED"
    process = audit(copy, 0)
    assert process.returncode == 1
    assert f"CHANGED {TABLE}" in said(process)
    table = read_table(copy / "results/audit/verification.tsv")
    assert table["rule"].tolist() == ["evaluate_classifiers"]


def test_missing_and_extra_files_are_named(copy):
    (copy / "results" / TABLE).unlink()
    (copy / "results/sub-1/anat/mine.txt").write_text("x")
    assert {path: problem for path, (problem, _) in found(copy).items()} == {
        TABLE: "MISSING",
        "sub-1/anat/mine.txt": "EXTRA",
    }


def test_scans_swapped_after_the_run_are_named(copy):
    first, second = t1w(copy / "bids", 1), t1w(copy / "bids", 2)
    second.write_bytes(first.read_bytes() + b"\0")
    assert found(copy) == {
        "bids:raw:sub-2/anat/sub-2_T1w.nii.gz": ("CHANGED", found(copy)[bids_uri(2)][1])
    }


def bids_uri(number):
    return f"bids:raw:sub-{number}/anat/sub-{number}_T1w.nii.gz"


def test_result_made_from_another_version_of_its_input_is_stale(copy):
    """A scan was exchanged and one of the two steps that read it was done again."""
    jobs = read_jobs(copy / "results")
    record = jobs["logs/segment_brain/sub-1/sub-1.log"]
    record["inputs"][0]["sha256"] = "0" * 64
    (copy / "results" / JOBS).write_text("\n".join(map(json.dumps, jobs.values())) + "\n")
    problems = found(copy)
    stale = [path for path, (problem, _) in problems.items() if problem == "STALE"]
    assert stale == [entry["path"] for entry in record["outputs"]]
    assert record["inputs"][0]["path"] in problems[stale[0]][1]


def test_edited_manifest_does_not_hide_an_edited_table(copy):
    path, kept = copy / "results" / TABLE, checksum(copy / "results" / TABLE)["sha256"]
    path.write_text(path.read_text().replace("accuracy", "precision", 1))
    manifest = copy / "results" / MANIFEST
    manifest.write_text(manifest.read_text().replace(kept, checksum(path)["sha256"]))
    assert found(copy)[str(MANIFEST)][0] == "RECORD"
    assert found(copy)[TABLE][0] == "CHANGED"


def test_forged_records_are_found_when_the_job_is_done_again(copy):
    """All records agree with an edited table; the job does not."""
    results = copy / "results"
    path, kept = results / TABLE, checksum(results / TABLE)
    path.write_text(path.read_text().replace("accuracy", "accuracies", 1))
    now = checksum(path)
    for name in (JOBS, MANIFEST):
        text = (results / name).read_text().replace(kept["sha256"], now["sha256"])
        text = text.replace(
            f'"bytes": {kept["bytes"]}, "sha256": "{now["sha256"]}"',
            f'"bytes": {now["bytes"]}, "sha256": "{now["sha256"]}"',
        )
        text = text.replace(f"{kept['bytes']}\t{now['sha256']}", f"{now['bytes']}\t{now['sha256']}")
        (results / name).write_text(text)
    run_file = sorted((results / RUNS).glob("*.json"))[-1]
    run = json.loads(run_file.read_text())
    run["files"] |= {str(name): checksum(results / name) for name in (JOBS, MANIFEST)}
    run_file.write_text(json.dumps(run))
    assert found(copy) == {}
    (copy / "scratch").mkdir()
    jobs, environments = read_jobs(results), read_environments(results)
    again = Recomputation(results, places(copy), copy / "scratch", jobs, environments, bad=set())
    again.do([job for job, record in jobs.items() if record["rule"] == RULE], threads=1)
    [finding] = again.findings
    assert (finding.path, finding.problem) == (TABLE, "DIFFERS")
    assert finding.detail.startswith("metric")


def test_records_rewritten_between_two_runs_are_found_after_the_second(copy):
    results = copy / "results"
    [first] = (results / RUNS).glob("*.json")
    text = (results / JOBS).read_text()
    (results / JOBS).write_text(text.replace('"seconds": ', '"seconds": 1', 1))
    process = snakemake(
        "--force", "cohort/check.txt", config=configuration(copy / "bids"), folder=copy
    )
    assert process.returncode == 0 and f"{JOBS}: not as run" in said(process)
    assert {path: problem for path, (problem, _) in found(copy).items()} == {str(JOBS): "RECORD"}
    first.write_text(first.read_text().replace('"succeeded": true', '"succeeded": false'))
    assert found(copy)[f"{RUNS}/{first.name}"][0] == "RECORD"
    first.unlink()
    assert found(copy)[f"{RUNS}/{first.name}"][0] == "RECORD"


def test_records_that_are_cut_off_are_named(copy):
    path = copy / "results" / JOBS
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=f"{JOBS}: cannot be read"):
        found(copy)


def test_linked_folder_is_extra_and_in_no_release(copy):
    (copy / "elsewhere").mkdir()
    (copy / "elsewhere/metrics.tsv").write_text("metric\n")
    (copy / "results/studies/best").symlink_to(copy / "elsewhere")
    assert found(copy) == {"studies/best": ("EXTRA", "no job on record has made it")}


def test_changed_code_is_named(copy, monkeypatch):
    def other(script):
        return "0" * 16 if script.endswith("evaluate_classifiers.py") else fingerprint(script)

    def others(script):
        name = "workflow_scripts/statistics/metrics.py"
        kept = contents(script)
        return kept | {name: "0" * 64} if name in kept else kept

    from workflow_scripts.audit import verify as module
    from workflow_scripts.common.fingerprint import contents, fingerprint

    monkeypatch.setattr(module, "fingerprint", other)
    monkeypatch.setattr(module, "contents", others)
    problem, detail = found(copy)["workflow_scripts/statistics/evaluate_classifiers.py"]
    assert problem == "CODE"
    assert "1 jobs ran other code: workflow_scripts/statistics/metrics.py" in detail


def test_trace_of_a_cell_names_the_scan_of_its_participant_and_no_other(small_study):
    text = trace(small_study / "results/cohort/features.tsv", "sub-2", "gm_fraction", every=True)
    value = read_table(small_study / "results/cohort/features.tsv").set_index("participant_id")
    assert text.startswith(f"gm_fraction = {value.loc['sub-2', 'gm_fraction']}")
    for rule in ("collect_features", "segment_brain: 1 job", "register_to_mni", "prepare_t1w"):
        assert rule in text
    digest = checksum(t1w(small_study / "bids", 2))["sha256"]
    assert f"{bids_uri(2)}  {digest}" in text
    assert "sub-1" not in text.split("files of the dataset")[1]


def test_trace_of_a_prediction_names_the_scans_that_the_model_was_trained_on(small_study):
    table = small_study / "results/studies/study/predictions.tsv"
    text = trace(table, "2", "score", every=True)
    assert all(bids_uri(number) in text for number in range(1, 7))


def test_trace_of_the_report_goes_back_to_every_scan(small_study):
    text = trace(small_study / "results/report/index.html", None, None, every=True)
    assert all(bids_uri(number) in text for number in range(1, 7))


def test_trace_says_what_it_cannot_find(small_study):
    features = small_study / "results/cohort/features.tsv"
    with pytest.raises(InputError, match="no column iq; columns: participant_id"):
        trace(features, "sub-2", "iq", False)
    with pytest.raises(InputError, match="0 rows are sub-9"):
        trace(features, "sub-9", "gm_fraction", False)
    with pytest.raises(InputError, match="no folder above it"):
        trace(small_study / "config.yaml", None, None, False)


def test_release_verifies_elsewhere_and_tells_of_no_place_and_no_image(copy, tmp_path):
    finished("freeze", config=configuration(copy / "bids"), folder=copy)
    [made] = (copy / "results/releases").iterdir()
    release = tmp_path / "elsewhere"
    made.rename(release)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=release, check=True)
    files = [path for path in release.rglob("*") if path.is_file()]
    assert (release / TABLE).is_file()
    assert (release / "studies/study/split-1_splits.tsv").is_file()
    assert not [path for path in files if path.suffix in (".gz", ".nii", ".webp", ".html", ".npy")]
    host = last_run(copy / "results")["hardware"]["host"]
    for path in files:
        if path.suffix in (".tsv", ".json", ".jsonl", ".yaml"):
            assert str(copy) not in path.read_text() and f'"{host}"' not in path.read_text()
    assert crate_problems(release) == []
    with zipfile.ZipFile(release / "audit/workflow.zip") as code:
        names = code.namelist()
    assert "workflow_scripts/audit/freeze.py" in names and "profiles/default/config.yaml" in names
    assert not [name for name in names if name.startswith(("config.yaml", "profiles/slurm"))]


@pytest.mark.parametrize("change", [{"succeeded": False}, {"config": {"participants": ["sub-1"]}}])
def test_no_release_of_a_failed_or_partial_run(copy, change):
    results = copy / "results"
    run_file = sorted((results / RUNS).glob("*.json"))[-1]
    run_file.write_text(json.dumps(json.loads(run_file.read_text()) | change))
    with pytest.raises(InputError, match="has failed, or there is none"):
        freeze(results, places(copy), "title", threads=1)


def test_no_release_of_results_that_are_not_as_recorded(copy):
    path = copy / "results" / TABLE
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=TABLE):
        freeze(copy / "results", places(copy), "title", threads=1)
    assert not (copy / "results/releases").exists()


def test_paths_in_records_lose_all_but_the_name():
    record = {"command": ["--config", "bids_dir=/data/lab/bids", "/home/x/mine.yaml"], "n": 1}
    kept = {"source": "https://a.org/b/c", "units": "mm2/s", "uri": "bids:raw:sub-1/anat/a.nii"}
    found = without_paths(record | kept)
    assert found["command"] == ["--config", "bids_dir=(path)/bids", "(path)/mine.yaml"]
    spaces = [
        "/data/Jane Doe/mine.yaml",
        "../jane/mine.yaml",
        "output_dir=/data/Jane Doe/mine.yaml",
    ]
    assert without_paths(spaces) == ["(path)/mine.yaml"] * 2 + ["output_dir=(path)/mine.yaml"]
    assert without_paths("in file:///home/x/a on node7:/scratch/x/b") == (
        "in file://(path)/a on node7:(path)/b"
    )
    assert found | record == record | kept | {"command": record["command"]}


def test_no_release_that_names_this_place(copy):
    results = copy / "results"
    run_file = sorted((results / RUNS).glob("*.json"))[-1]
    run = json.loads(run_file.read_text())
    run["hardware"]["host"] = "study"  # a host of the name that a table's column has
    run_file.write_text(json.dumps(run))
    with pytest.raises(InputError, match="tell of this place"):
        freeze(results, places(copy), "title", threads=1)
    assert not [path for path in (results / "releases").iterdir() if path.name[0] != "."]
