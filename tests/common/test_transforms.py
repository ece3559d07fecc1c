import ants
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from workflow_scripts.common.transforms import (
    LPS,
    PointTransform,
    linear,
    move,
    nearest_rotation,
    read_itk_matrix,
    sample,
    write_itk_matrix,
)

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-25, 25, (40, 3))


def rotation(*angles):
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


@pytest.fixture
def matrix():
    """A shear, rotation and shift, in RAS mm."""
    found = np.eye(4)
    found[:3, :3] = rotation(10, -25, 40) @ [[1.1, 0.05, 0], [0, 0.95, 0.1], [0, 0, 1.02]]
    found[:3, 3] = 4, -7, 11
    return found


@pytest.fixture
def mat(matrix, tmp_path):
    write_itk_matrix(LPS @ matrix @ LPS, tmp_path / "xfm.mat")
    return str(tmp_path / "xfm.mat")


@pytest.fixture
def warp(tmp_path):
    """A smooth displacement field of up to 5 mm on an oblique grid of 4 mm, as ANTs writes it."""
    data = ants.from_numpy(RNG.standard_normal((20, 22, 18, 3)).astype("f4"), has_components=True)
    data = np.stack(
        [ants.smooth_image(part, 3).numpy() for part in ants.split_channels(data)], axis=-1
    )
    field = ants.from_numpy(
        (5 * data / abs(data).max()).astype("f4"),
        origin=(-40.0, -42.0, -35.0),
        spacing=(4.0, 4.0, 4.0),
        direction=rotation(3, 5, -8),
        has_components=True,
    )
    path = str(tmp_path / "warp.nii.gz")
    ants.image_write(field, path)
    return path


def by_ants(points, paths):
    """Points (n, 3) in RAS mm through transforms, by ANTs, which thinks in LPS."""
    table = pd.DataFrame(points * [-1, -1, 1], columns=list("xyz"))
    moved = ants.apply_transforms_to_points(3, table, paths, whichtoinvert=[False] * len(paths))
    return moved[["x", "y", "z"]].to_numpy() * [-1, -1, 1]


def test_linear_transform_against_ants(mat, matrix):
    np.testing.assert_allclose(linear(mat), matrix, atol=1e-12)
    np.testing.assert_allclose(PointTransform([mat])(POINTS), move(matrix, POINTS), atol=1e-9)
    np.testing.assert_allclose(by_ants(POINTS, [mat]), move(matrix, POINTS), atol=1e-4)


def test_warp_and_chains_against_ants(mat, warp):
    for paths in ([warp], [warp, mat], [mat, warp]):
        found = PointTransform(paths)(0.7 * POINTS)
        np.testing.assert_allclose(found, by_ants(0.7 * POINTS, paths), atol=1e-3)
    assert np.abs(PointTransform([warp])(POINTS) - POINTS).max() > 1


def test_outside_of_the_warp_points_stay(warp):
    far = np.array([[500.0, 0, 0]])
    np.testing.assert_array_equal(PointTransform([warp])(far), far)


def test_transforms_of_a_registration_move_points_as_ants_does(tmp_path):
    data = ants.from_numpy(np.zeros((30, 30, 30), "f4"), spacing=(2.0, 2.0, 2.0))
    data[8:22, 10:20, 6:18] = 1
    data[12:16, 12:15, 9:12] = 3
    fixed = ants.smooth_image(data, 2)
    turned = ants.create_ants_transform("Euler3DTransform", parameters=(0.1, 0.05, 0, 2, 1, 0))
    moving = turned.apply_to_image(fixed)
    points = POINTS * [-0.5, -0.5, 0.5] + [-30, -30, 30]
    for kind in ("Rigid", "Affine", "SyN"):
        found = ants.registration(fixed, moving, kind, outprefix=f"{tmp_path}/{kind}")
        paths = found["fwdtransforms"]
        moved = PointTransform(paths)(points)
        np.testing.assert_allclose(moved, by_ants(points, paths), atol=2e-3)
        assert np.abs(moved - points).max() > 0.5


