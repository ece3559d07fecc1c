"""Grad-CAM and integrated gradients of a split's test scans: what spoke for the predicted class.

And what speaks for it where the linear layer was fitted to permuted labels: how a map looks
by chance, given these encoders and brains (data randomization test, Adebayo et al. 2018,
arXiv:1810.03292).
"""

import logging
from itertools import product

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from captum.attr import IntegratedGradients
from safetensors.numpy import load_file, save_file
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from workflow_scripts.common.images import save_probability
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.transforms import resample
from workflow_scripts.learning.gradcam import cell_positions, channel_maps, gradcam
from workflow_scripts.learning.models import load_classifier
from workflow_scripts.learning.volumes import read_volumes, rows_of

COLUMNS = ["volume", "split", "repeat", *SCAN, "label", "predicted", "correct"]
MAPS_AT_ONCE = 16
STEPS = 16  # of integrated gradients
SMOOTHING_MM = 3.0
LOG = logging.getLogger(__name__)


def in_brain(cam: np.ndarray, cells: np.ndarray, mask: nib.Nifti1Image) -> np.ndarray:
    """A map (a, b, c) on the grid of the mask, trilinear between the cells, 0 out of the brain."""
    return np.where(mask.get_fdata() > 0, resample(cam, cells, mask), 0)


def interpolation(cells: np.ndarray, shape: tuple, mask: nib.Nifti1Image) -> csr_array:
    """What `in_brain` does, as a matrix (voxels of the brain, cells): fast for many maps.

    Parameters
    ----------
    cells : (4, 4), cells to MNI152 mm
    shape : (a, b, c), of a map
    """
    voxels = np.argwhere(mask.get_fdata() > 0)
    last = np.array(shape) - 1
    places = nib.affines.apply_affine(np.linalg.inv(cells) @ mask.affine, voxels).clip(0, last)
    low = np.floor(places).astype(int)
    weights, columns = [], []
    for corner in product((0, 1), repeat=3):
        near = np.where(corner, places - low, 1 - (places - low))
        weights.append(near.prod(axis=1, dtype=np.float32))
        columns.append(np.ravel_multi_index(np.minimum(low + corner, last).T, shape))
    rows = np.tile(np.arange(len(voxels)), 8)
    entries = np.concatenate(weights), (rows, np.concatenate(columns))
    return csr_array(entries, shape=(len(voxels), np.prod(shape)))


def explain(
    channels: list,
    weights: np.ndarray,
    scans: pd.DataFrame,
    cells: np.ndarray,
    mask: nib.Nifti1Image,
    shared: np.ndarray | None = None,
) -> np.ndarray:
    """Grad-CAM of the predicted class of some scans.

    Parameters
    ----------
    channels : per scan an array (channels, a, b, c), as from `channel_maps`
    weights : (channels,), of the positive class minus those of the negative
    scans : DataFrame with volume, score and predicted
    cells : (4, 4), cells to MNI152 mm
    mask : image (x, y, z) of the brain
    shared : (channels,), what the weights of both logits share: the maps are then those of the
        class's own logit instead of its difference from the other

    Returns
    -------
    (x, y, z, scans) float32, the maximum of each map at 1; a map that is 0 stays so
    """
    maps = []
    for of_scan, scan in zip(channels, scans.itertuples(), strict=True):
        of_class = weights if scan.score > 0 else -weights
        cam = gradcam(of_scan, of_class if shared is None else shared + of_class / 2)
        cam = in_brain(cam, cells, mask)
        if not cam.any():
            LOG.warning(
                "volume %d: nothing speaks for %s, its map is empty", scan.volume, scan.predicted
            )
        maps.append(cam / (cam.max() or 1))
    return np.stack(maps, axis=-1).astype(np.float32)


def on_cells(
    channels: list, weights: np.ndarray, scans: pd.DataFrame, cells: np.ndarray, mask
) -> np.ndarray:
    """Grad-CAM of the predicted class of some scans, as it is before it is drawn over the brain.

    Parameters
    ----------
    channels, weights, scans, cells, mask : as in `explain`

    Returns
    -------
    (scans, a, b, c) float16, the maximum in the brain at 1; a map that is 0 there stays so
    """
    of_class = [weights if score > 0 else -weights for score in scans["score"]]
    cams = np.stack([gradcam(*one) for one in zip(channels, of_class, strict=True)])
    to_brain = interpolation(cells, cams.shape[1:], mask)
    peaks = (to_brain @ cams.reshape(len(cams), -1).T).max(axis=0, initial=0)
    shares = cams / np.where(peaks > 0, peaks, 1)[:, None, None, None]
    return np.where(peaks[:, None, None, None] > 0, shares, 0).astype(np.float16)


