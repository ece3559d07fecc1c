"""Align a session's diffusion series rigidly to its T1w."""

import shutil
import tempfile

import numpy as np
from scipy.ndimage import binary_erosion

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import register_images
from workflow_scripts.diffusion.motion import even_brain

# Real series with their own T1w: 1.030 to 1.052, with other people's: 1.009 to 1.021;
# simulated heads: 1.11 and 1.025.
LOWEST_MUTUAL_INFORMATION = 1.027
RIM_MM = 6


def align(t1w: ants.ANTsImage, b0: ants.ANTsImage, prefix: str) -> str:
    """File of the rigid transform (6 dof, mutual information) from the b = 0 image to the T1w."""
    return register_images(t1w, b0, "Rigid", prefix)["fwdtransforms"][0]


def normalized_mutual_information(a: np.ndarray, b: np.ndarray, bins: int = 32) -> float:
    """(H(A) + H(B)) / H(A, B) of two lists of intensities: 1 independent, 2 one-to-one.

    Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0. Each list is binned by
    its own quantiles, so that contrast and scale do not count.
    """

    def ranked(values):
        return np.digitize(values, np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))

    def entropy(shares):
        shares = shares[shares > 0]
        return -(shares * np.log(shares)).sum()

    joint = np.zeros((bins, bins))
    np.add.at(joint, (ranked(a), ranked(b)), 1 / len(a))
    return (entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))) / entropy(joint)


def shared_information(t1w: ants.ANTsImage, b0: ants.ANTsImage, transform: str) -> float:
    """Normalized mutual information of two brains (0 outside), 6 mm and more inside of both."""
    aligned = ants.apply_transforms(t1w, b0, [transform]).numpy()
    rim = round(RIM_MM / np.mean(t1w.spacing))
    inside = binary_erosion((aligned > 0) & (t1w.numpy() > 0), iterations=rim)
    return normalized_mutual_information(t1w.numpy()[inside], aligned[inside])


def main(source, out, params):
    """Align a series to its T1w, and flag it where the two share little."""
    t1w = even_brain(source.t1w, source.t1w_mask)
    b0 = even_brain(source.b0, source.mask)
    with tempfile.TemporaryDirectory() as folder:
        shutil.move(align(t1w, b0, f"{folder}/"), out.transform)
    shared = shared_information(t1w, b0, out.transform)
    flags = []
    if shared < LOWEST_MUTUAL_INFORMATION:
        flags.append(
            f"DWI and T1w share little (normalized mutual information {shared:.3f}, "
            f"expected above {LOWEST_MUTUAL_INFORMATION}): of one person? aligned?"
        )
    write_sidecar(
        out.sidecar,
        sources=[source.b0, source.t1w],
        software=["antspyx"],
        measures={"dwi_t1w_mutual_information": shared},
        Description="Rigid transform from the diffusion series to the T1w",
        Flags=flags,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
