"""Cross-sections: boundaries from partial volumes, and the measures of a section."""

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d, map_coordinates

from workflow_scripts.vessel_wall.centerline import Frames

ANGLES = 96
# A boundary has no detail finer than this many voxels; a binary mask's staircase is coarse.
FINEST_DETAIL_VOXELS = {"partial volume": 3.0, "binary": 6.0}
MEASURES = [
    "nwi",
    "lumen_area_mm2",
    "wall_area_mm2",
    "wall_thickness_mean_mm",
    "wall_thickness_max_mm",
    "wall_eccentricity",
]


def directions(angles: int = ANGLES) -> np.ndarray:
    """Unit vectors (angles, 2) of equally spaced rays in a section."""
    theta = 2 * np.pi * np.arange(angles) / angles
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1)


def sample_rays(
    volume: np.ndarray,
    affine: np.ndarray,
    frames: Frames,
    origin: np.ndarray,
    radii: np.ndarray,
    angles: int = ANGLES,
    order: int = 1,
) -> np.ndarray:
    """Values (n, angles, radii) of a volume along rays in the planes of ``frames``.

    Parameters
    ----------
    volume : (x, y, z); 0 is assumed outside of it
    affine : (4, 4), voxel to scanner mm
    origin : (n, 2), where the rays begin, in mm in the plane
    radii : distances from the origin in mm
    """
    plane = origin[:, None, None] + directions(angles)[None, :, None] * radii[None, None, :, None]
    points = frames.in_space(plane.reshape(len(origin), -1, 2))
    inverse = np.linalg.inv(affine)
    voxels = points.reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3]
    values = map_coordinates(volume, voxels.T, order=order, mode="grid-constant", prefilter=False)
    return values.reshape(len(origin), angles, len(radii))


def up_to_the_edge(fraction: np.ndarray) -> np.ndarray:
    """Fractions (n, angles, radii) without what lies beyond the structure on a ray.

    A ray ends where, once it has left the structure (0.5), it meets nothing or a
    neighbour, seen as a rise.
    """
    left = np.maximum.accumulate(fraction < 0.5, axis=2)
    rising = np.diff(fraction, axis=2, append=0) > 0.02
    ended = left & ((fraction < 0.01) | (rising & (fraction < 0.25)))
    return np.where(np.maximum.accumulate(ended, axis=2), 0, fraction)


def boundary(
    volume: np.ndarray,
    affine: np.ndarray,
    frames: Frames,
    origin: np.ndarray,
    reach_mm: float,
    angles: int = ANGLES,
    source: str = "partial volume",
) -> tuple[np.ndarray, np.ndarray]:
    """Boundary of a structure in each section, from its partial volumes.

    The squared distance of the boundary on a ray is ``2 * integral(f r dr)`` of
    the interpolated partial volume f. So the enclosed area is the integral of the
    partial volume over the plane, which a blur (the voxel, the interpolation)
    does not change, whereas a contour at the level 0.5 of a small round
    structure lies too far inside.

    Parameters
    ----------
    volume : (x, y, z), partial volumes 0..1 or a binary mask
    origin : (n, 2), a point inside the structure, in mm in the plane
    reach_mm : how far from the origin to look
    source : ``partial volume`` or ``binary``

    Returns
    -------
    origin : (n, 2), centroids of the structure in mm in the plane
    radii : (n, angles), distance of the boundary from this origin, in mm
    """
    inplane = inplane_voxel(affine, frames)
    step = inplane.min() / 4
    radii = (np.arange(int(reach_mm / step) + 1) + 0.5) * step
    rays = directions(angles)
    for final in (False, True):
        fraction = up_to_the_edge(sample_rays(volume, affine, frames, origin, radii, angles))
        area = (fraction * radii).sum(axis=(1, 2))
        if not final:
            moment = np.einsum("nar,r,ax->nx", fraction, radii**2, rays)
            origin = origin + moment / np.maximum(area, 1e-9)[:, None]
    squared = 2 * step * (fraction * radii).sum(axis=2)
    return origin, np.sqrt(without_detail(squared, FINEST_DETAIL_VOXELS[source] * inplane))


