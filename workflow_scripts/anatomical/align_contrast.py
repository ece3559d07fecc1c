"""Align a FLAIR rigidly to its T1w and take it along to MNI152."""

import tempfile

import ants

from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import register_images
from workflow_scripts.common.scans import require_usable


def align(t1w: ants.ANTsImage, flair: ants.ANTsImage, prefix: str) -> str:
    """File of the rigid transform (6 dof, mutual information) from FLAIR to T1w."""
    return register_images(t1w, flair, "Rigid", prefix)["fwdtransforms"][0]


if "snakemake" in globals():
    with job(snakemake), tempfile.TemporaryDirectory() as folder:  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        require_usable(source.flair)
        t1w, flair = ants.image_read(source.t1w), ants.image_read(source.flair)
        flair = ants.n4_bias_field_correction(
            flair, shrink_factor=4, convergence={"iters": [25, 25], "tol": 1e-5}
        )
        rigid = align(t1w, flair, f"{folder}/")
        aligned = ants.apply_transforms(t1w, flair, [rigid])
        affine, *warps = source.transforms
        normalized = ants.apply_transforms(
            ants.image_read(source.template), flair, [*warps[:1], affine, rigid]
        )
        ants.image_write(aligned, out.flair)
        ants.image_write(normalized, out.normalized)
        mutual_information = ants.image_mutual_information(t1w, aligned)
        write_sidecar(
            out.sidecar,
            sources=[source.flair, source.t1w],
            software=["antspyx"],
            measures={"flair_t1w_mutual_information": -mutual_information},
            Description="FLAIR, bias-corrected, rigidly aligned to the T1w",
        )
