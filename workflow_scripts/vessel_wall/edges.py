"""Lumen and outer wall in polar sections of a vessel-wall image."""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import erf
from skimage.graph import MCP

from workflow_scripts.common.job import InputError
from workflow_scripts.vessel_wall.sections import without_detail

THINNEST_WALL_MM = 0.3
CONTRAST_TO_NOISE = 3.0
FINEST_DETAIL_VOXELS = 6.0


def closed_path(cost: np.ndarray) -> np.ndarray:
    """Cheapest radius for each angle, neighbours at most one step apart: (angles,) indices.

    Parameters
    ----------
    cost : (angles, radii), positive; the angles go round, so the path is sought
        over two turns, and the turn in the middle is closed
    """
    turns, half = np.tile(cost, (2, 1)), len(cost) // 2
    router = MCP(turns, offsets=[(1, -1), (1, 0), (1, 1)])
    last, columns = len(turns) - 1, range(cost.shape[1])
    costs, _ = router.find_costs([(0, column) for column in columns])
    path = router.traceback((last, int(costs[last].argmin())))
    path = np.array(path)[half : half + len(cost), 1]
    return np.roll(path, half)


def find_lumen(
    rays: np.ndarray, radii: np.ndarray, voxel_mm: float, name: str
) -> tuple[np.ndarray, float, float]:
    """Lumen radius (n, angles) in mm by the closed path of least cost along the rise to the wall.

    A radius beyond a bright wall costs more, since the ray has crossed the wall.

    Parameters
    ----------
    rays : (n, angles, radii) intensities: dark lumen, bright wall, darker surroundings

    Returns
    -------
    radius, and the intensities of lumen and wall

    Raises
    ------
    InputError
        If there is no dark lumen inside a bright wall.
    """
    smooth, slope = smoothed(rays, radii, voxel_mm)
    core = rays[:, :, radii < 0.6]
    dark, noise = np.median(core), 1.4826 * np.median(np.abs(core - np.median(core)))
    bright = np.median(smooth.max(axis=2))
    if bright - dark < CONTRAST_TO_NOISE * noise:
        raise InputError(
            f"{name}: no dark lumen in a bright wall along the line; check that its points are in "
            "scanner mm (RAS), inside the lumen, on this image"
        )
    inside = np.cumsum(smooth, axis=2) / np.arange(1, len(radii) + 1)
    passed = np.clip((inside - dark) / (bright - dark), 0, 1)
    cost = 1.02 - np.clip(slope / np.median(slope.max(axis=2)), 0, 1) + passed
    return np.stack([radii[closed_path(section)] for section in cost]), dark, bright


def smoothed(rays: np.ndarray, radii: np.ndarray, voxel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Rays with less noise, and their slope along the radius."""
    smooth = gaussian_filter(rays, (1, 1, 0.5 * voxel_mm / (radii[1] - radii[0])), mode="nearest")
    return smooth, np.gradient(smooth, radii, axis=2)


def find_boundaries(
    rays: np.ndarray, radii: np.ndarray, voxel_mm: float, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Lumen and outer-wall radius on every ray, in mm, each (n, angles).

    The outer wall is the closed path of least cost, outside of the lumen, along
    the fall from wall to surroundings; what lies beyond a gap in the brightness
    costs more. Each boundary is then moved to where a sharp edge would hold the
    same integral as the image within a voxel and a half of the path, which a blur
    does not change.
    """
    lumen, dark, bright = find_lumen(rays, radii, voxel_mm, name)
    smooth, slope = smoothed(rays, radii, voxel_mm)
    step = radii[1] - radii[0]
    width = np.maximum(radii - lumen[..., None], step)
    beyond = np.where(radii < lumen[..., None], 0, smooth - dark)
    in_wall = np.cumsum(beyond, axis=2) * step / width / (bright - dark)
    fall = 1.02 - np.clip(slope / np.median(slope.min(axis=2)), 0, 1)
    fall += 2 * np.clip(0.9 - in_wall, 0, 1)
    fall = np.where(radii < lumen[..., None] + THINNEST_WALL_MM, 10.0, fall)
    outer = np.stack([radii[closed_path(section)] for section in fall])
    return refine(rays, radii, lumen, outer, dark, voxel_mm)


def refine(
    rays: np.ndarray,
    radii: np.ndarray,
    lumen: np.ndarray,
    outer: np.ndarray,
    dark: float,
    voxel_mm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Both radii (n, angles) moved so that sharp edges hold the image's integrals.

    The wall's own intensity shows nowhere where the wall is thin; it follows from
    what is seen in its middle, its thickness and the blur (standard deviation
    half a voxel: the voxel and linear interpolation), and the thickness from it,
    in three rounds. An image that is blurred more, or was interpolated, gives walls
    that are too thick: NWI 6 to 8 % too high with half a voxel more.
    """
    band = 1.5 * voxel_mm
    distance = radii - outer[..., None]
    around = (distance > band) & (distance < 2.5 * band)
    around = (rays * around).sum(axis=2) / np.maximum(around.sum(axis=2), 1)
    around = gaussian_filter1d(around, 3, axis=1, mode="wrap")
    middle = (lumen + outer) / 2
    mid_wall = np.abs(radii - middle[..., None]) <= radii[1] - radii[0]
    seen = (rays * mid_wall).sum(axis=2) / mid_wall.sum(axis=2)
    edges = [lumen, outer]
    for _ in range(3):
        shown = erf((edges[1] - edges[0]) / (np.sqrt(2) * voxel_mm))
        background = (dark + around) / 2
        wall = np.median(background + (seen - background) / shown, axis=1)
        wall = gaussian_filter1d(wall, 2, mode="nearest")[:, None, None]
        edges = [
            edge_radius(rays, radii, lumen, (0, middle), (dark, wall), voxel_mm),
            edge_radius(rays, radii, outer, (middle, np.inf), (wall, around[..., None]), voxel_mm),
        ]
    return edges[0], edges[1]


def edge_radius(rays, radii, path, limits, levels, voxel_mm) -> np.ndarray:
    """Radius (n, angles) of a sharp edge with the integral of the image near ``path``.

    Parameters
    ----------
    limits : least and largest radius that belong to this edge
    levels : intensities inside and outside of it
    """
    band = 1.5 * voxel_mm
    low, high = np.maximum(path - band, limits[0]), np.minimum(path + band, limits[1])
    contrast = levels[0] - levels[1]
    share = (rays - levels[1]) / np.where(np.abs(contrast) > 1e-6, contrast, 1)
    share = np.where(radii < low[..., None], 1, np.where(radii > high[..., None], 0, share))
    squared = 2 * (radii[1] - radii[0]) * (share * radii).sum(axis=2)
    squared = np.clip(squared, np.maximum(path - band, 0.2) ** 2, (path + band) ** 2)
    squared = gaussian_filter1d(squared, 1, axis=0, mode="nearest")
    return np.sqrt(without_detail(squared, np.full(len(path), FINEST_DETAIL_VOXELS * voxel_mm)))
