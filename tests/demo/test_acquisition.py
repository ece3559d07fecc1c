import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.acquisition import (
    READOUT_S,
    displacement_mm,
    eddy_coefficients,
    fsl_bvecs,
    gradient_table,
    head_motion,
    off_resonance_hz,
    origin_along_y,
    turn_about,
    undistorted,
)
from workflow_scripts.demo.images import grid_points

AFFINE = np.diag([2.5, 2.5, 2.5, 1.0])
STILL = np.zeros(4)


def seen(image, displacement=None, eddy=STILL):
    """What a distorted volume shows of ``image`` (x, y, z)."""
    displacement = np.zeros(image.shape) if displacement is None else displacement
    origin = origin_along_y(displacement, 2.5)
    grid = grid_points(image.shape, AFFINE)
    points, jacobian = undistorted(grid, origin, eddy, np.zeros(3), 2.5)
    return jacobian * map_coordinates(image, points / 2.5, order=1)


@pytest.fixture
def blob():
    """A smooth spot in the middle of a long image; y of its centre is 75 mm."""
    y = 2.5 * np.arange(61)
    return np.broadcast_to(np.exp(-((y - 75) ** 2) / (2 * 12**2))[None, :, None], (5, 61, 5))


def centre_of(image):
    return np.average(2.5 * np.arange(image.shape[1]), weights=image[2, :, 2])


def test_directions_are_unit_spread_evenly_and_the_same_each_time():
    bvals, directions = gradient_table()
    assert list(np.flatnonzero(bvals == 0)) == [0, 9]
    assert not directions[[0, 9]].any()
    shell = directions[bvals == 1000]
    assert len(shell) == 16
    np.testing.assert_allclose(np.linalg.norm(shell, axis=1), 1)
    angles = np.degrees(np.arccos(np.clip(np.abs(shell @ shell.T), 0, 1)))
    assert angles[~np.eye(16, dtype=bool)].min() > 35
    np.testing.assert_allclose(shell.T @ shell, np.eye(3) * 16 / 3, atol=0.4)
    np.testing.assert_array_equal(gradient_table()[1], directions)


def test_bvecs_are_along_the_image_axes_with_x_flipped_for_a_positive_determinant():
    direction = np.array([[0.6, 0.0, 0.8]])
    ras, las = AFFINE, np.diag([-2.5, 2.5, 2.5, 1.0])
    np.testing.assert_allclose(fsl_bvecs(direction, ras)[:, 0], [-0.6, 0, 0.8])
    np.testing.assert_allclose(fsl_bvecs(direction, las)[:, 0], [-0.6, 0, 0.8])
    oblique = AFFINE.copy()
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    oblique[:3, :3] = turn @ oblique[:3, :3]
    np.testing.assert_allclose(fsl_bvecs(direction, oblique)[:, 0], [0, -0.6, 0.8], atol=1e-12)


def test_turning_leaves_the_point_and_moves_by_the_right_hand():
    matrix = turn_about(np.array([1.0, 2.0, 3.0]), 90, (0, 0, 2))
    np.testing.assert_allclose(matrix @ [1, 2, 3, 1], [1, 2, 3, 1], atol=1e-12)
    np.testing.assert_allclose(matrix @ [2, 2, 3, 1], [1, 3, 3, 1], atol=1e-12)


def test_head_motion_is_rigid_small_and_starts_at_rest(rng):
    moves = head_motion(rng, 400, (5.0, 0.0, 0.0))
    np.testing.assert_array_equal(moves[0], np.eye(4))
    rotations = moves[1:, :3, :3]
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), [np.eye(3)] * 399, atol=1e-12)
    angles = Rotation.from_matrix(rotations).as_euler("xyz", degrees=True)
    np.testing.assert_allclose(angles.std(axis=0), 0.5, rtol=0.15)
    centre = moves[1:] @ [5, 0, 0, 1]
    np.testing.assert_allclose((centre[:, :3] - [5, 0, 0]).std(axis=0), 0.4, rtol=0.15)


def test_eddy_currents_follow_the_gradient(rng):
    bvals, directions = gradient_table()
    state = rng.bit_generator.state
    coefficients = eddy_coefficients(rng, directions)
    rng.bit_generator.state = state
    np.testing.assert_allclose(eddy_coefficients(rng, -2 * directions), -2 * coefficients)
    assert not coefficients[bvals == 0].any()


def test_eddy_current_shears_scales_and_shifts_along_y(blob):
    shift = np.array([0.0, 0.0, 0.0, 5.0])
    assert centre_of(seen(blob, eddy=shift)) == pytest.approx(80, abs=0.05)
    scale = np.array([0.0, 0.05, 0.0, 0.0])
    assert centre_of(seen(blob, eddy=scale)) == pytest.approx(75 * 1.05, abs=0.1)
    shear = seen(blob, eddy=np.array([0.5, 0.0, 0.0, 0.0]))
    for column in (0, 4):
        centre = np.average(2.5 * np.arange(61), weights=shear[column, :, 0])
        assert centre == pytest.approx(75 + 0.5 * 2.5 * column, abs=0.05)


def test_off_resonance_moves_both_polarities_apart_by_hz_times_readout(blob):
    hertz = np.full(blob.shape, 30.0)
    expected = 30.0 * READOUT_S * 2.5
    up, down = (seen(blob, displacement_mm(hertz, way, 2.5)) for way in ("j", "j-"))
    assert centre_of(up) == pytest.approx(75 + expected, abs=0.05)
    assert centre_of(down) == pytest.approx(75 - expected, abs=0.05)


def test_displacement_is_inverted(blob):
    """y -> 1.1 y - 7.5 is inverted by y -> (y + 7.5) / 1.1."""
    y = np.broadcast_to(2.5 * np.arange(61)[None, :, None], blob.shape)
    origin = origin_along_y(0.1 * y - 7.5, 2.5)
    inner = np.s_[:, 5:50]
    np.testing.assert_allclose(origin[inner], ((y + 7.5) / 1.1 - y)[inner], atol=1e-9)


def test_signal_is_concentrated_and_not_lost(blob, rng):
    bump = 4 * np.exp(-((2.5 * np.arange(61) - 65) ** 2) / (2 * 18**2))
    displacement = np.broadcast_to(bump[None, :, None], blob.shape)
    for sign in (1, -1):
        image = seen(blob, sign * displacement, np.array([0.0, 0.03, 0.0, 1.0]))
        assert image[2, :, 2].sum() == pytest.approx(blob[2, :, 2].sum(), rel=0.01)
    assert np.abs(seen(blob, displacement) - blob).max() > 0.05


def test_off_resonance_peaks_at_the_frontal_sinus_with_five_millimetres(rng):
    grid = np.stack(np.meshgrid([0.0], np.arange(-100, 80, 2.0), [-12.0], indexing="ij"))
    field = off_resonance_hz(rng, grid)[0, :, 0]
    assert grid[1, 0, np.argmax(field), 0] == pytest.approx(62, abs=6)
    peak = displacement_mm(field.max(), "j", 2.5)
    assert 3 < peak < 6
    assert np.abs(displacement_mm(field, "j", 2.5)[:30]).max() < 2
