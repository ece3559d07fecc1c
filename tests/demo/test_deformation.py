import ants
import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.demo.build_phantom import push_of
from workflow_scripts.demo.deformation import (
    SPACING_MM,
    Displacement,
    coarse_grid,
    jacobian_determinant,
    pushed,
    rigid,
    save_displacement,
    smooth_displacement,
)
from workflow_scripts.demo.heads import plan_head
from workflow_scripts.demo.images import (
    Phantom,
    grid_points,
    quantised,
    save_fractions,
    save_image,
)
from workflow_scripts.demo.simulate_t1w import simulate


@pytest.fixture
def ball():
    """Phantom of which nothing but the push of a ball of 12 mm in one of 30 is used."""
    grid = np.indices((71, 71, 71)) - 35
    distance = np.sqrt((grid**2).sum(axis=0))
    affine = nib.affines.from_matvec(np.eye(3), [-35, -35, -35])
    push = quantised(push_of(distance <= 12, distance <= 30))
    return Phantom({"push_ventricles": push}, affine)


def test_jacobian_of_a_linear_map_is_its_determinant():
    points = grid_points((6, 7, 8), np.diag([SPACING_MM] * 3 + [1.0]))
    matrix = np.array([[1.1, 0.2, 0], [0, 0.9, 0.1], [0.3, 0, 1.2]])
    displacement = np.einsum("ij,j...->i...", matrix - np.eye(3), points)
    determinant = jacobian_determinant(displacement)
    np.testing.assert_allclose(determinant, np.linalg.det(matrix), rtol=1e-5)


def test_rigid_is_a_rotation_and_a_shift(rng):
    matrix = rigid(rng, 5, 3)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_smooth_displacement_has_the_amplitude_asked_for(rng):
    field = smooth_displacement(rng, (40, 40, 40), 12.0, 1.5)
    assert field.std() == pytest.approx(1.5, rel=1e-4)
    assert np.abs(np.diff(field, axis=1)).max() < 1.5


def test_coarse_grid_covers_the_image():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    shape, coarse = coarse_grid((96, 112, 96), affine)
    last = (coarse @ [*(np.array(shape) - 1), 1])[:3]
    assert (last >= np.array([190, 222, 190])).all()
    assert np.diag(coarse)[0] == SPACING_MM


def test_a_stored_shift_moves_points_in_ras(tmp_path):
    shift = np.array([3.0, -2.0, 1.0], dtype="f4")
    field = np.broadcast_to(shift.reshape(3, 1, 1, 1), (3, 4, 4, 4))
    save_displacement(field, np.diag([4.0, 4.0, 4.0, 1.0]), tmp_path / "xfm.nii.gz")
    points = np.full((3, 2, 2, 2), 5.0, dtype="f4")
    moved = Displacement(tmp_path / "xfm.nii.gz")(points)
    np.testing.assert_allclose(moved[:, 0, 0, 0], 5 + shift, atol=1e-5)


def test_deformations_of_heads_do_not_fold(phantom, tmp_path):
    """Of images of 8 mm, whose field is as fine as that of others."""
    scan = {"shape": (25, 29, 25), "voxel_mm": (8, 8, 8)}
    for number in range(4):
        seed, path = [1, 2, number], tmp_path / "field.nii.gz"
        simulate(phantom, seed, plan_head(seed, 40, "F", 1.0), path, scan=scan)
        assert jacobian_determinant(Displacement(path).vectors).min() > 0


def test_pushed_walls_are_where_the_flow_takes_them(ball):
    """Of a ball of 12 mm in one of 30: outside, dx/dt = a u^2 with u = (30 - x) / 18; inside, a."""
    along = np.zeros((3, 30))
    along[0] = np.arange(30)
    for amplitude, end in ((4.0, 30 - 18 / (1 + 4 / 18)), (-3.0, 9.0)):
        ends = pushed(ball, along, "push_ventricles", amplitude)[0]
        assert (np.diff(ends) > 0).all()
        assert np.interp(12.0, ends, along[0]) == pytest.approx(end, abs=0.7)
        assert ends[-1] == pytest.approx(29, abs=0.5)


def test_itk_reads_the_field_as_it_was_used(patient, phantom, tmp_path):
    t1w, truth, _, affine, field = patient
    save_image(t1w, affine, tmp_path / "t1w.nii.gz")
    white = phantom.channels["wm"][::2, ::2, ::2]
    half = phantom.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    save_fractions(white / 255, half, tmp_path / "wm.nii.gz")
    warped = ants.apply_transforms(
        ants.image_read(str(tmp_path / "t1w.nii.gz")),
        ants.image_read(str(tmp_path / "wm.nii.gz")),
        [str(field)],
    )
    judged = nib.load(tmp_path / "t1w.nii.gz").shape
    assert warped.shape == judged
    assert np.corrcoef(warped.numpy().ravel(), truth["wm"].ravel())[0, 1] > 0.97
