"""Diffusion series and single echo-planar images, read from a BIDS dataset."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.bids import entities_of, read_metadata
from workflow_scripts.common.gradients import Gradients, read_gradients
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import require_usable

GRID_TOLERANCE_MM = 0.5
# what dcm2niix makes of axial slices: the axis j points to anterior
DIRECTIONS = {"AP": "j-", "PA": "j", "LR": "i-", "RL": "i", "SI": "k-", "IS": "k"}


@dataclass(frozen=True)
class PhaseEncoding:
    """Phase-encoding axis (0, 1, 2) and sign (1, -1); None for what is not known."""

    axis: int | None
    sign: int | None

    def opposite(self, other: "PhaseEncoding") -> bool:
        """Whether the two have the same axis and known, different signs."""
        known = None not in (self.axis, self.sign, other.sign)
        return known and self.axis == other.axis and self.sign != other.sign


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


def read_phase_encoding(path) -> PhaseEncoding:
    """Phase encoding of an echo-planar image.

    From its metadata (BIDS inheritance included): ``PhaseEncodingDirection``, or
    ``PhaseEncodingAxis`` (Philips: no sign). Without them from the entity ``dir``
    of its name, ``AP`` standing for ``j-``.
    """
    metadata = read_metadata(Path(path))
    direction = metadata.get("PhaseEncodingDirection")
    if direction is None and "PhaseEncodingAxis" in metadata:
        return PhaseEncoding("ijk".index(metadata["PhaseEncodingAxis"][0]), None)
    if direction is None:
        direction = DIRECTIONS.get(entities_of(Path(path).name).get("dir", "").upper())
    if direction is None:
        return PhaseEncoding(None, None)
    return PhaseEncoding("ijk".index(direction[0]), -1 if direction.endswith("-") else 1)


def read_series(paths: list[str]) -> list[Series]:
    """Diffusion series of one session.

    Raises
    ------
    InputError
        If one is not fit for use, none is diffusion-weighted, or their grids differ.
    """
    found = []
    for path in paths:
        require_usable(path)
        image = nib.load(path)
        data = image.get_fdata(dtype=np.float32)
        gradients = read_gradients(path, data.shape[3])
        found.append(Series(path, image, data, gradients, read_phase_encoding(path)))
    # weighted series first: a series of b = 0 volumes alone only serves as reverse phase
    found.sort(key=lambda one: one.gradients.is_b0.all())
    if found[0].gradients.is_b0.all():
        raise InputError(f"{found[0].path}: no diffusion-weighted volume; exclude the scan")
    for other in found[1:]:
        require_grid(other.image, found[0].image, other.path, found[0].path)
    return found


def require_grid(image, reference, path, reference_path) -> None:
    """Raise InputError unless two images have one grid."""
    corner = [*reference.shape[:3], 1]
    shift = np.abs((image.affine - reference.affine) @ corner).max()
    if image.shape[:3] != reference.shape[:3] or shift > GRID_TOLERANCE_MM:
        raise InputError(
            f"{path}: grid differs from that of {reference_path}; "
            "choose one of them by scans.dwi or scans.epi, for example {dir: AP}"
        )


def read_reverse_b0(paths: list[str], like: Series) -> tuple[str, np.ndarray] | None:
    """First of the ``_epi`` images with the phase encoding opposite to a series'.

    Images on another grid or for other scans (``IntendedFor``) are passed over.

    Returns
    -------
    path and (x, y, z) mean of its volumes, or None
    """
    for path in paths:
        intended = read_metadata(Path(path)).get("IntendedFor", [])
        intended = [intended] if isinstance(intended, str) else intended
        if intended and not any(Path(like.path).name in one for one in intended):
            continue
        if not read_phase_encoding(path).opposite(like.phase_encoding):
            continue
        require_usable(path)
        image = nib.load(path)
        require_grid(image, like.image, path, like.path)
        data = image.get_fdata(dtype=np.float32)
        return path, data if data.ndim == 3 else data.mean(axis=3)
    return None
