import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.diffusion.small_head import SHAPE, ZOOM, ZOOMS, directions, eddy, turn
from workflow_scripts.diffusion.motion import (
    displacement,
    estimate_motion,
    even_out,
    head_rotation,
    register,
    rotation_degrees,
)

PHASE_AXIS = 1
BVALS = np.array([0.0, *[1000] * 10, 0])


def rotation_between(found, true):
    return rotation_degrees(found.T @ true)


@pytest.fixture(scope="module")
def moving(head):
    """Series of a moving head with eddy currents and noise; motions, distortions."""
    rng = np.random.default_rng(5)
    rigid = [turn(rng.normal(0, 2, 3), rng.normal(0, 1.5, 3)) for _ in BVALS]
    rigid[0] = np.eye(4)
    slopes = rng.normal(0, 0.012, (len(BVALS), 3)) * (BVALS > 0)[:, None]
    eddies = [
        eddy(PHASE_AXIS, s, 1.0 * (b > 0) * sign)
        for s, b, sign in zip(slopes, BVALS, rng.choice([-1, 1], len(BVALS)), strict=True)
    ]
    vectors = np.zeros((3, len(BVALS)))
    vectors[:, BVALS > 0] = directions(10)
    series = head.series(BVALS, vectors, rigid, eddies, noise=10.0)
    return series, np.array(rigid), np.array(eddies)


@pytest.fixture(scope="module")
def estimated(moving, head):
    series, _, _ = moving
    return estimate_motion(series.data, BVALS, head.mask, ZOOMS, PHASE_AXIS)


def test_motion_and_eddy_currents_are_recovered(moving, estimated, head):
    _, rigid, eddies = moving
    points = np.argwhere(head.mask) * ZOOM
    true = eddies @ rigid

    def errors(matrices):
        distance = np.einsum("vij,pj->vpi", (matrices - true)[:, :3, :3], points)
        return np.linalg.norm(distance + (matrices - true)[:, None, :3, 3], axis=-1).mean(axis=1)

    found, undone = errors(estimated)[1:], errors(np.tile(np.eye(4), (len(true), 1, 1)))[1:]
    assert found.max() < 0.25 * ZOOM
    assert found.mean() < 0.15 * ZOOM < 1.5 < undone.mean()
    turned = [
        rotation_between(head_rotation(one, PHASE_AXIS), motion[:3, :3])
        for one, motion in zip(estimated, rigid, strict=True)
    ]
    assert np.mean(turned[1:]) < 0.4 and max(turned) < 0.7


def test_a_still_head_stays_still(head):
    bvals = np.array([0.0, *[1000] * 8])
    vectors = np.column_stack([np.zeros(3), directions(8)])
    rng = np.random.default_rng(2)
    common, own = np.array([0.02, -0.01, 0.015]), rng.normal(0, 0.01, (9, 3))
    weighted = (bvals > 0)[:, None]
    eddies = [eddy(PHASE_AXIS, s, 50 * s.sum()) for s in weighted * (common + own)]
    still = [np.eye(4)] * len(bvals)
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE[:2]), indexing="ij")
    coil = (0.5 + x**2 + y**2 + 0.3 * x)[..., None]
    data = head.series(bvals, vectors, still, eddies, noise=10.0).data * coil[..., None]
    found = estimate_motion(data, bvals, head.mask, ZOOMS, PHASE_AXIS)
    turned = [rotation_degrees(head_rotation(one, PHASE_AXIS)) for one in found[1:]]
    assert np.mean(turned) < 0.3
    wrong = found - np.array(eddies) + np.eye(4)
    assert displacement(wrong, head.mask, ZOOMS).max() < 0.25 * ZOOM
    wrong[:, PHASE_AXIS] = np.eye(4)[PHASE_AXIS]
    assert displacement(wrong, head.mask, ZOOMS).max() < 0.3


def test_first_volume_is_the_reference(estimated):
    np.testing.assert_array_equal(estimated[0], np.eye(4))


def test_same_series_gives_the_same_motion(moving, head):
    series, _, _ = moving
    two = [
        estimate_motion(series.data[..., [0, -1]], BVALS[[0, -1]], head.mask, ZOOMS, None)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*two)


def test_rigid_motion_holds_no_distortion(moving, head):
    series, rigid, _ = moving
    found = estimate_motion(series.data[..., [0, -1]], BVALS[[0, -1]], head.mask, ZOOMS, None)[1]
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-6)
    assert rotation_between(found[:3, :3], rigid[-1, :3, :3]) < 0.3


def test_register_from_a_start_stays_near_it(head):
    true = turn((2, -1, 1), (1, 1, 0))
    moved = head.seen(0, np.zeros(3), true)
    found = register(head.b0, moved, head.mask, ZOOMS, initial=turn((1.5, -1, 1), (0.8, 1, 0)))
    assert rotation_between(found[:3, :3], true[:3, :3]) < 0.2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_head_rotation_is_that_of_a_turned_and_distorted_head(axis):
    motion = turn((7, -12, 20), (3, 2, 1))
    matrix = eddy(axis, (0.04, -0.03, 0.05), 2.0) @ motion
    np.testing.assert_allclose(head_rotation(matrix, axis), motion[:3, :3], atol=1e-12)
    assert rotation_between(head_rotation(matrix, None), motion[:3, :3]) > 0.5
    np.testing.assert_allclose(head_rotation(motion, None), motion[:3, :3], atol=1e-12)


def test_displacement_closed_form():
    shift, rotated = np.eye(4), np.eye(4)
    shift[:3, 3] = 3, 4, 0
    rotated[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    mask = np.zeros((30, 1, 1), bool)
    mask[10:21] = True  # every tenth voxel counts: x = 20 and 40 mm
    found = displacement(np.stack([np.eye(4), shift, rotated]), mask, (2.0, 2.0, 2.0))
    np.testing.assert_allclose(found, [0, 5, np.sqrt(2) * 30])


@pytest.mark.parametrize("angle", [0.0, 3.0, 120.0])
def test_rotation_degrees(angle):
    matrix = Rotation.from_rotvec(np.radians(angle) * np.array([0.6, 0, 0.8])).as_matrix()
    assert rotation_degrees(matrix) == pytest.approx(angle, abs=1e-5)


def test_even_out_takes_coil_sensitivity_away(head):
    coil = np.broadcast_to(np.linspace(0.5, 1.5, SHAPE[0])[:, None, None], SHAPE)
    inner = head.inner
    flat, bent = (even_out(head.b0 * f, head.mask, ZOOMS)[inner] for f in (1.0, coil))
    assert np.abs(bent / flat - 1).mean() < 0.05 < np.abs(coil - 1)[inner].mean()
    assert flat.mean() == pytest.approx(1, abs=0.05)
