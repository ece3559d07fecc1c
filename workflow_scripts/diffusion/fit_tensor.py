"""Diffusion tensor, its maps, and quality of the series: outlier slices and gradient table."""

import nibabel as nib
import numpy as np
import pandas as pd
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import (
    MIN_POSITIVE_SIGNAL,
    TensorModel,
    fractional_anisotropy,
    lower_triangular,
)
from threadpoolctl import threadpool_limits

from workflow_scripts.common.gradients import Gradients, nearest_shell, read_gradients, shells
from workflow_scripts.common.images import save_image, write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.diffusion.gradient_check import check_gradients

OUTLIER_SD = 6.0
SMALLEST_SLICE = 50  # voxels
SMALLEST_SPREAD = 0.002  # of the b = 0 signal
FEWEST_FREE = 3
LEAST_FREE = 0.05  # of one volume
CHECK_FA = 0.3


def shell_volumes(gradients: Gradients, wanted: float) -> tuple[np.ndarray, float]:
    """The b = 0 volumes and those of the shell nearest to ``wanted`` s/mm2.

    Returns
    -------
    (volumes,) bool, and the shell's b-value
    """
    shell = nearest_shell(gradients.bvals, wanted)
    return np.isin(shells(gradients.bvals), (0, shell)), shell


def fit(dwi: np.ndarray, mask: np.ndarray, bvals: np.ndarray, directions: np.ndarray):
    """Tensors by weighted least squares (Chung et al. 2006, doi:10.1016/j.neuroimage.2006.07.001).

    Parameters
    ----------
    dwi : (x, y, z, volumes)
    mask : (x, y, z) bool with n True
    bvals, directions : (volumes,) s/mm2 and (3, volumes) unit vectors; the tensors
        are in the axes of the directions

    Returns
    -------
    evals : (n, 3) mm2/s, largest first
    evecs : (n, 3, 3), eigenvectors in columns
    predicted : (n, volumes) signal of the model
    """
    table = gradient_table(bvals, bvecs=directions.T, b0_threshold=50)
    found = TensorModel(table, fit_method="WLS", return_S0_hat=True).fit(dwi[mask])
    return found.evals, found.evecs, found.predict(table, S0=found.S0_hat)


