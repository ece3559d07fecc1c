"""Bad input, given as a user would give it: the message, the exit code, and nothing half done."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from tests.slurm.cluster import wait_for
from tests.workflow.small_cohort import (
    LABELS,
    STUDY,
    configuration,
    make_dataset,
    participants,
    t1w,
)
from tests.workflow.snake import finished, said, snakemake, start
from workflow_scripts.cohort import startup
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo.plan import plan_cohort


def refused(process, *messages):
    assert process.returncode == 1
    for message in messages:
        assert message in said(process)
    assert "Traceback" not in said(process)


def refused_at_once(config, *messages):
    """As `refused`, but in this process: what the Snakefile does before it makes any rule."""
    with pytest.raises(InputError) as raised:
        startup.start(config, plan_cohort, main_process=True)
    for message in messages:
        assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            participants().replace("participant_id\tage", "age\tparticipant_id"),
            ["line 2: participant_id is '31'", "line 7"],
        ),
        (participants().replace("participant_id", "subject"), ["has no column participant_id"]),
        (
            participants().replace("\tdiagnosis", "\tgroup"),
            ["no column 'diagnosis'", "study.label"],
        ),
        (
            participants().replace("sub-2\t", "sub-1\t"),
            ["line 3: sub-1 stands already in line 2; keep one"],
        ),
        (
            participants().replace("patient", "Patient", 1),
            ["sub-2: diagnosis is 'Patient'", "studies.study.classes"],
        ),
        (
            participants().replace("sub-3", "sub-../../x"),
            ["line 4: participant_id is 'sub-../../x'"],
        ),
        (participants(LABELS[:-1]), ["no row for sub-6, which have scans; add the rows"]),
        (
            participants(["control", "patient", "control", "patient", "control", "n/a"]),
            ["class patient has 2 participants", "a trial needs 3"],
        ),
    ],
    ids=[
        "swapped columns",
        "no id column",
        "no label column",
        "duplicate id",
        "unknown label",
        "path in id",
        "row missing",
        "class of two",
    ],
)
def test_participants(bids, tmp_path, text, messages):
    (bids / "participants.tsv").write_text(text)
    refused_at_once(configuration(bids), *messages)
    assert not list((tmp_path / "results").rglob("sub-*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown key colour; known keys: "),
        ({"anatomical": {"template_resolution": "two"}}, "anatomical.template_resolution: 'two'"),
        ({"bids_dir": "/nowhere"}, "/nowhere"),
        ({"exclusions": "/nowhere.tsv"}, "/nowhere.tsv: cannot be read"),
        ({"diffusion": {"alps_rois": "/nowhere.tsv"}}, "/nowhere.tsv: cannot be read"),
        ({"anatomical": {"network": "/nowhere"}}, "anatomical.network: /nowhere has no model.json"),
    ],
    ids=["unknown key", "wrong type", "no dataset", "no exclusions", "no regions", "no network"],
)
def test_configuration(bids, tmp_path, changes, message):
    refused_at_once(configuration(bids, **changes), message)
    assert not (tmp_path / "results").exists()


FOLDS = {"kind": "folds", "folds": 4}
SITES = {"kind": "leave_site_out", "column": "diagnosis"}


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (FOLDS, "4 folds are not possible with the 3 participants of class control; lower"),
        (FOLDS | {"folds": 50, "repeats": 9}, "study.design.folds to 3, or add participants"),
        (FOLDS | {"folds": 3, "validation": True}, "has 3 participants .*4 are needed"),
        ({"kind": "holdout", "test": 0.9}, "split 1 trains on 0 participants of class control"),
        (SITES, "split 1 trains on 0 participants of class control, 2 are needed"),
        ({"kind": "given", "table": "/nowhere.tsv"}, "/nowhere.tsv: cannot be read"),
        ({"kind": "given", "table": "given.tsv"}, "given.tsv: weight is 0.5 where the role is tr"),
    ],
)
def test_designs_that_cannot_be_drawn_are_told_at_once(bids, tmp_path, design, message):
    people = ["train", "train", "train", "train", "test", "test"]
    rows = [f"1\tsub-{n}\t{role}\t0.5" for n, role in enumerate(people, 1)]
    (tmp_path / "given.tsv").write_text("\n".join(["split\tparticipant_id\trole\tweight", *rows]))
    if "table" in design:
        design = design | {"table": str(tmp_path / design["table"])}
    config = configuration(bids, studies={"study": STUDY | {"design": design}})
    with pytest.raises(InputError, match=message):
        startup.start(config, plan_cohort, main_process=True)


def test_errors_end_the_command(bids, tmp_path):
    """One of the configuration and one of participants.tsv, as a user sees them."""
    process = snakemake(config=configuration(bids, colour="red"), folder=tmp_path)
    refused(process, "unknown key colour; known keys: ")
    assert not (tmp_path / "results").exists()
    (bids / "participants.tsv").write_text(participants(LABELS[:-1]))
    process = snakemake(config=configuration(bids), folder=tmp_path)
    refused(process, "no row for sub-6, which have scans; add the rows")
    assert not list((tmp_path / "results").rglob("sub-*"))


def test_all_bad_scans_are_named_in_one_run(bids, tmp_path, brain):
    nan = brain.get_fdata().astype(np.float32)
    nan[5, 5, 5] = np.nan
    t1w(bids, 1).write_bytes(t1w(bids, 1).read_bytes()[:-2000])
    t1w(bids, 2).write_bytes(gzip.compress(b"not an image"))
    nib.save(nib.Nifti1Image(np.zeros(brain.shape, np.int16), brain.affine), t1w(bids, 3))
    nib.save(nib.Nifti1Image(nan, brain.affine), t1w(bids, 4))
    nib.save(nib.Nifti1Image(np.stack([brain.dataobj] * 2, -1), brain.affine), t1w(bids, 5))
    config, population = configuration(bids), "studies/study/split-1_population.tsv"
    refused(
        snakemake("check", population, config=config, folder=tmp_path),
        "5 scans cannot be used",
        "sub-1_T1w.nii.gz: damaged or cut off",
        "sub-2_T1w.nii.gz: not a NIfTI image",
        "sub-3_T1w.nii.gz: all voxels are 0; the image is empty",
        "sub-4_T1w.nii.gz: 1 voxels are NaN or infinite",
        "sub-5_T1w.nii.gz: has 4 dimensions, not 3",
    )
    status = read_table(tmp_path / "results/cohort/scans.tsv")
    t1ws = status[status["suffix"] == "T1w"]
    assert t1ws["status"].tolist() == ["INVALID"] * 5 + ["AVAILABLE"]
    assert not (tmp_path / "results/cohort/check.txt").exists()
    assert not (tmp_path / "results" / population).exists()  # of scans that cannot be used

    lines = [f"sub-{i}\tn/a\tT1w\tbroken" for i in range(1, 6)]
    exclusions = tmp_path / "exclusions.tsv"
    exclusions.write_text("\n".join(["participant_id\tsession_id\tsuffix\treason", *lines]) + "\n")
    config |= {"exclusions": str(exclusions), "studies": {}}
    finished("check", config=config, folder=tmp_path)
    assert (tmp_path / "results/cohort/check.txt").exists()


def test_a_subject_that_fails_costs_no_other_and_is_named(brain, templates, tmp_path):
    """A diffusion series of bright voxels that lie apart, which the check of scans lets pass."""
    bids = tmp_path / "bids"
    make_dataset(bids, brain, size=2)
    shutil.copytree(templates, tmp_path / "results", symlinks=True)
    rng = np.random.default_rng(0)
    apart = rng.random((20, 20, 20, 1)) < 0.03
    signal = np.where(np.arange(7) == 0, 1, 0.5)
    data = (apart * signal * rng.uniform(90, 110, (20, 20, 20, 7))).astype("f4")
    path = bids / "sub-2/dwi/sub-2_dwi.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(data, np.eye(4) * 4), path)
    path.with_name("sub-2_dwi.bval").write_text("0 " + "1000 " * 6)
    bvecs = "0 1 0 0 .8 .8 0\n0 0 1 0 .6 0 .6\n0 0 0 1 0 .6 .8"
    path.with_name("sub-2_dwi.bvec").write_text(bvecs)
    config = configuration(bids, studies={}, diffusion={"denoise": "none", "gibbs": "none"})
    process = snakemake("preprocess", config=config, folder=tmp_path)
    log = "logs/prepare_dwi/sub-2/sub-2.log"
    refused(process, "FAILED sub-2 prepare_dwi: ERROR in rule prepare_dwi: ", "no brain found", log)
    status = read_table(tmp_path / "results/cohort/status.tsv")
    steps = status[status["suffix"] == "dwi"].groupby("step")["status"].agg(set)
    assert steps["prepare_dwi"] == {"FAILED", "MISSING"}
    assert steps["fit_tensor"] == steps["measure_alps"] == {"PENDING", "MISSING"}
    assert (status.loc[status["suffix"] == "T1w", "status"] == "DONE").all()


def test_a_run_for_one_participant_leaves_the_cohort_alone(bids, begun, tmp_path):
    process = finished(config=configuration(bids, participants=["sub-2"]), folder=tmp_path)
    told = said(process)
    assert (
        "Flagged, look at the pictures" in told and "\n  sub-2 dseg: tissues without part" in told
    )
    results = tmp_path / "results"
    assert [path.name for path in results.glob("sub-*")] == ["sub-2"]
    assert (results / "sub-2/figures/sub-2_desc-qc_T1w.webp").exists()
    assert not any((results / name).exists() for name in ("cohort", "studies", "report"))
    config = configuration(bids, participants=["sub-9"])
    refused_at_once(config, "participants: sub-9 is not in participants.tsv; correct the id")


def test_bad_gradient_tables_are_named_before_anything_runs(bids, tmp_path):
    """One diffusion series for each fault; the others' sessions keep their T1w."""
    bvals = "0 " + "1000 " * 6
    bvecs = "0 1 0 0 .8 .8 0\n0 0 1 0 .6 0 .6\n0 0 0 1 0 .6 .8"
    faults = {
        1: (bvals + "1000", bvecs, "has 8 b-values, the image 7 volumes"),
        2: (bvals, "\n".join(["0 0 1"] * 7), "it is transposed"),
        3: (bvals, bvecs.replace(".8 .8 0", "0 .8 0").replace(".6 0 .6", "0 0 .6"), "no direction"),
        4: ("1000 " * 7, bvecs.replace("0 1", "1 1", 1), "no b = 0 volume"),
        5: ("0 " + "1 " * 6, bvecs, "multiply them by 1000"),
        6: (bvals, "0 1 1 1 0 0 0\n0 0 0 0 1 1 1\n0 0 0 0 0 0 0", "2 distinct directions"),
    }
    image = nib.Nifti1Image(np.random.default_rng(0).random((45, 54, 45, 7), "f4"), np.eye(4) * 4)
    for number, (bval, bvec, _) in faults.items():
        path = bids / f"sub-{number}/dwi/sub-{number}_dwi.nii.gz"
        path.parent.mkdir()
        nib.save(image, path)
        path.with_name(f"sub-{number}_dwi.bval").write_text(bval)
        path.with_name(f"sub-{number}_dwi.bvec").write_text(bvec)
    process = snakemake("check", config=configuration(bids), folder=tmp_path)
    refused(process, "6 scans cannot be used", *(message for *_, message in faults.values()))