def test_matrix_files_against_ants(mat, matrix, tmp_path):
    read = ants.read_transform(mat)
    assert read.type == "AffineTransform"
    in_lps = LPS @ matrix @ LPS
    np.testing.assert_allclose(read.parameters[:9].reshape(3, 3), in_lps[:3, :3], atol=1e-6)
    np.testing.assert_allclose(read.parameters[9:], in_lps[:3, 3], atol=1e-5)
    np.testing.assert_allclose(read_itk_matrix(mat), in_lps, atol=1e-12)
    centred = ants.create_ants_transform(
        "AffineTransform", matrix=in_lps[:3, :3], translation=(1, 2, 3), center=(10, -20, 30)
    )
    ants.write_transform(centred, str(tmp_path / "centred.mat"))
    found = read_itk_matrix(tmp_path / "centred.mat")
    for point in ((0, 0, 0), (5, 6, -7)):
        expected = centred.apply_to_point(point)
        np.testing.assert_allclose((found @ [*point, 1])[:3], expected, atol=1e-4)


def test_same_matrix_gives_the_same_bytes(matrix, tmp_path):
    for name in ("a.mat", "b.mat"):
        write_itk_matrix(matrix, tmp_path / name)
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()


def test_jacobian_of_a_matrix_is_the_matrix(mat, matrix):
    jacobian = PointTransform([mat, mat]).jacobian(POINTS)
    expected = np.broadcast_to((matrix @ matrix)[:3, :3], (40, 3, 3))
    np.testing.assert_allclose(jacobian, expected, atol=1e-9)


def test_jacobian_of_a_warp_against_its_closed_form(tmp_path, mat, matrix):
    slope = np.array([[0.05, -0.02, 0.01], [0.03, -0.04, 0.0], [-0.01, 0.02, 0.06]])
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -60
    grid = nib.affines.apply_affine(affine, np.moveaxis(np.indices((31, 31, 31)), 0, -1))
    vectors = (grid @ slope.T * [-1, -1, 1]).astype("f4")[:, :, :, None, :]
    nib.save(nib.Nifti1Image(vectors, affine), tmp_path / "linear.nii.gz")
    chain = PointTransform([str(tmp_path / "linear.nii.gz"), mat])
    expected = matrix[:3, :3] @ (np.eye(3) + slope)
    np.testing.assert_allclose(chain.jacobian(POINTS), np.tile(expected, (40, 1, 1)), atol=1e-5)


def test_rigid_rotation_is_that_of_the_linear_steps(tmp_path, warp):
    one, two = np.eye(4), np.eye(4)
    one[:3, :3], two[:3, :3] = rotation(10, 0, 0), rotation(0, 20, 0) @ np.diag([0.9, 1.1, 1.0])
    for name, matrix in (("one", one), ("two", two)):
        write_itk_matrix(LPS @ matrix @ LPS, tmp_path / f"{name}.mat")
    paths = [str(tmp_path / "two.mat"), warp, str(tmp_path / "one.mat")]
    found = PointTransform(paths).rigid_rotation()
    expected = rotation(10, 0, 0) @ rotation(0, 20, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nearest_rotation_takes_the_stretch_away():
    turn, stretch = rotation(20, -50, 70), np.array([[1.2, 0.1, 0], [0.1, 0.8, 0.05], [0, 0.05, 1]])
    np.testing.assert_allclose(nearest_rotation(turn @ stretch), turn, atol=1e-12)
    np.testing.assert_allclose(
        nearest_rotation(np.stack([turn, stretch]))[1], np.eye(3), atol=1e-12
    )


def test_sample_is_linear_and_zero_outside():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = 1, 2, 3
    voxels = np.indices((6, 7, 8))
    data = 1.0 * voxels[0] + 10 * voxels[1] + 100 * voxels[2]
    inside = move(affine, np.array([[1.5, 2.25, 3.75], [0.0, 6.0, 7.0]]))
    np.testing.assert_allclose(sample(data, affine, inside), [399.0, 760.0])
    assert sample(data, affine, np.array([[-9.0, 0, 0]])).tolist() == [0]
