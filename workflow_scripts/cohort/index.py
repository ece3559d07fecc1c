"""Index of a BIDS dataset: which scan each participant and session has.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
from collections import defaultdict
from pathlib import Path

from workflow_scripts.cohort.dataset_files import DATATYPES, files_of_dataset, require_place
from workflow_scripts.cohort.filters import check_filters, explain_choice, matches, written
from workflow_scripts.common.bids import (
    VESSEL_SUFFIXES,
    drawn_region,
    gradient_files,
    is_lesion_mask,
    session_prefix,
)
from workflow_scripts.common.job import InputError, listing

FIELDS = ["participant_id", "session_id", "suffix", "path"]
IMAGE_EXTENSIONS = {".nii", ".nii.gz"}
VESSEL_EXTENSIONS = IMAGE_EXTENSIONS | {".tsv"}
SIDECARS = (".json", ".bval", ".bvec", ".tsv", ".txt")
# Of derivatives, which a key of the configuration names.
DERIVED = ("vesselwall", "lesions")
# Segmentations that others have made: <region>_<engine or rater>.
GIVEN = re.compile("[a-z_]+_[A-Za-z0-9]+")
# A session may have several of these, and all are used.
SERIES = {"dwi", "epi", "vesselwall"}
# Images of one measurement differ in these: its echoes, what was made of it, its other parts.
ONE_MEASUREMENT = ("rec", "desc", "proc", "part", "echo", "ext")
NO_MAGNITUDE = ("phase", "ph", "real", "imag", "imaginary")
# What a session lacks is said of these always, of all others but these where any session has it.
EXPECTED, NEVER_EXPECTED = ("T1w", "FLAIR"), ("epi", "VWI")


def index_scans(
    bids_dir: Path, filters: dict[str, dict[str, str | None]], only: list[str] | None = None
) -> list[dict]:
    """One row per scan that the workflow uses, from the files of a dataset.

    Parameters
    ----------
    bids_dir : root of the BIDS dataset
    filters : suffix -> entity filter, such as ``{"T1w": {"acq": "mprage"}}``, which
        chooses where a session has several scans; the suffixes are those that the
        workflow uses. ``acq``, ``run`` and all other entities go by the short
        names that stand in file names; None is a scan without the entity. All dwi and epi scans
        of a session that match are kept; a dwi without a gradient table beside one with it is an
        epi. Phases, real and imaginary parts are no scans, but where a filter names ``part``.
        A name whose filter has a ``suffix`` (``VWI``, or a contrast that
        BIDS has no suffix for) is the image that the filter matches; it is no candidate for
        another name.
    only : participants whose folders are read; None for all

    Returns
    -------
    Rows with ``participant_id``, ``session_id`` (None without sessions),
    ``suffix`` and ``path`` (absolute), and rows without a path for what a session lacks, see
    `with_gaps`; both with a ``note`` where the filter has something to say about them.

    Raises
    ------
    InputError
        If there is no dataset, a file or folder that cannot be read, a name that cannot be used,
        a filter that fits no scan of the dataset, or one that does not leave one scan of a
        session, naming all that are left.
    """
    named = {name: wanted for name, wanted in filters.items() if "suffix" in wanted}
    found: dict[tuple, list[dict]] = {}
    candidates: dict[str, list[dict]] = {name: [] for name in filters}
    sessions: set[tuple] = set()
    misnamed, find_like = {}, _finder(filters)
    for row in files_of_dataset(bids_dir, "bids_dir", only):
        session = row["participant_id"], row["session_id"]
        image = row["ext"] in IMAGE_EXTENSIONS and row["named"]
        if row["datatype"] in (None, *DATATYPES) and not (image and row["suffix"] in filters):
            for name in find_like(row["path"]):
                like = Path(row["path"]).name
                misnamed.setdefault((*session, name), like if like.isprintable() else ascii(like))
        if not image:
            continue
        for name, wanted in named.items():
            if row["suffix"] == wanted["suffix"]:
                candidates[name].append(row)
        suffix = next((name for name in named if matches(row, named[name])), row["suffix"])
        if suffix in filters:
            require_place(row, bids_dir)
        elif not row["in_place"]:
            continue
        sessions.add(session)
        if suffix in filters:
            found.setdefault((*session, suffix), []).append(row)
            if suffix not in named:
                candidates[suffix].append(row)
    if not only:
        # A dataset need not have a vessel-wall image; where it is needed, a rule asks for it.
        check_filters({n: wanted for n, wanted in filters.items() if n != "VWI"}, candidates)
    chosen, undecided = [], {}
    for key, rows in found.items():
        rows, note = _choose(key[2], rows, filters[key[2]])
        if _several(key[2], rows):
            undecided[key] = rows
        tabled = [key[2] in ("dwi", "epi") and _has_table(bids_dir / r["path"]) for r in rows]
        for row, has_table in zip(rows, tabled, strict=True):
            # One image of reverse phase encoding, as converters leave it beside a series.
            reverse = key[2] == "dwi" and any(tabled) and not has_table
            suffix = "epi" if reverse and "epi" in filters else key[2]
            notes = "; ".join(filter(None, [note, _place_note(row, filters[key[2]])]))
            chosen.append(_row(*key[:2], suffix, str(bids_dir / row["path"]), note=notes))
        if not rows:
            chosen.append(_row(*key, None, note=note))
    if undecided:
        raise InputError(explain_choice(undecided))
    _note_twins(chosen)
    for key in misnamed.keys() - found.keys():
        wanted = filters[key[2]].get("suffix", key[2])
        note = f"no {key[2]} in the dataset, but {misnamed[key]}; BIDS writes _{wanted}.nii.gz"
        chosen.append(_row(*key, None, note=note))
    return with_gaps(chosen, sessions, filters)


def _note_twins(rows: list[dict]) -> None:
    """Note ids that differ in leading zeros or capitals alone: one person or session twice?"""
    people = {row["participant_id"] for row in rows}
    sessions = {(row["participant_id"], row["session_id"] or "") for row in rows}
    like = defaultdict(set)
    for name in people:
        like[_bare(name)].add(name)
    for name, session in sessions:
        like[name, _bare(session)].add(session)
    for row in rows:
        name, session = row["participant_id"], row["session_id"] or ""
        twins = (like[_bare(name)] - {name}) | (like[name, _bare(session)] - {session})
        if twins:
            said = f"{', '.join(sorted(twins))} is there too: one person or session under two ids?"
            row["note"] = "; ".join(filter(None, [row.get("note"), said]))


def _bare(name: str) -> str:
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())


def _has_table(image: Path) -> bool:
    return gradient_files(image)[0].is_file()


def _finder(names):
    """Function of a path: which of these names, in any capitals, its file's name is made of."""
    known = {name.casefold(): name for name in names}
    # Converters tell files of one name apart by a letter or number at the end.
    end = r"(?:(?![A-Za-z0-9])|[a-d1-9](?=[.]))"
    like = re.compile(f"(?:^|[_/])({'|'.join(map(re.escape, names))}){end}[^/]*$", re.I)

    def find(path: str) -> list[str]:
        if path.endswith(SIDECARS):
            return []
        return [known[name.casefold()] for name in like.findall(path)]

    return find


