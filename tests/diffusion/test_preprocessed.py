"""A series of QSIPrep stands in for our own preparation, as it is, or is refused."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.gradients import read_gradients
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.diffusion.prepare_dwi import main

SHAPE, VOLUMES = (14, 15, 16), 8


@pytest.fixture
def made(tmp_path):
    """Files of QSIPrep and what they hold."""
    rng = np.random.default_rng(0)
    root = tmp_path / "qsiprep"
    folder = root / "sub-1/dwi"
    folder.mkdir(parents=True)
    told = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "QSIPrep", "Version": "1.0.1"}]}
    (root / "dataset_description.json").write_text(json.dumps(told))
    data = rng.uniform(200, 800, (*SHAPE, VOLUMES)).astype(np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:11, 3:12, 3:13] = 1
    data[mask == 0] = -1.5  # as interpolation leaves it beside an edge
    turn = np.deg2rad(15)
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:2, :2] = [[-2 * np.cos(turn), -2 * np.sin(turn)], [-2 * np.sin(turn), 2 * np.cos(turn)]]
    directions = rng.normal(size=(3, VOLUMES))
    directions /= np.linalg.norm(directions, axis=0)
    bvals = np.array([0, 1000, 1000, 1000, 5, 1000, 1000, 1000])
    start = folder / "sub-1_space-ACPC_desc-"
    nib.save(nib.Nifti1Image(data, affine), f"{start}preproc_dwi.nii.gz")
    nib.save(nib.Nifti1Image(mask, affine), f"{start}brain_mask.nii.gz")
    np.savetxt(f"{start}preproc_dwi.bval", bvals[None], fmt="%d")
    np.savetxt(f"{start}preproc_dwi.bvec", directions, fmt="%.6f")
    (tmp_path / "raw").mkdir()
    nib.save(nib.Nifti1Image(data[..., :6], np.eye(4)), tmp_path / "raw/sub-1_dwi.nii.gz")
    ends = ("preproc_dwi.nii.gz", "preproc_dwi.bval", "preproc_dwi.bvec", "brain_mask.nii.gz")
    source = SimpleNamespace(
        preprocessed=[f"{start}{end}" for end in ends], dwi=[str(tmp_path / "raw/sub-1_dwi.nii.gz")]
    )
    return SimpleNamespace(source=source, data=data, mask=mask, bvals=bvals, directions=directions)


def prepared(made, folder):
    names = ["dwi.nii.gz", "dwi.bval", "dwi.bvec", "b0.nii.gz", "mask.nii.gz"]
    out = {name.split(".")[0] if "nii" in name else name[4:]: folder / name for name in names}
    out |= {"motion": folder / "motion.tsv", "sidecar": folder / "dwi.json"}
    main(made.source, SimpleNamespace(**out), None)
    return SimpleNamespace(**out)


def test_it_is_taken_as_it_is(made, tmp_path):
    out = prepared(made, tmp_path)
    image = nib.load(out.dwi)
    np.testing.assert_allclose(image.affine, nib.load(made.source.preprocessed[0]).affine)
    found = np.asanyarray(image.dataobj)
    np.testing.assert_allclose(found, np.maximum(made.data, 0), rtol=1 / 1000, atol=0.2)
    np.testing.assert_array_equal(nib.load(out.mask).dataobj, made.mask)
    expected = np.maximum(made.data, 0)[..., [0, 4]].mean(axis=-1)
    np.testing.assert_allclose(nib.load(out.b0).dataobj, expected, rtol=1e-5)
    theirs = read_gradients(made.source.preprocessed[0], VOLUMES)
    ours = read_gradients(str(out.dwi), VOLUMES)
    np.testing.assert_allclose(ours.bvals, theirs.bvals)
    weighted = ~ours.is_b0
    np.testing.assert_allclose(ours.bvecs[:, weighted], theirs.bvecs[:, weighted], atol=1e-5)
    np.testing.assert_allclose(theirs.bvecs[:, weighted], made.directions[:, weighted], atol=1e-5)


def test_what_it_is_and_what_is_not_known_is_told(made, tmp_path):
    out = prepared(made, tmp_path)
    sidecar = json.loads(out.sidecar.read_text())
    assert sidecar["MotionCorrection"] == "taken from QSIPrep 1.0.1"
    assert sidecar["DistortionCorrection"] == "taken from QSIPrep 1.0.1"
    assert not sidecar["Measures"]
    assert any("displacements are missing" in note for note in sidecar["Notes"])
    assert any("8 volumes by QSIPrep 1.0.1 of 6 raw ones" in note for note in sidecar["Notes"])
    motion = read_table(out.motion)
    assert len(motion) == VOLUMES and motion["displacement_mm"].isna().all()


def spoil(made, **changes):
    """Write one of the files anew."""
    path = made.source.preprocessed[0]
    image = nib.load(path)
    if "data" in changes:
        nib.save(nib.Nifti1Image(changes["data"], image.affine), path)
    if "bvals" in changes:
        np.savetxt(made.source.preprocessed[1], changes["bvals"][None], fmt="%d")
    if "mask" in changes:
        nib.save(nib.Nifti1Image(changes["mask"], np.eye(4)), made.source.preprocessed[3])


def test_what_cannot_be_used_is_refused(made, tmp_path):
    spoil(made, mask=made.mask)
    with pytest.raises(InputError, match="its grid is not that of"):
        prepared(made, tmp_path)
    made.source.preprocessed.pop()
    spoil(made, bvals=np.zeros(VOLUMES))
    with pytest.raises(InputError, match="no diffusion-weighted volume"):
        prepared(made, tmp_path)
    spoil(made, bvals=made.bvals, data=np.where(made.data > 799, np.nan, made.data))
    with pytest.raises(InputError, match="no finite numbers"):
        prepared(made, tmp_path)
