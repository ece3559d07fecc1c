"""Index of a BIDS dataset: which scan each participant and session has.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import csv
import os
import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from workflow_scripts.common.bids import entities_of, session_prefix
from workflow_scripts.common.job import InputError

PARTICIPANT = re.compile("sub-[A-Za-z0-9]+")
FIELDS = ["participant_id", "session_id", "suffix", "path"]
IMAGE_EXTENSIONS = {".nii", ".nii.gz"}
VESSEL_EXTENSIONS = IMAGE_EXTENSIONS | {".tsv"}
VESSEL_SUFFIXES = {"mask", "probseg", "contours", "points"}
# A session may have several of these, and all are used.
SERIES = {"dwi", "epi", "vesselwall"}
# Entities that are numbers, so that run-02 is run 2.
NUMBERS = {"run", "echo", "flip", "inv", "split", "chunk"}
# What a session lacks is said of these always, of all others but these where any session has it.
EXPECTED, NEVER_EXPECTED = ("T1w", "FLAIR"), ("epi", "VWI")


def index_scans(
    bids_dir: Path, filters: dict[str, dict[str, str]], only: list[str] | None = None
) -> list[dict]:
    """One row per scan that the workflow uses, from the files of a dataset.

    Parameters
    ----------
    bids_dir : root of the BIDS dataset
    filters : suffix -> entity filter, such as ``{"T1w": {"acq": "mprage"}}``, which
        chooses where a session has several scans; the suffixes are those that the
        workflow uses. ``acq``, ``run`` and all other entities go by the short
        names that stand in file names. All dwi and epi scans of a session that
        match are kept. A name whose filter has a ``suffix`` (``VWI``, or a contrast that
        BIDS has no suffix for) is the image that the filter matches; it is no candidate for
        another name.
    only : participants whose folders are read; None for all

    Returns
    -------
    Rows with ``participant_id``, ``session_id`` (None without sessions),
    ``suffix`` and ``path`` (absolute), and rows without a path for what a session
    lacks, see `with_gaps`.

    Raises
    ------
    InputError
        If there is no dataset, a name that cannot be used, or a filter does not leave one
        scan, naming all that are left.
    """
    named = {name: wanted for name, wanted in filters.items() if "suffix" in wanted}
    found: dict[tuple, list[dict]] = {}
    sessions: set[tuple] = set()
    for row in _images(bids_dir, "bids_dir", only):
        chosen_as = (name for name, wanted in named.items() if _matches(row, wanted))
        suffix = next(chosen_as, row["suffix"])
        if suffix in filters:
            _require_place(row, bids_dir)
        elif not row["in_place"]:
            continue
        session = row["participant_id"], row["session_id"]
        sessions.add(session)
        if suffix in filters:
            found.setdefault((*session, suffix), []).append(row)
    chosen, undecided = [], {}
    for key, rows in found.items():
        if len(rows) > 1:
            rows = [row for row in rows if _matches(row, filters[key[2]])] or rows
        paths = sorted(row["path"] for row in rows)
        if len(paths) > 1 and key[2] not in SERIES:
            undecided[key] = paths
        chosen += [_row(*key, str(bids_dir / path)) for path in paths]
    if undecided:
        raise InputError(_explain_choice(undecided))
    return with_gaps(chosen, sessions, filters)


def index_vessels(derivatives: Path, only: list[str] | None = None) -> list[dict]:
    """Rows of suffix ``vesselwall`` for the masks, contours and centre lines of a derivative.

    Raises
    ------
    InputError
        If the folder is no BIDS dataset or holds no such file.
    """
    rows = []
    for row in _images(derivatives, "vessel_wall.derivatives", only, VESSEL_EXTENSIONS):
        if row["suffix"] in VESSEL_SUFFIXES:
            _require_place(row, derivatives)
            session = row["participant_id"], row["session_id"]
            rows.append(_row(*session, "vesselwall", str(derivatives / row["path"])))
    if not rows and not only:
        raise InputError(
            f"vessel_wall.derivatives {derivatives}: holds no masks, contours or centre lines; "
            "see docs/cohort.md for their names, or leave the key out"
        )
    return rows


def with_gaps(rows: list[dict], sessions: set[tuple], suffixes) -> list[dict]:
    """Rows in order of session and suffix, with one without a path for each gap.

    T1w and FLAIR are expected of each session, diffusion series, vessel walls and further
    contrasts where any session has them.
    """
    present = {row["suffix"] for row in rows}
    expected = [suffix for suffix in EXPECTED if suffix in suffixes]
    others = [*suffixes, "vesselwall"]
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


def _row(*values) -> dict:
    return dict(zip(FIELDS, values, strict=True))


def _images(
    root: Path, key: str, only: list[str] | None, extensions: set[str] = IMAGE_EXTENSIONS
) -> Iterator[dict]:
    """Files of the participants' and sessions' folders, and of the folders in these.

    Yields
    ------
    Their entities and ``datatype``, ``participant_id`` and ``session_id`` by their folder,
    ``path`` from the root, and whether they are ``in_place``: in a folder such as anat, with
    a name that begins with participant and session.
    """
    if not (root / "dataset_description.json").is_file():
        raise InputError(
            f"{key} {root}: no dataset_description.json there; "
            f"{key} must be the root of a BIDS dataset"
        )
    participants = _participants(root)
    for participant in only or participants:
        for level in ("sub-*", "*/sub-*", "ses-*/*/sub-*"):
            for path in glob(level, root_dir=root / participant):
                *folders, name = path.split("/")
                row = entities_of(name)
                if row["ext"] not in extensions or "-" in row["suffix"]:
                    continue
                session = folders.pop(0) if folders and folders[0].startswith("ses-") else None
                prefix = session_prefix(participant, session)
                yield row | {
                    "participant_id": participant,
                    "session_id": session,
                    "datatype": folders[-1] if folders else None,
                    "path": f"{participant}/{path}",
                    "in_place": bool(folders) and name.startswith(f"{prefix}_"),
                }


def _participants(root: Path) -> list[str]:
    """Folders of participants; what looks like one and is none is not passed over in silence."""
    names = sorted(name for name in os.listdir(root) if name.startswith("sub-"))
    if wrong := [name for name in names if not PARTICIPANT.fullmatch(name)]:
        raise InputError(
            f"{root}: {', '.join(map(repr, wrong))}: a participant's folder is sub- and then "
            "letters and digits alone; rename it, and its files and rows with it"
        )
    return names


def _require_place(row: dict, root: Path) -> None:
    path = f"{root}/{row['path']}"
    if "{" in path or "}" in path:
        raise InputError(f"{path}: braces in a path are wildcards to Snakemake; rename it")
    if not row["in_place"]:
        prefix = session_prefix(row["participant_id"], row["session_id"])
        raise InputError(
            f"{path}: scans lie in {prefix.replace('_', '/')}/anat, dwi or fmap there, with names "
            f"that begin with {prefix}_; move or rename it"
        )


def natural_order(session: tuple) -> list:
    """Sort key of (participant, session) that puts ses-2 before ses-10."""
    text = " ".join(part or "" for part in session[:2])
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _matches(row: dict, entities: dict[str, str]) -> bool:
    return all(_same(key, row.get(key), wanted) for key, wanted in entities.items())


def _same(key: str, value: str | None, wanted: str) -> bool:
    if key in NUMBERS and value and value.isdigit() and wanted.isdigit():
        return int(value) == int(wanted)
    return value == wanted


def _explain_choice(several: dict[tuple, list[str]]) -> str:
    lines = ["several scans match where one is needed; choose by entity in the configuration:"]
    for (participant, session, suffix), paths in sorted(several.items(), key=str):
        names = ", ".join(Path(path).name for path in sorted(paths))
        where = " ".join(part for part in (participant, session) if part)
        lines.append(f"  {where}: {names}; set scans.{suffix}, for example {{run: '1'}}")
    return "\n".join(lines)


def write_index(rows: list[dict], path: Path) -> None:
    """Write the index as TSV."""
    write_rows(rows, FIELDS, path)


def write_rows(rows: list[dict], fields: list[str], path: Path) -> None:
    """Write rows as TSV, whole or not at all; a file that says the same is left alone."""
    lines = ["\t".join(fields)] + ["\t".join(row[f] or "n/a" for f in fields) for row in rows]
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


def read_rows(path: Path, used: set[str] | None = None) -> list[dict]:
    """Rows of a TSV as dictionaries of text; ``n/a`` and empty become None.

    Parameters
    ----------
    used : columns whose names must not stand twice; None for all, which then need names too

    Raises
    ------
    InputError
        If a row has more or fewer fields than the header, a column has no name
        or two have the same.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            lines = [line for line in reader if line]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a UTF-8 TSV file") from error
    if not lines:
        raise InputError(f"{path}: is empty; it needs a header line")
    header = lines[0]
    checked = header if used is None else [name for name in header if name in used]
    if len(set(checked)) != len(checked) or "" in checked:
        raise InputError(f"{path}: columns need names, each its own; found {header}")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise InputError(
                f"{path} line {number}: has {len(line)} fields, the header {len(header)}; "
                "columns are separated by one tab each"
            )
    return [
        {
            key: None if value in ("n/a", "") else value
            for key, value in zip(header, line, strict=True)
        }
        for line in lines[1:]
    ]
