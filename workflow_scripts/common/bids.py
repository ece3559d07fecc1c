"""BIDS names, metadata of a dataset's images, and BIDS URIs of what the derivatives are made from.

Own code: bids2table took a second of each start at a thousand participants, and pyarrow, which
it needs and pandas then loads, 34 MB in every process of Snakemake.
"""

import json
import os
import re
from functools import cache, lru_cache
from pathlib import Path

from workflow_scripts.common.engines import region_of
from workflow_scripts.common.files import read_text
from workflow_scripts.common.job import InputError

RAW, VESSEL_WALL, LESIONS = "bids:raw:", "bids:vesselwall:", "bids:lesions:"
MANUAL, CORRECTIONS = "bids:manual:", "bids:corrections:"
# Of datasets by the programs that made them, in small letters.
FMRIPREP, QSIPREP = "bids:fmriprep:", "bids:qsiprep:"
PROGRAMS = {"fmriprep": FMRIPREP, "smriprep": FMRIPREP, "qsiprep": QSIPREP}
PREPARED = re.compile(r"_(desc-preproc_(T1w|dwi)|desc-brain_mask|label-\w+_probseg|xfm)\.")
VESSEL_SUFFIXES = {"mask", "probseg", "contours", "points"}


def bids(folder: str, prefix: str, suffix: str, **entities: str) -> str:
    """Path of a derivative: ``folder/prefix_key-value_..._suffix``.

    ``folder`` and ``prefix`` name the session (``sub-01/ses-02``,
    ``sub-01_ses-02``) and may be wildcards in braces; ``from_`` stands for the
    entity ``from``, a Python keyword.

    >>> bids("sub-01/anat", "sub-01", "mask.nii.gz", desc="brain")
    'sub-01/anat/sub-01_desc-brain_mask.nii.gz'
    """
    parts = [f"{key.rstrip('_')}-{value}" for key, value in entities.items()]
    return f"{folder}/" + "_".join([prefix, *parts, suffix])


def of_contrast(path: str, contrast: str, scans: dict) -> str:
    """Path of an aligned image with {suffix} and {desc} for one contrast; other wildcards stay.

    Parameters
    ----------
    contrast : name in ``scans``, which may be named otherwise than its suffix
    scans : section of the configuration

    >>> of_contrast("{prefix}_desc-{desc}_{suffix}.nii.gz", "STIR", {"STIR": {"suffix": "T2w"}})
    '{prefix}_desc-STIR_T2w.nii.gz'
    """
    suffix = scans[contrast].get("suffix", contrast)
    desc = "preproc" if suffix == contrast else contrast
    return path.replace("{suffix}", suffix).replace("{desc}", desc)


def sessions(paths, prefixes):
    """Fill {folder} and {prefix} of paths for each session.

    >>> sessions("{folder}/anat/{prefix}_T1w.json", ["sub-1_ses-2"])
    ['sub-1/ses-2/anat/sub-1_ses-2_T1w.json']
    """
    return [
        path.format(folder=prefix.replace("_", "/"), prefix=prefix)
        for prefix in prefixes
        for path in ([paths] if isinstance(paths, str) else paths)
    ]


def entities_of(name: str) -> dict[str, str]:
    """Entities of a BIDS file name by their short names, with ``suffix`` and ``ext``.

    >>> entities_of("sub-01_run-2_T1w.nii.gz")
    {'sub': '01', 'run': '2', 'suffix': 'T1w', 'ext': '.nii.gz'}
    """
    *pairs, last = name.split("_")
    suffix, dot, extension = last.partition(".")
    entities = {key: value for key, _, value in (pair.partition("-") for pair in pairs) if value}
    return entities | {"suffix": suffix, "ext": dot + extension}


def is_lesion_mask(name: str) -> bool:
    """Whether a file is a mask of lesions by its name.

    >>> is_lesion_mask("sub-01_space-T1w_desc-lesion_mask.nii.gz")
    True
    """
    entities = entities_of(name)
    named = "lesion" in (entities.get("desc"), entities.get("label"))
    return named and entities["suffix"] in ("mask", "probseg")


