"""Simulate a subject's FLAIR image: thick slices, another head position than the T1w."""

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from workflow_scripts.common.job import job
from workflow_scripts.demo.deformation import Displacement, rigid
from workflow_scripts.demo.heads import FLAIR
from workflow_scripts.demo.images import (
    Phantom,
    bias_field,
    contrast,
    grid_points,
    rician,
    save_image,
    tissue_fractions,
)

INTENSITIES = {
    "bone": 0.05,
    "marrow": 0.35,
    "fat": 0.75,
    "muscle": 0.35,
    "cord": 0.55,
}
SCALE = 800.0


def lesions_at(lesion, points):
    """Lesion fractions of the T1w grid at ``points`` (3, ...) in mm; 0 outside the grid."""
    to_voxel = np.linalg.inv(lesion.affine)
    voxels = np.tensordot(to_voxel[:3, :3], points, axes=1) + to_voxel[:3, 3].reshape(3, 1, 1, 1)
    return map_coordinates(lesion.get_fdata(dtype="f4"), voxels, order=1)


def simulate(phantom, seed, field, lesion, borders=None, scan=FLAIR):
    """FLAIR image of one head.

    Parameters
    ----------
    phantom : Phantom
    seed : sequence of int, of the scan
    field : Displacement, from the T1w's grid to the phantom
    lesion : nibabel image of the true lesion fractions on the T1w's grid
    borders : see `tissue_fractions`
    scan : dict with shape and voxel_mm of the image, signals of csf, gm and wm, lesion_contrast
        (how much brighter than white matter lesions are) and snr (of white matter)

    Returns
    -------
    flair : uint16 array
    affine : (4, 4) array
    flair_to_t1w : (4, 4) array; moves a point of the head in the FLAIR (mm) to where it lies
        in the T1w (mm)
    """
    position, scanner = (np.random.default_rng([*seed, k]) for k in (3, 4))
    to_centre = np.eye(4)
    middle = (np.array(lesion.shape) - 1) / 2
    to_centre[:3, 3] = -(lesion.affine @ [*middle, 1])[:3]
    flair_to_t1w = np.linalg.inv(to_centre) @ rigid(position, 2.0, 1.5) @ to_centre
    shape, voxel_mm = scan["shape"], scan["voxel_mm"]
    affine = np.diag([*voxel_mm, 1.0])
    half = (np.array(shape) - 1) * voxel_mm / 2
    affine[:3, 3] = np.round(-to_centre[:3, 3] - half + position.normal(0, (2, 2, 1)), 2)
    grid = grid_points(shape, affine)
    subslices = np.array([-0.25, 0.25]) * voxel_mm[2]
    signal = 0
    for height in subslices:
        points = grid + np.array([0, 0, height], dtype="f4").reshape(3, 1, 1, 1)
        moved = np.tensordot(flair_to_t1w[:3, :3].astype("f4"), points, axes=1)
        moved += flair_to_t1w[:3, 3].astype("f4").reshape(3, 1, 1, 1)
        fractions = tissue_fractions(phantom, field(moved), borders)
        signal = signal + contrast(fractions, scan["signals"] | INTENSITIES)
        signal = signal + scan["lesion_contrast"] * lesions_at(lesion, moved)
    signal *= SCALE * bias_field(scanner, shape) / len(subslices)
    flair = rician(scanner, signal, scan["signals"]["wm"] * SCALE / scan["snr"])
    return np.round(flair).astype("u2"), affine, flair_to_t1w


def main(source, out, params):
    """Write the FLAIR of a session, and how its head moved since the T1w."""
    flair, affine, flair_to_t1w = simulate(
        Phantom.read(source.phantom),
        params.subject["scan_seed"],
        Displacement(source.field),
        nib.load(source.lesion),
        params.subject["borders"],
        params.subject["flair"],
    )
    save_image(flair, affine, out.flair)
    np.savetxt(out.to_t1w, flair_to_t1w, fmt="%.8f")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
