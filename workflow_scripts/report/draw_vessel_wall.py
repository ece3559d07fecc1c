"""Picture for the quality control of one session's vessel walls."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import map_coordinates

from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.tables import read_table

# Sections shown of a vessel, evenly along it; the narrowest always.
TILES = 6
PIXELS = 120
COLOURS = {"lumen": "#56b4e9", "outerwall": "#e69f00"}
PLACE = ["x_mm", "y_mm", "z_mm"]
INK, PAPER = "#dddddd", "#000000"


def shown_sections(sections: pd.DataFrame) -> list[int]:
    """Numbers of up to six sections of one vessel, the narrowest among them, in order."""
    even = np.linspace(0, len(sections) - 1, min(TILES, len(sections))).round().astype(int)
    narrowest = int(sections["lumen_area_mm2"].to_numpy().argmin())
    even[np.abs(even - narrowest).argmin()] = narrowest
    return sections["section"].iloc[sorted(set(even.tolist()))].tolist()


def section_axes(contours: pd.DataFrame) -> np.ndarray:
    """Affine (3, 3) from (u, v, 1) in a section to scanner mm, from its contours' points."""
    plane = np.c_[contours[["u_mm", "v_mm"]].to_numpy(float), np.ones(len(contours))]
    return np.linalg.lstsq(plane, contours[PLACE].to_numpy(float), rcond=None)[0].T


def cut(images: list[tuple], axes: np.ndarray, half_mm: float) -> np.ndarray:
    """Mean of images in a square of 2 ``half_mm`` round the centre of a section.

    Parameters
    ----------
    images : (data (x, y, z), affine)
    axes : (3, 3), as from ``section_axes``

    Returns
    -------
    (pixels, pixels); u runs to the right and v up, with the first row at the bottom
    """
    mm = (np.arange(PIXELS) + 0.5) / PIXELS * 2 * half_mm - half_mm
    u, v = np.meshgrid(mm, mm)
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ axes.T
    values = np.zeros(u.shape)
    for data, affine in images:
        inverse = np.linalg.inv(affine)
        voxels = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        values += map_coordinates(data, voxels, order=1, mode="constant")
    return values / max(len(images), 1)


def images_of(paths: list[str], hemi: str | None, label: str) -> list[str]:
    """Images to show under a vessel: the session's image where it is given, else its masks."""
    own, general = [], []
    for path in paths:
        name = Path(path).name
        artery, side = (re.search(rf"_{key}-([A-Za-z0-9]+)", name) for key in ("label", "hemi"))
        if not artery:
            general.append(path)
        elif (artery[1], side[1] if side else None) == (label, hemi):
            own.append(path)
    return general or own


@cache
def read_image(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Data (x, y, z) and affine of an image."""
    image = load_scan(path)
    if image.ndim != 3:
        raise InputError(f"{path}: has {image.ndim} dimensions, not 3; give one volume")
    return np.asarray(image.dataobj, np.float32), image.affine


def draw_picture(sections: pd.DataFrame, contours: pd.DataFrame, paths: list[str]) -> Image.Image:
    """A row per vessel: cross-sections with both contours, and NWI along the vessel.

    Parameters
    ----------
    sections, contours : tables of measure_vessel_wall
    paths : the vessel-wall image, or lumen and outer-wall masks with their names
        of the contract; a vessel without any has a black background

    Raises
    ------
    InputError
        If a section has no contours, or an image has not three axes.
    """
    vessels = list(sections.fillna({"hemi": ""}).groupby(["label", "hemi"], sort=False))
    height = 0.5 + 1.6 * len(vessels)
    figure = Figure(figsize=(11.5, height), dpi=100, facecolor=PAPER)
    grid = figure.add_gridspec(
        len(vessels),
        TILES + 1,
        width_ratios=[1] * TILES + [2.2],
        left=0.035,
        right=0.965,
        bottom=0.42 / height,
        top=1 - 0.32 / height,
        wspace=0.08,
        hspace=0.35,
    )
    first = None
    for row, ((label, hemi), table) in enumerate(vessels):
        of_vessel = contours[(contours["label"] == label) & (contours["hemi"].fillna("") == hemi)]
        images = [read_image(path) for path in images_of(paths, hemi or None, label)]
        numbers = shown_sections(table)
        drawn = of_vessel[of_vessel["section"].isin(numbers)]
        half = 1.25 * np.abs(drawn[["u_mm", "v_mm"]].to_numpy()).max() if len(drawn) else 1.0
        tiles = {}
        for number in numbers:
            points = drawn[drawn["section"] == number]
            if set(points["contour"]) != set(COLOURS):
                raise InputError(f"section {number} of {label} {hemi} has no contours; remake them")
            tiles[number] = cut(images, section_axes(points), half)
        black, white = np.percentile(np.stack(list(tiles.values())), [1, 99.5])
        for place, number in enumerate(numbers):
            axes = figure.add_subplot(grid[row, place])
            show_tile(axes, tiles[number], half, black, max(white, black + 1e-6))
            for contour, colour in COLOURS.items():
                line = drawn[(drawn["section"] == number) & (drawn["contour"] == contour)]
                closed = np.r_[line[["u_mm", "v_mm"]].to_numpy(), line[["u_mm", "v_mm"]].iloc[:1]]
                axes.plot(*closed.T, color=colour, linewidth=1.1)
            at = table.loc[table["section"] == number, ["position_mm", "nwi"]].iloc[0]
            axes.set_title(
                f"{at['position_mm']:.1f} mm, NWI {at['nwi']:.2f}", fontsize=7, color=INK, pad=2
            )
            if place == 0:
                axes.set_ylabel(f"{hemi} {label}".strip(), color=INK, fontsize=10)
        axes = figure.add_subplot(grid[row, TILES], sharex=first)
        first = first or axes
        show_course(axes, table, numbers)
        if row == 0:
            axes.set_title("NWI along the centre line", fontsize=8, color=INK, pad=4)
        if row == len(vessels) - 1:
            axes.set_xlabel("mm", color=INK, fontsize=8, labelpad=1)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def show_tile(axes, tile: np.ndarray, half: float, black: float, white: float) -> None:
    """Draw a section's image with a scale bar of 1 mm."""
    extent = (-half, half, -half, half)
    axes.imshow(tile, "gray", vmin=black, vmax=white, origin="lower", extent=extent)
    axes.plot([-0.93 * half, -0.93 * half + 1], [-0.9 * half] * 2, color="white", linewidth=2)
    axes.set(xticks=[], yticks=[], xlim=(-half, half), ylim=(-half, half))
    for side in axes.spines.values():
        side.set_visible(False)


def show_course(axes, table: pd.DataFrame, numbers: list[int]) -> None:
    """Draw NWI against the position, with dots at the sections shown."""
    axes.plot(table["position_mm"], table["nwi"], color=INK, linewidth=1)
    shown = table[table["section"].isin(numbers)]
    axes.plot(shown["position_mm"], shown["nwi"], "o", color=COLOURS["outerwall"], markersize=3)
    axes.set_ylim(0, 1)
    axes.set_facecolor("#111111")
    axes.tick_params(colors=INK, labelsize=7, length=2)
    axes.yaxis.tick_right()
    axes.grid(color="#333333", linewidth=0.5)
    for side in axes.spines.values():
        side.set_color("#555555")


def main(source, out, params):
    """Draw sections of the vessel walls of a session."""
    text = {"label": str}
    picture = draw_picture(
        read_table(source.sections).astype(text),
        read_table(source.contours).astype(text),
        list(source.images),
    )
    picture.save(out.picture, "WEBP", quality=60, method=4)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
