"""Vessels given as nested contours, a lumen and an outer wall per slice."""

import numpy as np
import pandas as pd
import shapely
from scipy.interpolate import CubicSpline

from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.vessel_wall.centerline import Frames, fit_line, perpendicular_axes
from workflow_scripts.vessel_wall.sections import ANGLES, directions
from workflow_scripts.vessel_wall.vessel import Vessel, is_bent, vessel_name

COLUMNS = ["slice", "contour", "x_mm", "y_mm", "z_mm"]
CONTOURS = ["lumen", "outerwall"]
COORDINATES = ["x_mm", "y_mm", "z_mm"]
FLATNESS_MM = 0.2
# A slice tilted less is measured as it was drawn (its area is off by 0.4 % at most).
TILT_DEGREES = 5.0
# A circle drawn as a polygon of fewer points loses more than 1.6 % of its area.
FEWEST_POINTS = 20


def read_contours(path: str, hemi: str | None = None, label: str | None = None) -> list[Vessel]:
    """The vessels of a contour table.

    Parameters
    ----------
    path : TSV with slice, contour (lumen or outerwall), x_mm, y_mm, z_mm: points
        in order round closed, flat contours, slices in order along the vessel. A
        table of a whole session has the columns label and hemi as well.
    hemi, label : vessel of a table without these columns

    Raises
    ------
    InputError
        With all that is wrong in the table.
    """
    source = "automatic" if "_desc-automatic_" in path else "contours"
    try:
        table = read_table(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); save it as tab-separated") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{path}: has no columns {missing}; give it {COLUMNS}")
    points = table[COORDINATES].apply(pd.to_numeric, errors="coerce")
    if table.empty or not np.isfinite(points.to_numpy()).all():
        raise InputError(f"{path}: is empty or has missing coordinates; write numbers in mm (RAS)")
    slices = pd.to_numeric(table["slice"], errors="coerce")
    if slices.isna().any():
        raise InputError(f"{path}: slice holds no numbers; number the slices along the vessel")
    table = table.assign(**points, slice=slices)
    unknown = sorted(set(table["contour"].astype(str)) - set(CONTOURS))
    if unknown:
        raise InputError(f"{path}: unknown contours {unknown}; call them {' or '.join(CONTOURS)}")
    if "label" in table.columns:
        hemis = table.get("hemi", pd.Series(index=table.index, dtype=object))
        sides = hemis.where(hemis.notna(), "")
        groups = list(table.groupby([sides, table["label"].astype(str)], sort=True))
    else:
        groups = [((hemi or "", label), table)]
    vessels, problems = [], []
    for (side, name), part in groups:
        try:
            vessels.append(vessel_from_contours(part, path, side or None, name, source))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return vessels


def vessel_from_contours(
    table: pd.DataFrame, path: str, hemi: str | None, label: str, source: str
) -> Vessel:
    """Perpendicular cross-sections, one per slice, of one vessel's contours.

    A slice within 5 degrees of perpendicular keeps its polygons. Where slices are
    oblique, the surface between the slices (a cubic spline through the points of
    equal angle) is cut by the plane through the centre of the lumen; slices at
    the ends whose section runs off the surface are left out.

    Raises
    ------
    InputError
        With all that is wrong.
    """
    name = f"{path}, {vessel_name(hemi, label)}"
    rings, problems = [], []
    numbers = sorted(table["slice"].unique())
    for number in numbers:
        part = table[table["slice"] == number]
        try:
            rings.append(check_slice(part, f"{name}, slice {number:g}"))
        except InputError as error:
            problems.append(str(error))
    if len(numbers) < 2:
        problems.append(f"{name}: a single section has no centre line; draw at least two slices")
    if problems:
        raise InputError("\n".join(problems))
    centres = np.array([ring["centre"] for ring in rings])
    if (np.linalg.norm(np.diff(centres, axis=0), axis=1) < 0.05).any():
        raise InputError(f"{name}: slices in one place; give each place one slice number")
    frames = slice_frames(centres)
    steps = np.diff(centres, axis=0)
    if (np.einsum("nx,nx->n", steps[1:], steps[:-1]) < 0).any():
        raise InputError(f"{name}: the slices run back and forth; number them along the vessel")
    normals = np.array([ring["normal"] for ring in rings])
    tilt = np.abs(np.einsum("nx,nx->n", normals, frames.tangent))
    if (tilt < 0.3).any():
        worst = numbers[int(tilt.argmin())]
        raise InputError(
            f"{name}, slice {worst:g}: the vessel runs within the slice; draw it on slices that "
            "cut it across"
        )
    if tilt.min() >= np.cos(np.deg2rad(TILT_DEGREES)):
        kept = np.arange(len(numbers))
        shapes = [
            np.array(
                [
                    shapely.Polygon(flat(ring[what], ring, frames[i : i + 1]))
                    for i, ring in enumerate(rings)
                ]
            )
            for what in CONTOURS
        ]
    else:
        cut = [cut_surface([ring[what] for ring in rings], frames, name) for what in CONTOURS]
        kept = np.flatnonzero(np.isfinite(cut[0] + cut[1]).all(axis=(1, 2)))
        if not len(kept):
            raise InputError(
                f"{name}: no slice has its whole perpendicular section between the first and the "
                "last slice; draw more slices, or slices across the vessel"
            )
        shapes = [shapely.polygons(points[kept]) for points in cut]
    flags = ["automatic"] if source == "automatic" else []
    if min(len(ring[what]) for ring in rings for what in CONTOURS) < FEWEST_POINTS:
        flags.append("sparse_contour")
    if (np.diff(numbers) > 1.5 * np.min(np.diff(numbers))).any():
        flags.append("missing_slices")
    vessel = Vessel(label, hemi, source, frames[kept], *shapes, [numbers[i] for i in kept], flags)
    if is_bent(vessel.frames, vessel.outer):
        vessel.flags.append("sharp_bend")
    return vessel


