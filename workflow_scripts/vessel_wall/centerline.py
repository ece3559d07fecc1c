"""Centre lines: smooth curves with a perpendicular frame at every point."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_lsq_spline
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.graph import MCP_Geometric

KNOT_SPACING_MM = 5.0


@dataclass
class Frames:
    """Points on a centre line and the planes perpendicular to it.

    ``position`` (n,) is the arc length in mm, 0 at the line's start, negative on
    its extension; ``centre``, ``tangent``, ``u`` and ``v`` are (n, 3) in scanner
    mm: u and v are unit vectors that span the plane and turn as little as
    possible from one point to the next.
    """

    position: np.ndarray
    centre: np.ndarray
    tangent: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def __getitem__(self, index) -> "Frames":
        fields = (self.position, self.centre, self.tangent, self.u, self.v)
        return Frames(*(field[index] for field in fields))

    def in_plane(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (n, k, 2) in mm of ``points`` (n, k, 3), projected along the tangent."""
        offset = points - self.centre[:, None]
        axes = np.stack([self.u, self.v], axis=1)
        return offset @ axes.transpose(0, 2, 1)

    def in_space(self, plane: np.ndarray) -> np.ndarray:
        """Scanner mm (n, k, 3) of coordinates (n, k, 2) in the planes."""
        axes = np.stack([self.u, self.v], axis=1)
        return self.centre[:, None] + plane @ axes


def fit_line(points: np.ndarray):
    """Least-squares cubic spline with a knot every 5 mm through ordered points (n, 3).

    The knots' distance, not a smoothing parameter, sets how smooth it is: bends
    of the carotid siphon are kept, the steps of voxels are not. With fewer than
    four points the degree is lower.

    Returns
    -------
    spline : BSpline from the chord length in mm to (3,) mm
    length : its last parameter
    """
    chord = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    degree = min(3, len(points) - 1)
    pieces = max(1, min(round(chord[-1] / KNOT_SPACING_MM), (len(points) - degree) // 2))
    inner = np.linspace(0, chord[-1], pieces + 1)[1:-1]
    knots = np.r_[[0.0] * (degree + 1), inner, [chord[-1]] * (degree + 1)]
    return make_lsq_spline(chord, points, knots, k=degree), chord[-1]


def frames_along(points: np.ndarray, step_mm: float, extend_mm: float = 0.0) -> Frames:
    """Frames every ``step_mm`` along the smooth line through ordered points (n, 3).

    The line goes on straight for ``extend_mm`` beyond both ends; where it does not,
    the step is adjusted so that the first and the last frame are at its ends.
    """
    spline, length = fit_line(points)
    dense = np.linspace(0, length, max(int(length / 0.05), 20))
    curve = spline(dense)
    arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    if extend_mm == 0:
        step_mm = arc[-1] / max(round(arc[-1] / step_mm), 1)
    count = int(arc[-1] / step_mm + 1e-6)
    margin = (arc[-1] - count * step_mm) / 2
    extra = int(extend_mm / step_mm)
    position = margin + step_mm * np.arange(-extra, count + extra + 1)
    inside = np.clip(position, 0, arc[-1])
    parameter = np.interp(inside, arc, dense)
    tangent = spline(parameter, 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    centre = spline(parameter) + (position - inside)[:, None] * tangent
    return Frames(position, centre, tangent, *perpendicular_axes(tangent))


def perpendicular_axes(tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors u and v, (n, 3), perpendicular to the tangents, turning little."""
    u = np.empty_like(tangent)
    previous = np.eye(3)[np.argmin(np.abs(tangent[0]))]
    for index, direction in enumerate(tangent):
        previous = previous - (previous @ direction) * direction
        previous /= np.linalg.norm(previous)
        u[index] = previous
    return u, np.cross(tangent, u)


def trace_lumen(lumen: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, float]:
    """Ordered path through the middle of a lumen, from end to end.

    The ends are the two voxels that are farthest apart inside the lumen; between
    them runs the path of least cost, where the cost of a voxel falls with the
    square of its distance from the wall.

    Parameters
    ----------
    lumen : bool, (x, y, z), one connected piece
    affine : (4, 4), voxel to scanner mm

    Returns
    -------
    path : (n, 3) in mm, without the last radius at both ends
    radius : largest distance of a lumen voxel from the wall, in mm
    """
    box = find_objects(lumen.astype(np.uint8))[0]
    inside = np.pad(lumen[box], 1)
    corner = np.array([part.start for part in box]) - 1
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    depth = distance_transform_edt(inside, sampling=zooms)

    def farthest(start):
        found, _ = MCP_Geometric(np.where(inside, 1.0, -1), sampling=tuple(zooms)).find_costs(
            [start]
        )
        found = np.where(np.isfinite(found), found, -1)
        return np.unravel_index(found.argmax(), found.shape)

    first = farthest(np.unravel_index(depth.argmax(), depth.shape))
    last = farthest(first)
    medial = np.where(inside, (depth.max() / np.where(inside, depth, 1)) ** 2, -1)
    router = MCP_Geometric(medial, sampling=tuple(zooms))
    router.find_costs([first], [last])
    path = (np.array(router.traceback(last)) + corner) @ affine[:3, :3].T + affine[:3, 3]
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    radius = float(depth.max())
    kept = (along >= radius) & (along <= along[-1] - radius)
    return path[kept], radius
