"""Diffusion series and single echo-planar images, read from a BIDS dataset."""

import logging
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from workflow_scripts.common.copies import same_volumes
from workflow_scripts.common.epi import (
    PhaseEncoding,
    grids_differ,
    read_phase_encoding,
    readouts_differ,
    reverse_image,
)
from workflow_scripts.common.gradients import Gradients, b0_volumes, read_gradients
from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import require_usable
from workflow_scripts.common.volumes import weighted_image

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """One diffusion series.

    Attributes
    ----------
    image : the file's image, for its frame
    data : (x, y, z, volumes) float32
    """

    path: str
    image: nib.Nifti1Image
    data: np.ndarray
    gradients: Gradients
    phase_encoding: PhaseEncoding

    @property
    def b0(self) -> np.ndarray:
        """Its first b = 0 volume, (x, y, z)."""
        return self.data[..., np.flatnonzero(self.gradients.is_b0)[0]]


def read_series(paths: list[str]) -> list[Series]:
    """Diffusion series of one session.

    Raises
    ------
    InputError
        If one is not fit for use, none is diffusion-weighted, their grids differ, two hold the
        same weighted volume, or the readout times of two of opposite phase encoding differ.
    """
    found = []
    for path in paths:
        require_usable(path)
        image = load_scan(path)
        data = image.get_fdata(dtype=np.float32)
        gradients = read_gradients(path, data.shape[3])
        found.append(Series(path, image, data, gradients, read_phase_encoding(path)))
    # weighted series first: a series of b = 0 volumes alone only serves as reverse phase
    found.sort(key=lambda one: one.gradients.is_b0.all())
    if found[0].gradients.is_b0.all():
        raise InputError(f"{found[0].path}: no diffusion-weighted volume; exclude the scan")
    for number, other in enumerate(found[1:], start=1):
        require_grid(other.image, found[0].image, other.path, found[0].path)
        for one in found[:number]:
            if problem := series_problem(one, other):
                raise InputError(f"{other.path}: {problem}; choose one of them by scans.dwi")
    return found


def series_problem(one: Series, other: Series) -> str | None:
    """Why two series of a session cannot be used together."""
    if same_volumes(*(series.data[..., ~series.gradients.is_b0] for series in (one, other))):
        return f"holds a volume of {one.path} too"
    if other.phase_encoding.opposite(one.phase_encoding):
        unequal = readouts_differ(one.path, other.path)
        return unequal and f"{unequal}, so their distortions are not equal and opposite"
    return None


def require_grid(image, reference, path, reference_path) -> None:
    """Raise InputError unless two images have one grid."""
    if grids_differ(image, reference):
        raise InputError(
            f"{path}: grid differs from that of {reference_path}; "
            "choose one of them by scans.dwi or scans.epi, for example {dir: AP}"
        )


def read_reverse_b0(
    paths: list[str], like: Series
) -> tuple[tuple[str, np.ndarray] | None, list[str]]:
    """The image of reverse phase encoding that serves a series, see `reverse_image`.

    Parameters
    ----------
    paths : the session's ``_epi`` images

    Returns
    -------
    path and (x, y, z) mean of its volumes of b = 0, or None; and which others are passed over, and
    why

    Raises
    ------
    InputError
        If it is not fit for use, or none of b = 0, see `weighted_image`.
    """
    path, notes = reverse_image(like.path, like.image, like.phase_encoding, paths)
    for note in notes:
        LOG.warning(note)
    if path is None:
        return None, notes
    require_usable(path, reverse=True)
    data = load_scan(path).get_fdata(dtype=np.float32)
    if data.ndim == 4:
        data = data[..., b0_volumes(path, data.shape[3])].mean(axis=3)
    zooms = like.image.header.get_zooms()[:3]
    if problem := weighted_image(data, like.data, like.gradients.bvals, zooms):
        raise InputError(f"{path}: {problem}")
    return (path, data), notes
