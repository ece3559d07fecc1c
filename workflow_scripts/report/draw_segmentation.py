"""Picture of a region of one session: the contours of all engines on the T1w."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from workflow_scripts.common.bids import entities_of
from workflow_scripts.common.job import InputError, job
from workflow_scripts.report.draw_qc import LETTERS, read_canonical

# Axis cut (0 sagittal, 1 coronal, 2 axial), and where as a share of the region's extent.
TILES = [(2, 0.3), (2, 0.5), (2, 0.7), (1, 0.35), (1, 0.65), (0, 0.25)]
AROUND_MM = 14
COLOURS = ["#ff4b4b", "#33dd66", "#4da6ff", "#ffd23f", "#ff7bff", "#3ff0f0", "#ff9d3c", "#b7a6ff"]
WHITE = "#ffffff"
INCH = 2.2
DPI = 110


def styles_of(engines: list[str], raters: list[str]) -> dict[str, dict]:
    """Colour and kind of line of each engine; raters are dashed, the first of them white."""
    found = {
        name: {"colors": COLOURS[place % len(COLOURS)], "linestyles": "-"}
        for place, name in enumerate(name for name in engines if name not in raters)
    }
    for place, name in enumerate(raters):
        colour = WHITE if place == 0 else COLOURS[-place % len(COLOURS)]
        found[name] = {"colors": colour, "linestyles": "--"}
    return found


def window_of(t1w: np.ndarray, box: tuple[slice, ...]) -> tuple[float, float]:
    """Intensities to show as black and as white."""
    low, high = np.percentile(t1w[box], [1, 99.5])
    return float(low), float(max(high, low + 1e-6))


def draw_contours(t1w, zooms, masks: dict[str, np.ndarray], raters: list[str]) -> Figure:
    """Six slices through a region with the outline of each engine.

    Parameters
    ----------
    t1w : (x, y, z), axes to right, anterior, superior
    zooms : voxel size in mm
    masks : by engine, (x, y, z) bool on the same grid
    raters : those engines that are people
    """
    inside = np.any(list(masks.values()), axis=0)
    if not inside.any():
        raise InputError("no engine has a voxel of the region; look at the T1w, and exclude it")
    corners = np.argwhere(inside)
    low, high = corners.min(0), corners.max(0)
    margin = np.ceil(AROUND_MM / zooms).astype(int)
    start, stop = np.maximum(low - margin, 0), np.minimum(high + margin + 1, t1w.shape)
    box = tuple(map(slice, start, stop))
    black, white = window_of(t1w, box)
    figure = Figure(figsize=(INCH * len(TILES), INCH * 1.25), facecolor="black", dpi=DPI)
    styles, handles = styles_of(list(masks), raters), {}
    for place, (axis, share) in enumerate(TILES):
        axes = figure.add_axes([place / len(TILES), 0.12, 0.99 / len(TILES), 0.88])
        number = round(low[axis] + share * (high[axis] - low[axis]))
        across, up = [a for a in range(3) if a != axis]
        extent = [edge * zooms[a] for a in (across, up) for edge in (start[a] - 0.5, stop[a] - 0.5)]
        cut = [box[a] for a in range(3)]
        cut[axis] = number
        axes.imshow(
            t1w[tuple(cut)].T, cmap="gray", vmin=black, vmax=white, origin="lower", extent=extent,
            interpolation="bilinear",
        )  # fmt: skip
        grid = [np.arange(start[a], stop[a]) * zooms[a] for a in (across, up)]
        for name, mask in masks.items():
            plane = mask[tuple(cut)].T
            if plane.any() and min(plane.shape) > 1:
                drawn = axes.contour(
                    *grid, plane.astype(float), levels=[0.5], linewidths=1.1, **styles[name]
                )
                handles.setdefault(name, drawn.legend_elements()[0][0])
        for x, letter in zip((0.02, 0.98), LETTERS[axis], strict=True):
            axes.text(
                x, 0.94, letter, color="white", fontsize=9, transform=axes.transAxes,
                ha="left" if x < 0.5 else "right",
            )  # fmt: skip
        axes.set_axis_off()
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", ncols=len(handles), fontsize=9,
        frameon=False, labelcolor="white",
    )  # fmt: skip
    return figure


def save_picture(figure: Figure, path) -> None:
    """Write a figure as WebP."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").save(path, "WEBP", quality=70, method=4)


def main(source, out, params):
    """Draw a region of a session."""
    t1w, zooms = read_canonical(source.t1w)
    masks = {}
    for path in source.sides:
        data, _ = read_canonical(path)
        if data.shape != t1w.shape:
            raise InputError(f"{path}: its grid is not that of its T1w; remake it")
        masks[entities_of(Path(path).name)["desc"]] = data > 0
    save_picture(draw_contours(t1w, zooms, masks, params.raters), out.picture)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
