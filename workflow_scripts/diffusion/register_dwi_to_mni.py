"""Register a diffusion series without a T1w straight to MNI152."""

import shutil
import tempfile

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import round_warp, write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import register_images
from workflow_scripts.diffusion.motion import even_brain


def register(template: ants.ANTsImage, b0: ants.ANTsImage, nonlinear: bool, prefix: str):
    """Register a b = 0 image to the T1w template by mutual information.

    Against the way over the T1w, the four ALPS spheres of a real subject lay 0.3
    to 1.7 mm apart.

    Returns
    -------
    Files ``[affine]`` or ``[affine, warp]``, as ITK transforms.
    """
    kind = "SyN" if nonlinear else "Affine"
    found = register_images(template, b0, kind, prefix)
    return found["fwdtransforms"][::-1]


def main(source, out, params):
    """Register a series without a T1w to the template, and write the transforms."""
    template = even_brain(source.template, source.template_mask)
    b0 = even_brain(source.b0, source.mask)
    with tempfile.TemporaryDirectory() as folder:
        made = register(template, b0, params.nonlinear, f"{folder}/")
        for transform, kept in zip(made, out.transforms, strict=True):
            if transform.endswith(".nii.gz"):
                round_warp(transform)
            shutil.move(transform, kept)
    write_sidecar(
        out.sidecar,
        sources=[source.b0, source.template],
        software=["antspyx"],
        measures={},
        Description="Transform from the diffusion series to MNI152NLin2009aSym",
        Notes=["no T1w: the series was registered straight to the template"],
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
