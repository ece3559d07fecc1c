"""Small helpers for NIfTI images."""

import gzip
import json
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.bids import bids_uri, entities_of

INTENSITIES = 4096
COMPRESSION = 6


def load_scan(path) -> nib.Nifti1Image:
    """A scan of a dataset, see `without_single_axes`; ITK leaves these axes out by itself."""
    return without_single_axes(nib.load(path), path)


def without_single_axes(image, path):
    """An image without the axes of length 1 that converters add: 3D, a ``_dwi`` 4D.

    >>> without_single_axes(nib.Nifti1Image(np.zeros((2, 3, 4, 1)), np.eye(4)), "x_T1w.nii").shape
    (2, 3, 4)
    """
    dimensions = 4 if entities_of(Path(path).name)["suffix"] == "dwi" else 3
    shape = image.shape
    while len(shape) > dimensions and shape[-1] == 1:
        shape = shape[:-1]
    if shape == image.shape:
        return image
    data = np.asanyarray(image.dataobj).reshape(shape)
    return type(image)(data, image.affine, image.header)


def save_image(data: np.ndarray, like: nib.Nifti1Image, path) -> None:
    """Save intensities as 32-bit floats in the frame of ``like``."""
    _save(data.astype(np.float32), like, path)


def save_labels(data: np.ndarray, like: nib.Nifti1Image, path) -> None:
    """Save a mask or label image as unsigned 8-bit integers in the frame of ``like``."""
    _save(data.astype(np.uint8), like, path)


def save_probability(data: np.ndarray, like: nib.Nifti1Image, path) -> None:
    """Save probabilities (0..1) in 8 bits with a scale factor of 1/255."""
    _save(np.round(np.clip(data, 0, 1) * 255).astype(np.uint8), like, path, slope=1 / 255)


def rounded(data: np.ndarray) -> np.ndarray:
    """Intensities in steps of 1/4096 to 1/8192 of their maximum: half the size, noise apart.

    Raises
    ------
    ValueError
        If no voxel is above 0.
    """
    if not data.max() > 0:
        raise ValueError("no voxel is above 0")
    return _in_steps(data, 2.0 ** np.floor(np.log2(data.max() / INTENSITIES)))


def round_intensities(path) -> None:
    """Replace an image's intensities by those of `rounded`, which also says what is raised."""
    image = nib.load(path)
    try:
        _rewrite(rounded(np.asanyarray(image.dataobj)), image, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def round_warp(path) -> None:
    """Round a displacement field to 1/32 mm, which makes its file a third of the size."""
    image = nib.load(path)
    _rewrite(_in_steps(np.asanyarray(image.dataobj), 1 / 32), image, path)


def _in_steps(data: np.ndarray, step: float) -> np.ndarray:
    return (np.round(data / step) * step).astype(np.float32)


def _rewrite(data: np.ndarray, like: nib.Nifti1Image, path) -> None:
    image = nib.Nifti1Image(data, None, like.header)
    Path(path).write_bytes(gzip.compress(image.to_bytes(), COMPRESSION, mtime=0))


def _save(data: np.ndarray, like: nib.Nifti1Image, path, slope: float | None = None) -> None:
    # Keeping the header keeps sform and qform to the last bit: ITK takes images
    # whose frames differ by rounding for images of different spaces.
    image = nib.Nifti1Image(data, None, like.header)
    image.header.set_data_dtype(data.dtype)
    if slope:
        image.header.set_slope_inter(slope, 0)
    image.header["descrip"] = b""
    image.header["cal_min"] = image.header["cal_max"] = 0
    nib.save(image, path)


def voxel_volume_ml(image: nib.Nifti1Image) -> float:
    """Volume of one voxel in millilitres."""
    return float(abs(np.linalg.det(image.affine[:3, :3]))) / 1000


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool arrays (Dice 1945), 0 where both are empty."""
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def write_sidecar(path, sources: list[str], software: list[str], measures: dict, **fields) -> None:
    """Write the JSON sidecar of a derivative.

    Parameters
    ----------
    path : path ending in .json
    sources : paths of the images that it was made from
    software : names of the installed distributions that made it
    measures : numbers that ``cohort/features.tsv`` collects
    fields : further BIDS fields
    """
    content = {
        **fields,
        "Sources": [bids_uri(source) for source in sources],
        "Software": {name: version(name) for name in software},
        "Measures": {name: round(float(value), 6) for name, value in measures.items()},
    }
    Path(path).write_text(json.dumps(content, indent=2) + "\n")
