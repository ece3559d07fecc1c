"""Tubes whose truth is a closed form, as masks, contours and images."""

import nibabel as nib
import numpy as np


def rotation(tilt, turn):
    """Turns the z axis by ``tilt`` degrees, in the direction ``turn``."""
    a, b = np.deg2rad([tilt, turn])
    about_y = [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
    about_z = [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y)


class Tube:
    """A tube: a lumen of ``radius`` and an outer wall of ``outer`` mm, its centre ``offset`` away.

    With ``bend`` (mm) the centre line is an arc of this radius in a plane, else
    straight; it is ``length`` mm long, with its middle at ``shift``.
    """

    def __init__(self, radius, outer, length, tilt=0, turn=0, shift=(0, 0, 0), offset=0, bend=None):
        self.radius, self.outer, self.length, self.offset = radius, outer, length, offset
        self.turned, self.shift, self.bend = rotation(tilt, turn), np.array(shift, float), bend

    def coordinates(self, points):
        """Position along the centre line, and the two coordinates across, of points (..., 3)."""
        x, y, z = np.moveaxis((points - self.shift) @ self.turned, -1, 0)
        if self.bend is None:
            return z, x, y
        out = np.hypot(x + self.bend, z)
        return self.bend * np.arctan2(z, x + self.bend), out - self.bend, y

    def point(self, position, across=(0, 0)):
        """Inverse of ``coordinates``: (..., 3)."""
        position = np.asarray(position, float)
        if self.bend is None:
            local = [position * 0 + across[0], position * 0 + across[1], position]
        else:
            angle, out = position / self.bend, self.bend + across[0]
            local = [out * np.cos(angle) - self.bend, angle * 0 + across[1], out * np.sin(angle)]
        return np.stack(local, axis=-1) @ self.turned.T + self.shift

    def levels(self, points):
        """Signed depth in mm below the lumen's, and the outer wall's surface."""
        along, a, b = self.coordinates(points)
        end = self.length / 2 - np.abs(along)
        lumen = self.radius - np.hypot(a, b)
        outer = self.outer - np.hypot(a - self.offset, b)
        return np.minimum(lumen, end), np.minimum(outer, end)

    @property
    def nwi(self):
        return 1 - (self.radius / self.outer) ** 2

    @property
    def lumen_area(self):
        return np.pi * self.radius**2

    @property
    def mean_thickness(self):
        theta = np.linspace(0, 2 * np.pi, 3601)[:-1]
        rim = np.hypot(self.radius * np.cos(theta) - self.offset, self.radius * np.sin(theta))
        return self.outer - rim.mean()


def grid(tubes, zooms=(0.5, 0.5, 0.5), margin=2.0):
    """Shape and affine of a grid around tubes (voxel centres at whole multiples of zooms)."""
    ends = np.concatenate([t.point(np.linspace(-t.length / 2, t.length / 2, 50)) for t in tubes])
    wide = max(t.outer + abs(t.offset) for t in tubes) + margin
    low = np.floor((ends.min(axis=0) - wide) / zooms)
    high = np.ceil((ends.max(axis=0) + wide) / zooms)
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = low * zooms
    return tuple((high - low).astype(int) + 1), affine


def partial_volumes(tube, shape, affine, fine=8):
    """Share of each voxel inside lumen and outer wall, from ``fine``**3 points."""
    centres = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    centres = centres @ affine[:3, :3].T + affine[:3, 3]
    half = np.linalg.norm(affine[:3, :3], axis=0).max() * 0.9
    levels = tube.levels(centres)
    volumes = [np.where(level > half, 1.0, 0.0) for level in levels]
    steps = (np.arange(fine) + 0.5) / fine - 0.5
    cell = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    cell = cell @ affine[:3, :3].T
    for which, volume in enumerate(volumes):
        edge = np.abs(levels[which]) <= half
        points = centres[edge]
        filled = np.zeros(len(points))
        for offset in cell:
            filled += tube.levels(points + offset)[which] > 0
        volume[edge] = filled / len(cell)
    return volumes


def binary(tube, shape, affine):
    """Voxels whose centre is inside lumen and outer wall."""
    centres = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return [level > 0 for level in tube.levels(centres @ affine[:3, :3].T + affine[:3, 3])]


def save_pair(volumes, affine, folder, name, suffix):
    """Write lumen and outer wall; returns their paths."""
    paths = []
    for what, volume in zip(("lumen", "outerwall"), volumes, strict=True):
        path = folder / f"{name}_desc-{what}_{suffix}.nii.gz"
        kind = np.uint8 if suffix == "mask" else np.float32
        nib.save(nib.Nifti1Image(volume.astype(kind), affine), path)
        paths.append(str(path))
    return paths


def contour_rows(tube, positions, tilt=0, points=60, turn=0):
    """Rows (slice, contour, x, y, z) of a tube's contours on planes through its centre line.

    With ``tilt`` the planes are oblique by so many degrees: all of them parallel
    for a straight tube.
    """
    normal = rotation(tilt, turn)[:, 2] if tube.bend is None else np.array([0, 0, 1.0])
    theta = 2 * np.pi * np.arange(points) / points
    rows = []
    for number, position in enumerate(positions, 1):
        for what, radius, offset in (
            ("lumen", tube.radius, 0),
            ("outerwall", tube.outer, tube.offset),
        ):
            a, b = offset + radius * np.cos(theta), radius * np.sin(theta)
            along = position - (a * normal[0] + b * normal[1]) / normal[2]
            for x, y, z in zip(a, b, along, strict=True):
                rows.append([number, what, *np.round(tube.point(z, (x, y)), 5)])
    return rows


def save_contours(rows, path):
    """Write contour rows as a contour table; returns its path."""
    lines = ["slice\tcontour\tx_mm\ty_mm\tz_mm"]
    lines += ["\t".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)
