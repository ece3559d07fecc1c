"""Picture of the mean Grad-CAM of each class on the template: all splits, and each split.

Of all splits also the map of the class's own logit, and integrated gradients.
"""

from itertools import product

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.draw_dwi_qc import INK, PAPER, cut

# Axes of the pictures: across the screen, up, through it (0 x, 1 y, 2 z).
AXIAL, CORONAL, SAGITTAL = (0, 1, 2), (0, 2, 1), (1, 2, 0)
PLANES = {AXIAL: "z", CORONAL: "y", SAGITTAL: "x"}
FIELD_MM = ((-78, 78), (-112, 80), (-68, 86))
HEIGHTS_MM = (-28, 52)
WIDE_INCH, TOP_INCH, ALL_INCH, HEADING_INCH, SPLIT_INCH = 13.2, 0.6, 2.4, 0.35, 1.65
NOTHING = "no scan of this class was classified correctly"
FAINTEST = 0.3
MEANS = {
    "maps": "difference\nof logits",
    "logits": "logit alone",
    "attributions": "integrated\ngradients",
}
CONTOURS = ["#ffffff", "#7df9ff", "#39ff14"]


def heat() -> ListedColormap:
    """Dark red over orange to pale yellow, ever less transparent from `FAINTEST` upwards."""
    shares = np.linspace(0, 1, 256)
    colours = mpl.colormaps["hot"](0.25 + 0.6 * shares)
    colours[:, 3] = np.clip((shares - FAINTEST) / (0.75 - FAINTEST), 0, 1) * 0.85
    return ListedColormap(colours)


def field(plane: tuple) -> tuple:
    """Lowest and highest mm across and up."""
    return FIELD_MM[plane[0]], FIELD_MM[plane[1]]


def show_slice(axes, share, head, plane: tuple, at: float, thresholds: list[float]) -> None:
    """Draw a slice of the template with a map on it.

    Parameters
    ----------
    axes : of matplotlib
    share : data (x, y, z) of the map as a share of its maximum, and affine
    head : template's data, 0..1, and affine
    plane, at : which slice, at mm of its third axis
    thresholds : shares that are outlined
    """
    extent = (*field(plane)[0], *field(plane)[1])
    grey = cut(*head, plane, at, field(plane))
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, origin="lower", extent=extent)
    shown = cut(*share, plane, at, field(plane))
    axes.imshow(shown, cmap=heat(), vmin=0, vmax=1, origin="lower", extent=extent)
    for threshold, colour in zip(thresholds, CONTOURS, strict=False):
        if shown.max() > threshold:
            line = {"colors": colour, "linewidths": 0.9}
            axes.contour(shown, [threshold], origin="lower", extent=extent, **line)
    axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:], facecolor=PAPER)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.text(
        0.97, 0.02, f"{PLANES[plane]} = {at:.0f} mm", color=INK, fontsize=6.5, ha="right",
        va="bottom", transform=axes.transAxes,
        bbox={"facecolor": PAPER, "alpha": 0.6, "linewidth": 0, "pad": 0.8},
    )  # fmt: skip
    letter = "P" if plane == SAGITTAL else "L"
    axes.text(
        0.03, 0.97, letter, color="white", fontsize=8, fontweight="bold",
        transform=axes.transAxes, ha="left", va="top",
    )  # fmt: skip


def show_scale(figure, place: list[float], thresholds: list[float]) -> None:
    """Colour bar with the thresholds, at left, bottom, width, height of the figure."""
    axes = figure.add_axes(place, facecolor="#555555")
    extent = (FAINTEST, 1, 0, 1)
    shares = np.linspace(FAINTEST, 1, 256)[None]
    axes.imshow(shares, cmap=heat(), vmin=0, vmax=1, aspect="auto", extent=extent)
    for threshold, colour in zip(thresholds, CONTOURS, strict=False):
        axes.axvline(threshold, color=colour, linewidth=2.5)
    ticks = [FAINTEST, *thresholds, 1]
    axes.set(yticks=[], xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks])
    axes.set_title("Grad-CAM, share of the map's maximum", fontsize=8, color=INK, pad=3)
    axes.tick_params(colors=INK, labelsize=8, length=2)
    for side in axes.spines.values():
        side.set_visible(False)