def drawn_on(name: str) -> str:
    """Contrast of the scan that a mask is drawn on by its name, the T1w where it says nothing.

    >>> drawn_on("sub-01_space-FLAIR_desc-lesion_mask.nii.gz")
    'FLAIR'
    """
    space = entities_of(name).get("space", "T1w")
    return "T1w" if space == "orig" else space


def drawn_region(name: str) -> tuple[str, str] | None:
    """Region and rater of a mask drawn by hand, by its name; None where it is none.

    >>> drawn_region("sub-01_label-Thalamus_desc-anna_mask.nii.gz")
    ('thalamus', 'anna')
    """
    entities = entities_of(name)
    region, rater = region_of(entities.get("label", "")), entities.get("desc")
    return (region, rater) if region and rater and entities["suffix"] == "mask" else None


def metadata_files(path: Path) -> list[Path]:
    """JSON files beside and above a dataset's image that apply to it, the nearest last.

    By the inheritance principle of BIDS: those all of whose entities the image has too.
    """
    return [file for folder in _levels(path.parent) for file in _applicable(path, folder, ".json")]


def gradient_files(image) -> tuple[Path, Path]:
    """The .bval and the .bvec file of a diffusion image, by the inheritance principle of BIDS.

    Each beside the image with its name, whether it is there or not; else the nearest that
    applies, beside or above it. A table that has an image of its own name serves that alone.

    Raises
    ------
    InputError
        If several of a folder apply.
    """
    return tuple(_nearest(Path(image), end) for end in (".bval", ".bvec"))


def gradient_tables(images) -> list[str]:
    """The gradient tables of several images, each once, whether they are there or not."""
    return list(dict.fromkeys(str(table) for path in images for table in gradient_files(path)))


def _nearest(image: Path, extension: str) -> Path:
    own = Path(beside(str(image), extension))
    if os.path.lexists(own):
        return own
    for folder in _levels(image.parent)[::-1]:
        found = [file for file in _applicable(image, folder, extension) if not _has_image(file)]
        if len(found) > 1:
            raise InputError(
                f"{image}: {' and '.join(map(str, found))} apply to it alike; keep one, or write "
                f"{own.name} beside it"
            )
        if found:
            return found[0]
    return own


def _has_image(table: Path) -> bool:
    return any(os.path.lexists(beside(str(table), end)) for end in (".nii.gz", ".nii"))


def _applicable(image: Path, folder: Path, extension: str) -> list[Path]:
    """Files of a folder all of whose entities an image has too, see `_named`."""
    own = entities_of(image.name) | {"ext": extension}
    named = _named(folder, own["suffix"] + extension)
    return [file for file in named if entities_of(file.name).items() <= own.items()]


@cache
def _levels(folder: Path) -> list[Path]:
    """The dataset's root and the folders from there to one; itself where there is no dataset."""
    root = dataset_of(folder)
    levels = [one for one in (folder, *folder.parents) if root and one.is_relative_to(root)]
    return levels[::-1] or [folder]


@cache
def _named(folder: Path, end: str) -> list[Path]:
    """Files whose names end so, those with fewer entities first; those with a dot first are not."""
    found = [file for file in folder.glob(f"*{end}") if not file.name.startswith(".")]
    return sorted(found, key=lambda file: (len(entities_of(file.name)), file.name))


def read_metadata(path: Path) -> dict:
    """Metadata of a dataset's image; what is nearer to it overrides, see `metadata_files`.

    Raises
    ------
    InputError
        If one of the files cannot be read or is no JSON object.
    """
    metadata = {}
    for file in metadata_files(path):
        metadata |= _unchanged_object(file, os.stat(file).st_mtime_ns if file.exists() else None)
    return metadata


@lru_cache(maxsize=64)
def _unchanged_object(file: Path, stamp: int | None) -> dict:
    """Content of a JSON file, which several images may inherit, until its time stamp changes."""
    return read_object(file)


