"""Tissues of a simulated pelvis by closed-form geometry.

Everything is a function of a point, so that images of any grid show the same pelvis. Its own axes
are x to the right, y to the front, square to the sacrum, and z towards the head, along the sacrum;
the origin lies in the sacrum between the joints. Lengths are mm of a pelvis of scale 1.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.pelvises import SIDES

EDGE_MM = 1.6  # borders are spread over it, about a voxel
CORTEX_MM, ROUND_MM = 1.3, 4.0  # dense bone of the surface, and radius of edges
# Bend of the joint (1/mm) and its waves: amplitude and length in mm, along z and along y.
BEND, WAVES = -0.0015, ((1.3, 48.0), (0.7, 32.0))
# The auricular surface (y, z): an upper and a lower limb that meet in front, of one radius.
UPPER, CORNER, LOWER, LIMB_MM = (5.0, 20.0), (8.0, 0.0), (-5.0, -24.0), 9.0
MARGIN_MM = 5.0  # of the region on either side of the joint
LIGAMENT_BEHIND_MM, OPENING = -13.0, 0.5
ENDPLATE_MM, DISC_MM = 40.0, 9.0
FORAMINA_MM, FORAMEN_MM, NERVE_MM = (20.0, -2.0, -23.0), 4.5, 2.2
# Fields of noise: points of a lattice, and by how many of them they are smoothed.
LATTICE_MM, LATTICE, SMOOTH = 5.0, (56, 28, 56), (0.7, 2.4)
# Sequences of signs of a person, of which as many are there as the severity says.
OEDEMAS, EROSIONS, FATTY = 24, 40, 14
OEDEMA_RADII_MM, EROSION_RADII_MM, FATTY_RADII_MM = (4.0, 11.0), (1.3, 2.8), (4.0, 11.0)
MIMIC_RADII_MM = (7.0, 12.0)
REACH_MM = 14.0  # of signs from the joint


class Joint(NamedTuple):
    """Of each point: distance outwards from the joint's middle, half the joint's width, and depth
    inside of the border of the auricular surface, seen from the side."""

    across: np.ndarray
    gap: np.ndarray
    within: np.ndarray


class Pelvis:
    """A pelvis whose tissues can be asked for at any point.

    Parameters
    ----------
    seed : sequence of int, of the participant
    pelvis : dict from `plan_pelvis`
    signs : dict from `plan_signs`
    """

    def __init__(self, seed, pelvis, signs):
        self.pelvis, self.signs = pelvis, signs
        rng = np.random.default_rng([*seed, 2])
        self.noise = [smooth_noise(rng, sigma) for sigma in SMOOTH]
        self.bowel = rng.uniform((-35, 26, -55), (35, 60, 55), (8, 3)), rng.uniform(7, 13, (8, 3))
        marks = np.random.default_rng([*seed, 3])
        self.oedema = blobs(marks, OEDEMAS, OEDEMA_RADII_MM)
        self.erosion = blobs(marks, EROSIONS, EROSION_RADII_MM)
        self.fat = blobs(marks, FATTY, FATTY_RADII_MM)
        self.mimic = blobs(marks, 1, MIMIC_RADII_MM)[0]

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
        return Joint(across, gap, LIMB_MM - np.minimum(*limbs))

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
        return [map_coordinates(n, voxels, order=1, mode="wrap", output="f4") for n in self.noise]

    def tissues(self, points, grain):
        """What fills the surroundings of points.

        Parameters
        ----------
        points : (3, x, y, z) array in scanner mm
        grain : fields from `grain`, there or near by

        Returns
        -------
        layers : list of (tissue, coverage 0..1), each of which covers those before it
        found : dict of coverage of the regions of the joints, left and right, and of oedema, mimic,
            erosion and fat
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
        marrow = marrow * (1 - np.maximum.reduce([cover for _, cover in layers[-4:]]))
        for joint in joints.values():
            slab = cover(joint.gap - np.abs(joint.across))
            behind = cover(LIGAMENT_BEHIND_MM + 8 - y) * cover(38 - np.abs(z)) * cover(y + 32)
            layers.append(("ligament", slab * behind * np.clip(0.7 + 0.4 * fine, 0.1, 1)))
            layers.append(("cartilage", slab * cover(joint.within)))
        found = {side: cover(self.region(joint)) for side, joint in joints.items()}
        found |= self.seen(x, y, z, joints, marrow, fine)
        layers += [("metaplasia", found["fat"]), ("oedema", found["oedema"])]
        layers += [("oedema", found["mimic"]), ("erosion", found["erosion"])]
        return layers, found

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

    def seen(self, x, y, z, joints, marrow, fine):
        """Coverage of the disease's oedema, erosions and fat and of the mimic's oedema."""
        found = {
            name: np.zeros(x.shape, dtype="f4") for name in ("oedema", "erosion", "fat", "mimic")
        }
        for order, side in enumerate(SIDES):
            joint = joints[side]
            near = (np.abs(joint.across) < REACH_MM) & (joint.within > -REACH_MM)
            place = joint.across[near], y[near], z[near]
            gap, fill, rough = joint.gap[near], marrow[near], 0.12 * fine[near]
            for sign, sequence in (("oedema", self.oedema), ("fat", self.fat)):
                total = np.zeros(gap.shape, dtype="f4")
                for blob in sequence[: round(self.signs[sign] * len(sequence))]:
                    if blob["side"] == order:
                        bone = blob["bone"]
                        spot = bone * (self.pelvis[side]["gap_mm"] + 1), *blob["on_surface"]
                        away = ellipsoid(place, spot, blob["radii"]) + rough
                        same = (bone * place[0] > 0) * np.float32(blob["strength"])
                        total = np.maximum(total, same * np.clip(1.6 * (1 - away) + 0.2, 0, 1))
                found[sign][near] = total * fill
            bites = np.zeros(gap.shape, dtype="f4")
            for blob in self.erosion[: round(self.signs["erosion"] * EROSIONS)]:
                if blob["side"] == order:
                    spot = blob["bone"] * (self.pelvis[side]["gap_mm"] + 0.8), *blob["on_surface"]
                    away = ellipsoid(place, spot, blob["radii"])
                    bites = np.maximum(bites, cover((1 - away) * blob["radii"].min()))
            found["erosion"][near] = bites * (np.abs(place[0]) > gap)
        if self.signs["mimic"]:
            found["mimic"] = marrow * self.mimicked(x, y, z, joints, fine)
        return found

    def mimicked(self, x, y, z, joints, fine):
        """Coverage of oedema that is not of the disease, where bone is."""
        blob = self.mimic
        radii, place = blob["radii"] * blob["stretch"], blob["place"]
        joint = joints[SIDES[blob["side"]]]
        if self.signs["mimic"] == "corner":
            spot = blob["bone"] * 3.0, 4.0 + 3 * place[0], -24.0 + 4 * place[1]
            away = ellipsoid((joint.across, y, z), spot, 0.9 * radii)
        elif self.signs["mimic"] == "lumbosacral":
            away = ellipsoid((x, y, z), (12 * place[0], 8 + 6 * place[1], ENDPLATE_MM - 3), radii)
        else:
            away = ellipsoid((x, y, z), (12 * place[0], 2 + 4 * place[1], 5 + 15 * place[0]), radii)
        return np.clip(1.6 * (1 - away) + 0.15 * fine + 0.2, 0, 1)


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


def blobs(rng, count, radii_mm):
    """A sequence of places at the joints: side, bone (-1 sacrum, 1 ilium) and shape.

    One side has more than the other. The places lie on the auricular surface.
    """
    favoured, sequence = rng.uniform(0.25, 0.75), []
    for _ in range(count):
        limb, along, radius = UPPER if rng.random() < 0.45 else LOWER, rng.random(), rng.random()
        spot = np.add(CORNER, along * np.subtract(limb, CORNER)) + rng.uniform(-5, 5, 2)
        sequence.append(
            {
                "side": int(rng.random() < favoured),
                "bone": 1 if rng.random() < 0.5 else -1,
                "on_surface": spot,
                "radii": (radii_mm[0] + (radii_mm[1] - radii_mm[0]) * radius**2)
                * np.exp(rng.normal(0, 0.2, 3)),
                "strength": rng.uniform(0.6, 1.0),
                "stretch": np.exp(rng.normal(0, 0.25, 3)),
                "place": rng.uniform(-1, 1, 2),
            }
        )
    return sequence


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
    return [*layers, ("nerve", nerves), ("fluid", canal * cover(z + 30))]
