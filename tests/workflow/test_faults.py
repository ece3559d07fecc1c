"""Disks, files, processes and clocks that fail under a run: what is said, what is left, and
whether the next run ends right."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nibabel as nib
import pytest

from tests.slurm.cluster import kill_tree, wait_for
from tests.workflow.small_cohort import configuration, make_dataset, t1w
from tests.workflow.snake import finished, jobs, said, snakemake, start
from workflow_scripts.audit.records import read_jobs

TARGET = "sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"
LOG = "logs/prepare_t1w/sub-1/sub-1.log"
PATIENCE_S = 180


@pytest.fixture
def config(bids):
    return configuration(bids, studies={})


@pytest.fixture
def few(tmp_path, brain, templates):
    """Function: the dataset and configuration of this number of participants, templates made."""

    def make(size):
        make_dataset(tmp_path / "bids", brain, size)
        shutil.copytree(templates, tmp_path / "results", symlinks=True)
        return tmp_path / "bids", configuration(tmp_path / "bids", studies={})

    return make


@contextlib.contextmanager
def small_disk(folder: Path, options: str):
    """A file system of its own in memory; the test is skipped where it cannot be had."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def wait_for_file(path: Path) -> None:
    wait_for(path.exists, PATIENCE_S)


def fails(process, *messages):
    assert process.returncode == 1, said(process)[-3000:]
    for message in messages:
        assert message in said(process)


def ends_right(config, folder, target=TARGET):
    process = finished(target, config=config, folder=folder)
    nib.load(Path(config["output_dir"]) / TARGET).get_fdata()
    return process


@pytest.mark.parametrize(
    ("made", "kilobytes", "inodes"), [(False, 900, 1000), (True, 150, 1000), (True, 10000, 15)]
)
def test_full_disk(config, templates, tmp_path, made, kilobytes, inodes):
    """Of bytes, when the templates are made or a scan is prepared, and of inodes.

    Nothing half written stands under a result's name.
    """
    output = tmp_path / "results"
    with small_disk(output, "size=1g"):
        if made:
            shutil.copytree(templates, output, symlinks=True, dirs_exist_ok=True)
        disk = os.statvfs(output)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024, disk.f_files - disk.f_ffree
        resize(output, f"size={used[0] + kilobytes}k,nr_inodes={used[1] + inodes}")
        fails(snakemake(TARGET, config=config, folder=tmp_path), "No space left on device")
        assert not (output / TARGET).exists()
        resize(output, "size=1g,nr_inodes=100000")
        snakemake("--unlock", config=config, folder=tmp_path)
        ends_right(config, tmp_path)


def test_full_temporary_folder(config, begun, tmp_path, monkeypatch):
    with small_disk(tmp_path / "scratch", "size=1m"):
        (tmp_path / "scratch/full").write_bytes(bytes(1_020_000))
        monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
        target = "sub-1/anat/sub-1_dseg.json"
        process = snakemake(target, config=config, folder=tmp_path)
        assert process.returncode == 1
        assert "Error in rule" in said(process) and "logs/" in said(process)
        assert not (tmp_path / "results" / target).exists()
        assert os.listdir(tmp_path / "scratch") == ["full"]
    monkeypatch.undo()
    ends_right(config, tmp_path, target)


def test_scan_that_vanishes_during_the_run_is_named_and_costs_its_subject_alone(few, tmp_path):
    """Snakemake 9.27 stops there; the next run does the other, and keeps the records of both."""
    bids, config = few(2)
    process = start("preprocess", "--cores", "1", config=config, folder=tmp_path)
    results = tmp_path / "results"
    wait_for_file(results / "logs/tabulate_cohort.log")
    t1w(bids, 2).unlink()
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 1
    assert f"{t1w(bids, 2)} (missing locally" in text
    finished("preprocess", config=config, folder=tmp_path)
    [done] = results.glob("sub-*/anat/*_dseg.json")
    assert done.parts[-3] == "sub-1"
    assert {"logs/make_templates.log", LOG} <= read_jobs(results).keys()


def test_result_that_was_cut_short_is_named_when_a_step_has_read_it(small_copy, tmp_path):
    """ANTs reads such an image without a word."""
    path = tmp_path / "results" / TARGET
    path.write_bytes(path.read_bytes()[:-2000])
    (tmp_path / "results/sub-1/anat/sub-1_dseg.json").unlink()
    process = snakemake("sub-1/anat/sub-1_dseg.json", config=small_copy, folder=tmp_path)
    assert f"{TARGET}: was not as the job that made it has written it" in said(process)
    forced = snakemake("--force", TARGET, config=small_copy, folder=tmp_path)
    assert forced.returncode == 0
    process = ends_right(small_copy, tmp_path, "sub-1/anat/sub-1_dseg.json")
    assert set(jobs(process)) == {"register_to_mni", "segment_brain"}
    assert "was not as the job" not in said(process)


