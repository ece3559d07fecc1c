"""Picture for the quality control of a session that is no brain: slices of all its contrasts."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from workflow_scripts.common.bids import entities_of
from workflow_scripts.common.job import InputError, job
from workflow_scripts.report.draw_qc import LETTERS, read_canonical
from workflow_scripts.report.draw_segmentation import save_picture, window_of

COLUMNS = 6
COLOUR = "#33dd66"  # as the caption in resources/report/qc.yaml says
INCH, DPI = 2.0, 110
SHARES = np.linspace(0.1, 0.9, COLUMNS)  # of the extent that is shown


def draw_scans(scans: dict[str, np.ndarray], zooms: np.ndarray, region: np.ndarray) -> Figure:
    """A row of slices for each contrast, across the axis with the thickest slices.

    Parameters
    ----------
    scans : by name, (x, y, z), axes to right, anterior, superior, on one grid
    zooms : voxel size in mm
    region : (x, y, z) bool, whose outline is drawn and whose slices are shown; all slices where it
        is empty
    """
    axis = int(np.argmax(zooms))
    across, up = [a for a in range(3) if a != axis]
    inside = np.flatnonzero(region.any(axis=(across, up)))
    low, high = (inside[0], inside[-1]) if len(inside) else (0, region.shape[axis] - 1)
    numbers = np.round(low + SHARES * (high - low)).astype(int)
    width = region.shape[across] * zooms[across]
    height = region.shape[up] * zooms[up]
    figure = Figure(
        figsize=(INCH * COLUMNS, INCH * len(scans) * height / width), facecolor="black", dpi=DPI
    )
    grid = [np.arange(region.shape[a]) * zooms[a] for a in (across, up)]
    extent = [-zooms[across] / 2, width - zooms[across] / 2, -zooms[up] / 2, height - zooms[up] / 2]
    for row, (name, scan) in enumerate(scans.items()):
        black, white = window_of(scan, (slice(None),) * 3)
        for column, number in enumerate(numbers):
            corner = [column / COLUMNS, 1 - (row + 1) / len(scans)]
            axes = figure.add_axes([*corner, 0.99 / COLUMNS, 0.99 / len(scans)])
            axes.imshow(
                np.take(scan, number, axis).T, cmap="gray", vmin=black,
                vmax=white, origin="lower", extent=extent,
                interpolation="bilinear",
            )  # fmt: skip
            plane = np.take(region, number, axis).T
            if plane.any():
                axes.contour(*grid, plane.astype(float), levels=[0.5], linewidths=1, colors=COLOUR)
            if column == 0:
                axes.text(0.02, 0.04, name, color="white", fontsize=9, transform=axes.transAxes)
            for x, letter in zip((0.02, 0.98), LETTERS[axis], strict=True):
                axes.text(
                    x, 0.92, letter, color="white", fontsize=8, transform=axes.transAxes,
                    ha="left" if x < 0.5 else "right",
                )  # fmt: skip
            axes.set_axis_off()
    return figure


def main(source, out, params):
    """Draw the scans of a session."""
    scans, zooms = {}, None
    for path in source.scans:
        data, zooms = read_canonical(path)
        entities = entities_of(Path(path).name)
        scans[entities["suffix"] if entities["desc"] == "preproc" else entities["desc"]] = data
    first = next(iter(scans.values()))
    region = np.zeros(first.shape, bool)
    for path in source.sides:
        data, _ = read_canonical(path)
        if data.shape != first.shape:
            raise InputError(f"{path}: its grid is not that of its T1w; remake it")
        region |= data > 0
    save_picture(draw_scans(scans, zooms, region), out.picture)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
