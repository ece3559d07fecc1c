"""Grad-CAM of networks that end in global means of channels and a linear layer."""

from itertools import takewhile

import numpy as np
import torch
from torch import nn


def cell_positions(encoder: nn.Module, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells of the last convolution lie in a volume.

    Parameters
    ----------
    encoder : with the attribute ``last_convolution``
    shape : (channels, x, y, z) of the volume

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
        encoder(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    first, step, size = np.zeros(3), np.ones(3), torch.Size(shape[1:])
    for layer, before, after in takewhile(lambda entry: entry is not None, passed):
        if before == size:
            reach = (np.array(layer.kernel_size) - 1) * np.array(getattr(layer, "dilation", 1)) / 2
            first = first + (reach - np.array(layer.padding)) * step
            step, size = step * np.array(layer.stride), after
    return first, step


def channel_maps(encoder: nn.Module, volume: np.ndarray) -> np.ndarray:
    """What each channel of the last convolution adds to its feature, cell by cell.

    Parameters
    ----------
    encoder : in evaluation mode; has the attribute ``last_convolution``, each channel of
        which goes into one feature
    volume : (channels, x, y, z)

    Returns
    -------
    (channels, a, b, c) float32
        Activation times the mean over space of the feature's gradient.
    """
    passed = []

    def keep(module, inputs, output):
        passed.append(output)
        return output.clone()  # what follows may work in place

    hook = encoder.last_convolution.register_forward_hook(keep)
    features = encoder(torch.from_numpy(np.asarray(volume, np.float32))[None])
    hook.remove()
    (activation,) = passed
    (gradient,) = torch.autograd.grad(features.sum(), activation)
    maps = activation * gradient.mean(dim=(2, 3, 4), keepdim=True)
    return maps[0].detach().float().numpy()


def gradcam(channels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Grad-CAM of a class.

    Parameters
    ----------
    channels : (channels, a, b, c), as from `channel_maps`
    weights : (channels,) or (layers, channels), of one linear layer or of several: those of the
        class minus those of the other, or those of the class's own logit

    Returns
    -------
    (a, b, c) or (layers, a, b, c), not negative; larger where the scan speaks for the class

    Notes
    -----
    ReLU of the channels' sum, each weighted by the mean over space of the gradient of the
    class's score (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74). With the class's logit minus
    the other one as the score, the two classes mirror each other: what speaks for one speaks
    against the other. The class's own logit, as papers take it, lets a place light up for both
    classes or for one alone; but it holds what both logits share, which moves no prediction and
    stays as the weights were drawn at first. The score is linear in the features, so its
    gradient is theirs times the weights, for any number of linear layers.
    """
    return np.maximum(np.tensordot(weights, channels, axes=1), 0)