def test_series_follow_the_metadata_of_the_whole_dataset_too(bids, tmp_path):
    for name in ("dwi.json", "dir-PA_dwi.json", "T1w.json"):
        (bids / name).write_text("{}")
    (bids / "dir-AP_dwi.json").symlink_to("not-fetched.json")
    series = bids / "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz"
    series.parent.mkdir()
    inherited = [str(bids / name) for name in ("sub-1/sub-1_dwi.bval", "dwi.bvec", "dwi.json")]
    for path in (series, *map(Path, inherited[:2])):
        path.touch()
    target = "sub-1/dwi/sub-1_desc-preproc_dwi.json"
    process = snakemake(target, "--dry-run", config=configuration(bids), folder=tmp_path)
    text = said(process).split("rule prepare_dwi:")[1]
    inputs = text.split("input: ")[1].split("\n")[0].split(", ")
    assert inputs[:4] == [str(series), *inherited]


def test_several_scans_are_never_chosen_from_silently(bids):
    t1w(bids, 1).rename(bids / "sub-1/anat/sub-1_run-1_T1w.nii.gz")
    (bids / "sub-1/anat/sub-1_run-2_T1w.nii.gz").write_bytes(b"")
    found = "sub-1: sub-1_run-1_T1w.nii.gz, sub-1_run-2_T1w.nii.gz; set scans.T1w"
    refused_at_once(configuration(bids), found)