def read_head(template: nib.Nifti1Image, mask: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """The template's brain, 0 to 1, and its affine."""
    data = np.asanyarray(template.dataobj) * (np.asanyarray(mask.dataobj) > 0)
    return np.clip(data / np.percentile(data[data > 0], 99.5), 0, 1), template.affine


def draw_picture(
    means: dict[str, nib.Nifti1Image],
    index: pd.DataFrame,
    head: tuple,
    thresholds: list[float],
    title: str,
) -> Image.Image:
    """The mean over all splits on axial slices, then each split on slices through its peak.

    Parameters
    ----------
    means : (x, y, z, maps) in MNI152 by what they are; of all splits all are shown, of each
        split the first
    index : volume, split, class and n of each map
    head : template's data, 0..1, and affine
    thresholds : shares of a map's maximum that are outlined
    title : above everything

    Raises
    ------
    InputError
        If the index does not fit the maps.
    """
    for image in means.values():
        if len(index) != image.shape[3]:
            raise InputError(
                f"{len(index)} rows for {image.shape[3]} maps of {title}; run average_gradcam again"
            )
    index = index.astype({"split": str, "class": str})
    classes = list(index["class"].unique())
    splits = [split for split in index["split"].unique() if split != "all"]
    columns = len(PLANES) * len(classes)
    pooled, first = list(product(means.items(), classes)), next(iter(means.values()))
    heights = [ALL_INCH] * len(pooled) + [HEADING_INCH] + [SPLIT_INCH] * len(splits)
    tall = TOP_INCH + sum(heights)
    figure = Figure(figsize=(WIDE_INCH, tall), dpi=100, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(heights), columns + 1, height_ratios=heights, width_ratios=[0.5] + [1] * columns,
        left=0.01, right=0.995, bottom=0.005, top=1 - TOP_INCH / tall, wspace=0.03, hspace=0.03,
    )  # fmt: skip
    figure.text(
        0.012, 1 - 0.3 / tall, title, color=INK, fontsize=13, fontweight="bold", va="center"
    )
    show_scale(figure, [0.66, 1 - 0.42 / tall, 0.32, 0.16 / tall], thresholds)

    def text(cell, words, x=0.0, y=0.5, **style):
        axes = figure.add_subplot(cell)
        axes.set_axis_off()
        axes.text(x, y, words, color=INK, va="center", **({"fontsize": 9} | style))

    def show(name, split, line, cells, slices=None, maps=first):
        row = index[(index["class"] == name) & (index["split"] == split)].iloc[0]
        mean = np.asarray(maps.dataobj[..., row["volume"]], np.float32)
        share = mean / max(mean.max(), np.finfo(np.float32).tiny)
        if not row["n"]:
            text(grid[line, cells], NOTHING, x=0.5, ha="center")
            return 0
        if slices is None:
            peak = np.unravel_index(mean.argmax(), mean.shape)
            at = nib.affines.apply_affine(maps.affine, peak)
            slices = [(plane, at[plane[2]]) for plane in PLANES]
        for column, (plane, at) in zip(range(cells.start, cells.stop), slices, strict=True):
            axes = figure.add_subplot(grid[line, column])
            show_slice(axes, (share, maps.affine), head, plane, at, thresholds)
        return row["n"]

    axial = [(AXIAL, height) for height in np.linspace(*HEIGHTS_MM, columns)]
    for line, ((explained, image), name) in enumerate(pooled):
        n = show(name, "all", line, slice(1, columns + 1), axial, image)
        text(grid[line, 0], f"{name}\n\nall splits\nn = {n}\n\n{explained}", fontsize=8)
    groups = [slice(1 + len(PLANES) * k, 1 + len(PLANES) * (k + 1)) for k in range(len(classes))]
    for cells, name in zip(groups, classes, strict=True):
        heading = f"{name}: through the peak of each split"
        text(grid[len(pooled), cells], heading, x=0.5, y=0.35, fontsize=10, ha="center")
    for line, split in enumerate(splits, len(pooled) + 1):
        counts = [
            show(name, split, line, cells) for cells, name in zip(groups, classes, strict=True)
        ]
        text(grid[line, 0], f"split {split}\nn = {' and '.join(map(str, counts))}")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def main(source, out, params, wildcards):
    """Draw the mean Grad-CAM of a model."""
    picture = draw_picture(
        {name: nib.load(getattr(source, key)) for key, name in MEANS.items()},
        read_table(source.index),
        read_head(nib.load(source.template), nib.load(source.template_mask)),
        params.gradcam["thresholds"],
        f"{wildcards.study}, {wildcards.model}",
    )
    picture.save(out.picture, "WEBP", quality=60, method=4)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
