"""Picture for the quality control of one session's diffusion series and DTI-ALPS."""

import json
import textwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import binary_erosion, map_coordinates

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.colour_fa import BRIGHTNESS, read_regions

# Axes of the pictures: across the screen, up, through it (0 x, 1 y, 2 z).
AXIAL, CORONAL = (0, 1, 2), (0, 2, 1)
FIELDS_MM = {AXIAL: ((-80, 80), (-112, 82)), CORONAL: ((-80, 80), (-68, 90))}
NEAR_MM = 15
STEP_MM = 0.5
TEXT_POINTS = 130
INK, PAPER = "#dddddd", "#000000"


def centre_of(region) -> np.ndarray:
    """Centre (3,) of a sphere, or mean of a mask's points, in mm."""
    return region[0] if isinstance(region, tuple) else region.mean(axis=0)


def cut(data: np.ndarray, affine: np.ndarray, plane: tuple, at: float, field: tuple) -> np.ndarray:
    """A slice through a volume in MNI152 space.

    Parameters
    ----------
    data : (x, y, z)
    affine : (4, 4), voxels to MNI152 mm
    plane : AXIAL or CORONAL
    at : mm along the third axis of the plane
    field : lowest and highest mm across and up

    Returns
    -------
    (rows, columns), 0.5 mm per pixel; columns run to the patient's right, the
    first row is the lowest
    """
    across, up = (np.arange(low, high, STEP_MM) + STEP_MM / 2 for low, high in field)
    points = np.empty((len(up), len(across), 3))
    points[..., plane[0]], points[..., plane[1]] = np.meshgrid(across, up)
    points[..., plane[2]] = at
    voxels = nib.affines.apply_affine(np.linalg.inv(affine), points)
    return map_coordinates(data, np.moveaxis(voxels, -1, 0), order=1, mode="constant")


def show_slice(axes, colour, mask, affine, plane, at, field) -> None:
    """Draw colour FA with the template's outline, black outside of the image."""
    picture = np.stack([cut(colour[..., i], affine, plane, at, field) for i in range(3)], axis=-1)
    inside = cut(mask.astype(np.float32), affine, plane, at, field) > 0.5
    picture = np.clip(picture * BRIGHTNESS, 0, 1)
    picture[inside & ~binary_erosion(inside, border_value=1)] = 0.45
    axes.imshow(picture, origin="lower", extent=(*field[0], *field[1]))
    axes.set(xticks=[], yticks=[], xlim=field[0], ylim=field[1])
    for side in axes.spines.values():
        side.set_visible(False)
    for letter, place in (("L", 0.02), ("R", 0.98)):
        axes.text(
            place, 0.98, letter, color="white", fontsize=9, transform=axes.transAxes,
            ha="left" if letter == "L" else "right", va="top",
        )  # fmt: skip


def show_regions(axes, regions: dict, flagged: set, plane: tuple, at: float, colours: dict) -> None:
    """Outline the regions where they meet the slice: flagged ones dashed, in their own colour."""
    theta = np.linspace(0, 2 * np.pi, 73)
    for name, region in regions.items():
        key = "flagged" if name in flagged else "region"
        style = {"color": colours[key], "linewidth": 1.2, "linestyle": "-"}
        if name in flagged:
            style["linestyle"] = (0, (3, 1.5))
        if not isinstance(region, tuple):
            points = region[np.abs(region[:, plane[2]] - at) <= 1]
            axes.plot(
                points[:, plane[0]], points[:, plane[1]], "s", ms=3, mfc="none", mec=colours[key]
            )
            continue
        centre, radius = region
        across = radius**2 - (centre[plane[2]] - at) ** 2
        if across > 0:
            axes.plot(
                centre[plane[0]] + across**0.5 * np.cos(theta),
                centre[plane[1]] + across**0.5 * np.sin(theta),
                **style,
            )


def show_motion(axes, motion: pd.DataFrame, column: str, outliers: np.ndarray, colours) -> None:
    """Draw displacement or rotation over all volumes; mark those with outlier slices."""
    name, unit = column.split("_")
    numbers = np.arange(len(motion))
    axes.plot(numbers, motion[column], color=colours[name], linewidth=1.2)
    axes.plot(
        outliers, motion[column].to_numpy()[outliers], "v", color=colours["outlier"], markersize=5
    )
    for start in np.flatnonzero(motion["series"].ne(motion["series"].shift()))[1:]:
        axes.axvline(start - 0.5, color="#777777", linewidth=0.8, linestyle=":")
    if motion[column].isna().all():
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, color=INK, ha="center")
    axes.set_ylim(0, np.nanmax([1, *(1.05 * motion[column])]))
    axes.set_xlim(-0.5, len(motion) - 0.5)
    axes.set_title(f"{name}, {'mm' if unit == 'mm' else 'degrees'}", fontsize=9, color=INK, pad=3)
    axes.set_facecolor("#111111")
    axes.tick_params(colors=INK, labelsize=7, length=2)
    axes.grid(color="#333333", linewidth=0.5)
    axes.set_xlabel("volume", color=INK, fontsize=8, labelpad=1)
    for side in axes.spines.values():
        side.set_color("#555555")


