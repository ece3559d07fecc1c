"""Simulate a black-blood vessel-wall image and the centre lines of the arteries on it."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.images import grid_points, rician, save_image
from workflow_scripts.demo.vessels import (
    LENGTH_MM,
    SIDES,
    VOXEL_MM,
    arteries,
    partial_volumes,
    truth,
)

SHAPE = (216, 208, 64)
LUMEN, WALL, FLUID, BRAIN = 0.05, 1.0, 0.2, 0.6
CISTERN_MM = 4.0
POINT_SPREAD_MM = 0.15
SCALE, SNR = 150.0, 25.0
POINTS_MM = 0.5


def vessel_image(tubes, rng, snr=SNR):
    """Black-blood image of both arteries in their cisterns.

    Parameters
    ----------
    tubes : dict of Tube, by side
    snr : signal of the wall over the noise; None for none

    Returns
    -------
    (216, 208, 64) array, 0.4 mm voxels, and its affine
    """
    middle = np.mean([tube.frame([LENGTH_MM / 2])[0][0] for tube in tubes.values()], axis=0)
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = np.round(middle - VOXEL_MM * (np.array(SHAPE) - 1) / 2, 2)
    grid = grid_points(SHAPE, affine)
    signal = np.full(SHAPE, BRAIN, dtype="f4")
    for tube in tubes.values():
        distance, position = tube.coordinates(grid)
        reach = np.abs(position - LENGTH_MM / 2) - LENGTH_MM / 2 < CISTERN_MM
        signal[(distance < tube.outer_mm + CISTERN_MM) & reach] = FLUID
    for tube in tubes.values():
        lumen, outer = (
            partial_volumes(tube, radius, SHAPE, affine)
            for radius in (tube.lumen_mm, tube.outer_mm)
        )
        signal = signal * (1 - outer) + WALL * (outer - lumen) + LUMEN * lumen
    signal = SCALE * gaussian_filter(signal, POINT_SPREAD_MM / VOXEL_MM)
    return (signal if snr is None else rician(rng, signal, SCALE * WALL / snr)), affine


def centre_line(tube):
    """Points every 0.5 mm along the vessel: DataFrame with x_mm, y_mm, z_mm."""
    line = tube.frame(np.arange(0, LENGTH_MM + POINTS_MM / 2, POINTS_MM))[0]
    return pd.DataFrame(line.round(4), columns=["x_mm", "y_mm", "z_mm"])


def main(source, out, params):
    """Write a participant's vessel-wall image, centre lines and the truth."""
    columns, subject = resource("columns/demo.tsv"), params.subject
    tubes = arteries(subject)
    image, affine = vessel_image(tubes, np.random.default_rng([*subject["seed"], 11]))
    save_image(np.round(image).astype("u2"), affine, out.image)
    for side in SIDES:
        write_table(centre_line(tubes[side]), getattr(out, side), columns)
    write_table(truth(subject["participant_id"], tubes), out.truth, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
