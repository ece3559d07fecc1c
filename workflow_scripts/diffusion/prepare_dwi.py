"""Diffusion series -> denoised, aligned and undistorted series, brain mask, mean b = 0 image."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from dipy.segment.mask import median_otsu
from scipy import ndimage
from threadpoolctl import threadpool_limits

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.copies import same_volumes
from workflow_scripts.common.gradients import Gradients, from_voxel_axes
from workflow_scripts.common.images import rounded, save_image, save_labels, write_sidecar
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.diffusion.denoise import denoise, remove_ringing
from workflow_scripts.diffusion.motion import (
    displacement,
    estimate_motion,
    even_out,
    grid_image,
    head_rotation,
    register,
    rotation_degrees,
)
from workflow_scripts.diffusion.preprocessed import (
    fields_of_preprocessed,
    preprocessed_series,
    still_volumes,
)
from workflow_scripts.diffusion.series import Series, read_series
from workflow_scripts.diffusion.susceptibility import find_displacement, stretch, undistort

MARGIN_VOXELS = 4
N4_SPACING_MM = 8
COIL_MM = 30
SAME_SCALE = (0.95, 1.05)
SOFTWARE = ["dipy", "antspyx"]


def brain_mask(b0: np.ndarray, zooms) -> np.ndarray:
    """Brain mask (x, y, z) bool of a b = 0 image.

    Median filter and Otsu's threshold, largest piece, holes filled; then once more
    on the image evened out over that mask, since coils near the surface leave the
    deep brain dark.
    """
    head = _largest_piece(b0)
    return _largest_piece(np.clip(even_out(b0, head, zooms, COIL_MM), 0, 2))


def _largest_piece(image):
    _, mask = median_otsu(image, median_radius=2, numpass=2)
    pieces, count = ndimage.label(mask)
    if count == 0:
        raise InputError("no brain found in the b = 0 image; look at the scan, or exclude it")
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(largest)


def clean(series: Series, mask: np.ndarray, settings: dict) -> tuple[Series, float | None]:
    """A series without noise and ringing, and the noise's standard deviation."""
    data, noise = denoise(series.data, mask, settings["denoise"])
    return replace(series, data=remove_ringing(data, mask, settings["gibbs"])), noise


def find_motion(one: Series, mask: np.ndarray, settings: dict) -> np.ndarray:
    """Motion matrices (volumes, 4, 4) of one series, see `estimate_motion`."""
    bvals = one.gradients.bvals
    if settings["motion"] == "none":
        return np.tile(np.eye(4), (len(bvals), 1, 1))
    axis = one.phase_encoding.axis if settings["motion"] == "affine" else None
    return estimate_motion(one.data, bvals, mask, one.image.header.get_zooms()[:3], axis)


def resample(data, points, matrix, zooms) -> np.ndarray:
    """Values (n,) of one volume (x, y, z) at ``points`` (3, n) of the reference.

    One cubic interpolation; the signal that an eddy current's scaling spreads or
    piles up is restored.

    Parameters
    ----------
    points : grid mm
    matrix : (4, 4) motion and eddy currents of the volume, grid mm
    """
    moved = (matrix[:3, :3] @ points + matrix[:3, 3:]) / np.reshape(zooms, (3, 1))
    values = ndimage.map_coordinates(data, moved, order=3, mode="nearest", output=np.float32)
    return np.maximum(values, 0) * np.linalg.det(matrix[:3, :3])


