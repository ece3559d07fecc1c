"""What can be wrong between scans that are sound each for itself, seen before anything runs."""

import math
import re
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.bids import (
    bids_uri,
    drawn_on,
    entities_of,
    gradient_files,
    read_metadata,
)
from workflow_scripts.common.copies import alike
from workflow_scripts.common.epi import (
    DIRECTION_KEYS,
    NUMBERS,
    TEXTS,
    checked_metadata,
    direction_note,
    grids_differ,
    image_of,
    intended_note,
    read_phase_encoding,
    readout_note,
    readouts_differ,
    reverse_image,
)
from workflow_scripts.common.gradients import (
    ALPS_B,
    COMPARABLE_B,
    FEWEST_DIRECTIONS,
    b0_volumes,
    read_gradients,
    shell_of_alps,
)
from workflow_scripts.common.images import without_single_axes
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import NOT_COMPARED, off_grid
from workflow_scripts.common.volumes import weighted_image

SHOWN = 5
FEW_DIRECTIONS = 12
# Words in the entities of a name, or in BodyPart.
WORDS_OF = {
    "brain": re.compile("head|brain|skull"),
    "pelvis": re.compile("pelvis|pelvic|sacrum|sacroiliac|sij|hips?"),
}
WHAT = {"brain": "a head", "pelvis": "a pelvis"}
PARTS = re.compile(
    "head|brain|skull|[a-z]*spine|spinal(cord)?|cord|cervical|thoracic|lumbar|sacrum|sij|sacroiliac|neck|breasts?"
    "|chest|thorax|lungs?|heart|cardiac|abdomen|liver|kidneys?|prostate|pelvis|pelvic|hips?"
    "|thighs?|knees?|legs?|ankles?|foot|feet|shoulders?|elbows?|wrists?|hands?"
)
# Of BIDS, and as converters have them from DICOM.
PART_KEYS = ("BodyPart", "BodyPartExamined")
AGENT_KEYS = ("ContrastBolusIngredient", "ContrastBolusAgent")
# Fields that are read, by their names in lower case.
READ = {key.casefold(): key for key in (*NUMBERS, *TEXTS, *DIRECTION_KEYS, *PART_KEYS, *AGENT_KEYS)}
NO_AGENT = ("none", "no", "n/a")
# Of ImageType: phases, and maps that scanners make.
NO_SIGNAL = {"P", "PHASE", "PHASE MAP", "IMAGINARY", "ADC", "FA", "TRACEW", "TENSOR"}
OWN_SPACES = ("orig", "individual", "native", "scanner")
# Codes of NIfTI for the space that a header places its image in.
TEMPLATES = {3: "Talairach", 4: "MNI152"}
# s, more than which are ms; of BIDS all times are in seconds.
LONGEST = {"EchoTime": 1, "RepetitionTime": 60, "TotalReadoutTime": 1, "EffectiveEchoSpacing": 0.1}
NO_DESCRIPTION = {"sub", "ses", "run", "dir", "suffix", "ext"}


