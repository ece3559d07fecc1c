"""What is seen at the joints of a simulated pelvis: oedema, fat and erosions, and their mimics.

Axes and lengths are those of `pelvic_tissues`.
"""

import numpy as np

from workflow_scripts.demo.pelvises import CORNER, LOWER, SIDES, UPPER
from workflow_scripts.demo.shapes import cover, ellipsoid

# Sequences of signs of a person, of which as many are there as the severity says, and their radii.
OEDEMAS, EROSIONS, FATTY = 24, 40, 14
OEDEMA_RADII_MM, EROSION_RADII_MM, FATTY_RADII_MM = (4.0, 11.0), (1.3, 2.8), (4.0, 11.0)
MIMIC_RADII_MM = (7.0, 12.0)
REACH_MM = 14.0  # of signs from the joint
# Tissue that a sign looks like; each covers those before it.
SHOWN_AS = {"fat": "metaplasia", "oedema": "oedema", "mimic": "oedema", "erosion": "erosion"}


class Signs:
    """Signs at the joints of a person.

    Parameters
    ----------
    seed : sequence of int, of the participant
    signs : dict from `plan_signs`
    """

    def __init__(self, seed, signs):
        rng = np.random.default_rng([*seed, 3])
        sequences = {
            "oedema": blobs(rng, OEDEMAS, OEDEMA_RADII_MM),
            "erosion": blobs(rng, EROSIONS, EROSION_RADII_MM),
            "fat": blobs(rng, FATTY, FATTY_RADII_MM),
        }
        self.there = {
            name: blobs[: round(signs[name] * len(blobs))] for name, blobs in sequences.items()
        }
        self.kind, self.mimic = signs["mimic"], blobs(rng, 1, MIMIC_RADII_MM)[0]

    def coverage(self, x, y, z, joints, marrow, fine):
        """Coverage of the signs at points, by the keys of `SHOWN_AS`.

        Parameters
        ----------
        x, y, z : arrays, axes of the pelvis
        joints : dict of `Joint` by side
        marrow : array, how much marrow there is
        fine : array of noise
        """
        found = {name: np.zeros(x.shape, dtype="f4") for name in SHOWN_AS}
        for side, joint in joints.items():
            near = (np.abs(joint.across) < REACH_MM) & (joint.within > -REACH_MM)
            place = joint.across[near], y[near], z[near]
            for sign in ("oedema", "fat"):
                for blob in self.on(sign, side):
                    away = self.away(place, blob, joint.least_gap + 1) + 0.12 * fine[near]
                    same = (blob["bone"] * place[0] > 0) * np.float32(blob["strength"])
                    part = same * np.clip(1.6 * (1 - away) + 0.2, 0, 1) * marrow[near]
                    found[sign][near] = np.maximum(found[sign][near], part)
            for blob in self.on("erosion", side):
                depth = (1 - self.away(place, blob, joint.least_gap + 0.8)) * blob["radii"].min()
                bite = cover(depth) * (np.abs(place[0]) > joint.gap[near])
                found["erosion"][near] = np.maximum(found["erosion"][near], bite)
        if self.kind:
            found["mimic"] = marrow * self.mimicked(x, y, z, joints, fine)
        return found

    def on(self, sign, side):
        return [blob for blob in self.there[sign] if blob["side"] == side]

    @staticmethod
    def away(place, blob, from_middle_mm):
        """Distance in radii from a blob that lies so far from the middle of the joint."""
        spot = blob["bone"] * from_middle_mm, *blob["on_surface"]
        return ellipsoid(place, spot, blob["radii"])

    def mimicked(self, x, y, z, joints, fine):
        """Coverage of oedema of another cause, where bone is."""
        blob, points = self.mimic, (x, y, z)
        a, b, c = blob["place"]
        if self.kind == "corner":
            points = joints[blob["side"]].across, y, z
            centre = 3.0 * blob["bone"], 4.0 + 3 * a, LOWER[1] + 4 * b
        elif self.kind == "lumbosacral":
            centre = 12 * a, 8 + 6 * b, 37.0
        else:
            centre = 12 * a, 2 + 4 * b, 5 + 15 * c
        away = ellipsoid(points, centre, blob["radii"])
        return np.clip(1.6 * (1 - away) + 0.15 * fine + 0.2, 0, 1)


def visible(signs):
    """Share of each place in which a sign is seen, and not covered by a later one."""
    found, left = {}, np.float32(1)
    for name in reversed(signs):
        found[name] = signs[name] * left
        left = left - found[name]
    return found


def blobs(rng, count, radii_mm):
    """A sequence of places at the joints.

    One side has more than the other, by chance.

    Returns
    -------
    dicts with side, bone (-1 sacrum, 1 ilium), on_surface (y and z, on the auricular surface),
    radii, strength (0..1) and place (three numbers from -1 to 1)
    """
    favoured, sequence = rng.uniform(0.25, 0.75), []
    for _ in range(count):
        limb, along, radius = UPPER if rng.random() < 0.45 else LOWER, rng.random(), rng.random()
        radius = radii_mm[0] + (radii_mm[1] - radii_mm[0]) * radius**2
        on_surface = np.add(CORNER, along * np.subtract(limb, CORNER)) + rng.uniform(-5, 5, 2)
        sequence.append(
            {
                "side": SIDES[int(rng.random() < favoured)],
                "bone": 1 if rng.random() < 0.5 else -1,
                "on_surface": on_surface,
                "radii": radius * np.exp(rng.normal(0, 0.2, 3)),
                "strength": rng.uniform(0.6, 1.0),
                "place": rng.uniform(-1, 1, 3),
            }
        )
    return sequence
