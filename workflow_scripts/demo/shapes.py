"""Closed shapes by their depth: how far inside of a border a point lies, in mm, below 0 outside."""

import numpy as np

EDGE_MM = 1.6  # borders are spread over it, about a voxel
ROUND_MM = 4.0  # radius of edges


def cover(depth_mm):
    """Coverage (0..1) at a depth inside of a border, which is spread over `EDGE_MM`."""
    return np.clip(depth_mm / EDGE_MM + 0.5, 0, 1)


def rounded(depths_mm):
    """Depth (mm) inside of all borders, whose edges are rounded."""
    beyond = np.sqrt(sum(np.maximum(ROUND_MM - depth, 0) ** 2 for depth in depths_mm))
    return np.maximum(np.minimum.reduce(depths_mm), ROUND_MM) - beyond


def to_segment(y, z, start, end):
    """Distance from the segment between two points (y, z)."""
    (y0, z0), (dy, dz) = start, np.subtract(end, start).astype("f4")
    share = np.clip(((y - y0) * dy + (z - z0) * dz) / (dy**2 + dz**2), 0, 1)
    return np.hypot(y - y0 - share * dy, z - z0 - share * dz)


def ellipsoid(points, centre, radii):
    """Distance from ``centre`` in radii, 1 on the surface."""
    parts = (
        ((p - float(c)) / float(r)) ** 2 for p, c, r in zip(points, centre, radii, strict=True)
    )
    return np.sqrt(sum(parts))
