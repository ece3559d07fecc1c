"""Masks of lesions drawn on another contrast come to the T1w."""

import json
from types import SimpleNamespace

import ants
import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from tests.anatomical.test_align_contrast import other_contrast
from workflow_scripts.anatomical import align_lesions
from workflow_scripts.anatomical.lesions import read_lesions
from workflow_scripts.common.images import dice
from workflow_scripts.common.job import InputError
from workflow_scripts.common.transforms import move, sample

SPACING = 3.0
RADIUS_MM = 7.0


@pytest.fixture(scope="module")
def head(template):
    """A T1w of 3 mm, and lesions in the middle of its brain, as shares (x, y, z)."""
    t1w = ants.resample_image(ants.image_read(template[0]), (SPACING,) * 3)
    depth = distance_transform_edt(t1w.numpy() > 0, sampling=SPACING)
    places = np.argwhere(depth > 2 * RADIUS_MM)
    centres = places[np.random.default_rng(3).choice(len(places), 12, replace=False)]
    away = np.min(
        [np.linalg.norm(np.moveaxis(np.indices(t1w.shape), 0, -1) - c, axis=-1) for c in centres],
        axis=0,
    )
    return t1w, np.clip(0.5 + RADIUS_MM / SPACING - away, 0, 1)


def flair_of(image, affine, values, voxel_mm):
    """Values of the T1w's grid as a FLAIR has them: oblique, the head turned 6 degrees, 5 mm on."""
    moved, turned = np.eye(4), np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xz", [6, 3], degrees=True).as_matrix()
    moved[:3, 3] = [1, 5, -2]
    turned[:3, :3] = Rotation.from_euler("xyz", [20, -8, 5], degrees=True).as_matrix()
    shape = np.round(210 / np.array(voxel_mm)).astype(int)
    middle = move(affine, (np.array(image.shape) - 1) / 2)
    grid = turned @ np.diag([*voxel_mm, 1.0])
    grid[:3, 3] = middle - grid[:3, :3] @ ((shape - 1) / 2)
    points = move(grid, np.moveaxis(np.indices(shape), 0, -1).astype(float))
    around = move(moved, points - middle) + middle
    return nib.Nifti1Image(sample(values, affine, around).astype(np.float32), grid)


def run(folder, head, voxel_mm=(1.5, 1.5, 4.0), drawn=lambda data: data >= 0.5, seen=slice(None)):
    """Shares on the T1w's grid, the mask that was drawn, and the sidecar.

    seen : slices of the T1w that there are
    """
    t1w, lesion = head
    ants.image_write(t1w, str(folder / "t1w.nii.gz"))
    affine = nib.load(folder / "t1w.nii.gz").affine
    flair = flair_of(t1w, affine, other_contrast(t1w).numpy(), voxel_mm)
    mask = flair_of(t1w, affine, lesion, voxel_mm)
    mask = nib.Nifti1Image(drawn(mask.get_fdata()).astype(np.uint8), mask.affine)
    nib.save(nib.load(folder / "t1w.nii.gz").slicer[:, :, seen], folder / "t1w.nii.gz")
    source = SimpleNamespace(
        lesions=str(folder / "sub-1_space-FLAIR_desc-lesion_mask.nii.gz"),
        scan=str(folder / "sub-1_FLAIR.nii.gz"),
        t1w=str(folder / "t1w.nii.gz"),
    )
    nib.save(flair, source.scan)
    nib.save(mask, source.lesions)
    out = SimpleNamespace(
        lesions=str(folder / "sub-1_space-T1w_label-lesion_probseg.nii.gz"),
        sidecar=folder / "lesion.json",
    )
    align_lesions.main(source, out, None)
    return read_lesions(out.lesions, source.t1w), mask, json.loads(out.sidecar.read_text())


@pytest.mark.parametrize(
    ("voxel_mm", "overlap"), [((1.5, 1.5, 4.0), 0.85), ((4.0, 4.0, 4.0), 0.75)]
)
def test_lesions_of_an_oblique_flair_keep_their_volume_and_lie_where_they_are(
    tmp_path, head, voxel_mm, overlap
):
    """Finer in its slices than the T1w and thicker across them, and coarser all over."""
    shares, mask, sidecar = run(tmp_path, head, voxel_mm)
    drawn = mask.get_fdata().sum() * np.prod(voxel_mm) / 1000
    assert drawn > 10
    assert shares.sum() * SPACING**3 / 1000 == pytest.approx(drawn, rel=0.02)
    assert sidecar["Measures"]["lesions_drawn_volume_ml"] == pytest.approx(drawn, abs=1e-5)
    assert dice(shares >= 0.5, head[1] >= 0.5) > overlap
    assert "Flags" not in sidecar and len(sidecar["Sources"]) == 3


def test_without_lesions_there_are_none(tmp_path, head):
    shares, _, sidecar = run(tmp_path, head, (4.0, 4.0, 4.0), drawn=lambda data: data > 2)
    assert not shares.any() and sidecar["Measures"]["lesions_drawn_volume_ml"] == 0
    assert "Flags" not in sidecar


def test_lesions_beyond_the_t1w_are_flagged(tmp_path, head):
    shares, _, sidecar = run(tmp_path, head, (4.0, 4.0, 4.0), seen=slice(None, 34))
    (flag,) = sidecar["Flags"]
    assert f"{shares.sum() * SPACING**3 / 1000:.2f} mL lie in the T1w" in flag


def test_a_mask_that_is_not_on_the_grid_of_its_scan_is_refused(tmp_path, head):
    with pytest.raises(InputError, match="not that of the FLAIR"):
        run(tmp_path, head, (4.0, 4.0, 4.0), drawn=lambda data: data[1:] > 0.5)
