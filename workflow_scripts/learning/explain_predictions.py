"""Grad-CAM of a trial's test scans: what in the brain spoke for the predicted class."""

from itertools import takewhile

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam
from scipy.ndimage import affine_transform
from torch import nn

from workflow_scripts.common.images import save_probability
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.learning.models import load_classifier
from workflow_scripts.learning.volumes import read_volumes, rows_of

SCAN = ["participant_id", "session_id"]
COLUMNS = ["volume", "trial", "repeat", *SCAN, "label", "predicted", "correct"]


def cell_positions(encoder: nn.Module, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells of the last convolution lie in a volume.

    Parameters
    ----------
    encoder : with the attribute ``last_convolution``
    shape : (x, y, z) of the volume

    Returns
    -------
    first : (3,) float array
        Voxel coordinates of the centre of the first cell's receptive field.
    step : (3,) float array
        Voxels from a cell to the next.

    Notes
    -----
    Araujo et al. 2019, doi:10.23915/distill.00021. Stretching the map over the volume
    instead, as is usual, shifts it where convolutions have a stride: by half a cell. A
    layer that does not take the output of the layers before it belongs to a parallel
    branch (the shortcut of a residual network) and does not count.
    """
    passed: list = []

    def note(module, inputs, output):
        passed.append((module, inputs[0].shape[2:], output.shape[2:]))

    layers = [
        m for m in encoder.modules() if isinstance(m, (nn.Conv3d, nn.MaxPool3d, nn.AvgPool3d))
    ]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    hooks.append(encoder.last_convolution.register_forward_hook(lambda *_: passed.append(None)))
    with torch.no_grad():
        encoder(torch.zeros(1, 1, *shape))
    for hook in hooks:
        hook.remove()
    first, step, size = np.zeros(3), np.ones(3), torch.Size(shape)
    for layer, before, after in takewhile(lambda entry: entry is not None, passed):
        if before == size:
            reach = (np.array(layer.kernel_size) - 1) * np.array(getattr(layer, "dilation", 1)) / 2
            first = first + (reach - np.array(layer.padding)) * step
            step, size = step * np.array(layer.stride), after
    return first, step


def gradcam(classifier: nn.Module, volume: np.ndarray) -> tuple[np.ndarray, int]:
    """Grad-CAM of the class that a classifier predicts for a volume.

    Parameters
    ----------
    classifier : in evaluation mode; its ``encoder`` has the attribute ``last_convolution``
    volume : (x, y, z)

    Returns
    -------
    cam : float array on the grid of the last convolution
        Not negative; larger where the scan speaks for the predicted class.
    predicted : int
        Index of that class.

    Notes
    -----
    ReLU of the channels' sum, each weighted by the mean over space of the gradient of the
    class's logit (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74).
    """
    batch = torch.from_numpy(np.asarray(volume, np.float32))[None, None]
    with torch.no_grad():
        predicted = int(classifier(batch).argmax())
    explainer = LayerGradCam(classifier, classifier.encoder.last_convolution)
    cam = explainer.attribute(batch, target=predicted, relu_attributions=True)
    return cam[0, 0].detach().numpy(), predicted


def in_brain(cam: np.ndarray, first: np.ndarray, step: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A map on the voxels of the volume, 0 outside of the brain, its maximum there 1.

    Trilinear between the cells; a map that is 0 all over the brain stays so.

    Parameters
    ----------
    cam : (a, b, c)
    first, step : as from `cell_positions`
    brain : (x, y, z) bool
    """
    full = affine_transform(
        cam, np.diag(1 / step), -first / step, output_shape=brain.shape, order=1, mode="nearest"
    )
    full = np.where(brain, full, 0)
    return full / full.max() if full.max() > 0 else full


def explain(classifier, classes: list[str], volumes, scans: pd.DataFrame, brain: np.ndarray):
    """Maps and predictions of some scans.

    Parameters
    ----------
    classifier, classes : the network, and its classes in the order of its outputs
    volumes : (n, x, y, z)
    scans : DataFrame with row (of ``volumes``) and label
    brain : (x, y, z) bool

    Returns
    -------
    maps : (x, y, z, scans) float32
    table : DataFrame, ``scans`` with volume, predicted and correct
    """
    if volumes.shape[1:] != brain.shape:
        raise InputError(
            f"volumes_mask.nii.gz: its grid {brain.shape} is not that of the volumes "
            f"{volumes.shape[1:]}; make the cache again"
        )
    first, step = cell_positions(classifier.encoder, brain.shape)
    maps = np.empty((*brain.shape, len(scans)), np.float32)
    names = []
    for place, row in enumerate(scans["row"]):
        cam, predicted = gradcam(classifier, volumes[row])
        maps[..., place] = in_brain(cam, first, step, brain)
        names.append(classes[predicted])
    table = scans.assign(volume=range(len(scans)), predicted=names)
    table["correct"] = (table["label"].astype(str) == table["predicted"]).astype(int)
    return maps, table


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, wildcards = snakemake.input, snakemake.wildcards  # noqa: F821
        torch.set_num_threads(snakemake.threads)  # noqa: F821
        classifier, description = load_classifier(source.model)
        volumes, index = read_volumes(source.volumes)
        trials = read_table(source.trials)
        tested = trials[(trials["trial"] == int(wildcards.trial)) & (trials["role"] == "test")]
        mask = nib.load(source.mask)
        maps, table = explain(
            classifier,
            description["classes"],
            volumes,
            tested.assign(row=rows_of(index, tested), repeat=int(wildcards.repeat)),
            np.asanyarray(mask.dataobj) > 0,
        )
        save_probability(maps, mask, snakemake.output.maps)  # noqa: F821
        write_table(table[COLUMNS], snakemake.output.index, resource("columns/learning.tsv"))  # noqa: F821
