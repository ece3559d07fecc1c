"""Ratings of the pictures for quality control, as people give them in the report.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from workflow_scripts.common.bids import bids, session_prefix, sessions
from workflow_scripts.common.files import why_unreadable
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.record import checksum
from workflow_scripts.common.rows import read_rows, row_lines
from workflow_scripts.common.values import name_problem

FIELDS = ["rater", "date", "participant_id", "session_id", "picture", "rating", "reason"]
FIELDS += ["comment", "version", "sha256"]
RATINGS = ["good", "doubtful", "bad"]
SUFFIXES = ["T1w", "dwi", "vesselwall"]  # scans that have a picture
QC = "desc-qc_"
MAY_BE_MISSING = ("session_id", "reason", "comment", "version")
FORMS = {
    "participant_id": ("sub-[A-Za-z0-9]+", "sub- and letters or digits"),
    "session_id": ("ses-[A-Za-z0-9]+", "ses- and letters or digits, or n/a"),
    "picture": (f"{QC}({'|'.join(SUFFIXES)})", ", ".join(QC + suffix for suffix in SUFFIXES)),
    "rating": ("|".join(RATINGS), ", ".join(RATINGS)),
    "sha256": ("[0-9a-f]{64}", "the 64 digits that the report writes"),
}


def rating_files(folder: str | None) -> list[str]:
    """Files with ratings (``*.tsv``) of a folder, none where there is no folder.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    if not folder:
        return []
    try:
        names = [path.name for path in Path(folder).iterdir()]
    except OSError as error:
        raise InputError(f"ratings: {why_unreadable(folder, error)}") from error
    found = sorted(name for name in names if name.endswith(".tsv") and name[0] != ".")
    return [f"{folder}/{name}" for name in found]


def read_ratings(files: list[str]) -> tuple[list[dict], list[str]]:
    """Ratings of any number of raters, one of each rater and picture.

    Parameters
    ----------
    files : TSV files with the columns `FIELDS`, in any order

    Returns
    -------
    Rows, with ``place`` (file and line) beside the columns, and sentences on ratings that the
    later one of the same rater in another file stands in for.

    Raises
    ------
    InputError
        Listing with file and line: a column that is unknown or not there, an unknown rating or
        picture, a date that is none, a rater in two spellings, two ratings of a picture by one
        rater in one file or of one time.
    """
    chosen: dict[tuple, dict] = {}
    problems, replaced = [], Counter()
    for file in files:
        seen: dict[tuple, dict] = {}
        for row in _rows(file, problems):
            key = row["rater"], *picture_of(row)
            if key in seen:
                problems.append(f"{row['place']}: {_stands(row, seen[key])}; keep one")
                continue
            seen[key] = row
            other = chosen.get(key)
            if other and _said(other) != _said(row):
                if _time(other) == _time(row):
                    problems.append(
                        f"{row['place']}: {_stands(row, other)}, otherwise and at the same time; "
                        "keep one"
                    )
                replaced[row["rater"]] += 1
            if other is None or _time(row) > _time(other):
                chosen[key] = row
    who = [(row["place"], row["rater"]) for row in chosen.values()]
    if problem := name_problem("rater", who):
        problems.append(f"ratings: {problem}")
    if problems:
        raise InputError(listing(problems))
    told = [
        f"ratings: {number} of {rater} are changed in a later file, and the later date counts"
        for rater, number in sorted(replaced.items())
    ]
    return list(chosen.values()), told


def picture_of(row: dict) -> tuple:
    """Participant, session and picture of a rating."""
    return row["participant_id"], row["session_id"], row["picture"]


def suffix_of(row: dict) -> str:
    """The scan whose picture is rated: T1w, dwi or vesselwall."""
    return row["picture"].removeprefix(QC)


def picture_path(row: dict) -> str:
    """Path of a rated picture in the output folder.

    >>> picture_path({"participant_id": "sub-1", "session_id": None, "picture": "desc-qc_T1w"})
    'sub-1/figures/sub-1_desc-qc_T1w.webp'
    """
    pattern = bids("{folder}/figures", "{prefix}", f"{suffix_of(row)}.webp", desc="qc")
    return sessions(pattern, [session_prefix(row["participant_id"], row["session_id"])])[0]


def is_void(row: dict, root: Path) -> bool:
    """Whether another picture lies in the output folder now than the one that was rated.

    A rating of a picture that is not there holds: so does that of an excluded scan, of which
    no picture is drawn any more.
    """
    path = Path(root) / picture_path(row)
    return path.is_file() and checksum(path)["sha256"] != row["sha256"]


def others_now(files: list[str], drawn: list[str]) -> dict[str, str]:
    """SHA-256 by path of rated pictures that lie in the output folder and that no job draws.

    Parameters
    ----------
    files : with ratings
    drawn : pictures that jobs draw
    """
    rated = {picture_path(row) for row in read_ratings(files)[0]} - {*drawn}
    return {path: checksum(path)["sha256"] for path in sorted(rated) if Path(path).is_file()}


def _rows(file: str, problems: list[str]) -> list[dict]:
    """Those rows of a file that can be used; adds what is wrong with the file to the problems."""
    rows = read_rows(Path(file))
    if rows and (wrong := _wrong_columns(list(rows[0]))):
        problems.append(f"{file} line 1: {wrong}")
        return []
    good = []
    for line, row in zip(row_lines(Path(file)), rows, strict=True):
        found = list(_row_problems(row))
        problems += [f"{file} line {line}: {problem}" for problem in found]
        if not found:
            good.append(row | {"place": f"{file} line {line}"})
    return good


def _wrong_columns(columns: list[str]) -> str | None:
    absent = [name for name in FIELDS if name not in columns]
    unknown = [name for name in columns if name not in FIELDS]
    parts = [f"has no column {', '.join(absent)}"] * bool(absent)
    parts += [f"has the unknown column {', '.join(unknown)}"] * bool(unknown)
    if not parts:
        return None
    return f"{' and '.join(parts)}; a file with ratings has the columns {', '.join(FIELDS)}"


def _row_problems(row: dict):
    for name in FIELDS:
        if row[name] is None:
            if name not in MAY_BE_MISSING:
                yield f"{name} is n/a; write it, or delete the line"
        elif name in FORMS and not re.fullmatch(FORMS[name][0], row[name]):
            yield f"{name} is {row[name]!r}; it must be {FORMS[name][1]}"
        elif name == "date":
            try:
                _time(row)
            except ValueError:
                yield f"date is {row[name]!r}; write it as 2026-11-30T12:00:00Z"


def _time(row: dict) -> datetime:
    """When a rating was given; a date without a zone is in UTC."""
    found = datetime.fromisoformat(row["date"])
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _said(row: dict) -> dict:
    return {key: value for key, value in row.items() if key != "place"}


def _stands(row: dict, other: dict) -> str:
    name = session_prefix(row["participant_id"], row["session_id"])
    return f"{row['rater']} has rated {name} {row['picture']} in {other['place']} already"
