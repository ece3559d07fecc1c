import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.heads import FLAIR
from workflow_scripts.demo.images import framed, grid_points
from workflow_scripts.demo.simulate_flair import simulate


@pytest.fixture(scope="module")
def flair(phantom, patient):
    _, truth, _, affine, field = patient
    lesion = framed((truth["lesion"] / 255).astype("f4"), affine)
    image, grid, to_t1w = simulate(phantom, [7, 2, 3], Displacement(field), lesion)
    points = grid_points(image.shape, grid)
    moved = np.tensordot(to_t1w[:3, :3], points, axes=1) + to_t1w[:3, 3].reshape(3, 1, 1, 1)
    voxels = (moved - affine[:3, 3].reshape(3, 1, 1, 1)) / 2.0
    maps = {name: map_coordinates(data / 255, voxels, order=1) for name, data in truth.items()}
    return image, grid, to_t1w, maps


def test_contrast_is_that_of_a_flair(flair):
    image, _, _, maps = flair
    csf, gm, wm = (np.median(image[maps[tissue] > 0.95]) for tissue in ("csf", "gm", "wm"))
    assert csf < 0.4 * wm < wm < gm
    lesions = maps["lesion"] > 0.9
    assert lesions.any()
    assert np.median(image[lesions]) > 1.3 * wm


def test_head_has_moved_rigidly_since_the_t1w(flair):
    _, grid, to_t1w, _ = flair
    np.testing.assert_allclose(to_t1w[:3, :3] @ to_t1w[:3, :3].T, np.eye(3), atol=1e-12)
    assert not np.allclose(to_t1w, np.eye(4), atol=1e-3)
    assert nib.affines.voxel_sizes(grid) == pytest.approx(FLAIR["voxel_mm"])