def check_slice(table: pd.DataFrame, name: str) -> dict:
    """Both contours (k, 3) of a slice, centre (3,) of the lumen and normal (3,) of the plane.

    Raises
    ------
    InputError
        If a contour is missing, has less than 3 points, is not flat, crosses
        itself, or the lumen is not inside the outer wall.
    """
    rings = {}
    for what in CONTOURS:
        points = table.loc[table["contour"] == what, COORDINATES].to_numpy(float)
        keep = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1) > 1e-6
        points = points[keep] if len(points) > 1 else points
        if not len(points):
            raise InputError(f"{name}: has no {what} contour; draw it, or remove the slice")
        if len(points) < 3:
            raise InputError(f"{name}: {what} has {len(points)} points; draw at least 3")
        rings[what] = points
    every = np.concatenate(list(rings.values()))
    middle = every.mean(axis=0)
    _, _, axes = np.linalg.svd(every - middle, full_matrices=False)
    if np.abs((every - middle) @ axes[2]).max() > FLATNESS_MM:
        raise InputError(f"{name}: the contours are not in one plane; draw them in one plane")
    lumen, outer = (shapely.Polygon((rings[what] - middle) @ axes[:2].T) for what in CONTOURS)
    for what, polygon in zip(CONTOURS, (lumen, outer), strict=True):
        if not polygon.is_valid or polygon.area <= 0:
            raise InputError(f"{name}: the {what} contour crosses itself or is a line; redraw it")
    if not outer.contains(lumen):
        crossing = "crosses" if outer.boundary.intersects(lumen.boundary) else "is outside of"
        raise InputError(f"{name}: the lumen {crossing} the outer wall; redraw one of them")
    centre = middle + np.array([lumen.centroid.x, lumen.centroid.y]) @ axes[:2]
    return rings | {"centre": centre, "normal": axes[2]}


def slice_frames(centres: np.ndarray) -> Frames:
    """Frames at the slices' centres (n, 3), perpendicular to the smooth line through them."""
    spline, length = fit_line(centres)
    chord = np.r_[0, np.cumsum(np.linalg.norm(np.diff(centres, axis=0), axis=1))]
    tangent = spline(np.clip(chord, 0, length), 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    return Frames(chord, centres, tangent, *perpendicular_axes(tangent))


def flat(points: np.ndarray, ring: dict, frame: Frames) -> np.ndarray:
    """A contour's own plane coordinates (k, 2), with the axes nearest to those of the section."""
    u = frame.u[0] - (frame.u[0] @ ring["normal"]) * ring["normal"]
    u /= np.linalg.norm(u)
    v = np.cross(ring["normal"], u)
    v *= np.sign(v @ frame.v[0])
    return (points - frame.centre[0]) @ np.stack([u, v], axis=1)


def cut_surface(rings: list[np.ndarray], frames: Frames, name: str) -> np.ndarray:
    """Where the planes of ``frames`` cut the surface through the contours: (n, angles, 2).

    Points are NaN where a plane runs off the surface. Rows of the surface are the
    contours, sampled at equal angles about their centroids as seen along the
    vessel; columns are cubic splines from slice to slice.
    """
    surface = np.empty((len(rings), ANGLES, 3))
    for index, ring in enumerate(rings):
        seen = frames[index : index + 1].in_plane(ring[None])[0]
        centre = shapely.Polygon(seen).centroid
        ends = shapely.linestrings(
            np.stack(
                [
                    np.broadcast_to([centre.x, centre.y], (ANGLES, 2)),
                    [centre.x, centre.y] + 1e3 * directions(),
                ],
                axis=1,
            )
        )
        hits = shapely.intersection(ends, shapely.LinearRing(seen))
        if (shapely.get_type_id(hits) != 0).any():
            raise InputError(
                f"{name}: contour {index + 1} is too indented to be cut perpendicular to the "
                "vessel; draw it on slices across the vessel"
            )
        surface[index] = in_ring_plane(ring, seen, shapely.get_coordinates(hits))
    fine = np.linspace(0, len(rings) - 1, 16 * (len(rings) - 1) + 1)
    if len(rings) > 2:
        dense = CubicSpline(np.arange(len(rings)), surface)(fine)
    else:
        dense = surface[0] + fine[:, None, None] * (surface[1] - surface[0])
    found = np.full((len(rings), ANGLES, 2), np.nan)
    for index in range(len(rings)):
        height = (dense - frames.centre[index]) @ frames.tangent[index]
        crossing = (height[:-1] <= 0) != (height[1:] <= 0)
        distance = np.where(crossing, np.abs(fine[:-1, None] - index), np.inf)
        row = distance.argmin(axis=0)
        column = np.arange(ANGLES)
        low, high = height[row, column], height[row + 1, column]
        share = np.where(low != high, low / np.where(low != high, low - high, 1), 0)[:, None]
        point = dense[row, column] * (1 - share) + dense[row + 1, column] * share
        plane = frames[index : index + 1].in_plane(point[None])[0]
        plane[~np.isfinite(distance[row, column])] = np.nan
        found[index] = plane
    return found


def in_ring_plane(ring: np.ndarray, seen: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (k, 3) on the plane of ``ring`` from where they are seen along the vessel, (k, 2)."""
    known = np.c_[seen, np.ones(len(seen))]
    plane, *_ = np.linalg.lstsq(known, ring, rcond=None)
    return np.c_[points, np.ones(len(points))] @ plane