def correct(series: list[Series], shift, motions) -> tuple[np.ndarray, Gradients, list, list]:
    """All volumes of all series, undistorted and in the head position of the first.

    Parameters
    ----------
    series : the first gives grid and position
    shift : (x, y, z) susceptibility displacement of the first in voxels, or None
    motions : per series, (volumes, 4, 4) motion matrices

    Returns
    -------
    dwi : (x, y, z, volumes) float32, 0 away from the brain
    gradients : turned with the head
    rigid : per series, (4, 4) from the first series' head to its own, grid mm
    scales : per series, the factor that brings its b = 0 signal in the brain to the first's:
        scanners may change the receiver gain between series

    Raises
    ------
    InputError
        If a displacement is to be undone and another series is phase-encoded along
        another axis, where its own displacement lies.
    """
    first = series[0]
    for one in series[1:]:
        if shift is not None and one.phase_encoding.axis != first.phase_encoding.axis:
            raise InputError(
                f"{one.path}: phase encoding is not known to be along the axis of {first.path}, "
                "so the distortion of that one does not serve it; choose one of them by scans.dwi"
            )
    phase, affine = first.phase_encoding, first.image.affine
    zooms = np.array(first.image.header.get_zooms()[:3])
    signs = [-1 if one.phase_encoding.opposite(phase) else 1 for one in series]
    flat = [one.b0 for one in series]
    if shift is not None:
        flat = [undistort(b0, s * shift, phase.axis) for b0, s in zip(flat, signs, strict=True)]
    brain = brain_mask(flat[0], zooms)
    rigid = [np.eye(4), *(register(flat[0], b0, brain, zooms) for b0 in flat[1:])]
    region = ndimage.binary_dilation(brain, iterations=MARGIN_VOXELS)
    grid = np.argwhere(region).T * zooms[:, None]
    dwi, directions, levels = [], [], []
    for one, sign, motion, between in zip(series, signs, motions, rigid, strict=True):
        points = between[:3, :3] @ grid + between[:3, 3:]
        factor = 1.0
        if shift is not None:
            points[phase.axis] += sign * shift[region] * zooms[phase.axis]
            factor = stretch(sign * shift, phase.axis)[region]
        table = one.gradients.voxel_axes(one.image.affine)
        start = len(dwi)
        for volume, matrix in enumerate(motion):
            image = np.zeros(region.shape, np.float32)
            image[region] = factor * resample(one.data[..., volume], points, matrix, zooms)
            dwi.append(image)
            turned = head_rotation(matrix, one.phase_encoding.axis) @ between[:3, :3]
            directions.append(turned.T @ table[:, volume])
        b0s = [dwi[start + volume][brain] for volume in np.flatnonzero(one.gradients.is_b0)]
        levels.append(np.median(np.mean(b0s, axis=0)))
        for image in dwi[start:]:
            image *= levels[0] / levels[-1]
    bvals = np.concatenate([one.gradients.bvals for one in series])
    gradients = from_voxel_axes(bvals, np.stack(directions, axis=1), affine)
    scales = [float(levels[0] / level) for level in levels]
    return np.stack(dwi, axis=-1), gradients, rigid, scales


def bias_field(b0: np.ndarray, mask: np.ndarray, zooms) -> np.ndarray:
    """Coil sensitivity (x, y, z), mean 1 in the mask, from a mean b = 0 image by N4."""
    field = ants.n4_bias_field_correction(
        grid_image(b0, zooms),
        mask=grid_image(mask, zooms),
        shrink_factor=max(1, round(N4_SPACING_MM / max(zooms))),
        convergence={"iters": [25, 25, 25], "tol": 1e-5},
        return_bias_field=True,
    ).numpy()
    return field / field[mask].mean()


