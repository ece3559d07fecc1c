"""Shape of the simulated middle cerebral arteries: bent tubes with a concentric wall.

A tube follows an arc and is cut off square at both ends. Every cross-section perpendicular to the
arc is a disc in a ring, so areas and the normalized wall index are known exactly.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.demo.images import grid_points

VOXEL_MM = 0.4
SUBSAMPLES = 4
LENGTH_MM, BEND_MM = 14.0, 20.0
START_MM = (12.0, 2.0, -16.0)
ARTERY = "MCA"
SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class Tube:
    """A bent tube.

    centre, towards, along : (3,) arrays; centre of the arc in mm, and unit vectors from there to
        the arc's start and along the arc at its start
    lumen_mm, outer_mm : radii of lumen and outer wall
    """

    centre: np.ndarray
    towards: np.ndarray
    along: np.ndarray
    lumen_mm: float
    outer_mm: float

    def coordinates(self, points):
        """Distance from the centre line and position along it, in mm, of ``points`` (3, ...)."""
        offset = points - self.centre.reshape(3, *[1] * (points.ndim - 1))
        a, b, c = (
            np.tensordot(axis, offset, axes=1)
            for axis in (self.towards, self.along, np.cross(self.towards, self.along))
        )
        return np.hypot(np.hypot(a, b) - BEND_MM, c), BEND_MM * np.arctan2(b, a)

    def inside(self, points, radius):
        """True at ``points`` (3, ...) within ``radius`` of the centre line, between the ends."""
        distance, position = self.coordinates(points)
        return (distance <= radius) & (position >= 0) & (position <= LENGTH_MM)

    def frame(self, positions):
        """Centre line (n, 3) at ``positions`` (n,) mm along it, and two unit normals (n, 3)."""
        angle = np.asarray(positions)[:, None] / BEND_MM
        outward = np.cos(angle) * self.towards + np.sin(angle) * self.along
        binormal = np.broadcast_to(np.cross(self.towards, self.along), outward.shape)
        return self.centre + BEND_MM * outward, outward, binormal


def artery(seed, side, lumen_mm, nwi):
    """Middle cerebral artery of one side, "L" or "R", running laterally with its own slant.

    Parameters
    ----------
    seed : sequence of int, of the subject
    lumen_mm : radius of the lumen
    nwi : wall area over the area inside the outer wall
    """
    rng = np.random.default_rng([*seed, 10, "LR".index(side)])
    sign = np.array([-1.0 if side == "L" else 1.0, 1.0, 1.0])
    along = np.array([1.0, *rng.normal(0, 0.15, 2)])
    along /= np.linalg.norm(along)
    down = np.array([0.0, rng.normal(0, 0.3), -1.0])
    down -= (down @ along) * along
    towards = -down / np.linalg.norm(down)
    start = np.array(START_MM) + rng.normal(0, 1.0, 3)
    return Tube(
        centre=sign * (start - BEND_MM * towards),
        towards=sign * towards,
        along=sign * along,
        lumen_mm=lumen_mm,
        outer_mm=lumen_mm / np.sqrt(1 - nwi),
    )


def arteries(subject):
    """Tube of each side, "L" and "R", from the participant's `simulation`."""
    return {
        side: artery(
            subject["seed"], side, subject[f"lumen_radius_{name}_mm"], subject[f"nwi_{name}"]
        )
        for side, name in SIDES.items()
    }


def grid_around(tube, margin=3.0):
    """Shape and affine of a grid of `VOXEL_MM` around a tube."""
    line = tube.frame(np.linspace(0, LENGTH_MM, 50))[0]
    low = line.min(axis=0) - tube.outer_mm - margin
    high = line.max(axis=0) + tube.outer_mm + margin
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = np.round(low, 2)
    return tuple(int(n) for n in np.ceil((high - low) / VOXEL_MM) + 1), affine


def partial_volumes(tube, radius, shape, affine):
    """Fraction (0..1) of each voxel of a grid inside ``radius``, from 4 x 4 x 4 subsamples."""
    steps = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    grid = grid_points(shape, affine).astype(float)
    near = tube.coordinates(grid)[0] <= radius + VOXEL_MM
    points, total = grid[:, near], 0
    for shift in np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3):
        total = total + tube.inside(points + (affine[:3, :3] @ shift)[:, None], radius)
    result = np.zeros(shape, dtype="f4")
    result[near] = total / SUBSAMPLES**3
    return result


def truth(participant_id, tubes):
    """One row: NWI of each side and the mean of both, mean areas of lumen and wall in mm2."""
    row = {"participant_id": participant_id}
    lumen = {side: np.pi * tube.lumen_mm**2 for side, tube in tubes.items()}
    vessel = {side: np.pi * tube.outer_mm**2 for side, tube in tubes.items()}
    for side, name in SIDES.items():
        row[f"nwi_{name}"] = 1 - lumen[side] / vessel[side]
    row["nwi"] = (row["nwi_left"] + row["nwi_right"]) / 2
    row["lumen_area_mm2"] = sum(lumen.values()) / 2
    row["wall_area_mm2"] = sum(vessel[side] - lumen[side] for side in SIDES) / 2
    return pd.DataFrame([row]).round(6)
