"""Normalized brains of a study -> one half-precision memory map on a box around the brain.

Training reads from the map alone: a volume takes about 1 ms instead of the 35 to 77 ms of a
compressed NIfTI.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from skimage.transform import downscale_local_mean

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

MULTIPLE = 8  # of voxels along each axis, for three halvings of the grid


def brain_box(mask: np.ndarray, downsample: int) -> tuple[slice, slice, slice]:
    """Smallest box (in voxels) around a mask whose sides are multiples of 8 x ``downsample``.

    It may reach over the border of the grid, where a brain is 0.
    """
    box = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, length = inside[0], inside[-1] + 1 - inside[0]
        unit = MULTIPLE * downsample
        size = -(-length // unit) * unit
        start = first - (size - length) // 2
        box.append(slice(int(start), int(start + size)))
    return tuple(box)


def cut(data: np.ndarray, box, downsample: int) -> np.ndarray:
    """An image (x, y, z) on the box: block means over ``downsample`` voxels, 0 off the grid."""
    before = [max(0, -part.start) for part in box]
    after = [max(0, part.stop - size) for part, size in zip(box, data.shape, strict=True)]
    padded = np.pad(data, list(zip(before, after, strict=True)))
    moved = tuple(
        slice(part.start + pad, part.stop + pad) for part, pad in zip(box, before, strict=True)
    )
    return downscale_local_mean(padded[moved], (downsample,) * 3)


def box_affine(affine: np.ndarray, box, downsample: int) -> np.ndarray:
    """Affine (4, 4) of the box, to whose first voxel the first ``downsample`` voxels belong."""
    moved = affine.copy()
    corner = np.array([part.start for part in box]) + (downsample - 1) / 2
    moved[:3, 3] += affine[:3, :3] @ corner
    moved[:3, :3] *= downsample
    return moved


def brain_volume(path, mask: np.ndarray, box, downsample: int) -> np.ndarray:
    """A normalized brain on the box, divided by its mean over the brain (float16).

    Raises
    ------
    InputError
        If there is no brain in the image.
    """
    brain = np.asanyarray(nib.load(path).dataobj, np.float32)
    mean = brain[mask].mean()
    if not mean > 0:
        raise InputError(f"{path}: mean intensity {mean} in the brain; make the scan's brain again")
    return cut(np.where(mask, brain / mean, 0), box, downsample).astype(np.float16)


def write_volumes(brains: list, mask_path, downsample: int, path) -> nib.Nifti1Image:
    """Write the brains as a NumPy file (n, x, y, z) float16 and return the mask on its grid."""
    image = nib.load(mask_path)
    mask = np.asanyarray(image.dataobj) > 0
    box = brain_box(mask, downsample)
    small = cut(mask.astype(np.float32), box, downsample) > 0.5
    shape = (len(brains), *small.shape)
    volumes = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    for row, brain in enumerate(brains):
        volumes[row] = brain_volume(brain, mask, box, downsample)
    volumes.flush()
    return nib.Nifti1Image(small.astype(np.uint8), box_affine(image.affine, box, downsample))


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        downsample = snakemake.params.downsample  # noqa: F821
        mask = write_volumes(list(source.brains), source.template_mask, downsample, out.volumes)
        nib.save(mask, out.mask)
        index: pd.DataFrame = read_table(source.population)
        index = index[["participant_id", "session_id", "label"]]
        index.insert(0, "row", range(len(index)))
        write_table(index, Path(out.index), resource("columns/learning.tsv"))
