"""Register a T1w to MNI152 and resample it there."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from workflow_scripts.anatomical.fsl import register_with_fsl
from workflow_scripts.anatomical.lesions import lesions_filled
from workflow_scripts.anatomical.prepare_t1w import stripped_brain
from workflow_scripts.anatomical.preprocessed import as_own_transforms, taken_from
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import round_intensities, round_warp, write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import coarsened, register_images

MEDIAN, DARK, DARKEST = 0.6, 0.45, 0.1
# After SyN at 2 mm adults of 19 to 87 years had 0.63 to 0.71, and 0.61 with ventricles of 124 mL;
# the one measured at 1 mm 0.73, 0.70 at 2 mm.
USUAL_CORRELATION = 0.62
DARKNESS_WEIGHT = 0.2  # of mutual information
DESCRIPTIONS = {
    "affine": "ANTs affine, 12 degrees of freedom",
    "syn": "ANTs affine, then SyN by mutual information and darkness",
    "fsl_flirt": "FSL FLIRT affine, 12 degrees of freedom",
    "fsl_fnirt": "FSL FLIRT affine, then FNIRT",
}


def darkness(brain: ants.ANTsImage) -> ants.ANTsImage:
    """Image of what is dark in a T1w brain: CSF about 1, white matter 0, 0 outside the brain.

    Intensities are scaled by their 2nd and 98th percentile, and raised to the power that brings
    their median to `MEDIAN`, so that heads with little and with much CSF become alike.
    """
    data = brain.numpy()
    inside = data > 0
    low, high = np.percentile(data[inside], (2, 98))
    scaled = np.clip((data - low) / (high - low), 1e-3, 1)
    scaled **= np.log(MEDIAN) / np.log(np.median(scaled[inside]))
    dark = np.clip((DARK - scaled) / (DARK - DARKEST), 0, 1)
    return brain.new_image_like(np.where(inside, dark, 0).astype(np.float32))


def register(
    template: ants.ANTsImage, brain: ants.ANTsImage, method: str, prefix: str
) -> list[str]:
    """Register a brain to the template with ANTs.

    Parameters
    ----------
    method : ``affine`` (12 degrees of freedom, Mattes mutual information) or
        ``syn``, which begins with the same affine (Avants et al. 2008,
        doi:10.1016/j.media.2007.06.004). Beside mutual information it compares the
        `darkness` of the two: by the first alone it ends long before ventricles that are
        three times the template's (of three heads of 78 to 87 years the atlas's ventricles met
        another program's with Dice .78, .28 and .48, with both .80, .71 and .84, its
        thalamus .75, .67 and .71, with both .76, .75 and .74).
    prefix : start of the names of the transform files

    Returns
    -------
    Files ``[affine]`` or ``[affine, warp, inverse warp]``, as ITK transforms.
    """
    moving = coarsened(brain, min(template.spacing))
    found = register_images(template, moving, "Affine", prefix)
    if method == "affine":
        return found["fwdtransforms"]
    dark = ("meansquares", darkness(template), darkness(moving), DARKNESS_WEIGHT, 1)
    start = {"initial_transform": found["fwdtransforms"][0], "multivariate_extras": [dark]}
    found = register_images(template, moving, "SyNOnly", prefix, **start)
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


def unlike_template(correlation: float, method: str) -> list[str]:
    """Flag of a brain that is less like the template than those of adults are after SyN."""
    if method != "syn" or correlation >= USUAL_CORRELATION:
        return []
    return [
        f"correlation with the template {correlation:.2f}, of adults' brains {USUAL_CORRELATION} "
        "or more: a child, much atrophy, another contrast or a failed registration?"
    ]


def main(source, out, params):
    """Register a T1w to the template, and write transforms and normalized images.

    Lesions of a mask are filled for the registration alone. Transforms of another program stand
    in for the registration.
    """
    method = params.registration
    how = taken_from(source.preprocessed[0]) if source.preprocessed else DESCRIPTIONS[method]
    template = ants.image_read(source.template)
    t1w = ants.image_read(source.t1w)
    mask = ants.image_read(source.mask)
    brain = t1w * mask
    seen = lesions_filled(t1w.numpy(), mask.numpy(), t1w.spacing, source)
    registered = t1w.new_image_like(seen) * mask
    with tempfile.TemporaryDirectory() as folder:
        if source.preprocessed:
            transforms = as_own_transforms(source.preprocessed, source, folder)
        elif method.startswith("fsl_"):
            transforms = register_with_fsl(source.template, registered, method, Path(folder))
        else:
            transforms = register(template, registered, method, f"{folder}/")
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
    measures = {"template_correlation": correlation}
    if len(out.transforms) > 1:
        stretch = ants.create_jacobian_determinant_image(template, out.transforms[1]).numpy()
        inside = stretch[mask > 0]
        measures |= {"jacobian_min": inside.min(), "jacobian_max": inside.max()}
    write_sidecar(
        out.sidecar,
        sources=[
            source.t1w,
            source.template,
            *([source.lesions] if source.lesions else []),
            *source.preprocessed,
        ],
        software=["nipype"] if method.startswith("fsl_") else ["antspyx"],
        measures=measures,
        Flags=unlike_template(correlation, method),
        Description="T1w in MNI152NLin2009aSym, bias-corrected",
        SkullStripped=stripped_brain(t1w.numpy(), np.prod(t1w.spacing) / 1000) is not None,
        Registration=how,
        SpatialReference="MNI152NLin2009aSym, as packaged in nilearn",
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