def without_detail(squared: np.ndarray, finest_mm: np.ndarray) -> np.ndarray:
    """Squared radii (n, angles) without harmonics shorter than ``finest_mm``; area kept."""
    mean = squared.mean(axis=1)
    highest = 2 * np.pi * np.sqrt(mean) / finest_mm
    highest = np.clip(highest, 2, 12).astype(int)
    spectrum = np.fft.rfft(squared, axis=1)
    spectrum[np.arange(spectrum.shape[1]) > highest[:, None]] = 0
    return np.maximum(np.fft.irfft(spectrum, squared.shape[1], axis=1), 0.01 * mean[:, None])


def smooth_along(origin: np.ndarray, radii: np.ndarray, step_mm: float, voxel_mm: float) -> tuple:
    """Boundary of a binary mask without the steps of its voxels along the vessel.

    Centroids and squared radii are averaged along the vessel with a Gaussian of
    three voxels' full width at half maximum; the mean area is kept.
    """
    sigma = 3 * voxel_mm / step_mm / np.sqrt(8 * np.log(2))
    squared = gaussian_filter1d(radii**2, sigma, axis=0, mode="reflect")
    return gaussian_filter1d(origin, sigma, axis=0, mode="reflect"), np.sqrt(squared)


def inplane_voxel(affine: np.ndarray, frames: Frames) -> np.ndarray:
    """Effective size (n,) in mm of a voxel in the section: root of its share of the plane."""
    return np.sqrt(abs(np.linalg.det(affine[:3, :3])) / through_plane(affine, frames))


def through_plane(affine: np.ndarray, frames: Frames) -> np.ndarray:
    """Extent (n,) in mm of a voxel along the vessel."""
    return np.abs(frames.tangent @ affine[:3, :3]).sum(axis=1)


def measure_sections(lumen: np.ndarray, outer: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of cross-sections from their nested boundaries.

    Parameters
    ----------
    lumen, outer : arrays of n shapely Polygons, in mm

    Returns
    -------
    Arrays (n,): lumen_area_mm2, wall_area_mm2, outer_area_mm2, nwi (wall area /
    outer-wall area), and over the points of the lumen's boundary, the shortest
    distance to the outer boundary: wall_thickness_mean_mm, _min_mm, _max_mm;
    wall_eccentricity is 1 - min/max. A lumen point outside of the outer boundary
    has the thickness 0.
    """
    lumen_area, outer_area = shapely.area(lumen), shapely.area(outer)
    points = shapely.points(resample(lumen, 128))
    thickness = shapely.distance(points, shapely.get_exterior_ring(outer)[:, None])
    thickness[~shapely.intersects(points, outer[:, None])] = 0
    low, high = thickness.min(axis=1), thickness.max(axis=1)
    return {
        "lumen_area_mm2": lumen_area,
        "wall_area_mm2": outer_area - lumen_area,
        "outer_area_mm2": outer_area,
        "nwi": 1 - lumen_area / outer_area,
        "wall_thickness_mean_mm": thickness.mean(axis=1),
        "wall_thickness_min_mm": low,
        "wall_thickness_max_mm": high,
        "wall_eccentricity": np.where(high > 0, 1 - low / np.maximum(high, 1e-9), 0),
    }


def resample(shapes: np.ndarray, points: int) -> np.ndarray:
    """Points (n, points, 2) at equal distances along the boundaries of n polygons."""
    rims = shapely.get_exterior_ring(shapes)[:, None]
    share = np.arange(points) / points
    found = shapely.line_interpolate_point(rims, share, normalized=True)
    return shapely.get_coordinates(found).reshape(len(shapes), points, 2)
