"""A vessel segment ready to be measured."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from workflow_scripts.common.job import InputError
from workflow_scripts.vessel_wall.centerline import Frames

NAME = re.compile(
    r"(?:_hemi-(?P<hemi>[LR]))?(?:_label-(?P<label>[A-Za-z0-9]+))?"
    r"(?:_rater-(?P<rater>[A-Za-z0-9]+))?_desc-(?P<desc>[A-Za-z]+)_"
    r"(?P<suffix>mask\.nii(?:\.gz)?|probseg\.nii(?:\.gz)?|contours\.tsv|points\.tsv)$"
)


@dataclass
class Vessel:
    """Nested boundaries of one segment in planes perpendicular to its centre line.

    ``lumen`` and ``outer`` are (n,) arrays of shapely Polygons in the planes of
    ``frames``; ``slices`` (n,) says on which slice of a contour table a section
    lies, None for masks.
    """

    label: str
    hemi: str | None
    source: str
    frames: Frames
    lumen: np.ndarray
    outer: np.ndarray
    slices: list | None = None
    flags: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return vessel_name(self.hemi, self.label)


def vessel_name(hemi: str | None, label: str | None) -> str:
    """``hemi-L_label-MCA``, or ``label-BA`` for an artery of the midline."""
    return "_".join([*([f"hemi-{hemi}"] if hemi else []), f"label-{label}"])


def entities(path: str, known: dict[str, str]) -> dict:
    """hemi, label, rater, desc and suffix of a vessel-wall file.

    Parameters
    ----------
    known : for each ``desc`` the suffixes that go with it, as one regular expression

    Raises
    ------
    InputError
        If the name is not one of a vessel-wall file, see docs/cohort.md.
    """
    found = NAME.search(Path(path).name)
    if not found or not re.fullmatch(known.get(found["desc"], "(?!)"), found["suffix"]):
        names = " or ".join(f"desc-{desc}_{suffix}" for desc, suffix in known.items())
        raise InputError(f"{path}: no name of a vessel-wall file; name it [hemi-L_]label-*_{names}")
    return found.groupdict()


def is_bent(frames: Frames, outer: np.ndarray) -> bool:
    """Does the vessel turn so sharply that neighbouring sections cross inside it?"""
    if len(frames.position) < 3:
        return False
    turn = np.linalg.norm(np.gradient(frames.tangent, frames.position, axis=0), axis=1)
    return bool((turn * np.sqrt(shapely.area(outer) / np.pi) > 0.9).any())
