"""How far two segmentations of one region agree."""

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from scipy.ndimage import find_objects

from workflow_scripts.common.engines import SIDES
from workflow_scripts.common.images import dice

PARTS = (*SIDES, "both")


def part_of(sides: np.ndarray, part: str) -> np.ndarray:
    """Where a label image (x, y, z) has the left side, the right one, or either: bool."""
    return sides > 0 if part == "both" else sides == SIDES[part]


def hausdorff_95(one: np.ndarray, other: np.ndarray, spacing) -> float:
    """95th percentile of the distances between the surfaces of two masks, in mm.

    The larger of the two directions, between the centres of surface voxels, as MONAI has it
    (Huttenlocher et al. 1993, 10.1109/34.232073, with a percentile in place of the maximum).

    Parameters
    ----------
    one, other : (x, y, z) bool
    spacing : voxel size in mm

    Returns
    -------
    NaN where one of them is empty
    """
    if not one.any() or not other.any():
        return np.nan
    box = find_objects((one | other).astype(np.uint8))[0]
    box = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    masks = [torch.from_numpy(np.pad(mask[box], 1))[None, None].float() for mask in (one, other)]
    found = compute_hausdorff_distance(
        *masks, include_background=True, percentile=95, spacing=[float(size) for size in spacing]
    )
    return float(found.item())


def overlap(found: np.ndarray, reference: np.ndarray, spacing) -> dict[str, float]:
    """Overlap of a mask with a reference.

    Parameters
    ----------
    found, reference : (x, y, z) bool
    spacing : voxel size in mm

    Returns
    -------
    dict
        dice; sensitivity, the share of the reference that is found; precision, the share of what
        is found that is the reference's; hd95_mm, see `hausdorff_95`; volume_ml and
        reference_volume_ml. NaN where a mask that is divided by is empty.
    """
    voxel_ml = float(np.prod(spacing)) / 1000
    both, sizes = (found & reference).sum(), (found.sum(), reference.sum())
    return {
        "dice": dice(found, reference) if any(sizes) else np.nan,
        "sensitivity": both / sizes[1] if sizes[1] else np.nan,
        "precision": both / sizes[0] if sizes[0] else np.nan,
        "hd95_mm": hausdorff_95(found, reference, spacing),
        "volume_ml": sizes[0] * voxel_ml,
        "reference_volume_ml": sizes[1] * voxel_ml,
    }
