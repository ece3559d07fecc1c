"""Brain masks corrected by hand: taken, told, kept on record, and refused where they do not fit."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.workflow.small_cohort import t1w
from tests.workflow.snake import finished, jobs, said, snakemake
from workflow_scripts.cohort.corrections import COLUMNS, DESCRIPTION
from workflow_scripts.cohort.startup import start
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo.plan import plan_cohort

SIDECAR = "anat/sub-2_desc-preproc_T1w.json"


def correct(copy, rows=None):
    """Configuration of the study with a corrected mask of sub-2, one slice smaller."""
    root, mask = copy.results.parent / "corrections", copy.mask
    path = root / "sub-2/anat/sub-2_desc-brain_mask.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.load(mask)
    data = np.asanyarray(image.dataobj).copy()
    data[:, :, np.flatnonzero(data.any(axis=(0, 1)))[-1]] = 0
    nib.save(nib.Nifti1Image(data, image.affine), path)
    (root / "dataset_description.json").write_text(DESCRIPTION)
    own = [
        "sub-2",
        "n/a",
        "anna",
        "2026-11-30",
        "hole",
        checksum(t1w(copy.bids, 2))["sha256"],
    ]
    lines = [COLUMNS, own] if rows is None else [COLUMNS, *rows(own)]
    text = "\n".join("\t".join(line) for line in lines)
    (root / "corrections.tsv").write_text(text + "\n")
    return copy.plain | {"corrections": str(root)}


@pytest.fixture
def copy(small_study, small_copy, tmp_path):
    """The study's dataset, a copy of its results, and their configuration."""
    results = tmp_path / "results"
    mask = results / "sub-2/anat/sub-2_desc-brain_mask.nii.gz"
    return SimpleNamespace(bids=small_study / "bids", results=results, mask=mask, plain=small_copy)


def test_a_corrected_mask_is_taken_told_and_on_record(copy, small_study, tmp_path):
    before = np.asanyarray(nib.load(copy.mask).dataobj)
    config = correct(copy)
    process = finished(config=config, folder=tmp_path)
    assert jobs(process)["prepare_t1w"] == jobs(process)["register_to_mni"] == 1
    after = np.asanyarray(nib.load(copy.mask).dataobj)
    drawn = nib.load(tmp_path / "corrections/sub-2/anat/sub-2_desc-brain_mask.nii.gz")
    np.testing.assert_array_equal(after, np.asanyarray(drawn.dataobj))
    sidecar = json.loads((copy.results / "sub-2" / SIDECAR).read_text())
    overlap = 2 * after.sum() / (after.sum() + before.sum())
    assert sidecar["Correction"]["Dice"] == pytest.approx(overlap, abs=1e-4)
    assert sidecar["BrainExtraction"] == "corrected by hand"
    assert "bids:corrections:sub-2/anat/sub-2_desc-brain_mask.nii.gz" in sidecar["Sources"]
    flags = read_table(copy.results / "cohort/outliers.tsv")
    [note] = flags.loc[flags["reason"].str.contains("corrected"), "reason"]
    assert note.startswith("brain mask corrected by anna, 2026-11-30 (hole)")
    picture = "sub-2/figures/sub-2_desc-qc_T1w.webp"
    heights = [
        Image.open(root / picture).height for root in (small_study / "results", copy.results)
    ]
    assert heights[1] * 4 == pytest.approx(heights[0] * 5, abs=20)  # a row more
    assert not (copy.results / "sub-2/anat/sub-2_desc-automatic_mask.nii.gz").exists()
    page = (copy.results / "report/index.html").read_text()
    assert "Brain mask before it was corrected" in page
    assert "before it was corrected" not in (small_study / "results/report/index.html").read_text()
    assert "corrected by anna" in page and "was corrected by hand" in page
    assert "Nothing to be done" in said(snakemake("--dry-run", config=config, folder=tmp_path))
    audit = snakemake("audit", config=config | {"audit": {"recompute": 0}}, folder=tmp_path)
    assert audit.returncode == 0, said(audit)[-2000:]
    again = jobs(finished("--dry-run", config=copy.plain, folder=tmp_path))
    assert again["prepare_t1w"] == 1  # without the correction it is the workflow's own again


def test_a_correction_of_another_scan_is_refused(copy, tmp_path):
    config = correct(copy, lambda own: [[*own[:-1], "0" * 64]])
    process = snakemake(f"sub-2/{SIDECAR}", config=config, folder=tmp_path)
    assert process.returncode == 1
    log = (copy.results / "logs/prepare_t1w/sub-2/sub-2.log").read_text()
    assert "was drawn on another scan than" in log and "write" in log


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            lambda own: [],
            r"no line for sub-2.*\nparticipant_id.*\nsub-2\tn/a\t\(who\).*[0-9a-f]{64}",
        ),
        (lambda own: [own, own], "line 3: sub-2 stands twice"),
        (lambda own: [own, ["sub-9", *own[1:]]], "line 3: the dataset has no session sub-9"),
        (lambda own: [own, ["sub-3", *own[1:]]], "line 3: .*sub-3_desc-brain_mask.nii.gz is not"),
        (lambda own: [[*own[:3], "", *own[4:]]], "line 2: lacks date"),
    ],
)
def test_a_table_that_does_not_fit_is_named_before_anything_runs(copy, rows, message):
    with pytest.raises(InputError, match=message):
        start(correct(copy, rows), plan_cohort, main_process=True)


def test_a_folder_without_its_table_says_what_it_needs(copy, tmp_path):
    config = correct(copy)
    (tmp_path / "corrections/dataset_description.json").unlink()
    with pytest.raises(InputError, match="has no dataset_description.json.*DatasetType"):
        start(config, plan_cohort, main_process=True)
    (tmp_path / "corrections/corrections.tsv").unlink()
    with pytest.raises(InputError, match="has no corrections.tsv; its columns: participant_id"):
        start(config, plan_cohort, main_process=True)
