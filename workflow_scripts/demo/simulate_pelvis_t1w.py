"""Simulate the T1w of a pelvis in oblique slices, and write the truth beside it."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.images import save_image
from workflow_scripts.demo.pelvic_scans import T1W, save_scan, scanned, slab
from workflow_scripts.demo.pelvic_tissues import Pelvis

# Labels of what fills half of a voxel.
JOINTS = {"left": 1, "right": 2}
SIGNS = {"oedema": 1, "mimic": 2, "fat": 3, "erosion": 4}


def simulate(subject):
    """T1w of a pelvis and its truth.

    Parameters
    ----------
    subject : dict with seed, pelvis, signs, position and t1w, as `simulation` of the cohort has it

    Returns
    -------
    t1w : int16 array
    fractions : dict of float32 arrays (0..1) on the same grid, by the keys of `JOINTS` (the
        regions of the joints) and `SIGNS`
    affine : (4, 4) array
    """
    pelvis, scan = Pelvis(subject["seed"], subject["pelvis"], subject["signs"]), subject["t1w"]
    affine, rng = slab(scan, subject["position"]), np.random.default_rng([*subject["seed"], 4])
    return *scanned(pelvis, scan, affine, T1W, rng), affine


def labelled(fractions, labels):
    """Label image (uint8) of the fractions that fill half of a voxel."""
    image = np.zeros(next(iter(fractions.values())).shape, dtype="u1")
    for name, label in labels.items():
        image[fractions[name] >= 0.5] = label
    return image


def main(source, out, params):
    """Write the T1w of a participant, and the truth that it was made from."""
    subject = params.subject
    t1w, fractions, affine = simulate(subject)
    save_scan(t1w, affine, subject["t1w"], out.t1w)
    save_image(labelled(fractions, JOINTS), affine, out.joints)
    save_image(labelled(fractions, SIGNS), affine, out.signs)
    voxel_ml = np.prod(subject["t1w"]["voxel_mm"]) / 1000
    volumes = {
        f"{name}_volume_ml": fractions[name].sum(dtype="f8") * voxel_ml for name in JOINTS | SIGNS
    }
    row = pd.DataFrame([subject["session"] | volumes])
    write_table(row.round(4), out.volumes, resource("columns/spondyloarthritis.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
