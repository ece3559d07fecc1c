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
# Within a session nobody moves so far.
FAR_MM, FAR_DEGREES = 30.0, 15.0
LOST = 0.01  # of mutual information, by interpolation alone
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


def moved_by(rigid: str, image: ants.ANTsImage) -> tuple[float, float]:
    """How far a rigid transform moves the middle of an image, mm, and how far it turns, degrees."""
    transform = ants.read_transform(rigid)
    middle = ants.transform_index_to_physical_point(image, [n // 2 for n in image.shape])
    ends = np.array([middle, *(np.array(middle) + np.eye(3))])
    at = np.array([ants.apply_ants_transform_to_point(transform, point) for point in ends])
    turn = np.clip((np.trace(at[1:] - at[0]) - 1) / 2, -1, 1)
    return float(np.linalg.norm(at[0] - ends[0])), float(np.rad2deg(np.arccos(turn)))


def doubts(shift: float, turn: float, gained: float, suffix: str) -> list[str]:
    """Flags of an alignment.

    Parameters
    ----------
    shift, turn : mm and degrees by which the scan was moved from where its header has it
    gained : mutual information after the alignment less that before
    """
    flags = []
    if shift > FAR_MM or turn > FAR_DEGREES:
        flags.append(
            f"the {suffix} was moved {shift:.0f} mm and turned {turn:.0f} degrees from where its "
            "header has it: look at its alignment to the T1w, and whether both are of one person"
        )
    if gained < -LOST:
        flags.append(f"the {suffix} fits its T1w less after the alignment than before: look at it")
    return flags


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
        shift, turn = moved_by(rigid, t1w)
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
    before = ants.image_mutual_information(t1w, ants.resample_image_to_target(scan, t1w))
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
        MovedMm=round(shift, 2),
        TurnedDegrees=round(turn, 2),
        Flags=doubts(shift, turn, before - mutual_information, suffix),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
