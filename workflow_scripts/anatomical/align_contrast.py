"""Align another contrast (FLAIR, STIR, R1map ...) rigidly to its T1w, and take it to MNI152."""

import tempfile

import numpy as np

from workflow_scripts.anatomical.prepare_t1w import stripped_brain
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.registration import register_images
from workflow_scripts.common.scans import require_usable

# Quantitative maps, whose values a correction of bias would change.
MAPS = ("map", "MTsat", "T1rho")
# Median of R1 in a brain that somebody may have, 1/s.
R1_PLAUSIBLE = (0.2, 2.5)


def read_contrast(path: str, suffix: str, body_part: str = "brain") -> ants.ANTsImage:
    """A scan, corrected for bias (N4) unless it is a quantitative map.

    Raises
    ------
    InputError
        If it cannot be used.
    """
    require_usable(path, body_part=body_part)
    scan = ants.image_read(path)
    if suffix.endswith(MAPS):
        return scan
    return ants.n4_bias_field_correction(
        scan, shrink_factor=4, convergence={"iters": [25, 25], "tol": 1e-5}
    )


def align(t1w: ants.ANTsImage, scan: ants.ANTsImage, prefix: str) -> str:
    """File of the rigid transform (6 dof, mutual information) from a scan to its T1w."""
    return register_images(t1w, scan, "Rigid", prefix)["fwdtransforms"][0]


def check_r1(values: np.ndarray, t1w: np.ndarray, path: str) -> None:
    """Refuse a map of R1 in another unit than 1/s, or one of T1.

    Parameters
    ----------
    values, t1w : (n,), in the voxels of the brain
    path : of the map, for messages

    Raises
    ------
    InputError
        If the median is outside of `R1_PLAUSIBLE`, or the map is dark where the T1w is bright, as
        T1 is.
    """
    median, (low, high) = float(np.median(values)), R1_PLAUSIBLE
    if not low <= median <= high:
        raise InputError(
            f"{path}: the median in the brain is {median:.4g}, R1 has {low:g} to {high:g} 1/s; is "
            "it T1, or in ms? Write R1 = 1 / T1 in 1/s, or exclude the file"
        )
    if np.corrcoef(values, t1w)[0, 1] < 0:
        raise InputError(
            f"{path}: is dark where the T1w is bright, as T1 in s is and R1 is not; write "
            "R1 = 1 / T1, or exclude the file"
        )


def main(source, out, params, wildcards):
    """Write the aligned and, of a brain, the normalized scan, and how well it fits the T1w."""
    suffix = wildcards.suffix
    t1w, scan = ants.image_read(source.t1w), read_contrast(source.scan, suffix, params.body_part)
    with tempfile.TemporaryDirectory() as folder:
        rigid = align(t1w, scan, f"{folder}/")
        aligned = ants.apply_transforms(t1w, scan, [rigid])
        if source.transforms:
            affine, *warps = source.transforms
            normalized = ants.apply_transforms(
                ants.image_read(source.template), scan, [*warps[:1], affine, rigid]
            )
            ants.image_write(normalized, out.normalized)
    if suffix == "R1map":
        brain = ants.image_read(source.mask).numpy() > 0
        check_r1(aligned.numpy()[brain], t1w.numpy()[brain], source.scan)
    ants.image_write(aligned, out.aligned)
    mutual_information = ants.image_mutual_information(t1w, aligned)
    bias = "not corrected for bias" if suffix.endswith(MAPS) else "bias-corrected"
    voxel_ml = np.prod(aligned.spacing) / 1000
    stripped = bool(source.transforms) and stripped_brain(aligned.numpy(), voxel_ml) is not None
    write_sidecar(
        out.sidecar,
        sources=[source.scan, source.t1w],
        software=["antspyx"],
        measures={f"{suffix.lower()}_t1w_mutual_information": -mutual_information},
        Description=f"{suffix}, {bias}, rigidly aligned to the T1w",
        SkullStripped=stripped,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
