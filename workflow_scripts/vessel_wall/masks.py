"""Cross-sections of a vessel given as lumen and outer-wall masks."""

import numpy as np
import shapely
from scipy.ndimage import (
    distance_transform_edt,
    find_objects,
    map_coordinates,
)
from scipy.spatial import KDTree

from workflow_scripts.common.job import InputError
from workflow_scripts.vessel_wall.centerline import Frames, frames_along, trace_lumen
from workflow_scripts.vessel_wall.mask_files import read_pair
from workflow_scripts.vessel_wall.sections import (
    boundary,
    directions,
    inplane_voxel,
    smooth_along,
    through_plane,
)
from workflow_scripts.vessel_wall.vessel import Vessel, is_bent, vessel_name

STEP_MM = 0.5
# Lumens with fewer voxels across are flagged. On simulated tubes, partial volumes of 3 voxels
# stayed within 5 %; the area of binary segments was up to 3.5 % off with 6 voxels, 9 % with 3.
SMALLEST_LUMEN_VOXELS = {"partial volume": 3.0, "binary": 10.0}
VOLUME_TOLERANCE = 0.1
COARSE_ANGLES = 32


def complete_sections(
    volume: np.ndarray, affine: np.ndarray, frames: Frames, origin: np.ndarray, radii: np.ndarray
) -> slice:
    """The sections that the mask's ends do not cut.

    How wide the vessel is near an end is taken from the sections 3 to 6 radii
    inside of it (the middle third of a short vessel), where even an oblique end
    does not reach. The first section that is filled up to 80 % of this width in
    all directions is whole but for the last fifth and the blur of the end: so a
    quarter of the radius and a voxel and a half more are left out.

    Parameters
    ----------
    origin, radii : boundary of ``volume`` in ``frames``, as from ``boundary``
    """
    step = frames.position[1] - frames.position[0]
    inverse, rays = np.linalg.inv(affine), directions(radii.shape[1])
    inplane, through = inplane_voxel(affine, frames), through_plane(affine, frames)
    mean = radii.mean(axis=1)
    present = np.flatnonzero(mean > 0.5 * np.median(mean[mean > 0]))
    count, radius, ends = len(present), np.median(mean[present]), []
    inner = int(min(3 * radius / step, count / 3))
    outer = int(max(min(6 * radius / step, 2 * count / 3), inner + 1))
    for inwards in (present, present[::-1]):
        window = inwards[inner:outer]
        width = np.median(radii[window], axis=0)
        rim = np.clip(np.minimum(0.8 * width, width - 0.5 * np.median(inplane)), 0, None)
        ring = np.median(origin[window], axis=0) + rim[:, None] * rays
        points = frames[inwards].in_space(np.broadcast_to(ring, (count, *ring.shape)))
        voxels = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        filled = map_coordinates(volume, voxels, order=1, mode="grid-constant") > 0.35
        whole = np.flatnonzero(filled.all(axis=1))
        if not len(whole):
            return slice(0, 0)
        margin = 0.25 * width.mean() + 1.5 * through[inwards[whole[0]]]
        ends.append(inwards[min(whole[0] + int(np.ceil(margin / step)), count - 1)])
    return slice(ends[0], max(ends[0], ends[1] + 1))


def centred_frames(lumen: np.ndarray, affine: np.ndarray, name: str) -> Frames:
    """Frames along the line through the centroids of the lumen's complete sections.

    Raises
    ------
    InputError
        If the lumen is shorter than twice its width.
    """
    points, radius = trace_lumen(lumen > 0.5, affine)
    beyond = 2 * radius + 4 * np.linalg.norm(affine[:3, :3])  # past the ends, whatever was left out
    for _ in range(3):
        if len(points) < 3 or np.linalg.norm(np.diff(points, axis=0), axis=1).sum() < radius:
            raise InputError(
                f"{name}: the lumen is hardly longer than it is wide, so its centre line is "
                "unknown; draw a longer piece (three diameters), or give contours"
            )
        frames = frames_along(points, STEP_MM, beyond)
        origin, radii = boundary(
            lumen, affine, frames, np.zeros((len(frames.position), 2)), 2.5 * radius, COARSE_ANGLES
        )
        kept = complete_sections(lumen, affine, frames, origin, radii)
        points = frames.in_space(origin[:, None])[kept, 0]
    return frames_along(points, STEP_MM, beyond)


