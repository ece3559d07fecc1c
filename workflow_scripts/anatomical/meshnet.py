"""A MeshNet: dilated 3D convolutions on a conformed T1w (Fedorov et al. 2017, 1612.00940).

Weights come in a folder of the user's: ``model.json`` with the layers and ``model.safetensors``,
as the public project brainchop (neuroneural/brainchop) has them.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.affines import apply_affine, rescale_affine
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nibabel.processing import resample_from_to
from safetensors.torch import load_file
from scipy.ndimage import affine_transform

from workflow_scripts.common.job import InputError

CUBE = (256, 256, 256)
ORIENTATION = "LIA"
PERCENTILES = (2, 98)
MARGIN_MM = 16


def load_network(layers_file: str, weights_file: str) -> torch.nn.Sequential:
    """Network from the files of its layers and weights.

    Raises
    ------
    InputError
        If they are none of a MeshNet.
    """
    try:
        described = json.loads(Path(layers_file).read_text())
        weights = load_file(weights_file)
        layers = []
        for layer in described["layers"]:
            layers += [torch.nn.Conv3d(**layer), torch.nn.ELU(inplace=True)]
        network = torch.nn.Sequential(*layers[:-1])
        network.load_state_dict({k.removeprefix("model."): v for k, v in weights.items()})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{layers_file}, {weights_file}: are no MeshNet ({error}); correct anatomical.network "
            "or the weights of the engine"
        ) from error
    return network.eval()


def conform(head: nib.Nifti1Image, mask: np.ndarray) -> nib.Nifti1Image:
    """The part of the conformed head around the brain: 1 mm, axes to left, down and front, 0 to 1.

    Conformed is a cube of 256 mm around the centre of the scan, along its axes. Intensities are
    scaled between the 2nd and 98th percentile of that cube, of which only `MARGIN_MM` around the
    brain are made.

    Parameters
    ----------
    head : T1w
    mask : (x, y, z), the brain in it
    """
    turn = ornt_transform(io_orientation(head.affine), axcodes2ornt(ORIENTATION))
    turned = head.as_reoriented(turn)
    affine = rescale_affine(turned.affine, turned.shape, (1, 1, 1), CUBE)
    corners = np.stack(np.nonzero(mask))[:, :: max(1, int(mask.sum() // 100_000))].T
    inside = apply_affine(np.linalg.inv(affine) @ head.affine, corners)
    low = np.maximum(np.floor(inside.min(0)).astype(int) - MARGIN_MM, 0)
    high = np.minimum(np.ceil(inside.max(0)).astype(int) + MARGIN_MM + 1, CUBE)
    box = affine.copy()
    box[:3, 3] = apply_affine(affine, low)
    found = resample_from_to(turned, (tuple(high - low), box), order=3)
    dark, bright = _percentiles(head)
    data = np.clip((found.get_fdata(dtype=np.float32) - dark) / (bright - dark), 0, 1)
    return nib.Nifti1Image(data, box)


def _percentiles(head: nib.Nifti1Image) -> list[float]:
    """Percentiles of the conformed cube: the scan's values, and 0 where it does not reach."""
    values = np.sort(np.asanyarray(head.dataobj), axis=None)
    voxel_mm3 = abs(np.linalg.det(head.affine[:3, :3]))
    padding = max(0, np.prod(CUBE) / voxel_mm3 - len(values))
    zeros = np.searchsorted(values, 0)
    found = []
    for percent in PERCENTILES:
        rank = percent / 100 * (len(values) + padding - 1)
        if rank > zeros:
            rank = max(zeros, rank - padding)
        found.append(float(values[min(int(rank), len(values) - 1)]))
    return found


def class_probabilities(network: torch.nn.Sequential, conformed: nib.Nifti1Image) -> np.ndarray:
    """Probabilities (classes, x, y, z) float32 on the grid of a conformed brain."""
    data = torch.from_numpy(np.asanyarray(conformed.dataobj, np.float32))[None, None]
    with torch.inference_mode():
        return torch.softmax(network(data)[0], dim=0).numpy()


def bring_back(
    probabilities: np.ndarray, affine: np.ndarray, like: nib.Nifti1Image, box
) -> np.ndarray:
    """Probabilities (classes, x, y, z) on the part ``box`` of a scan's grid, by linear steps."""
    corner = np.array([part.start for part in box])
    to_conformed = np.linalg.inv(affine) @ like.affine
    shape = tuple(part.stop - part.start for part in box)
    offset = apply_affine(to_conformed, corner)
    return np.stack(
        [
            affine_transform(one, to_conformed[:3, :3], offset, shape, order=1, mode="nearest")
            for one in probabilities
        ]
    )