def _choose(suffix: str, rows: list[dict], wanted: dict) -> tuple[list[dict], str | None]:
    """Those of a session's files that a filter leaves, and what is to be said of them."""
    names = ", ".join(sorted(Path(row["path"]).name for row in rows))
    if suffix in SERIES or "part" not in wanted:
        rows = [row for row in rows if row.get("part", "").casefold() not in NO_MAGNITUDE]
        if not rows:
            return [], f"{names}: phases, real or imaginary parts are no {suffix} to be used"
    matching = [row for row in rows if matches(row, wanted)]
    if not matching and len(rows) == 1:
        return rows, f"the only {suffix} of the session, though scans.{suffix} is {written(wanted)}"
    if not matching and suffix in SERIES:
        return [], f"scans.{suffix} {written(wanted)} fits none of {names}"
    return matching or rows, None


def _place_note(row: dict, wanted: dict) -> str | None:
    """What is to be said of a scan in a folder that nobody asked for, such as one set aside."""
    if row["datatype"] in DATATYPES or "datatype" in wanted:
        return None
    return f"lies in {row['datatype']}/, not in {', '.join(DATATYPES)}: was it set aside?"


def _several(suffix: str, rows: list[dict]) -> bool:
    """Whether one of a session's files is still to be chosen."""
    if suffix not in SERIES:
        return len(rows) > 1
    apart = {*ONE_MEASUREMENT, "path"}
    kept = [{key: row[key] for key in row.keys() - apart} for row in rows]
    return any(row in kept[:place] for place, row in enumerate(kept))


def index_vessels(derivatives: Path, only: list[str] | None = None) -> list[dict]:
    """Rows of suffix ``vesselwall`` for the masks, contours and centre lines of a derivative.

    Raises
    ------
    InputError
        If the folder is no BIDS dataset or holds no such file.
    """
    rows = []
    for row in files_of_dataset(derivatives, "vessel_wall.derivatives", only):
        if row["named"] and row["suffix"] in VESSEL_SUFFIXES and row["ext"] in VESSEL_EXTENSIONS:
            require_place(row, derivatives)
            session = row["participant_id"], row["session_id"]
            rows.append(_row(*session, "vesselwall", str(derivatives / row["path"])))
    if not rows and not only:
        raise InputError(
            f"vessel_wall.derivatives {derivatives}: holds no masks, contours or centre lines; "
            "see docs/cohort.md for their names, or leave the key out"
        )
    return rows


