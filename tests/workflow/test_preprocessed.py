"""What fMRIPrep and QSIPrep made stands in for our steps: the same files give the same numbers."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.workflow.snake import finished
from tests.workflow.tiny import tiny_demo

CHOSEN = "sub-001"
TISSUES = ("CSF", "GM", "WM")


def describe(root, program):
    root.mkdir()
    told = {"Name": program, "BIDSVersion": "1.4.0", "DatasetType": "derivative"}
    told["GeneratedBy"] = [{"Name": program, "Version": "9.9"}]
    (root / "dataset_description.json").write_text(json.dumps(told))


def as_fmriprep(results, root):
    """Our own T1w, mask and tissues, stored as fMRIPrep stores its own."""
    describe(root, "fMRIPrep")
    folder = root / CHOSEN / "anat"
    folder.mkdir(parents=True)
    ends = ["desc-preproc_T1w", "desc-brain_mask", *(f"label-{t}_probseg" for t in TISSUES)]
    for end in ends:
        name = f"{CHOSEN}_{end}.nii.gz"
        nib.save(
            nib.as_closest_canonical(nib.load(results / CHOSEN / "anat" / name)), folder / name
        )
    return str(root)


def as_qsiprep(results, root):
    """Our own prepared series in a frame of its own, turned as ACPC is: voxels and table stay."""
    describe(root, "QSIPrep")
    folder = root / CHOSEN / "dwi"
    folder.mkdir(parents=True)
    turn = np.deg2rad(8)
    frame = np.eye(4)
    frame[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    frame[:3, 3] = 2, 12, -9
    start = results / CHOSEN / "dwi"
    for ours in ("desc-preproc_dwi.nii.gz", "desc-brain_mask.nii.gz"):
        image = nib.load(start / f"{CHOSEN}_{ours}")
        turned = nib.Nifti1Image(np.asanyarray(image.dataobj), frame @ image.affine)
        nib.save(turned, folder / f"{CHOSEN}_space-ACPC_{ours}")
    for end in ("bval", "bvec"):
        name = f"desc-preproc_dwi.{end}"
        shutil.copy(start / f"{CHOSEN}_{name}", folder / f"{CHOSEN}_space-ACPC_{name}")
    return str(root)


def measures(results, name):
    return json.loads((results / CHOSEN / f"{name}.json").read_text())["Measures"]


def test_the_same_files_give_the_same_numbers(tiny, tmp_path):
    config = tiny_demo(tmp_path / "results")
    config["participants"] = [CHOSEN]
    config["bids_dir"] = str(tiny / "demo/bids")
    config["anatomical"]["preprocessed"] = {
        "derivatives": as_fmriprep(tiny, tmp_path / "fmriprep"),
        "take": ["T1w", "tissues"],
    }
    config["diffusion"]["preprocessed"] = as_qsiprep(tiny, tmp_path / "qsiprep")
    finished(config=config, folder=tmp_path)
    ours = tmp_path / "results"
    anat = f"anat/{CHOSEN}"
    for name in (f"{anat}_desc-preproc_T1w", f"{anat}_dseg"):
        for key, value in measures(tiny, name).items():
            assert measures(ours, name)[key] == pytest.approx(value, rel=2e-3, abs=2e-3), key
    sidecar = json.loads((ours / CHOSEN / f"{anat}_dseg.json").read_text())
    assert sidecar["TissueSegmentation"] == "taken from fMRIPrep 9.9"
    assert any(source.startswith("bids:fmriprep:") for source in sidecar["Sources"])
    alps = f"dwi/{CHOSEN}_alps"
    assert measures(ours, alps)["alps"] == pytest.approx(measures(tiny, alps)["alps"], rel=0.02)
