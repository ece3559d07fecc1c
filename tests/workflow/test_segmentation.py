"""Runs that segment a region by several engines."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from tests.workflow.small_cohort import QUICK, configuration
from tests.workflow.snake import finished, jobs, said, snakemake
from workflow_scripts.common.tables import read_table

ENGINES = {
    "atlas": {"kind": "atlas"},
    "fs": {"kind": "import", "program": "freesurfer"},
    "vote": {"kind": "vote", "of": ["atlas", "fs"]},
    "mean": {"kind": "mean", "of": ["atlas", "fs"]},
}
TARGETS = ("features", "preprocess", "segmentation/overlap.tsv")
LABEL = "label-Thalamus_desc"


def thalami(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of 5.6 mL in all, as label image of FreeSurfer at 4 mm, and their affine."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(4)
    affine = np.diag([1 + 0.002 * number] * 3 + [1]) @ image.affine
    data = np.zeros(image.shape, np.int16)
    x, y, z = np.round(np.linalg.inv(affine) @ [0, -18, 8, 1])[:3].astype(int)
    data[x - 5 : x - 1, y - 2 : y + 3, z - 1 : z + 2] = 10
    data[x + 2 : x + 6, y - 2 : y + 3, z - 1 : z + 2] = 49
    return data, affine


@pytest.fixture
def cohort(tmp_path, measured):
    """Two people; of the first there are a FreeSurfer run, and masks of two raters."""
    measured(2)
    data, affine = thalami(1)
    folder = tmp_path / "freesurfer/sub-1/mri"
    folder.mkdir(parents=True)
    nib.save(nib.MGHImage(data, affine.astype(np.float32)), folder / "aseg.mgz")
    masks = tmp_path / "manual/sub-1/anat"
    masks.mkdir(parents=True)
    described = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    (tmp_path / "manual/dataset_description.json").write_text(json.dumps(described))
    for rater, mask in (("anna", data > 0), ("ben", binary_dilation(data > 0))):
        image = nib.Nifti1Image(mask.astype(np.uint8), affine)
        nib.save(image, masks / f"sub-1_{LABEL}-{rater}_mask.nii.gz")
    engines = json.loads(json.dumps(ENGINES))
    engines["fs"]["files"] = str(tmp_path / "freesurfer/{participant}/mri/a*.mgz")
    section = {
        "manual": str(tmp_path / "manual"),
        "regions": {"thalamus": {"features": "fs", "engines": engines}},
    }
    return configuration(tmp_path / "bids", studies={}, anatomical=QUICK, segmentation=section)


def test_every_engine_ends_in_the_same_files_or_says_why_not(cohort, tmp_path):
    process = finished(*TARGETS, config=cohort, folder=tmp_path)
    assert jobs(process)["segment_region"] == 4 + 2 + 1
    results = tmp_path / "results"
    data, _ = thalami(1)
    for name in [*ENGINES, "anna", "ben"]:
        stem = results / f"sub-1/anat/sub-1_{LABEL}-{name}_dseg"
        sidecar = json.loads(stem.with_suffix(".json").read_text())
        sides = np.asanyarray(nib.load(f"{stem}.nii.gz").dataobj)
        assert sidecar["Engine"] == name and set(np.unique(sides)) == {0, 1, 2}
        if name in ("fs", "anna"):
            np.testing.assert_array_equal(sides, 1 * (data > 0) + (data == 49))
    assert not list(results.glob("sub-*/anat/*Thalamus*probseg*"))
    features = read_table(results / "cohort/features.tsv").set_index("participant_id")
    volume = features["segmentation_thalamus_volume_ml"]
    assert volume["sub-1"] == pytest.approx(120 * 0.064, rel=0.01) and np.isnan(volume["sub-2"])
    scans = read_table(results / "cohort/scans.tsv").set_index(["participant_id", "suffix"])
    assert scans.at[("sub-1", "thalamus_fs"), "status"] == "AVAILABLE"
    assert scans.at[("sub-1", "thalamus_ben"), "status"] == "AVAILABLE"
    assert "sub-2/mri/a*.mgz" in scans.at[("sub-2", "thalamus_fs"), "reason"]
    status = read_table(results / "cohort/status.tsv").set_index(["participant_id", "step"])
    told = status["status"].unstack()
    assert told.loc["sub-1", [f"thalamus_{name}" for name in ENGINES]].eq("DONE").all()
    assert told.loc["sub-2"].filter(like="thalamus_").to_dict() == {
        "thalamus_atlas": "DONE",
        **{f"thalamus_{name}": "MISSING" for name in ("fs", "vote", "mean", "anna", "ben")},
    }
    reason = status.at[("sub-2", "thalamus_vote"), "reason"]
    assert reason.startswith("not run: fs: no ")
    volumes = read_table(results / "segmentation/volumes.tsv")
    assert volumes["run"].value_counts().to_dict() == {"yes": 7, "no": 5}
    overlap = read_table(results / "segmentation/overlap.tsv")
    assert set(overlap["participant_id"]) == {"sub-1"} and len(overlap) == 3 * (4 * 2 + 1)
    both = overlap[overlap["side"] == "both"].set_index(["engine", "reference"])
    assert both.at[("fs", "anna"), "dice"] == 1
    assert both.at[("anna", "ben"), "precision"] == 1 > both.at[("anna", "ben"), "sensitivity"]
    assert not jobs(finished(*TARGETS, config=cohort, folder=tmp_path))


def test_masks_and_label_images_that_cannot_be_used_are_named_by_check(cohort, tmp_path):
    mask = tmp_path / f"manual/sub-1/anat/sub-1_{LABEL}-ben_mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.uint8) * np.eye(8, dtype="u1"), np.eye(4)), mask)
    aseg = tmp_path / "freesurfer/sub-1/mri/aseg.mgz"
    image = nib.load(aseg)
    half = nib.MGHImage(0.5 * image.get_fdata(dtype=np.float32), image.affine)
    nib.save(half, aseg)
    process = snakemake("check", config=cohort, folder=tmp_path)
    text = said(process) + (tmp_path / "results/logs/check_cohort.log").read_text()
    assert process.returncode == 1
    assert "desc-ben_mask.nii.gz: its grid is not that of the T1w" in text
    assert "aseg.mgz: holds values between whole numbers" in text
    assert "sub-1\tn/a\tthalamus_ben\t" in text  # the line that would exclude it


@pytest.fixture
def drawn(tmp_path, measured):
    """Six people, five of whom anna has drawn, and engines that learn from that."""
    measured(6)
    described = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    for number in range(1, 6):
        data, affine = thalami(number)
        folder = tmp_path / f"manual/sub-{number}/anat"
        folder.mkdir(parents=True)
        image = nib.Nifti1Image((data > 0).astype(np.uint8), affine)
        nib.save(image, folder / f"sub-{number}_{LABEL}-anna_mask.nii.gz")
    (tmp_path / "manual/dataset_description.json").write_text(json.dumps(described))
    net = {"kind": "unet", "rater": "anna", "folds": 2, "epochs": 8, "spacing": 4.0}
    engines = {"fused": {"kind": "multi_atlas", "rater": "anna"}, "net": net}
    section = {"manual": str(tmp_path / "manual"), "regions": {"thalamus": {"engines": engines}}}
    return configuration(tmp_path / "bids", studies={}, anatomical=QUICK, segmentation=section)


def test_who_was_drawn_is_segmented_by_what_others_have_taught(drawn, tmp_path):
    """Two folds and the network of all, for the sixth; nobody's own mask is fused."""
    process = finished("preprocess", "-n", config=drawn, folder=tmp_path)
    assert jobs(process)["train_unet"] == 3
    assert jobs(process)["segment_region"] == 6 + 6 + 5
    told = {}
    for block in said(process).split("rule segment_region:")[1:]:
        inputs, output = (block.split(f"{key}: ")[1].split("\n")[0] for key in ("input", "output"))
        told[output.split("/")[0], output.split("desc-")[1].split("_")[0]] = inputs
    for number in range(1, 7):
        fused, net = (told[f"sub-{number}", name] for name in ("fused", "net"))
        others = {f"sub-{n}_{LABEL}-anna_dseg" for n in range(1, 6) if n != number}
        names = fused.replace(".nii.gz", "/").split("/")
        assert {name for name in names if "anna" in name} == others
        assert f"fold-{0 if number == 6 else 1 + (number - 1) % 2}_model" in net


@pytest.mark.full
def test_fusion_and_networks_run(drawn, tmp_path):
    """Networks that learn nothing in eight epochs; the fusion of the same heads is exact."""
    targets = [f"sub-6/anat/sub-6_{LABEL}-{name}_dseg.json" for name in ("fused", "net")]
    finished(*targets, config=drawn, folder=tmp_path)
    sidecar = json.loads((tmp_path / "results" / targets[0]).read_text())
    assert len(sidecar["Atlases"]) == sidecar["Known"] == 5
    volume = sidecar["Measures"]["segmentation_thalamus_volume_ml"]
    assert volume == pytest.approx(120 * 0.064, rel=0.1)
    model = json.loads(
        (tmp_path / "results/segmentation/Thalamus_net_fold-0_model.json").read_text()
    )
    assert len(model["Losses"]) == 8 and len(model["Sources"]) == 5
