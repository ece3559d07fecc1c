"""Labels of other programs on the T1w's grid: files written as these programs write them.

The truth is a pair of ellipsoids in scanner space, of other sizes left and right.
"""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, ornt_transform

from workflow_scripts.common.engines import Labels, labels_of
from workflow_scripts.segmentation.bring_back import as_many_voxels, bring_back

# Centre and radii in mm, RAS: of left and right.
TRUTH = [((-12.3, -17.2, 8.1), (8.5, 14.0, 9.5)), ((11.6, -18.0, 7.4), (9.5, 15.0, 10.0))]
NUMBERS = labels_of("freesurfer", "thalamus")
STRAIGHT = np.eye(3)
ROTATION = nib.eulerangles.euler2mat(0.15, -0.1, 0.2)


def inside(affine, shape) -> list[np.ndarray]:
    """Where the centres of the voxels of a grid lie in the left and in the right ellipsoid."""
    at = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return [(((at - centre) / radii) ** 2).sum(-1) < 1 for centre, radii in TRUTH]


def volumes() -> list[float]:
    return [4 / 3 * np.pi * np.prod(radii) for _, radii in TRUTH]


def labels(affine, shape, numbers=NUMBERS) -> np.ndarray:
    left, right = inside(affine, shape)
    return (numbers.left * left + numbers.right * right).astype(np.int32)


def centred(zooms, shape, rotation=STRAIGHT, centre=(1.3, -15.2, 4.7)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(zooms)
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def conformed_mgz(path):
    """256 cube of 1 mm, axes to left, down and front, 32-bit integers, as recon-all writes it."""
    affine = np.array([[-1.0, 0, 0, 129.3], [0, 0, 1, -143.2], [0, -1, 0, 132.7], [0, 0, 0, 1]])
    nib.save(nib.MGHImage(labels(affine, (256, 256, 256)), affine), path)
    assert nib.aff2axcodes(nib.load(path).affine) == ("L", "I", "A")
    return nib.load(path)


def one_mm_lpi(path):
    affine = centred((1, 1, 1), (150, 170, 140))
    image = nib.Nifti1Image(labels(affine, (150, 170, 140)), affine)
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("LPI"))
    nib.save(image.as_reoriented(turn), path)
    return nib.load(path)


def head(zooms, codes="RAS", rotation=STRAIGHT, fov=(170, 200, 160)) -> nib.Nifti1Image:
    shape = tuple(round(f / z) for f, z in zip(fov, zooms, strict=True))
    image = nib.Nifti1Image(np.zeros(shape, np.uint8), centred(zooms, shape, rotation))
    return image.as_reoriented(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)))


HEADS = {
    "half a voxel away": head((1, 1, 1)),
    "PSR": head((0.94, 1.2, 0.94), "PSR"),
    "oblique": head((1, 1, 1), rotation=ROTATION),
    "oblique, PSR, thick slices": head((1, 1, 3), "PSR", ROTATION),
    "2 mm": head((2, 2, 2), "LAS"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("write", "ending"), [(conformed_mgz, "mgz"), (one_mm_lpi, "nii.gz")])
def test_volumes_and_sides_are_kept(name, write, ending, tmp_path):
    like = HEADS[name]
    shares = bring_back(write(tmp_path / f"labels.{ending}"), NUMBERS, like)
    voxel = abs(np.linalg.det(like.affine[:3, :3]))
    for side, (true, volume) in enumerate(
        zip(inside(like.affine, like.shape), volumes(), strict=True)
    ):
        found = as_many_voxels(shares[side])
        assert found.sum() * voxel == pytest.approx(volume, rel=0.02)
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.94
        x = apply_affine(like.affine, np.argwhere(found))[:, 0]
        assert (x < 0).all() if side == 0 else (x > 0).all()


def test_on_the_same_grid_nothing_changes():
    like = head((1.5, 1.5, 1.5), "PIR", ROTATION)
    data = labels(like.affine, like.shape)
    shares = bring_back(nib.Nifti1Image(data, like.affine), NUMBERS, like)
    for number, share in zip(NUMBERS, shares, strict=True):
        np.testing.assert_array_equal(as_many_voxels(share), data == number)


def test_what_a_scan_does_not_reach_is_lost():
    like = head((1, 1, 1), fov=(170, 200, 160)).slicer[:, :, 84:]
    affine = centred((1, 1, 1), (150, 170, 140))
    image = nib.Nifti1Image(labels(affine, (150, 170, 140)), affine)
    shares = bring_back(image, NUMBERS, like)
    cut = sum(where.sum() for where in inside(like.affine, like.shape))
    assert 0 < cut < 0.7 * sum(volumes())
    assert as_many_voxels(shares.sum(0)).sum() == pytest.approx(cut, rel=0.05)
    far = nib.Nifti1Image(image.dataobj, affine + np.array([[0, 0, 0, 400.0]] + 3 * [[0] * 4]))
    assert not bring_back(far, NUMBERS, like).any()
    assert not bring_back(image, Labels(3, 4), like).any()
