"""Simulate the STIR of a pelvis: a grid of its own, and the pelvis moved since the T1w."""

import numpy as np

from workflow_scripts.common.job import job
from workflow_scripts.demo.pelvic_scans import STIR, moved, save_scan, scanned, slab
from workflow_scripts.demo.pelvic_tissues import Pelvis


def simulate(subject):
    """STIR of a pelvis.

    Parameters
    ----------
    subject : dict with seed, pelvis, signs, position and stir, as `simulation` of the cohort has it

    Returns
    -------
    stir : int16 array
    affine : (4, 4) array
    stir_to_t1w : (4, 4) array; moves a point of the pelvis in the STIR (mm) to where it lies in
        the T1w (mm)
    """
    pelvis, scan = Pelvis(subject["seed"], subject["pelvis"], subject["signs"]), subject["stir"]
    affine, rng = slab(scan, subject["position"]), np.random.default_rng([*subject["seed"], 5])
    stir_to_t1w = moved(subject["position"])
    stir, _ = scanned(pelvis, scan, affine, STIR, rng, stir_to_t1w)
    return stir, affine, stir_to_t1w


def main(source, out, params):
    """Write the STIR of a participant, and how the pelvis moved since the T1w."""
    stir, affine, stir_to_t1w = simulate(params.subject)
    save_scan(stir, affine, params.subject["stir"], out.stir)
    np.savetxt(out.to_t1w, stir_to_t1w, fmt="%.8f")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
