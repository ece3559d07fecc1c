"""Labels of other programs, brought from the grid they were made on to that of the T1w."""

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy.ndimage import affine_transform, gaussian_filter
from skimage.measure import block_reduce

from workflow_scripts.common.engines import Labels

MARGIN = 2
MOST_PER_VOXEL = 4
TIES = 1e-3


def bring_back(image: nib.spatialimages.SpatialImage, numbers: Labels, like) -> np.ndarray:
    """Shares of the voxels of a T1w that are left and right of a region.

    The two are parted by their headers alone, whatever axes and voxel sizes they have. Linear
    steps between the centres of the labels' voxels; where these are smaller than the T1w's, the
    mean over the points of a voxel.

    Parameters
    ----------
    image : labels, in scanner space
    numbers : of the region in them
    like : the T1w

    Returns
    -------
    (left and right, x, y, z) float32; of a region whose sides have one number, all of it twice
    """
    labels = np.asanyarray(image.dataobj)
    sides = [labels == number for number in numbers]
    found = np.zeros((2, *like.shape), np.float32)
    inside = np.argwhere(sides[0] | sides[1])
    if not len(inside):
        return found
    low, high = inside.min(0) - MARGIN, inside.max(0) + MARGIN
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    placed = apply_affine(np.linalg.inv(like.affine) @ image.affine, corners)
    start = np.clip(np.floor(placed.min(0)).astype(int) - MARGIN, 0, like.shape)
    stop = np.clip(np.ceil(placed.max(0)).astype(int) + MARGIN + 1, 0, like.shape)
    if (stop <= start).any():
        return found
    points = _points_per_voxel(like.affine, image.affine)
    fine = like.affine @ np.diag([*1 / points, 1])
    fine[:3, 3] = apply_affine(like.affine, start - 0.5 + 0.5 / points)
    to_labels = np.linalg.inv(image.affine) @ fine
    shape = tuple((stop - start) * points)
    box = tuple(map(slice, start, stop))
    for side, where in enumerate(sides):
        shares = affine_transform(
            where.astype(np.float32), to_labels[:3, :3], to_labels[:3, 3], shape, order=1
        )
        found[side][box] = block_reduce(shares, tuple(points), np.mean)
    return found


def _points_per_voxel(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Points along each axis of one grid so that they lie as close as the voxels of another."""
    ratio = np.round(voxel_sizes(coarse) / voxel_sizes(fine).min())
    return np.clip(ratio, 1, MOST_PER_VOXEL).astype(int)


def as_many_voxels(shares: np.ndarray, number: float | None = None) -> np.ndarray:
    """The voxels with the largest shares, ``number`` or as many as these add up to: bool (x, y, z).

    That keeps a region's volume; a threshold of .5 would take or leave whole layers where two
    grids lie half a voxel apart.
    """
    number = shares.sum() if number is None else number
    rank = shares + TIES * gaussian_filter(shares, 1)
    flat = np.flatnonzero(shares > 0)
    order = np.argsort(-rank.ravel()[flat], kind="stable")
    result = np.zeros(shares.shape, bool)
    result.ravel()[flat[order[: round(float(number))]]] = True
    return result
