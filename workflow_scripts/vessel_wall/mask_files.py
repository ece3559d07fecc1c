"""Reading images and pairs of masks, and refusing those that cannot be measured."""

import zlib

import nibabel as nib
import numpy as np
from scipy.ndimage import find_objects, label

from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError


def read_volume(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Values, (x, y, z), and affine of an image.

    Raises
    ------
    InputError
        If it cannot be read, is not 3D, or holds values or an affine without meaning.
    """
    try:
        image = load_scan(path)
        data = image.get_fdata(dtype=np.float32)
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy or make it again") from error
    if data.ndim != 3:
        raise InputError(f"{path}: has {data.ndim} dimensions, not 3; save one volume per file")
    if not np.isfinite(data).all():
        raise InputError(f"{path}: holds NaN or infinite values; save it without them")
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        raise InputError(f"{path}: the affine cannot be inverted; save it from the image again")
    return data, image.affine


def read_mask(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Values 0..1, (x, y, z), and affine of a mask; InputError if it is empty or holds others."""
    data, affine = read_volume(path)
    if data.min() < 0 or data.max() > 1.001:
        raise InputError(
            f"{path}: values run from {data.min():g} to {data.max():g}; save a binary mask (0 and "
            "1) or partial volumes 0..1, one vessel per file"
        )
    if not (data > 0.5).any():
        raise InputError(f"{path}: the mask is empty; draw it, or remove both files of the vessel")
    return data, affine


def read_pair(lumen_path: str, outer_path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lumen and everything inside the outer wall, (x, y, z), and their affine.

    Raises
    ------
    InputError
        If one of them is unusable, the grids differ, the lumen is not inside the
        outer wall, is in pieces, or lies in one slice; all that is found.
    """
    problems, read = [], []
    for path in (lumen_path, outer_path):
        try:
            read.append(read_mask(path))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    (lumen, affine), (outer, outer_affine) = read
    if lumen.shape != outer.shape or not np.allclose(affine, outer_affine, atol=1e-3):
        raise InputError(
            f"{outer_path}: its grid is not that of {lumen_path}; resample one onto the other"
        )
    outside = lumen > outer + 0.02
    if outside.any():
        first = np.argwhere(outside)[0].tolist()
        problems.append(
            f"{lumen_path}: {int(outside.sum())} voxels of the lumen are outside the outer wall, "
            f"the first at {first}; the outer-wall mask is everything inside the outer wall, the "
            "lumen included: correct one of them"
        )
    elif np.array_equal(lumen, outer):
        problems.append(f"{outer_path}: is the same as the lumen: no wall; draw the outer wall")
    box = find_objects((lumen > 0.5).astype(np.uint8))[0]
    pieces, count = label(lumen[box] > 0.5, np.ones((3, 3, 3)))
    if count > 1:
        sizes = sorted(np.bincount(pieces.ravel())[1:].tolist(), reverse=True)
        problems.append(
            f"{lumen_path}: the lumen is in {count} pieces of {sizes[:5]} voxels; join them, "
            "delete the stray ones, or save them as vessels of their own"
        )
    if 1 in pieces.shape:
        problems.append(
            f"{lumen_path}: the lumen is one voxel thin along an axis, a single section has no "
            "centre line; draw it on more slices"
        )
    if problems:
        raise InputError("\n".join(problems))
    return lumen, outer, affine