def read_object(file: Path) -> dict:
    """Content of a JSON file.

    Raises
    ------
    InputError
        If it cannot be read or is no JSON object.
    """
    try:
        found = json.loads(read_text(file), object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is no JSON object ({error}); repair it") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: is no JSON object; repair it")
    return found


def _each_key_once(pairs: list[tuple]) -> dict:
    found = dict(pairs)
    if twice := [key for key in found if sum(key == other for other, _ in pairs) > 1]:
        raise ValueError(f"{', '.join(twice)} stands twice")
    return found


def beside(path: str, extension: str) -> str:
    """The file of the same name with another extension.

    >>> beside("anat/sub-01_T1w.nii.gz", ".json")
    'anat/sub-01_T1w.json'
    """
    return os.path.splitext(path.removesuffix(".gz"))[0] + extension


def tables(**outputs: str) -> dict[str, str]:
    """Paths of tables by name, with those of their data dictionaries as ``name_dictionary``."""
    return outputs | {f"{name}_dictionary": beside(path, ".json") for name, path in outputs.items()}


def session_prefix(participant_id: str, session_id: str | None) -> str:
    """``sub-01_ses-02``, or ``sub-01`` where there are no sessions."""
    return f"{participant_id}_{session_id}" if session_id else participant_id


def bids_uri(path: str | None) -> str | None:
    """Where a file lies in its dataset, wherever that lies on this machine.

    ``bids:raw:sub-01/anat/...`` for a file of the raw dataset, ``bids:vesselwall:...`` of a
    dataset of derivatives, ``bids:lesions:...`` for a mask of lesions, ``bids:manual:...`` for one
    of a region drawn by hand, ``bids:corrections:...`` for one of the brain, ``bids:fmriprep:...``
    and ``bids:qsiprep:...`` for what these programs prepared, ``bids::...`` for a relative path,
    which is one of the output folder. A path that no ``dataset_description.json`` stands above
    stays as it is, and so do other programs' files.
    """
    if path is None:
        return None
    path = Path(path)
    if not path.is_absolute():
        return f"bids::{path.as_posix()}"
    root = dataset_of(path.parent)
    uri = _uri_of(path.name, root) if root else None
    return f"{uri}{path.relative_to(root).as_posix()}" if uri else str(path)


def _uri_of(name: str, root: Path) -> str | None:
    if is_lesion_mask(name):
        return LESIONS
    if not _is_derivative(root):
        return RAW
    program = PROGRAMS.get(generated_by(root)[0].lower())
    if program and PREPARED.search(name):
        return program
    if drawn_region(name):
        return MANUAL
    if name.endswith("_desc-brain_mask.nii.gz"):
        return CORRECTIONS
    return VESSEL_WALL if entities_of(name)["suffix"] in VESSEL_SUFFIXES else None


@cache
def dataset_of(folder: Path) -> Path | None:
    """Root of the dataset that a folder lies in."""
    if (folder / "dataset_description.json").is_file():
        return folder
    return dataset_of(folder.parent) if folder != folder.parent else None


@cache
def generated_by(root: Path) -> tuple[str, str]:
    """Name and version of the program that made a dataset, both empty where it names none."""
    file = root / "dataset_description.json"
    told = read_object(file) if file.is_file() else {}
    made = told.get("GeneratedBy") or told.get("PipelineDescription") or {}
    first = made[0] if isinstance(made, list) else made
    first = first if isinstance(first, dict) else {}
    return str(first.get("Name", "")), str(first.get("Version", ""))


def made_by(path: str) -> str:
    """Name and version of the program that made a file of a dataset, as one text."""
    return " ".join(generated_by(dataset_of(Path(path).parent))).strip()


@cache
def _is_derivative(root: Path) -> bool:
    return read_object(root / "dataset_description.json").get("DatasetType") == "derivative"


def artery(label: str, hemi: str | None) -> str:
    """An artery as columns and the configuration name it: ``MCA_left``, ``BA`` in the midline."""
    return label + {"L": "_left", "R": "_right"}.get(hemi or "", "")
