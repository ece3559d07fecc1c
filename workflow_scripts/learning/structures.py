"""Names of the places in the brain: the Harvard-Oxford atlas, left and right apart."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.transforms import move, sample

LOWEST_PERCENT = 25
ELSEWHERE = ["white matter", "outside the atlas"]


def split_side(name: str) -> tuple[str, str | None]:
    """Region and side of a name of the atlas: ``Left_Caudate`` is the left Caudate."""
    side, _, region = name.partition("_")
    if side not in ("Left", "Right"):
        return name.replace("_", " "), None
    return region.replace("_", " ").replace("Ventrical", "Ventricle"), side.lower()


@dataclass(frozen=True)
class Atlas:
    """Probabilistic atlas.

    Attributes
    ----------
    image : (x, y, z, structures), percent
    names : of the structures, such as Left_Caudate
    """

    image: nib.Nifti1Image
    names: list[str]


def read_atlas(image, names) -> Atlas:
    """Atlas from the path of its image and that of a CSV with the column name."""
    return Atlas(nib.load(image), pd.read_csv(names)["name"].tolist())


def atlas_structures(
    brain: nib.Nifti1Image, white_matter: nib.Nifti1Image, atlas: Atlas
) -> tuple[np.ndarray, pd.DataFrame]:
    """Structure of each voxel of the brain.

    Parameters
    ----------
    brain : mask in MNI152
    white_matter : probability of white matter in MNI152, any grid
    atlas : in MNI152

    Returns
    -------
    labels : (x, y, z) int array
        Row of the table, -1 outside of the brain. The most probable structure where its
        probability is at least 25 %; elsewhere left or right ``white matter`` (more than
        half) or ``outside the atlas``: cerebellum and fluid.
    structures : DataFrame
        region and side (left, right, or missing for the brainstem).
    """
    names, atlas = [split_side(name) for name in atlas.names], atlas.image
    inside = np.asanyarray(brain.dataobj) > 0
    points = move(brain.affine, np.argwhere(inside))
    places = np.round(move(np.linalg.inv(atlas.affine), points)).astype(int)
    covered = ((places >= 0) & (places < atlas.shape[:3])).all(axis=1)
    percent = np.zeros((len(places), len(names)), np.uint8)
    percent[covered] = np.asanyarray(atlas.dataobj)[tuple(places[covered].T)]
    white = sample(np.asanyarray(white_matter.dataobj), white_matter.affine, points) > 0.5
    right = points[:, 0] > 0
    other = len(names) + 2 * ~white + right
    found = np.where(percent.max(axis=1) >= LOWEST_PERCENT, percent.argmax(axis=1), other)
    labels = np.full(inside.shape, -1)
    labels[inside] = found
    rows = [*names, *((region, side) for region in ELSEWHERE for side in ("left", "right"))]
    return labels, pd.DataFrame(rows, columns=["region", "side"])
