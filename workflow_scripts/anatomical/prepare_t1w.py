"""T1w -> mask of the brain or the body, and bias-corrected T1w."""

import math

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from workflow_scripts.anatomical.preprocessed import preprocessed_t1w, taken_from
from workflow_scripts.anatomical.template_mask import template_mask
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import (
    dice,
    load_scan,
    save_image,
    save_labels,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.record import checksum
from workflow_scripts.common.scans import require_usable

PLAUSIBLE_BRAIN_ML = (700, 2300)
BACKGROUND = 0.01
N4_SPACING_MM = 6
FEWEST_SLICES = 4


def stripped_brain(data: np.ndarray, voxel_ml: float) -> np.ndarray | None:
    """Brain mask of an image that shows a brain and nothing else, None for others.

    What is brighter than 1 % of the bright voxels has the volume of a brain; in
    a head it has at least twice that.

    Parameters
    ----------
    data : (x, y, z) intensities
    voxel_ml : volume of a voxel in mL
    """
    low, high = PLAUSIBLE_BRAIN_ML
    foreground = data > BACKGROUND * np.percentile(data, 99.5)
    if not low <= foreground.sum() * voxel_ml <= high:
        return None
    return ndimage.binary_fill_holes(foreground)


def deepbet_mask(image: nib.Nifti1Image) -> np.ndarray:
    """Brain mask by deepbet, (x, y, z) bool.

    Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845.
    """
    import torch
    from deepbet import BrainExtraction

    torch.set_num_threads(1)
    _, mask, _ = BrainExtraction(no_gpu=True).run(image)
    return np.asanyarray(mask.dataobj) > 0


def extract_brain(
    t1w: str, template: str, mask_of_template: str, method: str
) -> tuple[np.ndarray, str]:
    """Brain mask of a T1w and how it was found.

    Parameters
    ----------
    method : ``deepbet`` or ``template``

    Returns
    -------
    mask : (x, y, z) bool
    how : ``input already skull-stripped``, ``deepbet``, ``template``, or
        ``template (deepbet gave N mL)`` where deepbet's mask was implausible

    Raises
    ------
    InputError
        If no method finds a brain of plausible volume.
    """
    image = load_scan(t1w)
    voxel_ml = voxel_volume_ml(image)
    low, high = PLAUSIBLE_BRAIN_ML
    data = np.asanyarray(image.dataobj)
    brain = stripped_brain(data, voxel_ml)
    if brain is not None:
        return brain, "input already skull-stripped"
    how = "template"
    if method == "deepbet":
        try:
            mask = deepbet_mask(image)
            volume = mask.sum() * voxel_ml
        except AssertionError:  # deepbet found no foreground at all
            volume = 0.0
        if low <= volume <= high:
            return mask, "deepbet"
        how = f"template (deepbet gave {volume:.0f} mL)"
    mask = template_mask(t1w, template, mask_of_template)
    volume = mask.sum() * voxel_ml
    if not low <= volume <= high:
        raise InputError(
            f"{t1w}: no brain found (mask of {volume:.0f} mL by {how}); look at the scan, "
            "and repair it or list it in the exclusions TSV"
        )
    return mask, how


def corrected_mask(path: str, t1w: str, correction: dict) -> np.ndarray:
    """Brain mask that somebody has corrected, (x, y, z) bool on the grid of the T1w.

    Parameters
    ----------
    correction : row of corrections.tsv, with the SHA-256 of the scan that the mask was drawn on

    Raises
    ------
    InputError
        If the scan is another one now, or the mask has another grid, holds something else than
        0 and one value, or has no plausible volume.
    """
    now = checksum(t1w)["sha256"]
    if now != correction["scan_sha256"]:
        raise InputError(
            f"{path}: was drawn on another scan than {t1w} is now; look at both, and write "
            f"{now} in corrections.tsv, or take the line and the mask away"
        )
    image, scan = load_scan(path), load_scan(t1w)
    if image.shape != scan.shape or not np.allclose(image.affine, scan.affine, atol=1e-3):
        raise InputError(f"{path}: its grid is not that of {t1w}; draw on that scan's own grid")
    data = np.asanyarray(image.dataobj)
    values = np.unique(data[data != 0])
    if len(values) != 1:
        raise InputError(f"{path}: holds {len(values) + 1} values; a mask has 0 and one more")
    require_brain_volume(path, data != 0, voxel_volume_ml(scan))
    return data != 0


def require_brain_volume(path: str, mask: np.ndarray, voxel_ml: float) -> None:
    """Raise InputError where a mask (x, y, z) that was given has not the volume of a brain."""
    low, high = PLAUSIBLE_BRAIN_ML
    volume = mask.sum() * voxel_ml
    if not low <= volume <= high:
        raise InputError(f"{path}: has {volume:.0f} mL; a brain has {low:g} to {high:g}")


def told_of_correction(mask: np.ndarray, found, correction: dict, voxel_ml: float) -> dict:
    """Fields of the sidecar that tell of a corrected mask, and of the one before it.

    Parameters
    ----------
    mask : (x, y, z) bool, corrected
    found : mask and method of `extract_brain`, None where that found none
    """
    who, why = f"{correction['rater']}, {correction['date']}", correction["reason"]
    before = "where no brain was found"
    fields = {"Rater": correction["rater"], "Date": correction["date"], "Reason": why}
    if found:
        automatic, how = found
        overlap = dice(mask, automatic)
        before = f"in place of {automatic.sum() * voxel_ml:.0f} mL by {how}, Dice {overlap:.3f}"
        fields |= {"Automatic": how, "AutomaticVolume": round(automatic.sum() * voxel_ml, 3)}
        fields |= {"Dice": round(overlap, 5)}
    note = f"brain mask corrected by {who} ({why}): {mask.sum() * voxel_ml:.0f} mL {before}"
    return {"BrainExtraction": "corrected by hand", "Correction": fields, "Notes": [note]}


def body_mask(data: np.ndarray) -> np.ndarray:
    """Largest part of a scan above Otsu's threshold, each slice filled, (x, y, z) bool.

    Parameters
    ----------
    data : (x, y, z) intensities of a part of the body that is surrounded by air or fills the image
    """
    smooth = ndimage.gaussian_filter(data.astype(np.float32), 1)
    bright = smooth > threshold_otsu(np.clip(smooth, 0, np.percentile(smooth, 99))) / 2
    pieces, count = ndimage.label(bright)
    if count == 0:
        return bright
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(ndimage.binary_closing(largest, iterations=2) | largest)


def correct_bias(t1w: str, mask: str, thick_slices: bool = False) -> np.ndarray:
    """Bias-corrected T1w, (x, y, z): N4 (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908).

    The field is fitted over the mask, on the finest grid of 6 mm or more along every axis, and
    applied to the whole image; of thick slices along the finest axis, with `FEWEST_SLICES` left.
    """
    image = ants.image_read(t1w)
    spacing = min(image.spacing) if thick_slices else max(image.spacing)
    shrink = math.ceil(round(N4_SPACING_MM / spacing, 2))  # 3 mm may be stored as 2.9999
    shrink = max(1, min(shrink, min(image.shape) // FEWEST_SLICES))
    corrected = ants.n4_bias_field_correction(
        image,
        mask=ants.image_read(mask),
        shrink_factor=shrink,
        convergence={"iters": [25, 25, 25], "tol": 1e-5},
    )
    return corrected.numpy()


def found_brain(source, params, image) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Brain mask (x, y, z) bool, how it was found, and the bias-corrected T1w that came with it.

    Raises
    ------
    InputError
        If there is no brain of plausible volume.
    """
    if not source.preprocessed:
        asked = source.t1w, source.template, source.template_mask, params.brain_extraction
        return *extract_brain(*asked), None
    t1w, mask = preprocessed_t1w(source.preprocessed, image)
    require_brain_volume(source.preprocessed[1], mask, voxel_volume_ml(image))
    return mask, taken_from(source.preprocessed[0]), t1w


def find_brain(
    source, params, image
) -> tuple[np.ndarray, str, dict, np.ndarray | None, np.ndarray | None]:
    """Brain mask of a T1w, how it was found, fields of the sidecar, and the T1w that came with it.

    With a correction the mask is that; the one before it is found too, to be compared with, and
    stands last, None where no brain was found.
    """
    if not source.correction:
        mask, how, t1w = found_brain(source, params, image)
        automatic = mask
        told = {"BrainExtraction": how}
    else:
        mask = corrected_mask(source.correction, source.t1w, params.correction)
        try:
            automatic, how, t1w = found_brain(source, params, image)
        except InputError:
            if source.preprocessed:
                raise
            automatic, how, t1w = None, "none", None
        found = None if automatic is None else (automatic, how)
        told = told_of_correction(mask, found, params.correction, voxel_volume_ml(image))
    told = {"SkullStripped": how == "input already skull-stripped"} | told
    return mask, how, told, t1w, automatic


def main(source, out, params):
    """Find the brain of a T1w, or the body, correct the bias of the image, and write both.

    Mask and bias-corrected image of another program stand in for both.
    """
    part = params.body_part
    require_usable(source.t1w, body_part=part)
    image = load_scan(source.t1w)
    corrected = None
    if part == "brain":
        mask, how, told, corrected, automatic = find_brain(source, params, image)
    else:
        mask, how = body_mask(np.asanyarray(image.dataobj)), "Otsu"
        automatic = mask
        told = {"SkullStripped": False, "BodyPart": part}
    save_labels(mask, image, out.mask)
    for path in out.automatic:
        save_labels(np.zeros_like(mask) if automatic is None else automatic, image, path)
    bias = "N4" if corrected is None else how
    if corrected is None:
        corrected = correct_bias(source.t1w, out.mask, part != "brain")
    save_image(corrected, image, out.t1w)
    correction = [source.correction] if source.correction else []
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, *source.preprocessed, *correction],
        software=["antspyx"] + (["deepbet"] if how == "deepbet" else []),
        measures={
            f"{'brain' if part == 'brain' else 'body'}_mask_volume_ml": mask.sum()
            * voxel_volume_ml(image)
        },
        Description="T1w corrected for intensity bias",
        BiasCorrection=bias,
        **told,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
