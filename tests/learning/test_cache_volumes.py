import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.cache_volumes import (
    box_affine,
    brain_box,
    brain_volume,
    cut,
    write_volumes,
)

AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -50], [0, 0, 2, -30], [0, 0, 0, 1]])


@pytest.fixture
def mask():
    mask = np.zeros((30, 40, 26), bool)
    mask[3:25, 5:38, 0:20] = True
    return mask


@pytest.mark.parametrize("downsample", [1, 2])
def test_box_holds_the_brain(mask, downsample):
    box = brain_box(mask, downsample)
    small = cut(mask.astype(float), box, downsample)
    assert all(size % 8 == 0 for size in small.shape)
    assert small.sum() * downsample**3 == pytest.approx(mask.sum())


@pytest.mark.parametrize("downsample", [1, 2])
def test_affine_of_the_box_keeps_positions(mask, downsample):
    x = np.indices(mask.shape)[0] * AFFINE[0, 0] + AFFINE[0, 3]
    box = brain_box(mask, downsample)
    small, affine = cut(x, box, downsample), box_affine(AFFINE, box, downsample)
    i, j, k = np.array(small.shape) // 2
    assert small[i, j, k] == pytest.approx((affine @ [i, j, k, 1])[0])


def test_volumes_have_mean_1_in_the_brain(tmp_path, mask):
    rng = np.random.default_rng(0)
    brains = []
    for number in range(3):
        data = np.where(mask, rng.uniform(50, 150, mask.shape), 7).astype(np.float32)
        brains.append(tmp_path / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(data * (number + 1), AFFINE), brains[-1])
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    small = write_volumes(brains, tmp_path / "mask.nii.gz", 1, tmp_path / "volumes.npy")
    volumes = np.load(tmp_path / "volumes.npy", mmap_mode="r")
    assert volumes.dtype == np.float16 and volumes.shape == (3, *small.shape)
    inside = np.asanyarray(small.dataobj) > 0
    assert inside.sum() == mask.sum()
    for volume in volumes:
        assert volume[inside].astype(float).mean() == pytest.approx(1, abs=1e-3)
        assert not volume[~inside].any()


def test_empty_brain_is_named(tmp_path, mask):
    nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.float32), AFFINE), tmp_path / "e.nii.gz")
    with pytest.raises(InputError, match="e.nii.gz"):
        brain_volume(tmp_path / "e.nii.gz", mask, brain_box(mask, 1), 1)