def integrated_gradients(classifier, volume: np.ndarray) -> np.ndarray:
    """What each voxel adds to the logit of the positive class minus that of the negative.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) from an image of zeros, by
    captum, summed over the channels: the sum over the voxels is the score less that of nothing,
    but for the error of `STEPS` points of Gauss and Legendre.

    Parameters
    ----------
    classifier : in evaluation mode
    volume : (channels, x, y, z)

    Returns
    -------
    (x, y, z) float32
    """

    def score(images):
        logits = classifier(images)
        return logits[:, 1] - logits[:, 0]

    image = torch.from_numpy(np.asarray(volume, np.float32))[None]
    found = IntegratedGradients(score).attribute(image, n_steps=STEPS, internal_batch_size=1)
    return found[0].sum(dim=0).detach().float().numpy()


def attribute(classifier, volumes, scans: pd.DataFrame, mask: nib.Nifti1Image) -> np.ndarray:
    """Integrated gradients that speak for the predicted class of some scans.

    Parameters
    ----------
    volumes : per scan an array (channels, x, y, z)
    scans : DataFrame with score
    mask : image (x, y, z) of the brain

    Returns
    -------
    (x, y, z, scans) float32, smoothed by a Gaussian of `SMOOTHING_MM`, 0 where they speak against
    the class; the maximum of each map at 1
    """
    inside, maps = mask.get_fdata() > 0, []
    sigma = SMOOTHING_MM / np.array(mask.header.get_zooms()[:3])
    for volume, score in zip(volumes, scans["score"], strict=True):
        found = integrated_gradients(classifier, volume) * (1 if score > 0 else -1)
        found = np.where(inside, gaussian_filter(found, sigma), 0).clip(min=0)
        maps.append(found / (found.max() or 1))
    return np.stack(maps, axis=-1).astype(np.float32)


def sum_maps(
    channels: list, layers: dict, cells: np.ndarray, mask: nib.Nifti1Image
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the maps of what linear layers classify correctly.

    Parameters
    ----------
    channels, cells, mask : as in `explain`
    layers : weight (layers, channels), score (layers, scans) and positive (layers, scans), as
        from `describe_layers`

    Returns
    -------
    sums : (layers, 2, a, b, c) float32
        On the cells, of the negative and the positive class; each map has its maximum in the
        brain at 1, or is 0.
    counts : (layers, 2) int
        Maps of each sum.
    """
    positive = layers["positive"]
    correct = (layers["score"] > 0) == positive
    sums = np.zeros((len(positive), 2, *channels[0].shape[1:]), np.float32)
    counts = np.stack([(correct & (positive == value)).sum(axis=1) for value in (0, 1)], axis=1)
    to_brain = interpolation(cells, channels[0].shape[1:], mask)
    for (scan, of_scan), called in product(enumerate(channels), (0, 1)):
        chosen = np.flatnonzero(correct[:, scan] & (positive[:, scan] == called))
        for start in range(0, len(chosen), MAPS_AT_ONCE):
            some = chosen[start : start + MAPS_AT_ONCE]
            weights = layers["weight"][some]
            cams = gradcam(of_scan, weights if called else -weights)
            peaks = (to_brain @ cams.reshape(len(cams), -1).T).max(axis=0, initial=0)
            sums[some, called] += cams / np.where(peaks > 0, peaks, 1)[:, None, None, None]
    return sums, counts


def main(source, out, params, threads: int):
    """Write the maps of a training's test scans, and the sums of all linear layers' maps."""
    torch.set_num_threads(threads)
    classifier, _ = load_classifier(source.model)
    volumes, index = read_volumes(source.volumes)
    tested = read_table(source.predictions)
    tested = tested[tested["role"] == "test"].reset_index(drop=True)
    tested = tested.assign(
        volume=range(len(tested)),
        correct=(tested["label"] == tested["predicted"]).astype(int),
    )
    mask = nib.load(source.mask)
    if volumes.shape[2:] != mask.shape:
        raise InputError(
            f"{source.mask}: its grid {mask.shape} is not that of the volumes "
            f"{volumes.shape[2:]}; make the cache again"
        )
    first, step = cell_positions(classifier.encoder, volumes.shape[1:])
    cells = mask.affine @ nib.affines.from_matvec(np.diag(step), first)
    scanned = [volumes[row] for row in rows_of(index, tested)]
    channels = [channel_maps(classifier.encoder, volume) for volume in scanned]
    layers = load_file(source.layers)
    for path, shared in ((out.maps, None), (out.logits, layers["shared"])):
        maps = explain(channels, layers["weight"][0], tested, cells, mask, shared)
        save_probability(maps, mask, path)
    save_probability(attribute(classifier, scanned, tested, mask), mask, out.attributions)
    write_table(tested[COLUMNS], out.index, resource("columns/learning.tsv"))
    sums, counts = sum_maps(channels, layers, cells, mask)
    cams = on_cells(channels, layers["weight"][0], tested, cells, mask)
    save_file({"sums": sums, "counts": counts, "affine": cells, "cams": cams}, out.sums)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.threads)
