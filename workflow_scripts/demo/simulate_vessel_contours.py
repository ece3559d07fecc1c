"""Simulate contours of the middle cerebral arteries, as a reader draws them across the vessel."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.vessels import LENGTH_MM, SIDES, arteries, truth

SLICE_MM = 1.0
POINTS = 48
READER_MM = 0.02


def contours(tube, rng):
    """Closed contours of lumen and outer wall, one pair per mm along the vessel.

    Points lie in the plane across the vessel; their distance from its middle varies by 0.02 mm.

    Returns
    -------
    DataFrame with slice (from 1), contour (lumen or outerwall), x_mm, y_mm, z_mm
    """
    centres, outward, binormal = tube.frame(np.arange(SLICE_MM / 2, LENGTH_MM, SLICE_MM))
    angle = 2 * np.pi * np.arange(POINTS)[:, None] / POINTS
    parts = []
    for number, (centre, a, b) in enumerate(zip(centres, outward, binormal, strict=True), start=1):
        for name, radius in (("lumen", tube.lumen_mm), ("outerwall", tube.outer_mm)):
            drawn = radius + rng.normal(0, READER_MM, (POINTS, 1))
            points = centre + drawn * (np.cos(angle) * a + np.sin(angle) * b)
            part = pd.DataFrame(points.round(4), columns=["x_mm", "y_mm", "z_mm"])
            parts.append(part.assign(slice=number, contour=name))
    table = pd.concat(parts, ignore_index=True)
    return table[["slice", "contour", "x_mm", "y_mm", "z_mm"]]


def main(source, out, params):
    """Write the contours of a participant's arteries, and the truth."""
    columns, subject = resource("columns/demo.tsv"), params.subject
    tubes = arteries(subject)
    for number, side in enumerate(SIDES):
        reader = np.random.default_rng([*subject["seed"], 11, number])
        write_table(contours(tubes[side], reader), getattr(out, side), columns)
    write_table(truth(subject["participant_id"], tubes), out.truth, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
