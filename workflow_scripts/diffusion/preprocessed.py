"""A diffusion series that QSIPrep has prepared, checked and brought into the form of our own."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.bids import made_by
from workflow_scripts.common.epi import grids_differ
from workflow_scripts.common.gradients import Gradients, read_gradients
from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError


def preprocessed_series(
    files: list[str],
) -> tuple[nib.Nifti1Image, np.ndarray, Gradients, np.ndarray | None]:
    """Image, its data (x, y, z, volumes), gradient table and brain mask (x, y, z) bool.

    Negative values, which interpolation leaves beside bright edges, become 0. The mask is None
    where none was given.

    Parameters
    ----------
    files : of `Preprocessed.of_dwi`

    Raises
    ------
    InputError
        If the series has no b = 0 or no weighted volume, holds no finite numbers, or the mask lies
        on another grid.
    """
    path, _, _, *masks = files
    image = load_scan(path)
    if image.ndim != 4:
        raise InputError(f"{path}: has {image.ndim} dimensions, a series has 4; make it again")
    gradients = read_gradients(path, image.shape[3])
    data = image.get_fdata(dtype=np.float32)
    if not np.isfinite(data).all():
        raise InputError(f"{path}: holds values that are no finite numbers; make it again")
    if gradients.is_b0.all():
        raise InputError(f"{path}: no diffusion-weighted volume; make it again")
    mask = None
    if masks:
        drawn = load_scan(masks[0])
        if grids_differ(drawn, image):
            raise InputError(f"{masks[0]}: its grid is not that of {path}; make it again")
        mask = np.asanyarray(drawn.dataobj) > 0
    return image, np.maximum(data, 0), gradients, mask


def fields_of_preprocessed(path: str, volumes: int, raw: list[str]) -> dict:
    """Fields of the sidecar that tell of a series which another program has prepared.

    Parameters
    ----------
    volumes : of the prepared series
    raw : the session's raw series
    """
    program = made_by(path)
    there = sum(load_scan(one).shape[3] for one in raw)
    notes = [
        f"motion as {program} measured it is not defined as ours is, so displacements are missing"
    ]
    if volumes != there:
        notes.append(f"{volumes} volumes by {program} of {there} raw ones")
    steps = ("Denoising", "GibbsRemoval", "MotionCorrection", "DistortionCorrection")
    return dict.fromkeys(steps, f"taken from {program}") | {"Notes": notes}


def still_volumes(path: str, gradients: Gradients) -> pd.DataFrame:
    """The table of motion of a series whose motion is not known, a row per volume."""
    columns = {
        "series": Path(path).name,
        "volume": np.arange(len(gradients.bvals)),
        "bval": gradients.bvals,
        "displacement_mm": np.nan,
        "rotation_deg": np.nan,
    }
    return pd.DataFrame(columns)