def compare_scans(
    checked: pd.DataFrame, paths: dict[str, str], reverse=(), masks=(), body_part="brain"
) -> pd.DataFrame:
    """Metadata of echo-planar images, scans of the same values, images that serve no other.

    Parameters
    ----------
    checked : rows of the preflight, with BIDS URIs
    paths : URI -> path
    reverse : paths of images named ``_dwi`` that serve as reverse phase encoding alone
    masks : of lesions and of regions, see `startup.Start.masks`
    body_part : key of `WORDS_OF`

    Returns
    -------
    The rows, with ``conflict``, why a sound scan cannot be used, and ``note``, which is to be
    known and stops nothing; both n/a where there is nothing to say
    """
    notes: dict[str, list[str]] = defaultdict(list)
    conflicts: dict[str, str] = {}
    sound = checked[checked["problem"].isna()]
    values = dict(zip(sound["path"], sound["values"], strict=True))
    for uris in sound.dropna(subset="values").groupby("values")["path"].apply(list):
        for uri in uris if len(uris) > 1 else ():
            others = [other for other in uris if other != uri]
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            notes[uri].append(f"has the voxel values of {', '.join(others[:SHOWN])}{more}")
    sketches = sound.dropna(subset="sketch").set_index("path")["sketch"].to_dict()
    for uri, others in alike(sketches).items():
        others = [o for o in others if values[o] != values[uri] and _suffix(o) == _suffix(uri)]
        if others:
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            notes[uri].append(
                f"shows voxels of {', '.join(others[:SHOWN])}{more}: a cut, padded or defaced copy?"
            )
    for row in sound.to_dict("records"):
        notes[row["path"]] += plausibility(row, body_part)
        notes[row["path"]] += told_by_metadata(paths[row["path"]], body_part)
        notes[row["path"]] += filter(None, [_template_note(paths[row["path"]])])
    for mask in masks:
        uri, scan = bids_uri(mask["mask"]), mask["scan"] or mask["t1w"]
        contrast = drawn_on(uri.rpartition("/")[2]) if mask["scan"] else "T1w"
        if not mask["t1w"]:
            notes[uri].append("the mask is not used without a T1w of the session")
        elif {uri, bids_uri(scan)} <= values.keys():
            problem = off_grid(paths[uri], scan, contrast)
            conflicts |= {uri: problem} if problem else {}
    images = [uri for uri in sound["path"] if _suffix(uri) in ("dwi", "epi")]
    for uri in images:
        try:
            checked_metadata(paths[uri])
            notes[uri] += filter(None, [direction_note(paths[uri]), intended_note(paths[uri])])
        except InputError as error:
            conflicts[uri] = str(error).removeprefix(f"metadata of {paths[uri]}: ")
    sessions = defaultdict(lambda: ([], []))
    for uri in images:
        if uri not in conflicts:
            is_epi = _suffix(uri) == "epi" or paths[uri] in reverse
            sessions[Path(paths[uri]).parents[1]][is_epi].append(uri)
    untensored = set(sound["path"][sound["directions"] == 0])
    unweighted = set(sound["path"][sound["directions"].isna()])
    for series, epi in sessions.values():
        if unweighted.issuperset(series):
            conflicts |= dict.fromkeys(series, "no diffusion-weighted volume; exclude the scan")
        elif len(series) == 1 and untensored.issuperset(series):
            conflicts[series[0]] = (
                f"no shell has {FEWEST_DIRECTIONS} directions, which a tensor needs; list the "
                "scan in the exclusions TSV"
            )
        _compare_series(series, epi, paths, values, conflicts, notes)
    return checked.assign(
        conflict=[conflicts.get(uri) for uri in checked["path"]],
        note=["; ".join(notes[uri]) or None for uri in checked["path"]],
    )


def note_unread(index: list[dict], body_part: str = "brain") -> list[dict]:
    """Rows of the index with what names and gradient tables say, for runs without a preflight."""
    rows = []
    for scan in index:
        row = {"path": scan["path"], "shell": None, "directions": None}
        bval, _ = gradient_files(scan["path"])
        if bval.is_file():
            try:
                row |= shell_of_alps(read_gradients(scan["path"], nib.load(scan["path"]).shape[3]))
            except (InputError, IndexError, OSError, nib.filebasedimages.ImageFileError):
                continue  # the step that reads it says so
        said = [*plausibility(row, body_part), *told_by_metadata(scan["path"], body_part)]
        note = "; ".join(filter(None, [scan.get("note"), *said]))
        rows.append(scan | {"path": bids_uri(scan["path"]), "note": note})
    return rows


def plausibility(row: dict, body_part: str = "brain") -> list[str]:
    """What the name or the gradient table of a scan says against taking its numbers as usual.

    Parameters
    ----------
    row : of the preflight, with path, shell and directions
    body_part : key of `WORDS_OF`
    """
    entities = entities_of(row["path"].rpartition("/")[2])
    found = []
    if entities["suffix"] != "dwi" and entities.get("ce"):
        found.append(f"ce-{entities['ce']}: a contrast agent changes the intensities of tissues")
    told = [value for key, value in entities.items() if key not in NO_DESCRIPTION]
    parts = [word for word in _words(told) if PARTS.fullmatch(word)]
    if parts and not any(WORDS_OF[body_part].search(value.lower()) for value in told):
        found.append(f"{parts[0]!r} in the name: is it {WHAT[body_part]}?")
    if (space := entities.get("space")) not in (None, *OWN_SPACES):
        found.append(f"space-{space}: measures would be those of that space, not of the person")
    if "chunk" in entities:
        found.append(f"chunk-{entities['chunk']}: is it a part of the picture?")
    shell, directions = row["shell"], row["directions"]
    if shell and not math.isnan(shell):
        if not COMPARABLE_B[0] <= shell <= COMPARABLE_B[1]:
            found.append(f"b = {shell:g}, far from the {ALPS_B} s/mm2 that ALPS is defined for")
        if directions < FEW_DIRECTIONS:
            found.append(
                f"b = {shell:g} has {directions:g} directions, fewer than {FEW_DIRECTIONS}"
            )
    return found


