"""FSL itself is not needed here: the conversions have closed forms, and nipype shows the
commands that it would run."""

import ants
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.anatomical.fsl import (
    field_to_itk,
    flirt_to_itk,
    require,
    voxel_to_fsl,
    write_itk_affine,
)
from workflow_scripts.common.job import InputError

POINTS = pd.DataFrame([[0.0, 0, 0], [10, 5, -8], [-12, 9, 4]], columns=list("xyz"))


def image(shape, zooms, flip, origin=(0, 0, 0)):
    affine = np.diag([(-1 if flip else 1) * zooms[0], *zooms[1:], 1])
    affine[:3, 3] = origin
    return nib.Nifti1Image(np.zeros(shape, np.float32), affine)


@pytest.fixture(params=[False, True], ids=["neurological", "radiological"])
def pair(request):
    source = image((30, 32, 28), (1.5, 1, 2), request.param, (-20, -15, -25))
    reference = image((24, 26, 22), (2, 2, 2), False, (-24, -26, -22))
    return source, reference


def test_fsl_coordinates_run_from_the_right_whatever_the_storage():
    """FSL counts x in mm from the subject's right end in both storage orders."""
    np.testing.assert_allclose(
        voxel_to_fsl(image((10, 5, 5), (2, 3, 4), False)) @ [0, 1, 1, 1], [18, 3, 4, 1]
    )
    np.testing.assert_allclose(
        voxel_to_fsl(image((10, 5, 5), (2, 3, 4), True)) @ [0, 1, 1, 1], [0, 3, 4, 1]
    )


def world_transform():
    """Source to reference in RAS mm."""
    angle = np.deg2rad(12)
    world = np.eye(4)
    world[:3, :3] = np.diag([1.1, 0.9, 1.05]) @ [
        [np.cos(angle), -np.sin(angle), 0],
        [np.sin(angle), np.cos(angle), 0],
        [0, 0, 1],
    ]
    world[:3, 3] = [4, -3, 6]
    return world


def flirt_matrix(world, source, reference):
    """What FLIRT would print for a transform in world space."""
    to_reference = voxel_to_fsl(reference) @ np.linalg.inv(reference.affine)
    return to_reference @ world @ source.affine @ np.linalg.inv(voxel_to_fsl(source))


def expected(world):
    """Reference points in LPS, as ITK has them, mapped to the source."""
    lps = np.diag([-1, -1, 1, 1])
    points = np.c_[POINTS.to_numpy(), np.ones(len(POINTS))]
    return (points @ (lps @ np.linalg.inv(world) @ lps).T)[:, :3]


def mapped(file):
    return ants.apply_transforms_to_points(3, POINTS, [file]).to_numpy()


def test_flirt_matrix_becomes_the_same_transform_in_itk(pair, tmp_path):
    world = world_transform()
    matrix = flirt_to_itk(flirt_matrix(world, *pair), *pair)
    file = write_itk_affine(matrix, tmp_path / "a.mat")
    np.testing.assert_allclose(mapped(file), expected(world), atol=1e-4)


def test_translation_to_the_left_is_positive_x_in_fsl(pair):
    """A shift of 5 mm to the subject's left: world x - 5, FSL x + 5, ITK's inverse - 5."""
    source, _ = pair
    world = np.eye(4)
    world[0, 3] = -5
    matrix = flirt_matrix(world, source, source)
    np.testing.assert_allclose(matrix[:3, 3], [5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(flirt_to_itk(matrix, source, source)[:3, 3], [-5, 0, 0], atol=1e-9)


def test_warp_field_becomes_the_same_transform_in_itk(pair, tmp_path):
    world = world_transform()
    source, reference = pair
    inverse = np.linalg.inv(flirt_matrix(world, source, reference))
    voxels = np.moveaxis(np.indices(reference.shape), 0, -1)
    points = np.concatenate([voxels, np.ones((*reference.shape, 1))], axis=-1)
    in_fsl = points @ voxel_to_fsl(reference).T
    field = (in_fsl @ inverse.T - in_fsl)[..., :3]
    path = tmp_path / "warp.nii.gz"
    nib.save(field_to_itk(field, source, reference), path)
    np.testing.assert_allclose(mapped(str(path)), expected(world), atol=0.01)


def test_missing_programs_are_named():
    with pytest.raises(InputError, match="no_such_fsl_tool not found on the PATH"):
        require("no_such_fsl_tool")


def test_nipype_builds_the_documented_commands(tmp_path):
    from nipype.interfaces import fsl

    brain = str(tmp_path / "brain.nii.gz")
    nib.save(image((4, 4, 4), (1, 1, 1), False), brain)
    flirt = fsl.FLIRT(in_file=brain, reference=brain, dof=12, cost="corratio")
    assert "-dof 12" in flirt.cmdline
    fast = fsl.FAST(in_files=brain, img_type=1, number_classes=3)
    assert fast.cmdline.startswith("fast -n 3") or "-t 1" in fast.cmdline
