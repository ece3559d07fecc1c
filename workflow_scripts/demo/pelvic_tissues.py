"""Tissues of a simulated pelvis by closed-form geometry.

Everything is a function of a point, so that images of any grid show the same pelvis. Its own axes
are x to the right, y to the front, square to the sacrum, and z towards the head, along the sacrum;
the origin lies in the sacrum between the joints. Lengths are mm of a pelvis of scale 1.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.pelvic_signs import SHOWN_AS, Signs, visible
from workflow_scripts.demo.pelvises import CORNER, LIMB_MM, LOWER, SIDES, UPPER
from workflow_scripts.demo.shapes import cover, ellipsoid, rounded, to_segment

CORTEX_MM = 1.3  # dense bone of the surface
# Bend of the joint (1/mm) and its waves: amplitude and length in mm, along z and along y.
BEND, WAVES = -0.0015, ((1.3, 48.0), (0.7, 32.0))
MARGIN_MM = 5.0  # of the region on either side of the joint
LIGAMENT_BEHIND_MM, OPENING = -13.0, 0.5
ENDPLATE_MM, DISC_MM = 40.0, 9.0
FORAMINA_MM, FORAMEN_MM, NERVE_MM = (20.0, -2.0, -23.0), 4.5, 2.2
# Fields of noise: points of a lattice, and by how many of them they are smoothed.
LATTICE_MM, LATTICE, SMOOTH = 5.0, (56, 28, 56), (0.7, 2.4)


class Joint(NamedTuple):
    """Of each point: distance outwards from the joint's middle, half the joint's width, and depth
    inside of the border of the auricular surface, seen from the side; and the least half width."""

    across: np.ndarray
    gap: np.ndarray
    within: np.ndarray
    least_gap: float


class Pelvis:
    """A pelvis whose tissues can be asked for at any point.

    Parameters
    ----------
    seed : sequence of int, of the participant
    pelvis : dict from `plan_pelvis`
    signs : dict from `plan_signs`
    """

    def __init__(self, seed, pelvis, signs):
        self.pelvis, self.signs = pelvis, Signs(seed, signs)
        rng = np.random.default_rng([*seed, 2])
        self.noise = [smooth_noise(rng, sigma) for sigma in SMOOTH]
        self.bowel = rng.uniform((-35, 26, -55), (35, 60, 55), (8, 3)), rng.uniform(7, 13, (8, 3))

    def axes(self, points):
        """Points (3, ...) in scanner mm as x, y and z of the pelvis."""
        turn = turned([self.pelvis["inclination_degrees"], *self.pelvis["turn_degrees"]]).T
        turn = (turn / self.pelvis["scale"]).astype("f4")
        centre = np.array(self.pelvis["centre_mm"], dtype="f4")
        return np.tensordot(turn, points - centre.reshape(3, *[1] * (points.ndim - 1)), axes=1)

    def joint(self, side, x, y, z):
        """`Joint` of a side at points."""
        made, sign = self.pelvis[side], -1 if side == "left" else 1
        (high, long), (low, short) = WAVES
        along, front = (
            2 * np.pi * c / length + phase
            for c, length, phase in zip((z, y), (long, short), made["phases"], strict=True)
        )
        middle = made["width_mm"] + made["slope"] * z + BEND * z**2 + made["flare"] * y
        middle += high * np.sin(along) + low * np.sin(front)
        by_z = made["slope"] + 2 * BEND * z + high * 2 * np.pi / long * np.cos(along)
        by_y = made["flare"] + low * 2 * np.pi / short * np.cos(front)
        across = (sign * x - middle) / np.sqrt(1 + by_z**2 + by_y**2)
        gap = made["gap_mm"] + OPENING * np.maximum(LIGAMENT_BEHIND_MM - y, 0)
        limbs = (to_segment(y, z, CORNER, end) for end in (UPPER, LOWER))
        return Joint(across, gap, LIMB_MM - np.minimum(*limbs), made["gap_mm"])

    def region(self, joint):
        """How deep (scanner mm) points lie in the region of a `Joint`: it and its margins."""
        scale = self.pelvis["scale"]
        beside = scale * (joint.gap - np.abs(joint.across)) + MARGIN_MM
        return np.minimum(beside, scale * (joint.within + 1.0))

    def regions(self, points):
        """How deep (mm) points, (3, ...) in scanner mm, lie in the region of either joint."""
        x, y, z = self.axes(points)
        return np.maximum(*(self.region(self.joint(side, x, y, z)) for side in SIDES))

    def grain(self, points):
        """Two smooth fields, standard normal, at points (3, x, y, z); bound to the pelvis."""
        voxels = self.axes(points) / LATTICE_MM + np.array(LATTICE, "f4").reshape(3, 1, 1, 1) / 2
        return [
            map_coordinates(n, voxels, order=1, mode="grid-wrap", output="f4") for n in self.noise
        ]

    def tissues(self, points, grain):
        """What fills the surroundings of points.

        Parameters
        ----------
        points : (3, x, y, z) array in scanner mm
        grain : fields from `grain`, there or near by

        Returns
        -------
        layers : list of (tissue, coverage 0..1), each of which covers those before it
        found : dict of coverage of the regions of the joints, left and right, and of the signs, as
            `visible` has it
        """
        x, y, z = self.axes(points)
        fine, coarse = grain
        layers = self.soft_tissues(x, y, z, fine, coarse)
        joints = {side: self.joint(side, x, y, z) for side in SIDES}
        bones = [sacrum(x, y, z, joints), *(ilium(x, y, z, j) for j in joints.values())]
        marrow = 0
        for depth in bones:
            layers.append(("cortex", cover(depth)))
            inside = cover(depth - CORTEX_MM)
            layers.append(("marrow", inside))
            marrow = np.maximum(marrow, inside)
        red = self.pelvis["red_marrow"] * np.clip(0.4 + 0.3 * coarse + 0.2 * fine, 0, 1)
        layers.append(("red_marrow", marrow * red))
        layers += canal_and_foramina(x, y, z)
        marrow = marrow * (1 - np.maximum.reduce([coverage for _, coverage in layers[-4:]]))
        for joint in joints.values():
            slab = cover(joint.gap - np.abs(joint.across))
            behind = cover(LIGAMENT_BEHIND_MM + 8 - y) * cover(y + 32)
            behind = behind * np.clip((42 - np.abs(z)) / 12, 0, 1)
            layers.append(("ligament", slab * behind * np.clip(0.7 + 0.4 * fine, 0.1, 1)))
            layers.append(("cartilage", slab * cover(joint.within)))
        regions = {side: cover(self.region(joint)) for side, joint in joints.items()}
        signs = self.signs.coverage(x, y, z, joints, marrow, fine)
        layers += [(SHOWN_AS[sign], coverage) for sign, coverage in signs.items()]
        return layers, regions | visible(signs)

    def soft_tissues(self, x, y, z, fine, coarse):
        """Layers of skin to muscle, what lies in the pelvis, and vessels."""
        beside = np.abs(x)
        cleft = 14 * np.exp(-((x / 10) ** 2)) * np.clip(-z / 40, 0, 1)
        back = y + 58 - 0.0006 * (beside - 40) ** 2 - cleft
        under = self.pelvis["fat_mm"] + 0.12 * np.maximum(beside - 40, 0)
        under = under + 14 * np.clip((-z - 10) / 30, 0, 1) * np.clip((40 - beside) / 30, 0, 1)
        layers = [("skin", cover(back)), ("fat", cover(back - 2))]
        muscle = cover(back - under)
        septa = np.clip(0.9 - 4 * np.abs(coarse + 0.15 * fine), 0, 1)
        layers.append(("muscle", muscle * (0.93 + 0.05 * fine - 0.85 * septa)))
        cavity = cover(y - 15 - 0.006 * z**2) * cover(40 - beside - 0.2 * z + 4 * coarse)
        layers.append(("fat", cavity * 0.95))
        inside = cavity > 0
        place, loops, content = (x[inside], y[inside], z[inside]), np.float32(0), np.float32(0)
        for centre, radius in zip(*self.bowel, strict=True):
            depth = (1 - ellipsoid(place, centre, radius)) * radius.min()
            loops = np.maximum(loops, cover(depth))
            content = np.maximum(content, cover(depth - 2.5))
        for tissue, part in (("muscle", loops), ("bowel", content)):
            coverage = np.zeros_like(x)
            coverage[inside] = part * cavity[inside]
            layers.append((tissue, coverage))
        vessel = np.minimum(
            np.hypot(beside - 30 + 0.35 * z, y - 26 - 0.1 * z) - 4.5,
            np.hypot(beside - 28 + 0.1 * z, y - 22 - 0.25 * z) - 3.5,
        )
        layers.append(("vessel", cover(-vessel)))
        return layers


def smooth_noise(rng, sigma):
    """Standard normal noise on the lattice, smoothed, without an edge."""
    noise = gaussian_filter(rng.standard_normal(LATTICE, dtype="f4"), sigma, mode="wrap")
    return noise / noise.std()


def turned(angles_degrees):
    """Rotation (3, 3) by an inclination, which brings the head's end to the front, about y and z.

    Its columns are the axes of what is turned, in the scanner.
    """
    inclination, *others = angles_degrees
    return Rotation.from_euler("xyz", [-inclination, *others], degrees=True).as_matrix()


def sacrum(x, y, z, joints):
    """Depth (mm, about) inside of the sacrum and, above its disc, the last lumbar vertebra."""
    beside = np.abs(x)
    left, right = (-j.across - j.gap for j in joints.values())
    lateral = np.minimum(np.where(x < 0, left, right), 34 + 0.75 * (z + 36) - beside + 12)
    front = 12 + 0.10 * z + 0.004 * z**2 + 0.0022 * x**2 - y
    behind = y + 15 + 0.1 * z + 2.5 * np.cos(x / 5)
    top = ENDPLATE_MM + 0.15 * y - 0.5 * np.maximum(beside - 22, 0) - z
    above = z - ENDPLATE_MM - 0.15 * y - DISC_MM
    waist = 26 + 0.012 * (above - 14) ** 2 - beside
    lumbar = rounded([waist, y + 8, 32 + 0.1 * z - y, above, 28 - above])
    return np.maximum(rounded([lateral, front, behind, top]), lumbar)


def ilium(x, y, z, joint):
    """Depth (mm, about) inside of the ilium of the side of ``joint``."""
    flare = 0.8 * np.maximum(y - 16, 0) + 0.4 * np.maximum(z - 26, 0)
    medial = joint.across - joint.gap - flare
    thickness = np.clip(17 - 0.25 * y - 0.12 * z, 7, 24)
    low = z + 38 - 0.25 * y + 1.4 * np.maximum(y - 16, 0) - 0.5 * medial
    return rounded([medial, thickness - medial, low, 66 - z, y + 30])


def canal_and_foramina(x, y, z):
    """Layers of the spinal canal, the sacral foramina with their nerves, and the last disc."""
    wide = np.clip(9 + 0.08 * z, 3, 14)
    canal = cover((1 - np.hypot(x / wide, (y + 7 + 0.05 * z) / (0.55 * wide))) * 0.55 * wide)
    holes = nerves = np.float32(0)
    for height in FORAMINA_MM:
        out = 19 + 0.12 * height
        away = np.hypot(np.abs(x) - out, z - height + 0.3 * y)
        through = cover(y + 12)
        holes = np.maximum(holes, through * cover(FORAMEN_MM - away))
        nerves = np.maximum(nerves, through * cover(NERVE_MM - away))
    disc = z - ENDPLATE_MM - 0.15 * y
    disc = np.minimum.reduce([disc, DISC_MM - disc, 25 - np.abs(x), y + 8, 32 - y])
    remnant = np.minimum.reduce([1.2 - np.abs(z - 9), 11 - np.abs(x), 10 - np.abs(y - 3)])
    layers = [("disc", np.maximum(cover(disc), cover(remnant))), ("fat", holes)]
    return [*layers, ("nerve", nerves), ("fluid", canal * np.clip((z + 36) / 12, 0, 1))]
