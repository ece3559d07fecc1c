"""What metadata and names say of echo-planar images: how they are phase-encoded, and which of a
session's images serves which diffusion series.
"""

import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.bids import dataset_of, entities_of, read_metadata
from workflow_scripts.common.job import InputError

GRID_TOLERANCE_MM = 0.5
READOUT_TOLERANCE = 0.02  # share; less than the rounding of what scanners write
AXES = ("i", "j", "k")
DIRECTIONS = (*AXES, "i-", "j-", "k-")
OPPOSITE = dict(zip("LRAPIS", "RLPASI", strict=True))
# Of the entity dir: from where to where along an axis of the head.
NAMED = ("AP", "PA", "LR", "RL", "SI", "IS")
DIRECTION_KEYS = ("PhaseEncodingDirection", "PhaseEncodingAxis")
READOUT = ("TotalReadoutTime", "EffectiveEchoSpacing")
NUMBERS = (*READOUT, "EchoTime", "RepetitionTime", "FlipAngle")
TEXTS = ("IntendedFor", "B0FieldIdentifier", "B0FieldSource")


@dataclass(frozen=True)
class PhaseEncoding:
    """Phase-encoding axis (0, 1, 2) and sign (1, -1); None for what is not known."""

    axis: int | None
    sign: int | None

    def opposite(self, other: "PhaseEncoding") -> bool:
        """Whether the two have the same axis and known, different signs."""
        known = None not in (self.axis, self.sign, other.sign)
        return known and self.axis == other.axis and self.sign != other.sign


def checked_metadata(path) -> dict:
    """Metadata of an echo-planar image (BIDS inheritance included).

    Raises
    ------
    InputError
        If a file of them cannot be read or is no JSON object; if PhaseEncodingDirection is none
        of BIDS's six, PhaseEncodingAxis none of three, or a number or a name is none.
    """
    metadata = read_metadata(Path(path))
    problems = []
    for key, known in zip(DIRECTION_KEYS, (DIRECTIONS, AXES), strict=True):
        if key in metadata and metadata[key] not in known:
            problems.append(f"{key} is {metadata[key]!r}; it must be one of {', '.join(known)}")
    for key in NUMBERS:
        if key in metadata and not _is_number(metadata[key]):
            problems.append(f"{key} is {metadata[key]!r}; it must be a number that is not negative")
    for key in TEXTS:
        if not all(isinstance(text, str) for text in _list(metadata, key)):
            problems.append(f"{key} is {metadata[key]!r}; it must be a text or a list of texts")
    if problems:
        raise InputError(f"metadata of {path}: {'; '.join(problems)}; correct its JSON")
    return metadata


def _is_number(value) -> bool:
    return type(value) in (int, float) and 0 <= value <= sys.float_info.max


def _list(metadata: dict, key: str) -> list:
    found = metadata.get(key, [])
    return found if isinstance(found, list) else [found]


def read_phase_encoding(path) -> PhaseEncoding:
    """Phase encoding of an echo-planar image.

    From its metadata (BIDS inheritance included): ``PhaseEncodingDirection``, or
    ``PhaseEncodingAxis`` (Philips: no sign). What these do not say comes from the entity ``dir``
    of its name, ``AP`` being from anterior to posterior in the head.

    Raises
    ------
    InputError
        As `checked_metadata`.
    """
    metadata = checked_metadata(path)
    if direction := metadata.get("PhaseEncodingDirection"):
        return PhaseEncoding(AXES.index(direction[0]), -1 if direction.endswith("-") else 1)
    named = _named_phase_encoding(path)
    if axis := metadata.get("PhaseEncodingAxis"):
        axis = AXES.index(axis)
        return PhaseEncoding(axis, named.sign if named.axis == axis else None)
    return named


def _named_phase_encoding(path) -> PhaseEncoding:
    way = entities_of(Path(path).name).get("dir", "").upper()
    if way not in NAMED:
        return PhaseEncoding(None, None)
    for axis, end in enumerate(nib.aff2axcodes(image_of(path).affine)):
        if end in way:
            return PhaseEncoding(axis, 1 if end == way[1] else -1)
    return PhaseEncoding(None, None)


def direction_note(path) -> str | None:
    """Where the sidecar and the entity ``dir`` name different directions."""
    found, named = read_phase_encoding(path), _named_phase_encoding(path)
    if named.axis is None or found == named:
        return None
    way = entities_of(Path(path).name)["dir"]
    end = nib.aff2axcodes(image_of(path).affine)[found.axis]
    there = end if found.sign == 1 else OPPOSITE[end]
    said = f"{OPPOSITE[there]} to {there}" if found.sign else f"{OPPOSITE[end]}-{end}, either way"
    return (
        f"is phase-encoded from {said} by its metadata, which are used, and dir-{way} by its name"
    )


def readouts_differ(one, other) -> str | None:
    """How the readout times of two images differ, which makes their distortions unequal."""
    first, second = checked_metadata(one), checked_metadata(other)
    for key in READOUT:
        a, b = first.get(key), second.get(key)
        if a and b:
            unequal = abs(a - b) > READOUT_TOLERANCE * max(a, b)
            return f"{key} is {b:g} s, of {Path(one).name} {a:g} s" if unequal else None
    return None


