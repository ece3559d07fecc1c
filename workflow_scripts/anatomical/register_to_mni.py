"""Register a T1w to MNI152 and resample it there."""

import shutil
import tempfile
from pathlib import Path

import ants
import numpy as np

from workflow_scripts.anatomical.fsl import register_with_fsl
from workflow_scripts.common.images import round_intensities, round_warp, write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import coarsened, register_images

DESCRIPTIONS = {
    "affine": "ANTs affine, 12 degrees of freedom",
    "syn": "ANTs affine, then SyN",
    "fsl_flirt": "FSL FLIRT affine, 12 degrees of freedom",
    "fsl_fnirt": "FSL FLIRT affine, then FNIRT",
}


def register(
    template: ants.ANTsImage, brain: ants.ANTsImage, method: str, prefix: str
) -> list[str]:
    """Register a brain to the template with ANTs.

    Parameters
    ----------
    method : ``affine`` (12 degrees of freedom, Mattes mutual information) or
        ``syn``, which begins with the same affine (Avants et al. 2008,
        doi:10.1016/j.media.2007.06.004)
    prefix : start of the names of the transform files

    Returns
    -------
    Files ``[affine]`` or ``[affine, warp, inverse warp]``, as ITK transforms.
    """
    kind = {"affine": "Affine", "syn": "SyN"}[method]
    found = register_images(template, coarsened(brain, min(template.spacing)), kind, prefix)
    if method == "affine":
        return found["fwdtransforms"]
    warp, affine = found["fwdtransforms"]
    inverse_warp = next(t for t in found["invtransforms"] if t.endswith("InverseWarp.nii.gz"))
    return [affine, warp, inverse_warp]


def template_correlation(template: np.ndarray, normalized: np.ndarray, mask: np.ndarray) -> float:
    """Pearson correlation of a normalized brain with the template inside its mask.

    Parameters
    ----------
    template, normalized, mask : (x, y, z) on the same grid
    """
    inside = mask > 0
    return float(np.corrcoef(template[inside], normalized[inside])[0, 1])


def main(source, out, params):
    """Register a T1w to the template, and write transforms and normalized images."""
    method = params.registration
    template = ants.image_read(source.template)
    t1w = ants.image_read(source.t1w)
    brain = t1w * ants.image_read(source.mask)
    with tempfile.TemporaryDirectory() as folder:
        if method.startswith("fsl_"):
            transforms = register_with_fsl(source.template, brain, method, Path(folder))
        else:
            transforms = register(template, brain, method, f"{folder}/")
        for made, kept in zip(transforms, out.transforms, strict=True):
            if made.endswith(".nii.gz"):
                round_warp(made)
            shutil.move(made, kept)
    forward = list(out.transforms[:2])[::-1]
    normalized = ants.apply_transforms(template, t1w, forward)
    normalized_brain = ants.apply_transforms(template, brain, forward)
    ants.image_write(normalized, out.t1w)
    ants.image_write(normalized_brain, out.brain)
    mask = ants.image_read(source.template_mask).numpy()
    for path in (out.t1w, out.brain):
        round_intensities(path)
    correlation = template_correlation(template.numpy(), normalized_brain.numpy(), mask)
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, source.template],
        software=["nipype"] if method.startswith("fsl_") else ["antspyx"],
        measures={"template_correlation": correlation},
        Description="T1w in MNI152NLin2009aSym, bias-corrected",
        Registration=DESCRIPTIONS[method],
        SpatialReference="MNI152NLin2009aSym, as packaged in nilearn",
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
