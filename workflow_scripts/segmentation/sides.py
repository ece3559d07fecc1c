"""Left and right of a region, on a subject's own grid."""

import nibabel as nib
import numpy as np

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.engines import LEFT, RIGHT, SIDES, Labels
from workflow_scripts.common.registration import from_template


def right_of_midplane(t1w: str, template: str, transforms: list[str]) -> np.ndarray:
    """How far each voxel of a T1w lies to the right of the template's midplane.

    Parameters
    ----------
    t1w, template : paths
    transforms : from the T1w to the template, see `from_template`

    Returns
    -------
    (x, y, z) in mm of MNI152, below 0 on the left; 0 outside of the template's grid
    """
    frame = nib.load(template)
    steps = np.indices(frame.shape, dtype=np.float32)
    right = np.einsum("i,i...->...", frame.affine[0, :3].astype(np.float32), steps)
    image = ants.image_read(template).new_image_like(right + np.float32(frame.affine[0, 3]))
    return from_template(image, ants.image_read(t1w), transforms)


def right_of_middle(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """How far each voxel lies to the right of the middle of a body, (x, y, z) in mm.

    Parameters
    ----------
    mask : (x, y, z) bool, the body
    affine : (4, 4), voxels to mm, the first axis to the right
    """
    steps = np.indices(mask.shape, dtype=np.float32)
    right = np.einsum("i,i...->...", affine[0, :3].astype(np.float32), steps)
    return right - np.float32(right[mask].mean())


def sides_of(labels: np.ndarray, numbers: Labels, right: np.ndarray) -> np.ndarray:
    """Label image (x, y, z) of a region: 1 left, 2 right, 0 elsewhere.

    Parameters
    ----------
    labels : (x, y, z) of a program
    numbers : those of the region; where the two sides have the same one, the midplane parts them
    right : (x, y, z) as of `right_of_midplane`
    """
    if numbers.left == numbers.right:
        return np.where(labels == numbers.left, np.where(right < 0, LEFT, RIGHT), 0)
    return LEFT * (labels == numbers.left) + RIGHT * (labels == numbers.right)


def one_hot(sides: np.ndarray) -> np.ndarray:
    """Probabilities (left and right, x, y, z) of a label image that has none."""
    return np.stack([sides == number for number in SIDES.values()]).astype(np.float32)


def likeliest(shares: np.ndarray) -> np.ndarray:
    """Label image (x, y, z) where the shares (left and right, x, y, z) add up to one half."""
    sides = np.where(shares[0] >= shares[1], LEFT, RIGHT)
    return np.where(shares.sum(axis=0) >= 0.5, sides, 0)


def exchanged(sides: np.ndarray, right: np.ndarray) -> str | None:
    """Which side of a label image (x, y, z) has its centre on the other side of the midplane."""
    for side, number in SIDES.items():
        where = sides == number
        centre = right[where].mean() if where.any() else 0.0
        if (centre > 0) == (side == "left") and centre != 0:
            return f"its {side} side lies {abs(centre):.0f} mm on the other side of the midplane"
    return None
