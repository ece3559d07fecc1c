"""T1w -> mask of the brain or the body, and bias-corrected T1w."""

import math

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from workflow_scripts.anatomical.template_mask import template_mask
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import (
    load_scan,
    save_image,
    save_labels,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import InputError, job
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
    """Brain mask by deepbet (Fisch et al. 2024, doi:10.1111/jon.13226), (x, y, z) bool."""
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


def main(source, out, params):
    """Find the brain of a T1w, or the body, correct the bias of the image, and write both."""
    part = params.body_part
    require_usable(source.t1w, body_part=part)
    image = load_scan(source.t1w)
    if part == "brain":
        mask, how = extract_brain(
            source.t1w, source.template, source.template_mask, params.brain_extraction
        )
        told = {"SkullStripped": how == "input already skull-stripped", "BrainExtraction": how}
    else:
        mask, how = body_mask(np.asanyarray(image.dataobj)), "Otsu"
        told = {"SkullStripped": False, "BodyPart": part}
    save_labels(mask, image, out.mask)
    save_image(correct_bias(source.t1w, out.mask, part != "brain"), image, out.t1w)
    write_sidecar(
        out.sidecar,
        sources=[source.t1w],
        software=["antspyx"] + (["deepbet"] if how == "deepbet" else []),
        measures={
            f"{'brain' if part == 'brain' else 'body'}_mask_volume_ml": mask.sum()
            * voxel_volume_ml(image)
        },
        Description="T1w corrected for intensity bias with N4",
        **told,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