def summary(measures: dict, tables: dict) -> list[str]:
    """Lines of text: ALPS, signal-to-noise ratio, outliers and what makes a region doubtful."""
    shown = [
        ("ALPS left", "alps_left", ".2f"),
        ("ALPS right", "alps_right", ".2f"),
        ("ALPS", "alps", ".2f"),
        ("SNR (b = 0)", "dwi_snr", ".0f"),
    ]
    lines = [
        f"{name}: {measures[key]:{digits}}" if key in measures else f"{name}: n/a"
        for name, key, digits in shown
    ]
    if "alps_sd" in measures:
        lines[2] += f" ± {measures['alps_sd']:.2f} (SD)"
    lines.append(f"outlier slices: {len(tables['outliers'])}")
    for row in tables["measured"].dropna(subset="flags").itertuples():
        lines += ["", *textwrap.wrap(f"{row.roi.replace('_', ' ')}: {row.flags}", 44)]
    return lines


def draw_picture(
    colour: str, template_mask: str, regions: dict, tables: dict, measures: dict, colours: dict
) -> Image.Image:
    """Slices through the regions, each region from near, and head motion.

    Parameters
    ----------
    colour : path of FA times |principal direction|, (x, y, z, 3), in MNI152
    template_mask : path of the template's brain mask on the same grid
    regions : as from `read_regions`
    tables : ``measured`` (a row per region), ``motion`` (a row per volume) and
        ``outliers`` (a row per outlier slice) of the diffusion wing
    measures : numbers of the sidecars
    colours : of regions and lines, by name in resources/report/qc.yaml

    Raises
    ------
    InputError
        If the images do not fit, or a table lacks a region or volume.
    """
    image, mask = nib.load(colour), np.asanyarray(nib.load(template_mask).dataobj) > 0
    data = np.asanyarray(image.dataobj)
    if data.shape != (*mask.shape, 3):
        raise InputError(f"{colour}: has the shape {data.shape}, not {(*mask.shape, 3)}; remake it")
    measured, motion = tables["measured"], tables["motion"]
    if lost := sorted(set(regions) - set(measured["roi"])):
        raise InputError(f"regions: no row for {', '.join(lost)}; run measure_alps again")
    outliers = np.unique(tables["outliers"]["volume"].to_numpy(int))
    if len(outliers) and outliers.max() >= len(motion):
        raise InputError(
            f"outliers: volume {outliers.max()} of {len(motion)}; run fit_tensor again"
        )
    flagged = set(measured.loc[measured["flags"].notna(), "roi"])
    figure = Figure(figsize=(12, 7.6), dpi=100, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    top = figure.add_gridspec(
        1, 3, left=0.01, right=0.985, bottom=0.4, top=0.96, width_ratios=[1, 1, 0.95], wspace=0.08
    )
    below = figure.add_gridspec(
        1, 3, left=0.035, right=0.985, bottom=0.06, top=0.36, width_ratios=[1, 1, 0.75], wspace=0.15
    )
    middle = np.mean([centre_of(region) for region in regions.values()], axis=0)

    def tile(place, plane, at, field, title):
        axes = figure.add_subplot(place)
        show_slice(axes, data, mask, image.affine, plane, at, field)
        show_regions(axes, regions, flagged, plane, at, colours)
        axes.set_title(title, fontsize=9, color=INK, pad=3)

    z, y = middle[2], middle[1]
    tile(top[0], AXIAL, z, FIELDS_MM[AXIAL], f"axial, z = {z:.0f} mm")
    tile(top[1], CORONAL, y, FIELDS_MM[CORONAL], f"coronal, y = {y:.0f} mm")
    near = top[2].subgridspec(2, 2, wspace=0.06, hspace=0.16)
    for place, name in enumerate(sorted(regions)):
        centre = centre_of(regions[name])
        field = tuple((c - NEAR_MM, c + NEAR_MM) for c in centre[:2])
        tile(near[divmod(place, 2)], AXIAL, centre[2], field, name.replace("_", " "))
    for place, column in ((below[0], "displacement_mm"), (below[1], "rotation_deg")):
        show_motion(figure.add_subplot(place), motion, column, outliers, colours)
    axes = figure.add_subplot(below[2])
    axes.set_axis_off()
    lines = summary(measures, tables)
    size = min(8.5, TEXT_POINTS / len(lines))
    axes.text(0, 1, "\n".join(lines), color=INK, fontsize=size, va="top")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def main(source, out, params):
    """Draw the diffusion series of a session with its ALPS regions and motion."""
    rows = yaml.safe_load(resource("report/qc.yaml").read_text())["dwi"]["rows"]
    measures = {}
    for path in (source.prepared, source.alps):
        measures |= json.loads(Path(path).read_text())["Measures"]
    picture = draw_picture(
        source.colour,
        source.template_mask,
        read_regions([*source.get("rois", []), resource("alps_rois.tsv")][0]),
        {name: read_table(source[name]) for name in ("measured", "motion", "outliers")},
        measures,
        {name: entry["colour"] for row in rows.values() for name, entry in row["legend"].items()},
    )
    picture.save(out.picture, "WEBP", quality=60, method=4)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
