import numpy as np
import pytest

from workflow_scripts.demo.pelvic_signs import visible
from workflow_scripts.demo.shapes import (
    EDGE_MM,
    ROUND_MM,
    cover,
    ellipsoid,
    rounded,
    to_segment,
)


def test_a_border_is_half_covered_and_spread_evenly():
    depth = np.array([-EDGE_MM, -EDGE_MM / 4, 0.0, EDGE_MM / 4, EDGE_MM])
    np.testing.assert_allclose(cover(depth), [0, 0.25, 0.5, 0.75, 1])


def test_rounded_edge_is_an_arc_that_meets_both_borders():
    """Of two borders at a right angle: on the arc the depth is 0, away from the edge their own."""
    angle = np.linspace(0, np.pi / 2, 7)
    arc = [ROUND_MM * (1 - np.cos(angle)), ROUND_MM * (1 - np.sin(angle))]
    np.testing.assert_allclose(rounded(arc), 0, atol=1e-12)
    assert rounded([np.array([1.0]), np.array([9.0])]) == pytest.approx(1.0)
    assert rounded([np.array([-2.0]), np.array([9.0])]) == pytest.approx(-2.0)


def test_distances():
    y, z = np.array([0.0, 3.0, 5.0]), np.array([2.0, 0.0, 0.0])
    np.testing.assert_allclose(to_segment(y, z, (0.0, 0.0), (3.0, 0.0)), [2, 0, 2])
    points = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(ellipsoid(points, (0, 0, 0), (2, 1, 1)), [1, 3])


def test_what_is_seen_of_signs_does_not_overlap():
    signs = {
        "fat": np.array([1.0, 0.5]),
        "oedema": np.array([0.5, 0.0]),
        "erosion": np.array([0.5]),
    }
    seen = visible(signs)
    np.testing.assert_allclose(seen["erosion"], 0.5)
    np.testing.assert_allclose(seen["oedema"], [0.25, 0])
    np.testing.assert_allclose(seen["fat"], [0.25, 0.25])
