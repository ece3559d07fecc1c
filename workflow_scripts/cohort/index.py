"""Index of a BIDS dataset: which scan each participant and session has.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import csv
import re
from pathlib import Path

from workflow_scripts.common.job import InputError

FIELDS = ["participant_id", "session_id", "suffix", "path"]
IMAGE_EXTENSIONS = {".nii", ".nii.gz"}


def index_scans(bids_dir: Path, filters: dict[str, dict[str, str]]) -> list[dict]:
    """One row per participant, session and suffix, from the files of a dataset.

    Parameters
    ----------
    bids_dir : root of the BIDS dataset
    filters : suffix -> entity filter, such as ``{"T1w": {"acq": "mprage"}}``, which
        chooses where a session has several scans; the suffixes are those that the
        workflow uses. ``acq``, ``run`` and all
        other entities go by the short names that stand in file names.

    Returns
    -------
    Rows with ``participant_id``, ``session_id`` (None without sessions),
    ``suffix`` and ``path`` (absolute; None where the session has no such scan).

    Raises
    ------
    InputError
        If there is no dataset, or a filter does not leave one scan, naming all that
        are left.
    """
    if not (bids_dir / "dataset_description.json").is_file():
        raise InputError(
            f"bids_dir {bids_dir}: no dataset_description.json there; "
            "bids_dir must be the root of a BIDS dataset"
        )
    import bids2table

    found: dict[tuple, list[str]] = {}
    sessions: set[tuple] = set()
    for row in bids2table.index_dataset(bids_dir).to_pylist():
        if row["ext"] not in IMAGE_EXTENSIONS or not row["sub"]:
            continue
        session = (f"sub-{row['sub']}", f"ses-{row['ses']}" if row["ses"] else None)
        sessions.add(session)
        suffix = row["suffix"]
        if suffix in filters:
            found.setdefault((*session, suffix), []).append(row)
    chosen, undecided = {}, {}
    for key, rows in found.items():
        if len(rows) > 1:
            rows = [row for row in rows if _matches(row, filters[key[2]])] or rows
        if len(rows) > 1:
            undecided[key] = [row["path"] for row in rows]
        chosen[key] = str(bids_dir / rows[0]["path"])
    if undecided:
        raise InputError(_explain_choice(undecided))
    return [
        dict(zip(FIELDS, (*session, suffix, chosen.get((*session, suffix))), strict=True))
        for session in sorted(sessions, key=natural_order)
        for suffix in filters
    ]


def natural_order(session: tuple) -> list:
    """Sort key of (participant, session) that puts ses-2 before ses-10."""
    text = " ".join(part or "" for part in session[:2])
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _matches(row: dict, entities: dict[str, str]) -> bool:
    extra = dict(row["extra_entities"] or [])
    values = {**extra, **{key: value for key, value in row.items() if value is not None}}
    return all(_same(values.get(key), wanted) for key, wanted in entities.items())


def _same(value, wanted: str) -> bool:
    if isinstance(value, int):
        return wanted.isdigit() and int(wanted) == value
    return value == wanted


def _explain_choice(several: dict[tuple, list[str]]) -> str:
    lines = ["several scans match where one is needed; choose by entity in the configuration:"]
    for (participant, session, suffix), paths in sorted(several.items(), key=str):
        names = ", ".join(Path(path).name for path in sorted(paths))
        where = " ".join(part for part in (participant, session) if part)
        lines.append(f"  {where}: {names}; set scans.{suffix}, for example {{run: '1'}}")
    return "\n".join(lines)


def write_index(rows: list[dict], path: Path) -> None:
    """Write the index as TSV, leaving the file alone where it says the same already."""
    lines = ["\t".join(FIELDS)] + ["\t".join(row[f] or "n/a" for f in FIELDS) for row in rows]
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


def read_rows(path: Path) -> list[dict]:
    """Rows of a TSV as dictionaries of text; ``n/a`` and empty become None.

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
    if len(set(header)) != len(header) or "" in header:
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
