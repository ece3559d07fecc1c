"""Simulate a subject's map of R1 in 1/s, on the grid of the T1w."""

import nibabel as nib
import numpy as np

from workflow_scripts.common.job import job
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import (
    Phantom,
    contrast,
    grid_points,
    save_image,
    tissue_fractions,
)

INTENSITIES = {"bone": 0.2, "marrow": 1.8, "fat": 2.4, "muscle": 0.8, "cord": 0.95}


def simulate(phantom, seed, field, lesion, borders, scan):
    """Map of R1 of one head, in 1/s, float32.

    Parameters
    ----------
    phantom : Phantom
    seed : sequence of int, of the scan
    field : Displacement, from the T1w's grid to the phantom
    lesion : nibabel image of the true lesion fractions on the T1w's grid
    borders : see `tissue_fractions`
    scan : dict with signals of csf, gm and wm, lesion (that of a lesion) and sd of the noise
    """
    points = field(grid_points(lesion.shape, lesion.affine))
    r1 = contrast(tissue_fractions(phantom, points, borders), scan["signals"] | INTENSITIES)
    r1 += (scan["lesion"] - scan["signals"]["wm"]) * lesion.get_fdata(dtype="f4")
    noise = np.random.default_rng([*seed, 5]).standard_normal(r1.shape, dtype="f4")
    return (r1 + scan["sd"] * noise).astype("f4")


def main(source, out, params):
    """Write the R1map of a session."""
    subject, lesion = params.subject, nib.load(source.lesion)
    r1 = simulate(
        Phantom.read(source.phantom),
        subject["scan_seed"],
        Displacement(source.field),
        lesion,
        subject["borders"],
        subject["r1map"],
    )
    save_image(r1, lesion.affine, out.r1map)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
