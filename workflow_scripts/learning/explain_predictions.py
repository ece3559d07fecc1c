"""Grad-CAM of a trial's test scans: what in the brain spoke for the predicted class."""

import logging
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
LOG = logging.getLogger(__name__)


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


def gradcam(classifier: nn.Module, volume: np.ndarray, target: int) -> np.ndarray:
    """Grad-CAM of one of the two classes for a volume.

    Parameters
    ----------
    classifier : in evaluation mode; its ``encoder`` has the attribute ``last_convolution``
    volume : (x, y, z)
    target : 0 or 1, the class

    Returns
    -------
    float array on the grid of the last convolution
        Not negative; larger where the scan speaks for the class.

    Notes
    -----
    ReLU of the channels' sum, each weighted by the mean over space of the gradient of the
    class's score (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74). The score is the class's
    logit minus the other one: what both logits share stays as the weights were drawn at
    first, it moves no prediction, and it would show in the maps.
    """
    batch = torch.from_numpy(np.asarray(volume, np.float32))[None, None]

    def score(images):
        logits = classifier(images)
        return logits[:, target] - logits[:, 1 - target]

    explainer = LayerGradCam(score, classifier.encoder.last_convolution)
    cam = explainer.attribute(batch, relu_attributions=True)
    return cam[0, 0].detach().numpy()


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
    """Grad-CAM of the predicted class of some scans.

    Parameters
    ----------
    classifier, classes : the network, and its classes in the order of its outputs
    volumes : (n, x, y, z)
    scans : DataFrame with row (of ``volumes``) and predicted
    brain : (x, y, z) bool

    Returns
    -------
    (x, y, z, scans) float32
    """
    if volumes.shape[1:] != brain.shape:
        raise InputError(
            f"volumes_mask.nii.gz: its grid {brain.shape} is not that of the volumes "
            f"{volumes.shape[1:]}; make the cache again"
        )
    first, step = cell_positions(classifier.encoder, brain.shape)
    maps = np.empty((*brain.shape, len(scans)), np.float32)
    for place, (row, predicted) in enumerate(zip(scans["row"], scans["predicted"], strict=True)):
        cam = gradcam(classifier, volumes[row], classes.index(str(predicted)))
        maps[..., place] = in_brain(cam, first, step, brain)
        if not maps[..., place].any():
            LOG.warning("volume %d: nothing speaks for %s, its map is empty", place, predicted)
    return maps


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source = snakemake.input  # noqa: F821
        torch.set_num_threads(snakemake.threads)  # noqa: F821
        classifier, description = load_classifier(source.model)
        volumes, index = read_volumes(source.volumes)
        tested = read_table(source.predictions)
        tested = tested.assign(
            volume=range(len(tested)),
            row=rows_of(index, tested),
            correct=(tested["label"] == tested["predicted"]).astype(int),
        )
        mask = nib.load(source.mask)
        brain = np.asanyarray(mask.dataobj) > 0
        maps = explain(classifier, description["classes"], volumes, tested, brain)
        save_probability(maps, mask, snakemake.output.maps)  # noqa: F821
        write_table(tested[COLUMNS], snakemake.output.index, resource("columns/learning.tsv"))  # noqa: F821