def motion_table(series: list[Series], motions, rigid, mask, zooms) -> pd.DataFrame:
    """Per volume: series, b-value, and how far and by what angle the head moved."""
    tables = []
    for one, motion, between in zip(series, motions, rigid, strict=True):
        total = motion @ between
        axis = one.phase_encoding.axis
        columns = {
            "series": Path(one.path).name,
            "volume": np.arange(len(total)),
            "bval": one.gradients.bvals,
            "displacement_mm": displacement(total, mask, zooms),
            "rotation_deg": [rotation_degrees(head_rotation(m, axis)) for m in total],
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def unparted_eddy_currents(series: list[Series], settings: dict) -> list[str]:
    """Notes on the series whose eddy currents cannot be told from a movement of the head."""
    return [
        f"{Path(one.path).name}: phase-encoding direction not known, eddy currents that a shell "
        "has in common count as a movement of the head"
        for one in series
        if settings["motion"] == "affine" and one.phase_encoding.axis is None
    ]


def other_scales(names: list[str], scales: list[float]) -> list[str]:
    """Flags of the series whose intensities had another scale than the first's."""
    low, high = SAME_SCALE
    return [
        f"{name}: b = 0 signal {1 / scale:.2f} of that of {names[0]}, brought to it; other gain?"
        for name, scale in zip(names, scales, strict=True)
        if not low <= scale <= high
    ]


def shared_b0(series: list[Series]) -> list[str]:
    """Flags of the series that hold a b = 0 volume of an earlier one, as split series do."""
    b0s = {Path(one.path).name: one.data[..., one.gradients.is_b0] for one in series}
    return [
        f"{later}: holds a b = 0 volume of {sooner} too, which counts twice"
        for sooner, later in combinations(b0s, 2)
        if same_volumes(b0s[sooner], b0s[later])
    ]


def write_gradients(gradients: Gradients, bval, bvec) -> None:
    """Write a gradient table as FSL's two text files."""
    np.savetxt(bval, gradients.bvals[None], fmt="%g")
    np.savetxt(bvec, gradients.bvecs, fmt="%.6f")


def take(source, out) -> None:
    """Write the series of another program in place of a session's own, see `main`."""
    path = source.preprocessed[0]
    image, dwi, gradients, mask = preprocessed_series(source.preprocessed)
    b0 = dwi[..., gradients.is_b0].mean(axis=-1)
    if mask is None:
        mask = brain_mask(b0, image.header.get_zooms()[:3])
    write_series(out, image, dwi, b0, mask, gradients, still_volumes(path, gradients))
    write_sidecar(
        out.sidecar,
        sources=list(source.preprocessed),
        software=SOFTWARE,
        measures={},
        Description="Diffusion series, cleaned, aligned and undistorted",
        SkullStripped=True,
        **fields_of_preprocessed(path, dwi.shape[3], list(source.dwi)),
    )


def write_series(out, image, dwi, b0, mask, gradients: Gradients, table: pd.DataFrame) -> None:
    """Write a prepared series (x, y, z, volumes), its mean b = 0 image, mask, tables."""
    save_image(rounded(dwi), image, out.dwi)
    save_image(b0, image, out.b0)
    save_labels(mask, image, out.mask)
    write_gradients(gradients, out.bval, out.bvec)
    write_table(table.round(4), out.motion, resource("columns/diffusion.tsv"), dictionary=False)


@threadpool_limits.wrap(limits=1)
def main(source, out, params):
    """Clean, align and undistort the diffusion series of a session, and write them as one.

    A series that another program has prepared stands in for it.
    """
    if source.preprocessed:
        take(source, out)
        return
    settings = params.settings
    raw = read_series(list(source.dwi))
    image = raw[0].image
    zooms = image.header.get_zooms()[:3]
    masks = [brain_mask(one.b0, zooms) for one in raw]
    wide = [ndimage.binary_dilation(mask) for mask in masks]
    cleaned = [clean(one, mask, settings) for one, mask in zip(raw, wide, strict=True)]
    series, noise = zip(*cleaned, strict=True)
    motions = [find_motion(o, m, settings) for o, m in zip(series, masks, strict=True)]
    shift, distortion, passed_over = find_displacement(
        series, list(source.epi), list(source.t1w), settings, masks[0]
    )
    dwi, gradients, rigid, scales = correct(series, shift, motions)
    names = [Path(one.path).name for one in series]
    b0 = dwi[..., gradients.is_b0].mean(axis=-1)
    mask = brain_mask(b0, zooms)
    field = bias_field(b0, mask, zooms)
    table = motion_table(series, motions, rigid, mask, zooms)
    dwi /= field[..., None]
    write_series(out, image, dwi, b0 / field, mask, gradients, table)
    measures = {
        "dwi_mean_displacement_mm": table["displacement_mm"].mean(),
        "dwi_max_displacement_mm": table["displacement_mm"].max(),
    }
    if noise[0]:
        measures["dwi_snr"] = raw[0].b0[masks[0]].mean() / noise[0]
    write_sidecar(
        out.sidecar,
        sources=[one.path for one in raw],
        software=SOFTWARE,
        measures=measures,
        Description="Diffusion series, cleaned, aligned and undistorted",
        SkullStripped=True,
        Denoising=settings["denoise"],
        GibbsRemoval=settings["gibbs"],
        MotionCorrection=settings["motion"],
        DistortionCorrection=distortion,
        ReversePhasePassedOver=passed_over,
        IntensityScales=dict(zip(names, (round(scale, 4) for scale in scales), strict=True)),
        Flags=[*other_scales(names, scales), *shared_b0(raw)],
        Notes=unparted_eddy_currents(series, settings),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
