"""The simulated head under a diffusion gradient: its tensors in scanner axes and its signal."""

import numpy as np

from workflow_scripts.demo.images import grid_points, tissue_fractions
from workflow_scripts.demo.tensors import (
    Gyri,
    alps_plateau,
    field_jacobian,
    reorient,
    template_tensors,
)

SUBSAMPLES = 2
S0 = {
    "csf": 2.2,
    "gm": 1.2,
    "wm": 1.0,
    "bone": 0.03,
    "marrow": 0.08,
    "fat": 0.12,
    "muscle": 0.25,
    "cord": 1.0,
}
DIFFUSIVITY = {
    "csf": 3.0e-3,
    "gm": 0.8e-3,
    "bone": 0.5e-3,
    "marrow": 0.2e-3,
    "fat": 0.05e-3,
    "muscle": 1.5e-3,
    "cord": 0.9e-3,
}


def moved(matrix, points):
    """``points`` (3, ...) moved by a (4, 4) matrix, as float32."""
    shift = matrix[:3, 3].astype("f4").reshape(3, *[1] * (points.ndim - 1))
    return np.tensordot(matrix[:3, :3].astype("f4"), points, axes=1) + shift


def native_point(field, target, iterations=30):
    """Point (3,) of the T1w, in mm, that ``field`` takes to ``target`` (3,) of the template."""
    target = np.asarray(target, dtype="f4").reshape(3, 1)
    point = target.copy()
    for _ in range(iterations):
        point = point + 0.9 * (target - field(point))
    return point[:, 0].astype(float)


def scanner_tensors(points, dwi_to_t1w, field, alps, gyri=None):
    """True tensors of white matter at points of the scanner, in scanner axes.

    Parameters
    ----------
    points : (3, n) array, mm, in the head position of the first volume
    dwi_to_t1w : (4, 4) array
    field : Displacement from the T1w to the template, or None where the head is the template
    alps : index of the left and of the right side
    gyri : see `template_tensors`

    Returns
    -------
    (n, 3, 3) array, mm2/s
    """
    native = moved(dwi_to_t1w, points)
    tensors = template_tensors(native if field is None else field(native), *alps, gyri)
    rotation = dwi_to_t1w[:3, :3]
    if field is not None:
        return reorient(tensors, field_jacobian(field, native) @ rotation)
    return rotation.T @ tensors @ rotation


def isotropic_signal(fractions, bval):
    """Noise-free signal of all but white matter: sum of f S0 exp(-b D); `white_signal` adds to it.

    Parameters
    ----------
    fractions : dict of (x, y, z) arrays
    bval : s/mm2
    """
    result = np.zeros_like(fractions["wm"])
    for tissue, diffusivity in DIFFUSIVITY.items():
        result += fractions[tissue] * np.float32(S0[tissue] * np.exp(-bval * diffusivity))
    return result


def white_signal(fraction, tensors, bval, direction):
    """Noise-free signal of white matter, f S0 exp(-b g'Dg); that of a full voxel at b=0 is 1.

    Parameters
    ----------
    fraction : (x, y, z) array
    tensors : (n, 3, 3) array of the voxels where ``fraction`` > 0
    bval : s/mm2
    direction : (3,) unit vector in the axes of the tensors
    """
    result, white = np.zeros_like(fraction), fraction > 0
    exponent = np.einsum("nij,i,j->n", tensors, direction, direction, optimize=True)
    result[white] = fraction[white] * S0["wm"] * np.exp(-bval * exponent).astype("f4")
    return result


def head(phantom, field, shape, affine, dwi_to_t1w, alps, borders=None):
    """Tissue fractions and white matter tensors on a grid twice as fine as the images.

    Around the ALPS regions all brain tissue counts as white matter, so that what is planted
    there is not mixed with cortex.

    Parameters
    ----------
    shape, affine : grid of the images
    borders : see `tissue_fractions`

    Returns
    -------
    fractions : dict of arrays
    tensors : array, see `white_signal`
    fine : (4, 4) affine of the grid
    """
    fine = affine @ np.diag([1 / SUBSAMPLES] * 3 + [1.0])
    fine[:3, 3] -= np.diag(affine)[:3] / 2 * (1 - 1 / SUBSAMPLES)
    points = grid_points(tuple(SUBSAMPLES * n for n in shape), fine)
    native = moved(dwi_to_t1w, points)
    template = native if field is None else field(native)
    fractions = tissue_fractions(phantom, template, borders)
    planted = alps_plateau(template)
    for tissue in ("gm", "csf"):
        taken = planted * fractions[tissue]
        fractions[tissue] -= taken
        fractions["wm"] += taken
    white = points[:, fractions["wm"] > 0]
    tensors = scanner_tensors(white, dwi_to_t1w, field, alps, Gyri(phantom))
    return fractions, tensors, fine