def readout_note(one, other) -> str | None:
    """Where the readout times of two images cannot be compared, since one alone is told."""
    told = [{key for key in READOUT if checked_metadata(path).get(key)} for path in (one, other)]
    if told[0] & told[1] or not told[0] | told[1]:
        return None
    first = next(key for key in READOUT if key in told[0] | told[1])
    names = [Path(path).name for path in (one, other)]
    known, unknown = names if first in told[0] else names[::-1]
    return (
        f"{first} is that of {known} alone: that of {unknown} is taken to be the same, since their "
        "distortions are taken to be equal and opposite"
    )


def image_of(path):
    """An image for its frame, read anew where its time stamp has changed."""
    return _unchanged_image(str(path), os.stat(path).st_mtime_ns)


@cache
def _unchanged_image(path: str, stamp: int):
    return nib.load(path)


def grids_differ(image, reference) -> bool:
    """Whether two images have another shape, or a corner that is more than 0.5 mm away."""
    corner = [*reference.shape[:3], 1]
    shift = np.abs((image.affine - reference.affine) @ corner).max()
    return image.shape[:3] != reference.shape[:3] or shift > GRID_TOLERANCE_MM


def reverse_image(
    path, image, phase: PhaseEncoding, epi: list[str]
) -> tuple[str | None, list[str]]:
    """The first of a session's images of reverse phase encoding that serves a diffusion series.

    An image serves the series whose ``B0FieldSource`` is its ``B0FieldIdentifier``, else one that
    its ``IntendedFor`` names, else any; with the opposite phase encoding, the same grid and the
    same readout time.

    Parameters
    ----------
    path, image, phase : of the series; the image for its frame
    epi : paths of the session's ``_epi`` images

    Returns
    -------
    Its path or None, and a note about each other image that seemed to be meant for the series
    """
    candidates, notes = meant_for(path, epi)
    for candidate in candidates:
        name, other = Path(candidate).name, read_phase_encoding(candidate)
        if not other.opposite(phase):
            pair = {Path(path).name: phase, name: other}
            if unknown := " and ".join(file for file, one in pair.items() if one.sign is None):
                notes.append(
                    f"{name} is passed over: the direction of phase encoding of {unknown} is not "
                    "known; write PhaseEncodingDirection into the JSON"
                )
            continue
        if grids_differ(image_of(candidate), image):
            notes.append(f"{name} is passed over: its grid differs from that of {Path(path).name}")
        elif unequal := readouts_differ(path, candidate):
            notes.append(f"{name} is passed over: {unequal}, so their distortions are not equal")
        else:
            return candidate, notes
    return None, notes


def meant_for(path, epi: list[str]) -> tuple[list[str], list[str]]:
    """Images of a session that are not meant for another one than a series, best first.

    Returns
    -------
    Their paths, and a note where ``B0FieldSource`` names none
    """
    metadata = {candidate: checked_metadata(candidate) for candidate in epi}
    sources = set(_list(checked_metadata(path), "B0FieldSource"))
    fields = {c: set(_list(metadata[c], "B0FieldIdentifier")) for c in epi}
    if served := [c for c in epi if fields[c] & sources]:
        return served, []
    notes = []
    if sources:
        named = ", ".join(sorted(sources))
        notes = [f"B0FieldSource {named} is the B0FieldIdentifier of no _epi of the session"]
    ranks = {c: _rank(path, metadata[c], fields[c]) for c in epi}
    return sorted((c for c in epi if ranks[c] is not None), key=ranks.get), notes


def _rank(path, metadata: dict, fields: set) -> int | None:
    """0 for an image whose metadata name the series, 1 without any word, 2 for another field."""
    intended = [_file_name(entry) for entry in _list(metadata, "IntendedFor")]
    if intended:
        return 0 if _file_name(str(path)) in intended else None
    return 2 if fields else 1


def _file_name(entry: str) -> str:
    """Name without extension, in whichever way a path or a BIDS URI is spelled."""
    name = re.split(r"[:/\\]", entry.strip())[-1]
    return name.removesuffix(".gz").removesuffix(".nii")


def intended_note(path) -> str | None:
    """Where ``IntendedFor`` names files that the dataset does not have."""
    root = dataset_of(Path(path).parent)
    missing = []
    for entry in _list(checked_metadata(path), "IntendedFor"):
        if re.match(r"bids:[^:]+:", entry.strip()):
            continue  # of a dataset that is known by a name
        inside = entry.strip().removeprefix("bids::").replace("\\", "/").lstrip("/")
        participant = f"sub-{entities_of(Path(path).name).get('sub')}"
        if root and not any(os.path.isfile(root / top / inside) for top in ("", participant)):
            missing.append(entry.strip() or "''")
    return f"IntendedFor names no file of the dataset: {', '.join(missing)}" if missing else None