def index_lesions(derivatives: Path, only: list[str] | None = None) -> list[dict]:
    """Rows of suffix ``lesions`` for the masks of lesions of a derivative, one per session.

    Raises
    ------
    InputError
        If the folder is no BIDS dataset or holds no such file, or a session has several.
    """
    found: dict[tuple, list[dict]] = {}
    for row in files_of_dataset(derivatives, "anatomical.lesions", only):
        if is_lesion_mask(Path(row["path"]).name) and row["ext"] in IMAGE_EXTENSIONS:
            require_place(row, derivatives)
            key = row["participant_id"], row["session_id"], "lesions"
            found.setdefault(key, []).append(row)
    if not found and not only:
        raise InputError(
            f"anatomical.lesions {derivatives}: holds no *_desc-lesion_mask.nii.gz or "
            "*_label-lesion_mask.nii.gz; see docs/cohort.md, or leave the key out"
        )
    return _one_each(found, derivatives, "anatomical.lesions")


def index_manual(derivatives: Path, only: list[str] | None = None) -> list[dict]:
    """Rows of suffix ``<region>_<rater>`` for the masks of regions drawn by hand.

    Raises
    ------
    InputError
        If the folder is no BIDS dataset or holds no such file, or a session has several of one
        rater.
    """
    found: dict[tuple, list[dict]] = {}
    for row in files_of_dataset(derivatives, "segmentation.manual", only):
        drawn = drawn_region(Path(row["path"]).name)
        if drawn and row["ext"] in IMAGE_EXTENSIONS:
            require_place(row, derivatives)
            key = row["participant_id"], row["session_id"], "_".join(drawn)
            found.setdefault(key, []).append(row)
    if not found and not only:
        raise InputError(
            f"segmentation.manual {derivatives}: holds no mask such as "
            "*_label-Thalamus_desc-<rater>_mask.nii.gz; see docs/segmentation.md, or leave it out"
        )
    return _one_each(found, derivatives, "segmentation.manual")


def _one_each(found: dict[tuple, list[dict]], derivatives: Path, key: str) -> list[dict]:
    """Rows of masks by participant, session and suffix, of which there may be one alone."""
    problems = [
        f"{key} {derivatives}: {session_prefix(*session)} has several masks"
        f"{'' if suffix in DERIVED else f' of {suffix}'} "
        f"({', '.join(sorted(Path(row['path']).name for row in rows))}); keep one"
        for (*session, suffix), rows in found.items()
        if len(rows) > 1
    ]
    if problems:
        raise InputError(listing(problems))
    return [_row(*place, str(derivatives / row["path"])) for place, [row] in found.items()]


def with_gaps(rows: list[dict], sessions: set[tuple], suffixes) -> list[dict]:
    """Rows in order of session and suffix, with one without a path for each gap.

    T1w and FLAIR are expected of each session, diffusion series, vessel walls, masks of lesions
    and further contrasts where any session has them.
    """
    present = {row["suffix"] for row in rows}
    expected = [suffix for suffix in EXPECTED if suffix in suffixes]
    others = [*suffixes, *DERIVED]
    expected += [s for s in others if s in present and s not in (*EXPECTED, *NEVER_EXPECTED)]
    have = {(row["participant_id"], row["session_id"], row["suffix"]) for row in rows}
    gaps = [
        _row(*session, suffix, None)
        for session in sessions
        for suffix in expected
        if (*session, suffix) not in have
    ]
    return sorted(
        rows + gaps,
        key=lambda row: (
            natural_order((row["participant_id"], row["session_id"])),
            row["suffix"],
            row["path"] or "",
        ),
    )


def _row(*values, note: str | None = None) -> dict:
    return dict(zip(FIELDS, values, strict=True)) | ({"note": note} if note else {})


def is_derived(suffix: str) -> bool:
    """Whether rows of a suffix are no scans of the dataset itself."""
    return suffix in DERIVED or bool(GIVEN.fullmatch(suffix))


def natural_order(session: tuple) -> list:
    """Sort key of (participant, session) that puts ses-2 before ses-10."""
    text = " ".join(part or "" for part in session[:2])
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def write_index(rows: list[dict], path: Path) -> None:
    """Write the index as TSV."""
    noted = any("note" in row for row in rows)
    write_rows(rows, [*FIELDS, "note"] if noted else FIELDS, path)


def write_rows(rows: list[dict], fields: list[str], path: Path) -> None:
    """Write rows as TSV, whole or not at all; a file that says the same is left alone."""
    lines = ["\t".join(fields)] + ["\t".join(row.get(f) or "n/a" for f in fields) for row in rows]
    text = "\n".join(lines) + "\n"
    try:
        if path.is_file() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"output_dir: {path} cannot be written ({error.strerror}); "
            "make the folder writable or choose another output_dir"
        ) from error
