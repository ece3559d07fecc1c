"""Propose lumen and outer-wall contours on a vessel-wall image from rough centre lines."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from skimage.graph import route_through_array

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.vessel_wall.centerline import Frames, frames_along
from workflow_scripts.vessel_wall.edges import find_boundaries, find_lumen
from workflow_scripts.vessel_wall.mask_files import read_volume
from workflow_scripts.vessel_wall.sections import directions, sample_rays
from workflow_scripts.vessel_wall.vessel import entities, vessel_name

ANGLES = 72
STEP_MM = 0.5
SLICE_MM = 1.0
RADIAL_STEP_MM = 0.1
# Outer radius of a large common carotid artery, and its surroundings.
REACH_MM = 6.0
# Points farther apart are joined along the dark lumen instead of straight.
STRAIGHT_MM = 5.0


def read_points(path: str) -> np.ndarray:
    """Points (n, 3) in scanner mm, in order, of a rough centre line.

    Raises
    ------
    InputError
        If columns, numbers or a second point are missing.
    """
    try:
        table = read_table(path)
        points = table[["x_mm", "y_mm", "z_mm"]].to_numpy(float)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: no table of points ({error}); give it the columns x_mm, y_mm, z_mm in mm"
        ) from error
    if not np.isfinite(points).all():
        raise InputError(f"{path}: has missing coordinates; complete or delete those rows")
    points = points[np.r_[True, np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-3]]
    if len(points) < 2:
        raise InputError(
            f"{path}: has less than two different points; mark both ends of the vessel"
        )
    return points


def join_points(image: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Dense line through points (n, 3), along the dark lumen where they are far apart.

    The path costs least through voxels as dark as those at the points
    (``skimage.graph.route_through_array``).
    """
    inverse = np.linalg.inv(affine)
    voxels = points @ inverse[:3, :3].T + inverse[:3, 3]
    margin = np.ceil(10 / np.linalg.norm(affine[:3, :3], axis=0))
    low = np.maximum(np.floor(voxels.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(voxels.max(axis=0) + margin) + 1, image.shape).astype(int)
    part = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part = gaussian_filter(part.astype(float), 0.7)
    nodes = np.clip(np.round(voxels - low).astype(int), 0, np.array(part.shape) - 1)
    dark = np.median(part[tuple(nodes.T)])
    bright = np.percentile(part, 95)
    cost = 0.02 + np.clip((part - dark) / max(bright - dark, 1e-9), 0, 1) ** 2
    line = [points[:1]]
    for index in range(len(points) - 1):
        if np.linalg.norm(points[index + 1] - points[index]) > STRAIGHT_MM:
            route, _ = route_through_array(cost, nodes[index], nodes[index + 1], geometric=True)
            found = np.array(route[1:-1]) + low
            line.append(found @ affine[:3, :3].T + affine[:3, 3])
        line.append(points[index + 1 : index + 2])
    return np.concatenate(line)


def propose(image: np.ndarray, affine: np.ndarray, points: np.ndarray, name: str) -> tuple:
    """Contours in sections every 0.5 mm along a vessel.

    The rough line is moved to the centroids of the lumen found along it, twice.

    Parameters
    ----------
    image : (x, y, z)
    points : (n, 3), rough centre line in scanner mm

    Returns
    -------
    frames : Frames
    lumen, outer : (n, angles, 2), contours in mm in the planes
    """
    inverse = np.linalg.inv(affine)
    voxels = points @ inverse[:3, :3].T + inverse[:3, 3]
    if (voxels < 0).any() or (voxels > np.array(image.shape) - 1).any():
        raise InputError(
            f"{name}: points outside of the image; give scanner mm (RAS) of this image"
        )
    voxel_mm = float(np.cbrt(abs(np.linalg.det(affine[:3, :3]))))
    radii = (np.arange(round(REACH_MM / RADIAL_STEP_MM)) + 0.5) * RADIAL_STEP_MM
    line, rim = join_points(image, affine, points), directions(ANGLES)

    def rays_along(step_mm):
        frames = frames_along(line, step_mm)
        if len(frames.position) < 4:
            raise InputError(f"{name}: shorter than 3 mm; mark a longer piece of the vessel")
        origin = np.zeros((len(frames.position), 2))
        return frames, sample_rays(image, affine, frames, origin, radii, ANGLES)

    for _ in range(2):
        frames, rays = rays_along(SLICE_MM)
        lumen, *_ = find_lumen(rays[:, ::2, ::2], radii[::2], voxel_mm, name)
        moment = (lumen[..., None] ** 3 * rim[::2]).sum(axis=1) / 3
        centroid = moment / (lumen**2).sum(axis=1)[:, None] * 2
        line = frames.in_space(centroid[:, None])[:, 0]
    frames, rays = rays_along(STEP_MM)
    lumen, outer = find_boundaries(rays, radii, voxel_mm, name)
    return frames, lumen[..., None] * rim, outer[..., None] * rim


def proposal_table(hemi: str | None, label: str, frames: Frames, lumen, outer) -> pd.DataFrame:
    """Contour table of one vessel: a slice per mm, 72 points per contour."""
    every = slice(None, None, round(SLICE_MM / STEP_MM))
    parts = []
    for contour, plane in (("lumen", lumen), ("outerwall", outer)):
        space = frames[every].in_space(plane[every]).round(3)
        number = np.repeat(np.arange(1, len(space) + 1), ANGLES)
        table = {"label": label, "hemi": hemi, "slice": number, "contour": contour}
        table |= dict(zip(["x_mm", "y_mm", "z_mm"], space.reshape(-1, 3).T, strict=True))
        parts.append(pd.DataFrame(table))
    return pd.concat(parts).sort_values("slice", kind="stable", ignore_index=True)


def propose_session(image_path: str, line_paths: list[str]) -> pd.DataFrame:
    """Contour table of all vessels of a session that have a rough centre line.

    Raises
    ------
    InputError
        With all problems, one per line.
    """
    (image, affine), tables, problems = read_volume(image_path), [], []
    for path in sorted(line_paths):
        try:
            entity = entities(path, {"centerline": r"points\.tsv"})
            if not entity["label"]:
                raise InputError(f"{path}: names no artery; put label-<artery> into its name")
            name = f"{path}, {vessel_name(entity['hemi'], entity['label'])}"
            found = propose(image, affine, read_points(path), name)
            tables.append(proposal_table(entity["hemi"], entity["label"], *found))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return pd.concat(tables, ignore_index=True)


def main(source, out, params):
    """Write the contours proposed along a session's centre lines."""
    table = propose_session(source.image, list(source.lines))
    write_table(table, out.contours, resource("columns/vessel_wall.tsv"), dictionary=False)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
