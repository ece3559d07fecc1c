"""Lesions of the white matter: read, and filled before a brain is registered and segmented."""

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from skimage.filters import threshold_multiotsu

from workflow_scripts.anatomical.partial_volume import local_mean
from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import off_grid, require_usable

LESION = 0.5  # least share of a voxel that counts as lesion
EDGE_VOXELS = 1.0


def read_lesions(path: str, like: str, contrast: str = "T1w") -> np.ndarray:
    """Share of lesion (x, y, z), 0 to 1, of the voxels of an image ``like`` of a contrast.

    Raises
    ------
    InputError
        If the mask cannot be used, or lies on another grid.
    """
    require_usable(path)
    if problem := off_grid(path, like, contrast):
        raise InputError(f"{path}: {problem}")
    return np.clip(load_scan(path).get_fdata(dtype=np.float32), 0, 1)


def filled(t1w: np.ndarray, mask: np.ndarray, lesion: np.ndarray, spacing) -> np.ndarray:
    """A brain whose lesions are as bright as the normal white matter around them.

    That is the `local_mean` of the brightest of three classes (Otsu) where it is a voxel away
    from everything else. Beside a lesion, where voxels hold a part of it, the image is lifted by
    that part of what a lesion darkens, where it is not darker than one.

    Parameters
    ----------
    t1w, mask : (x, y, z)
    lesion : (x, y, z) bool
    spacing : voxel size in mm

    Notes
    -----
    Filling before segmentation and registration: Battaglini et al. 2012, Hum Brain Mapp 33:2062;
    ``benchmarks/atrophy.py --lesions`` has what it does here.
    """
    inside = mask > 0
    lesion = lesion & inside
    if not lesion.any():
        return t1w
    bright = t1w > threshold_multiotsu(t1w[inside & ~lesion], classes=3)[-1]
    bright &= inside & ~binary_dilation(lesion)
    white = binary_erosion(bright)
    level = local_mean(t1w, white if white.any() else bright, spacing)
    relative = t1w / level
    middle = binary_erosion(lesion)
    core = min(1.0, float(np.median(relative[middle if middle.any() else lesion])))
    part = gaussian_filter(lesion.astype(np.float32), EDGE_VOXELS)
    part[~(binary_dilation(lesion) & inside & (relative > core))] = 0
    lifted = np.minimum(t1w + part * (1 - core) * level, np.maximum(t1w, level))
    return np.where(lesion, level, lifted).astype(t1w.dtype)


def lesions_filled(t1w: np.ndarray, mask: np.ndarray, spacing, source) -> np.ndarray:
    """`filled` with the mask of lesions among a rule's inputs; ``t1w`` itself where it has none.

    Parameters
    ----------
    t1w, mask : (x, y, z)
    source : inputs, with t1w and lesions, which may be empty
    """
    if not source.lesions:
        return t1w
    return filled(t1w, mask, read_lesions(source.lesions, source.t1w) >= LESION, spacing)
