"""Anatomy of a simulated pelvis, and how its images are taken.

All numbers are the project's own choice. Imported by the Snakefile, so nothing heavy is imported
here.
"""

import numpy as np

SIDES = ("left", "right")
# The auricular surface (y, z): an upper and a lower limb that meet in front, of one radius.
UPPER, CORNER, LOWER, LIMB_MM = (5.0, 20.0), (8.0, 0.0), (-5.0, -24.0), 9.0
INCLINATION_DEGREES, PRESCRIBED_DEGREES = (17.0, 33.0), 1.0  # of the sacrum; how far a scan is off
LARGEST_SHIFT_MM, LARGEST_TURN_DEGREES = 3.0, 2.0  # of the pelvis between T1w and STIR
# Contrast is an exponent of the signal, gain the signal of fat, snr that of fat over noise, bias
# half the range of the coil's field. On some scanners the first axis of an image points left.
SCANNERS = {
    "X": {
        "share": 0.5,
        "tesla": 1.5,
        "t1w": {"shape": [112, 112, 20], "voxel_mm": [1.8, 1.8, 4.0]},
        "stir": {"shape": [96, 96, 20], "voxel_mm": [2.1, 2.1, 4.0]},
        "coil": {"gain": 700.0, "contrast": 1.0, "snr": 40.0, "bias": 0.2, "leftward": False},
    },
    "Y": {
        "share": 0.3,
        "tesla": 3,
        "t1w": {"shape": [118, 118, 18], "voxel_mm": [1.7, 1.7, 4.4]},
        "stir": {"shape": [118, 118, 18], "voxel_mm": [1.7, 1.7, 4.4]},
        "coil": {"gain": 260.0, "contrast": 0.85, "snr": 32.0, "bias": 0.35, "leftward": True},
    },
    "Z": {
        "share": 0.2,
        "tesla": 1.5,
        "t1w": {"shape": [100, 100, 22], "voxel_mm": [2.0, 2.0, 3.6]},
        "stir": {"shape": [88, 88, 22], "voxel_mm": [2.3, 2.3, 3.6]},
        "coil": {"gain": 1500.0, "contrast": 1.15, "snr": 26.0, "bias": 0.3, "leftward": False},
    },
}


def sidecar(scanner: str) -> dict:
    """Metadata of an image of a scanner."""
    made = {"Manufacturer": "Simulated", "ManufacturersModelName": scanner}
    return made | {"MagneticFieldStrength": SCANNERS[scanner]["tesla"]}


def plan_pelvis(seed: list[int], sex: str) -> dict:
    """Anatomy of a pelvis and where it lies in the scanner.

    The joint of a side lies ``width_mm`` from the midline in the middle of the sacrum; ``slope``
    is how much further it lies with each mm towards the head, ``flare`` with each mm to the front.
    Lengths are of a pelvis of scale 1.

    Parameters
    ----------
    seed : of the participant
    sex : "F" or "M"

    Returns
    -------
    dict with scale, inclination_degrees (of the sacrum, about x), turn_degrees (about y and z),
    centre_mm (of the pelvis, scanner mm), fat_mm (under the skin), red_marrow (0..1), and left and
    right: width_mm, slope, flare, gap_mm (half the width of the joint) and phases of its waves
    """
    rng = np.random.default_rng([*seed, 0])
    size, inclination, fat, width = rng.standard_normal(4)
    turn, centre = rng.normal(0, 2, 2), rng.normal(0, (4, 6, 6))
    numbers = {
        "scale": np.clip((0.97 if sex == "F" else 1.02) + 0.03 * size, 0.88, 1.1),
        "inclination_degrees": np.clip(25 + 4 * inclination, *INCLINATION_DEGREES),
        "fat_mm": np.clip((20 if sex == "F" else 15) + 5 * fat, 6, 32),
        "red_marrow": rng.uniform(0.2, 1.0),
    }
    pelvis = {name: round(float(value), 4) for name, value in numbers.items()}
    pelvis |= {"turn_degrees": turn.round(3).tolist(), "centre_mm": centre.round(2).tolist()}
    for side in SIDES:
        asymmetry = rng.standard_normal(4)
        joint = {
            "width_mm": (45 if sex == "F" else 43) + 2 * width + 0.8 * asymmetry[0],
            "slope": 0.27 + 0.03 * asymmetry[1],
            "flare": 0.35 + 0.05 * asymmetry[2],
            "gap_mm": np.clip(1.4 + 0.2 * asymmetry[3], 1.0, 2.0),
        }
        joint = {name: round(float(value), 4) for name, value in joint.items()}
        pelvis[side] = joint | {"phases": rng.uniform(0, 2 * np.pi, 2).round(4).tolist()}
    return pelvis


def plan_position(seed: list[int], pelvis: dict) -> dict:
    """How slices lie in the scanner, nearly along the sacrum, and how the pelvis moves after.

    Returns
    -------
    dict with angles_degrees (about x, y and z) and centre_mm of the slab of slices, and shift_mm
    and turn_degrees (a rotation vector about that centre), by which the pelvis lies elsewhere in
    the STIR
    """
    rng = np.random.default_rng([*seed, 1])
    off = np.clip(rng.normal(0, PRESCRIBED_DEGREES, 3), -2, 2)
    angles = np.add(off, [pelvis["inclination_degrees"], *pelvis["turn_degrees"]])
    centre = pelvis["centre_mm"] + rng.normal(0, (2, 1.5, 4))
    axes = rng.standard_normal((2, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    shift, turn = rng.random((2, 1)) * [[LARGEST_SHIFT_MM], [LARGEST_TURN_DEGREES]] * axes
    numbers = {"angles_degrees": angles, "centre_mm": centre}
    numbers |= {"shift_mm": shift, "turn_degrees": turn}
    return {name: value.round(4).tolist() for name, value in numbers.items()}