def vessel_from_masks(lumen_path: str, outer_path: str, hemi: str | None, label: str) -> Vessel:
    """Cross-sections every 0.5 mm of a vessel given as two masks.

    Raises
    ------
    InputError
        If the masks cannot be used (see ``read_pair``) or hold no complete section.
    """
    lumen, outer, affine = read_pair(lumen_path, outer_path)
    shape, full = lumen.shape, affine
    box = find_objects((outer > 0).astype(np.uint8))[0]
    lumen, outer, affine = lumen[box], outer[box], affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    name = f"{lumen_path}, {vessel_name(hemi, label)}"
    frames = centred_frames(lumen, affine, name)
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    source = source_of(lumen, outer)
    origin, found, start, stop = np.zeros((len(frames.position), 2)), [], 0, len(frames.position)
    for volume in (lumen, outer):
        padded = np.pad(volume > 0.5, 1)
        reach = 1.7 * distance_transform_edt(padded, sampling=zooms).max() + 2 * zooms.max()
        origin, radii = boundary(volume, affine, frames, origin, reach, source=source)
        kept = complete_sections(volume, affine, frames, origin, radii)
        start, stop = max(start, kept.start), min(stop, kept.stop)
        found.append((origin, radii))
    if stop - start < 2:
        raise InputError(
            f"{name}: no section is complete between the ends of the masks; draw a longer piece"
        )
    kept = slice(start, stop)
    found = [(origin[kept], radii[kept]) for origin, radii in found]
    if source == "binary":
        voxel = np.cbrt(abs(np.linalg.det(affine[:3, :3])))
        found = [smooth_along(*edge, STEP_MM, voxel) for edge in found]
    shapes = [shapely.polygons(o[:, None] + r[..., None] * directions()) for o, r in found]
    vessel = Vessel(label, hemi, source, frames[kept], *shapes)
    vessel.flags = mask_flags(vessel, full, shape)
    for volume, areas in zip((lumen, outer), shapes, strict=True):
        if volume_differs(volume, affine, frames, kept, shapely.area(areas)):
            vessel.flags.append("volume_mismatch")
            break
    vessel.frames.position -= vessel.frames.position[0]
    return vessel


def source_of(lumen: np.ndarray, outer: np.ndarray) -> str:
    """``binary`` where both masks hold nothing but 0 and 1, else ``partial volume``."""
    binary = all(np.isin(volume, (0, 1)).all() for volume in (lumen, outer))
    return "binary" if binary else "partial volume"


def mask_flags(vessel: Vessel, affine: np.ndarray, shape: tuple) -> list[str]:
    """What a reader should know about the numbers of a vessel from masks of this grid."""
    flags, voxel = [], inplane_voxel(affine, vessel.frames)
    lumen, outer = (2 * np.sqrt(shapely.area(s) / np.pi) for s in (vessel.lumen, vessel.outer))
    if (lumen / voxel).min() < SMALLEST_LUMEN_VOXELS[vessel.source]:
        flags.append("small_lumen")
    path = np.linalg.inv(affine[:3, :3]) @ np.ptp(vessel.frames.centre, axis=0)
    if vessel.source == "binary" and (np.sort(np.abs(path))[:2] < 1).all():
        flags.append("aligned_staircase")
    if ((outer - lumen) / 2 < voxel).any():
        flags.append("thin_wall")
    if is_bent(vessel.frames, vessel.outer):
        flags.append("sharp_bend")
    rim = np.stack([shapely.get_coordinates(polygon)[:-1] for polygon in vessel.outer])
    inverse = np.linalg.inv(affine)
    voxels = vessel.frames.in_space(rim) @ inverse[:3, :3].T + inverse[:3, 3]
    if (voxels < 0).any() or (voxels > np.array(shape) - 1).any():
        flags.append("image_edge")
    return flags


def volume_differs(
    volume: np.ndarray, affine: np.ndarray, frames: Frames, kept: slice, areas: np.ndarray
) -> bool:
    """Is the volume of the mask along the sections not the sum of their areas x distance?

    Branches, loops that touch and shapes that are not round show in this.
    """
    indices = np.argwhere(volume > 0)
    points = indices @ affine[:3, :3].T + affine[:3, 3]
    nearest = KDTree(frames.centre).query(points)[1]
    inside = (nearest >= kept.start) & (nearest < kept.stop)
    values = volume[tuple(indices[inside].T)]
    of_mask = values.sum() * abs(np.linalg.det(affine[:3, :3]))
    of_sections = areas.sum() * STEP_MM
    return bool(abs(of_sections / of_mask - 1) > VOLUME_TOLERANCE)
