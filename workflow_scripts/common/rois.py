"""Regions of interest in MNI152 space."""

from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.values import NUMBER

SPACING_MM = 0.5
LARGEST_MM = 50.0
FARTHEST_MM = 110.0  # of the head in MNI152 along y; 80 of the rest
COLUMNS = ["roi", "hemisphere", "fibre", "x", "y", "z", "diameter_mm", "mask"]
NAMES = ["projection_left", "projection_right", "association_left", "association_right"]


def sphere(centre, diameter: float) -> np.ndarray:
    """Points (n, 3) of a sphere in mm, on a grid of 0.5 mm centred on it."""
    reach = np.arange(-np.ceil(diameter), np.ceil(diameter) + 1) * SPACING_MM
    offsets = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(offsets, axis=1) <= diameter / 2
    return np.asarray(centre, float) + offsets[inside]


def mask_points(path) -> np.ndarray:
    """Centres (n, 3) in mm of the voxels of a mask in MNI152 space."""
    try:
        image = nib.load(path)
        voxels = np.argwhere(np.asanyarray(image.dataobj) > 0)[:, :3]
    except (OSError, EOFError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path}: no NIfTI image; correct the path in the table") from error
    if not len(voxels):
        raise InputError(f"{path}: the mask is empty; draw it, or give coordinates instead")
    return nib.affines.apply_affine(image.affine, voxels)


def read_rois(path) -> dict[str, np.ndarray]:
    """Points (n, 3) in MNI152 mm of each region of an ALPS table.

    A region is a sphere (x, y, z, diameter_mm) or a mask, whose path counts from
    the folder of the table.

    Raises
    ------
    InputError
        If columns or regions are missing, or a region is neither, or lies on the other side or
        outside of the head.
    """
    rows = read_rows(Path(path), {*COLUMNS})
    if not all(row.keys() >= {*COLUMNS} for row in rows) or sorted(
        row["roi"] or "" for row in rows
    ) != sorted(NAMES):
        raise InputError(
            f"{path}: needs the columns {', '.join(COLUMNS)} and one row for each of "
            f"{', '.join(NAMES)}; copy resources/alps_rois.tsv and edit it"
        )
    found = {row["roi"]: _points(row, path) for row in rows}
    for name, points in found.items():
        middle = float(points[:, 0].mean())
        if middle * (-1 if name.endswith("_left") else 1) <= 0:
            raise InputError(
                f"{path}: {name} lies at x = {middle:g}; x is below 0 on the left in MNI152 (RAS): "
                "change the signs of x, and of y too where the places are in LPS"
            )
        if (far := np.abs(points).max()) > FARTHEST_MM:
            raise InputError(
                f"{path}: {name} reaches {far:g} mm from the origin of MNI152, out of the head; "
                "give places in mm of that space"
            )
    return found


def _points(row, path):
    if row["mask"]:
        return mask_points(Path(path).parent / row["mask"])
    texts = [row[name] or "" for name in ("x", "y", "z", "diameter_mm")]
    values = np.array([float(text) if NUMBER.fullmatch(text) else np.nan for text in texts])
    if not np.isfinite(values).all() or not 0 < values[3] <= LARGEST_MM:
        raise InputError(
            f"{path}: {row['roi']} has neither a mask nor a centre and a diameter of at most "
            f"{LARGEST_MM:g} mm; give one"
        )
    return sphere(values[:3], values[3])