def told_by_metadata(path, body_part: str = "brain") -> list[str]:
    """What the BIDS metadata of a scan say against taking it for that part, without an agent."""
    try:
        metadata = read_metadata(Path(path))
    except InputError:
        return []  # which is named where they matter
    found = [
        f"{key} in its metadata is not read: BIDS writes {READ[key.casefold()]}"
        for key in metadata
        if key.casefold() in READ and READ[key.casefold()] not in metadata
    ]
    parts, agents = (
        {key: text for key in keys if (text := str(metadata.get(key) or "").strip())}
        for keys in (PART_KEYS, AGENT_KEYS)
    )
    for key, part in parts.items():
        if not WORDS_OF[body_part].search(part.lower()):
            found.append(f"{key} is {part!r} in its metadata: is it {WHAT[body_part]}?")
    for key, agent in agents.items():
        if agent.lower() not in NO_AGENT:
            found.append(f"{key} {agent!r} changes the intensities of tissues")
    for key, longest in LONGEST.items():
        value = metadata.get(key)
        if isinstance(value, int | float) and value > longest:
            found.append(f"{key} is {value:g} in its metadata: are these ms? BIDS has seconds")
    kinds = metadata.get("ImageType")
    kinds = [str(kind) for kind in kinds] if isinstance(kinds, list) else []
    if other := [kind for kind in kinds if kind.upper() in NO_SIGNAL]:
        found.append(f"ImageType {', '.join(other)} in its metadata: is it a magnitude of signal?")
    return found


def _template_note(path: str) -> str | None:
    """Where the header places a scan in the space of a template, whose sizes it would have."""
    name = Path(path).name
    if not name.endswith((".nii", ".nii.gz")) or entities_of(name)["suffix"] in NOT_COMPARED:
        return None
    header = image_of(path).header
    codes = {int(header[key]) for key in ("sform_code", "qform_code") if key in header}
    template = next((TEMPLATES[code] for code in sorted(codes) if code in TEMPLATES), None)
    return template and (
        f"its header places it in {template}: measures would be those of that space, if it was "
        "brought there"
    )


def _words(values: list[str]) -> list[str]:
    """Words that values are made of, which begin with capitals or stand between digits."""
    found = (re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", value) for value in values)
    return [word.lower() for words in found for word in words]


def _compare_series(series, epi, paths, values, conflicts, notes) -> None:
    """Add what is wrong between the diffusion series and the epi images of a session."""
    phases = {uri: read_phase_encoding(paths[uri]) for uri in series}
    paired = set()
    for number, other in enumerate(series):
        for one in series[:number]:
            if grids_differ(image_of(paths[other]), image_of(paths[one])):
                conflicts[other] = (
                    f"its grid differs from that of {one}; choose one of them by scans.dwi"
                )
            elif values[one] == values[other]:
                conflicts[other] = f"holds the volumes of {one}; choose one of them by scans.dwi"
            elif phases[one].opposite(phases[other]):
                paired |= {one, other}
                if unequal := readouts_differ(paths[one], paths[other]):
                    conflicts[other] = (
                        f"{unequal}, so their distortions are not equal and opposite; choose one "
                        "of them by scans.dwi"
                    )
                notes[other] += filter(None, [readout_note(paths[one], paths[other])])
    for uri in series:
        if uri not in paired:
            image = image_of(paths[uri])
            of_path = {paths[one]: one for one in epi}
            serving, passed_over = reverse_image(paths[uri], image, phases[uri], list(of_path))
            notes[uri] += passed_over
            if serving:
                notes[uri] += filter(None, [readout_note(paths[uri], serving)])
            if serving and (problem := _weighted(serving, paths[uri])):
                conflicts[of_path[serving]] = problem


def _weighted(reverse: str, path: str) -> str | None:
    """Why an image of reverse phase encoding is not b = 0, see `weighted_image`."""
    image, series = (without_single_axes(image_of(one), one) for one in (reverse, path))
    first = image.dataobj
    if image.ndim == 4:
        first = first[..., np.flatnonzero(b0_volumes(reverse, image.shape[3]))[0]]
    bvals = read_gradients(path, series.shape[3]).bvals
    zooms = series.header.get_zooms()[:3]
    return weighted_image(np.asarray(first, np.float32), series.dataobj, bvals, zooms)


def _suffix(uri: str) -> str:
    return entities_of(uri.rpartition("/")[2])["suffix"]
