import numpy as np
import pytest
import shapely
from scipy.special import ellipe

from workflow_scripts.vessel_wall.centerline import frames_along
from workflow_scripts.vessel_wall.sections import boundary, measure_sections, without_detail


def circle(radius, x=0.0, points=720):
    theta = 2 * np.pi * np.arange(points) / points
    return shapely.Polygon(np.c_[x + radius * np.cos(theta), radius * np.sin(theta)])


def test_concentric_circles():
    found = measure_sections(np.array([circle(1.5)]), np.array([circle(2.5)]))
    expected = {
        "lumen_area_mm2": np.pi * 2.25,
        "outer_area_mm2": np.pi * 6.25,
        "wall_area_mm2": np.pi * 4,
        "nwi": 1 - 2.25 / 6.25,
        "wall_thickness_mean_mm": 1.0,
        "wall_thickness_min_mm": 1.0,
        "wall_thickness_max_mm": 1.0,
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=2e-4), name
    assert found["wall_eccentricity"][0] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("offset", [0.1, 0.4, 0.9])
def test_eccentric_circles(offset):
    """Shortest distance to a circle is R - |p|; the mean of |p| is an elliptic integral."""
    found = measure_sections(np.array([circle(1.5)]), np.array([circle(2.5, offset)]))
    mean = 2.5 - 2 / np.pi * (1.5 + offset) * ellipe(4 * 1.5 * offset / (1.5 + offset) ** 2)
    assert found["wall_thickness_mean_mm"][0] == pytest.approx(mean, rel=1e-3)
    assert found["wall_thickness_max_mm"][0] == pytest.approx(1 + offset, rel=1e-3)
    assert found["wall_thickness_min_mm"][0] == pytest.approx(1 - offset, abs=1e-3)
    assert found["wall_eccentricity"][0] == pytest.approx(2 * offset / (1 + offset), abs=2e-3)


def test_a_lumen_point_beyond_the_outer_wall_has_no_wall():
    found = measure_sections(np.array([circle(1.5)]), np.array([circle(2.0, 0.7)]))
    assert found["wall_thickness_min_mm"][0] == 0
    assert found["wall_eccentricity"][0] == 1


def test_area_of_a_boundary_is_the_sum_of_the_partial_volumes():
    """In a plane of voxel centres the integral of bilinear interpolation is the sum."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(21.0), np.arange(21.0), indexing="ij")
    disc = np.clip(4.2 - np.hypot(x - 10.3, y - 9.8) + rng.uniform(-0.2, 0.2, x.shape), 0, 1)
    volume = np.repeat(disc[..., None], 5, axis=2)
    affine = np.diag([0.4, 0.4, 1, 1])
    frames = frames_along(np.array([[4.0, 4, 1], [4, 4, 2], [4, 4, 3]]), 1.0)
    origin, radii = boundary(volume, affine, frames, np.zeros((3, 2)), 3.0)
    area = np.pi * (radii**2).mean(axis=1)
    np.testing.assert_allclose(area, disc.sum() * 0.16, rtol=2e-3)
    centre = frames.in_space(origin[:, None])[:, 0, :2]
    mass = np.array([(disc * x).sum(), (disc * y).sum()]) / disc.sum() * 0.4
    np.testing.assert_allclose(centre, np.broadcast_to(mass, (3, 2)), atol=5e-3)


def test_detail_is_removed_but_not_area():
    theta = 2 * np.pi * np.arange(96) / 96
    squared = (4 + 0.5 * np.cos(2 * theta) + 0.5 * np.cos(20 * theta))[None]
    smooth = without_detail(squared, np.array([3.0]))
    np.testing.assert_allclose(smooth[0], 4 + 0.5 * np.cos(2 * theta), atol=1e-9)


@pytest.mark.parametrize("bend", [6.0, 20.0])
def test_frames_of_an_arc_are_its_radii(bend):
    angle = np.linspace(0, 18 / bend, 60)
    line = np.c_[bend * np.cos(angle), bend * np.sin(angle), 0 * angle]
    frames = frames_along(line, 0.5)
    assert np.ptp(frames.position) == pytest.approx(18, abs=0.6)
    np.testing.assert_allclose(np.linalg.norm(frames.centre, axis=1), bend, atol=0.03)
    towards = np.einsum("nx,nx->n", frames.tangent, frames.centre) / bend
    assert np.abs(towards).max() < 0.02  # perpendicular to the radius
    for a, b in ((frames.u, frames.v), (frames.u, frames.tangent), (frames.v, frames.tangent)):
        np.testing.assert_allclose(np.einsum("nx,nx->n", a, b), 0, atol=1e-9)