def log_design(bvals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Design (volumes, 7) of the logarithm of the signal: of b = 0, and of the tensor in um2/ms."""
    quadratic = np.einsum("iv,jv->vij", directions, directions)[:, *np.tril_indices(3)]
    return np.column_stack([np.ones(len(bvals)), -bvals[:, None] / 1000 * quadratic])


def bootstrap_tensors(signal, bvals, directions, samples: int, seed: int = 0):
    """Tensors refitted to samples of a wild bootstrap.

    Residuals of the logarithm of the signal, over the root of one minus their leverage, keep
    or change their sign by chance (Whitcher et al. 2008, doi:10.1002/hbm.20403). A volume's
    sign is that of all voxels: noise that neighbours share, as after interpolation, stays
    shared.

    Parameters
    ----------
    signal : (n, volumes)
    bvals, directions : (volumes,) s/mm2 and (3, volumes)

    Yields
    ------
    (n, 6), lower triangles in um2/ms, as in `tensor_maps`
    """
    every = np.ones(len(signal), bool)
    _, _, predicted = fit(signal, every, bvals, directions)
    weighted = np.linalg.qr(predicted[..., None] * log_design(bvals, directions))[0]
    own = np.maximum(1 - (weighted**2).sum(axis=-1), LEAST_FREE)
    ratio = np.maximum(signal, MIN_POSITIVE_SIGNAL) / predicted
    residual = np.log(ratio) / np.sqrt(own)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (samples, len(bvals)))
    for sign in signs:
        evals, evecs, _ = fit(predicted * np.exp(sign * residual), every, bvals, directions)
        yield tensor_maps(np.clip(evals, 0, None), evecs)["tensor"]


def outlier_slices(residual, predicted, mask, bvals, directions) -> pd.DataFrame:
    """Slices (third axis) that lost signal in one volume, as by a jerk of the head.

    A lost slice pulls the tensors of its slice along and spreads over the residuals of all
    volumes. So the loss is estimated as in a fit without the volume (by the residual
    maker of the slice's mean fit), the greatest first, and is an outlier beyond
    `OUTLIER_SD` robust standard deviations (1.4826 times the median absolute deviation)
    of the residuals that are left.

    Parameters
    ----------
    residual : (n, volumes), signal minus model over the mean b = 0 signal, in the mask
    predicted : (n, volumes), model over the mean b = 0 signal
    mask : (x, y, z) bool with n True
    bvals, directions : (volumes,) s/mm2 and (3, volumes)

    Returns
    -------
    DataFrame with volume, slice, deviation (in robust standard deviations)
    """
    level = np.nonzero(mask)[2]
    design = log_design(bvals, directions)
    weighted = bvals > 50
    rows = []
    for index in np.flatnonzero(np.bincount(level) >= SMALLEST_SLICE):
        here = level == index
        scaled = design * predicted[here].mean(axis=0)[:, None]
        maker = np.eye(len(bvals)) - scaled @ np.linalg.pinv(scaled)
        left, free = residual[here].mean(axis=0), len(bvals) - design.shape[1]
        while free > FEWEST_FREE:
            own = np.diag(maker)
            usable = weighted & (own > LEAST_FREE)
            loss = np.divide(left, own, out=np.zeros_like(left), where=usable)
            volume = loss.argmin()
            left = left - maker[:, volume] * loss[volume]
            free -= 1
            spread = 1.4826 * np.median(np.abs(left[weighted])) * np.sqrt(len(bvals) / free)
            deviation = loss[volume] / max(spread, SMALLEST_SPREAD)
            if deviation > -OUTLIER_SD:
                break
            rows.append((volume, index, deviation))
            maker = maker - np.outer(maker[:, volume], maker[volume]) / own[volume]
    return pd.DataFrame(rows, columns=["volume", "slice", "deviation"])


def tensor_maps(evals: np.ndarray, evecs: np.ndarray) -> dict[str, np.ndarray]:
    """Maps of tensors by name: fa, md, ad, rd, and tensor, its lower triangle.

    Parameters
    ----------
    evals : (n, 3) mm2/s, largest first, not negative
    evecs : (n, 3, 3), eigenvectors in columns

    Returns
    -------
    Arrays (n,), of tensor (n, 6); diffusivities and tensor in um2/ms
    """
    tensors = np.einsum("nij,nj,nkj->nik", evecs, evals * 1000, evecs)
    return {
        "fa": fractional_anisotropy(evals),
        "md": evals.mean(axis=-1) * 1000,
        "ad": evals[:, 0] * 1000,
        "rd": evals[:, 1:].mean(axis=-1) * 1000,
        "tensor": lower_triangular(tensors),
    }


@threadpool_limits.wrap(limits=1)
def main(source, out, params):
    """Fit the tensors of a prepared series, and write their maps and the series' quality."""
    image = nib.load(source.dwi)
    mask = np.asanyarray(nib.load(source.mask).dataobj) > 0
    dwi = np.asanyarray(image.dataobj)
    gradients = read_gradients(source.dwi, dwi.shape[3])
    used, shell = shell_volumes(gradients, params.bval)
    directions = gradients.scanner_axes(image.affine)[:, used]
    bvals = gradients.bvals[used]
    evals, evecs, predicted = fit(dwi[..., used], mask, bvals, directions)
    maps = tensor_maps(np.clip(evals, 0, None), evecs)
    for name, values in maps.items():
        data = np.zeros(mask.shape + values.shape[1:], np.float32)
        data[mask] = values
        save_image(data, image, getattr(out, name))
    signal = dwi[mask][:, used]
    b0 = signal[:, bvals <= 50].mean(axis=1, keepdims=True)
    b0 = np.maximum(b0, b0.mean() / 10)
    residual = np.clip((signal - predicted) / b0, -1, 1)
    model = np.clip(predicted / b0, 0, 1)
    outliers = outlier_slices(residual, model, mask, bvals, directions)
    first = np.zeros((*mask.shape, 3))
    first[mask] = evecs[..., 0] * (maps["fa"] > CHECK_FA)[:, None]
    table = check_gradients(first, image.affine)
    columns = resource("columns/diffusion.tsv")
    outliers["volume"] = np.flatnonzero(used)[outliers["volume"].astype(int)]
    write_table(outliers.round(2), out.outliers, columns, dictionary=False)
    write_table(table.round(4), out.gradient_check, columns, dictionary=False)
    ratio = table["coherence"].iloc[0] / table["coherence"].iloc[1:].max()
    flags = []
    if not ratio >= 1:
        better = table["table"].iloc[1]
        flags.append(f"gradient table: fibres fit together better with the axes {better}")
    write_sidecar(
        out.sidecar,
        sources=[source.dwi],
        software=["dipy"],
        measures={
            "dwi_bval": shell,
            "dwi_directions": int((bvals > 50).sum()),
            "dwi_outlier_slices": len(outliers),
            "dwi_gradient_coherence_ratio": ratio,
        },
        Description="Diffusion tensor by weighted least squares of the b = 0 volumes and "
        f"the shell b = {shell:g} s/mm2; diffusivities in um2/ms",
        OrientationEncoding="xx, xy, yy, xz, yz, zz in scanner (RAS) axes",
        GradientTable="doubtful" if flags else "as given",
        Flags=flags,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