def test_file_in_the_place_of_a_folder_is_named(config, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/logs").write_text("")
    process = snakemake(TARGET, config=config, folder=tmp_path)
    assert process.returncode == 1
    assert "logs" in said(process)
    assert not (tmp_path / "results" / TARGET).exists()


def test_spoiled_records_of_snakemake_do_not_stop_a_run(small_copy, tmp_path):
    """As a full disk or a power cut leaves them: empty files."""
    for path in (tmp_path / "results/.snakemake/metadata").rglob("*"):
        if path.is_file():
            path.write_text("")
    ends_right(small_copy, tmp_path)


def test_removed_records_of_snakemake_rerun_nothing(small_copy, tmp_path):
    shutil.rmtree(tmp_path / "results/.snakemake")
    assert not jobs(ends_right(small_copy, tmp_path))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(config, begun, tmp_path, sent):
    """Ctrl-C, and the end of an allocation: no zero exit code, no lock, no half result."""
    process = start(TARGET, config=config, folder=tmp_path)
    wait_for_file(tmp_path / "results" / LOG)
    os.killpg(process.pid, sent)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (tmp_path / "results" / TARGET).exists()
    ends_right(config, tmp_path)


def test_job_that_is_killed_is_named(config, begun, tmp_path):
    """As the kernel does when memory runs out."""
    process = start(TARGET, config=config, folder=tmp_path)
    wait_for_file(tmp_path / "results" / LOG)
    script = f"{tmp_path}/results/.snakemake/scripts/.*prepare_t1w.py"
    listed = subprocess.run(["pgrep", "-f", script], capture_output=True, text=True)
    kill_tree(int(listed.stdout.split()[-1]))
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Error in rule prepare_t1w" in text and LOG in text
    assert not (tmp_path / "results" / TARGET).exists()
    ends_right(config, tmp_path)


def test_second_run_on_the_same_folder_is_refused_and_changes_nothing(few, tmp_path):
    """Also when the dataset has grown since the first one began."""
    bids, config = few(1)
    process = start("preprocess", config=config, folder=tmp_path)
    output = tmp_path / "results"
    wait_for_file(output / "logs/preflight.log")
    os.killpg(process.pid, signal.SIGSTOP)  # else it may end before the others have begun
    index = (output / "cohort/index.tsv").read_bytes()
    shutil.copytree(bids / "sub-1", bids / "sub-7")
    t1w_of_7 = bids / "sub-7/anat/sub-1_T1w.nii.gz"
    t1w_of_7.rename(t1w(bids, 7))
    with open(bids / "participants.tsv", "a") as file:
        file.write("sub-7\t37\tcontrol\n")
    fails(snakemake("preprocess", config=config, folder=tmp_path), "lock", str(output))
    dry = snakemake("preprocess", "--dry-run", config=config, folder=tmp_path)
    assert dry.returncode == 0 and "sub-7" in said(dry)
    assert (output / "cohort/index.tsv").read_bytes() == index
    os.killpg(process.pid, signal.SIGCONT)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text[-3000:]
    assert len(list(output.glob("sub-*/anat/*_dseg.json"))) == 1


def test_two_runs_in_two_folders_of_one_clone(config, begun, tmp_path):
    other = config | {"output_dir": shutil.copytree(begun, f"{tmp_path}/other", symlinks=True)}
    (tmp_path / "second").mkdir()
    first = start(TARGET, config=config, folder=tmp_path)
    ends_right(other, tmp_path / "second")
    text, _ = first.communicate(timeout=300)
    assert first.returncode == 0, text[-3000:]
    made = [(Path(c["output_dir"]) / TARGET).read_bytes() for c in (config, other)]
    assert made[0] == made[1]


def test_scans_from_the_future_are_named_before_anything_runs(config, bids, tmp_path):
    then = time.time() + 30 * 365 * 86400
    os.utime(t1w(bids, 1), (then, then))
    process = snakemake(TARGET, config=config, folder=tmp_path)
    fails(process, "time stamp in the future", "sub-1_T1w.nii.gz", "touch")


def test_results_older_than_their_scans_are_not_made_again(small_copy, tmp_path):
    """The clock was wrong when they were made."""
    then = time.time() - 30 * 365 * 86400
    for path in (tmp_path / "results/sub-1").rglob("*"):
        os.utime(path, (then, then))
    assert not jobs(ends_right(small_copy, tmp_path))
