"""Align another contrast (FLAIR, T2w, R1map ...) rigidly to its T1w and take it along to MNI152."""

import tempfile

import ants
import numpy as np

from workflow_scripts.anatomical.prepare_t1w import stripped_brain
from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import register_images
from workflow_scripts.common.scans import require_usable

# Quantitative maps, whose values a correction of bias would change.
MAPS = ("map", "MTsat", "T1rho")


def read_contrast(path: str, suffix: str) -> ants.ANTsImage:
    """A scan, corrected for bias (N4) unless it is a quantitative map.

    Raises
    ------
    InputError
        If it cannot be used.
    """
    require_usable(path)
    scan = ants.image_read(path)
    if suffix.endswith(MAPS):
        return scan
    return ants.n4_bias_field_correction(
        scan, shrink_factor=4, convergence={"iters": [25, 25], "tol": 1e-5}
    )


def align(t1w: ants.ANTsImage, scan: ants.ANTsImage, prefix: str) -> str:
    """File of the rigid transform (6 dof, mutual information) from a scan to its T1w."""
    return register_images(t1w, scan, "Rigid", prefix)["fwdtransforms"][0]


def main(source, out, params, wildcards):
    """Write the aligned and the normalized scan, and how well it agrees with the T1w."""
    suffix = wildcards.suffix
    t1w, scan = ants.image_read(source.t1w), read_contrast(source.scan, suffix)
    with tempfile.TemporaryDirectory() as folder:
        rigid = align(t1w, scan, f"{folder}/")
        aligned = ants.apply_transforms(t1w, scan, [rigid])
        affine, *warps = source.transforms
        normalized = ants.apply_transforms(
            ants.image_read(source.template), scan, [*warps[:1], affine, rigid]
        )
    ants.image_write(aligned, out.aligned)
    ants.image_write(normalized, out.normalized)
    mutual_information = ants.image_mutual_information(t1w, aligned)
    bias = "not corrected for bias" if suffix.endswith(MAPS) else "bias-corrected"
    write_sidecar(
        out.sidecar,
        sources=[source.scan, source.t1w],
        software=["antspyx"],
        measures={f"{suffix.lower()}_t1w_mutual_information": -mutual_information},
        Description=f"{suffix}, {bias}, rigidly aligned to the T1w",
        SkullStripped=stripped_brain(aligned.numpy(), np.prod(aligned.spacing) / 1000) is not None,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
