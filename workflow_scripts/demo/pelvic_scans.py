"""Oblique slices through a simulated pelvis: grid, contrast, partial volume and storage."""

import numpy as np
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.images import bias_field, grid_points, rician, save_image
from workflow_scripts.demo.pelvic_tissues import turned

# Signal of each tissue, of fat 1 in T1w, of fluid 1 in STIR.
T1W = {
    "skin": 0.35,
    "fat": 1.0,
    "muscle": 0.36,
    "bowel": 0.22,
    "vessel": 0.12,
    "cortex": 0.06,
    "marrow": 0.78,
    "red_marrow": 0.62,
    "disc": 0.33,
    "nerve": 0.42,
    "fluid": 0.2,
    "ligament": 0.2,
    "cartilage": 0.3,
    "metaplasia": 1.05,
    "oedema": 0.34,
    "erosion": 0.27,
}
STIR = {
    "skin": 0.2,
    "fat": 0.05,
    "muscle": 0.26,
    "bowel": 0.6,
    "vessel": 0.75,
    "cortex": 0.03,
    "marrow": 0.12,
    "red_marrow": 0.22,
    "disc": 0.35,
    "nerve": 0.55,
    "fluid": 1.0,
    "ligament": 0.08,
    "cartilage": 0.34,
    "metaplasia": 0.06,
    "oedema": 0.8,
    "erosion": 0.55,
}
SUBSLICES = 3


def slab(scan, position):
    """Affine (4, 4) of oblique slices: the first axis to a side, the second up, the third front.

    Parameters
    ----------
    scan : dict with shape, voxel_mm and leftward (whether the first axis points left)
    position : dict from `plan_position`
    """
    right, front, up = turned(position["angles_degrees"]).T
    axes = np.stack([-right if scan["leftward"] else right, up, front], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = axes * scan["voxel_mm"]
    middle = (np.array(scan["shape"]) - 1) / 2
    affine[:3, 3] = position["centre_mm"] - affine[:3, :3] @ middle
    return affine.round(5)


def moved(position):
    """Matrix (4, 4) that moves a point of the pelvis in the STIR (mm) to its place in the T1w."""
    matrix, centre = np.eye(4), np.array(position["centre_mm"])
    turn = Rotation.from_rotvec(position["turn_degrees"], degrees=True).as_matrix()
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre + position["shift_mm"]
    return matrix


def painted(layers, signals):
    """Signal of layers of (tissue, coverage), each of which covers those before it."""
    signal = np.float32(0)
    for tissue, coverage in layers:
        signal = signal + coverage * (signals[tissue] - signal)
    return signal


def scanned(pelvis, scan, affine, signals, rng, to_pelvis=None):
    """Image of a pelvis.

    Parameters
    ----------
    pelvis : Pelvis
    scan : dict with shape, and the coil's gain, contrast, snr and bias
    affine : (4, 4) array
    signals : dict, `T1W` or `STIR`
    rng : numpy Generator of the noise
    to_pelvis : (4, 4) array that moves a point of the image to the pelvis, None where it lies
        as planned

    Returns
    -------
    image : (x, y, z) int16 array
    found : dict of (x, y, z) float32 arrays, fractions from `Pelvis.tissues`
    """
    affine = affine if to_pelvis is None else to_pelvis @ affine
    grid, signal, found = grid_points(scan["shape"], affine), 0, {}
    grain = pelvis.grain(grid)
    for step in (np.arange(SUBSLICES) + 0.5) / SUBSLICES - 0.5:
        points = grid + (step * affine[:3, 2]).astype("f4").reshape(3, 1, 1, 1)
        layers, parts = pelvis.tissues(points, grain)
        signal = signal + painted(layers, signals) / SUBSLICES
        found = {name: found.get(name, 0) + part / SUBSLICES for name, part in parts.items()}
    signal = np.maximum(signal, 0) ** scan["contrast"] * bias_field(
        rng, scan["shape"], scan["bias"]
    )
    image = scan["gain"] * rician(rng, signal, 1 / scan["snr"])
    return np.round(image).astype("i2"), found


def save_scan(image, affine, scan, path):
    """Write an image, with a trailing fourth axis of length 1 if the scan has one."""
    save_image(image[..., None] if scan["fourth_axis"] else image, affine, path)
