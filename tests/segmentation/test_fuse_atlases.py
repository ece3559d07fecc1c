"""Label fusion on made-up heads, each with a deformation that the transforms do not know."""

import ants
import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from workflow_scripts.common.images import dice
from workflow_scripts.segmentation.fuse_atlases import Atlas, fuse, most_alike, onto
from workflow_scripts.segmentation.sides import likeliest

SHAPE, VOXEL = (56, 60, 52), 2.0
SHIFTS = [(0, 0, 0), (6, -4, 8), (-8, 2, 4), (4, 10, -6), (-2, -8, -4)]


def template_points() -> np.ndarray:
    """MNI coordinates (3, x, y, z) of a head's grid before it is moved."""
    centre = np.array([0.0, -18, 8])
    middle = (np.array(SHAPE) - 1) / 2
    return (np.indices(SHAPE).T - middle).T * VOXEL + centre[:, None, None, None]


def anatomy(points):
    """Intensity and label at points: two brighter ellipsoids in a fixed texture."""
    x, y, z = points
    inside = [
        ((x - s * 13) / 9) ** 2 + ((y + 18) / 14) ** 2 + ((z - 8) / 9) ** 2 < 1 for s in (-1, 1)
    ]
    texture = 8 * np.sin(x / 7) * np.cos(y / 9) + 8 * np.cos(z / 6 + x / 11)
    sides = 1 * inside[0] + 2 * inside[1]
    ventricle = (np.abs(x) < 3) & (np.abs(y + 18) < 20) & (np.abs(z - 8) < 14)
    return 100 + texture + 35 * (sides > 0) - 60 * ventricle, sides


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Five heads, moved by known shifts and deformed by up to 5 mm: `Atlas` each."""
    folder, made = tmp_path_factory.mktemp("heads"), []
    for number, shift in enumerate(SHIFTS):
        rng = np.random.default_rng(number)
        field = np.stack([gaussian_filter(rng.standard_normal(SHAPE), 5) for _ in range(3)])
        field *= 4 / np.abs(field).max()
        points = template_points()
        index = np.indices(SHAPE) + field / VOXEL
        warped = np.stack(
            [map_coordinates(axis, index, order=1, mode="nearest") for axis in points]
        )
        image, sides = anatomy(warped)
        affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
        affine[:3, 3] = points[:, 0, 0, 0] + shift
        stem = f"{folder}/{number}"
        image = gaussian_filter(image, 0.5) + rng.normal(0, 2, SHAPE)
        nib.save(nib.Nifti1Image(image.astype(np.float32), affine), f"{stem}_t1w.nii.gz")
        nib.save(nib.Nifti1Image(sides.astype(np.uint8), affine), f"{stem}_sides.nii.gz")
        straight = anatomy(points)[0] + rng.normal(0, 10 + 10 * number, SHAPE)
        nib.save(nib.Nifti1Image(straight.astype(np.float32), affine), f"{stem}_mni.nii.gz")
        transform = ants.create_ants_transform(
            transform_type="AffineTransform",
            matrix=np.eye(3),
            translation=[-shift[0], -shift[1], shift[2]],
        )
        ants.write_transform(transform, f"{stem}.mat")
        names = (f"{stem}_{kind}.nii.gz" for kind in ("t1w", "sides", "mni"))
        made.append(Atlas(*names, [f"{stem}.mat"]))
    return made


def test_atlases_come_through_the_template(heads):
    """Without deformations known to the transforms they overlap by what is left of them."""
    fixed = ants.image_read(heads[1].t1w)
    truth = np.asanyarray(nib.load(heads[1].sides).dataobj)
    _, sides = onto(fixed, heads[1].transforms, heads[2])
    assert 0.6 < dice(sides.numpy() > 0, truth > 0) < 0.95
    _, own = onto(fixed, heads[1].transforms, heads[1])
    np.testing.assert_array_equal(own.numpy(), truth)


def test_fused_labels_are_the_subjects_own(heads):
    subject, atlases = heads[1], [head for number, head in enumerate(heads) if number != 1]
    fixed = ants.image_read(subject.t1w)
    truth = np.asanyarray(nib.load(subject.sides).dataobj)
    found = likeliest(fuse(fixed, subject.transforms, atlases))
    voted = sum(onto(fixed, subject.transforms, one)[1].numpy() > 0 for one in atlases) > 2
    before, after = (dice(mask, truth > 0) for mask in (voted, found > 0))
    assert after > max(0.93, before + 0.03)
    for side in (1, 2):
        assert dice(found == side, truth == side) > 0.92
        other = truth == 3 - side
        assert not (found[other] == side).any()


def test_the_most_alike_are_taken(heads):
    """Their noise grows with their number."""
    chosen = most_alike(heads[0].normalized, heads[1:], 3)
    assert chosen == heads[1:4]
    assert most_alike(heads[0].normalized, heads[1:], 9) == heads[1:]