def test_links_to_nowhere_are_named(bids, tmp_path):
    t1w(bids, 3).unlink()
    t1w(bids, 3).symlink_to(tmp_path / "nowhere.nii.gz")
    process = snakemake("check", config=configuration(bids), folder=tmp_path)
    refused(process, "links to files that are not there", "sub-3_T1w.nii.gz")


def test_code_of_another_folder_is_not_taken(bids, tmp_path, monkeypatch):
    """PYTHONPATH leads to a package of the same name, as that of another clone does."""
    package = tmp_path / "other/workflow_scripts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the other clone')")
    monkeypatch.setattr("tests.workflow.snake._environment", lambda: dict(os.environ))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    finished("check", config=configuration(bids), folder=tmp_path)


def test_key_that_stands_twice_ends_the_command(bids, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"{yaml.safe_dump(configuration(bids))}\nstudies: {{}}\n")
    command = [sys.executable, "-m", "snakemake", "check", "--cores", "1", "--configfile", file]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    refused(process, "mine.yaml line ", "studies: stands already in line ", "keep one")


def test_results_are_not_written_among_the_raw_data(bids):
    for folder in (bids, bids / "sub-1"):
        config = configuration(bids, output_dir=str(folder))
        refused_at_once(config, "lies among the raw data")


def test_read_only_output_folder(bids, tmp_path):
    output = tmp_path / "results"
    output.mkdir()
    if os.geteuid() == 0:
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(output)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("root cannot be kept from writing, and cannot mount here")
    else:
        output.chmod(0o500)
    try:
        process = snakemake("check", config=configuration(bids), folder=tmp_path)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(output)], check=True)
        else:
            output.chmod(0o700)
    refused(process, "output_dir", "cannot be written", "choose another output_dir")


def test_killed_half_way_and_resumed(bids, begun, tmp_path):
    """SIGKILL to everything while a brain is registered: the next run ends right, no file of the
    killed job is taken for whole, and what was finished is not done again."""
    config = configuration(bids, studies={})
    target = "sub-1/anat/sub-1_dseg.json"
    process = start(target, "--cores", "1", config=config, folder=tmp_path)
    output = tmp_path / "results"
    wait_for((output / "logs/register_to_mni/sub-1/sub-1.log").exists, 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / target).exists()
    prepared = output / "sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"
    made = prepared.stat().st_mtime_ns

    locked = snakemake(target, config=config, folder=tmp_path)
    refused(locked, "unlock")
    finished("--unlock", config=config, folder=tmp_path)
    finished(target, config=config, folder=tmp_path)
    assert (output / target).exists()
    assert prepared.stat().st_mtime_ns == made
