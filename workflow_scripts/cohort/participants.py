"""Participants and exclusions, checked.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

from pathlib import Path

import jsonschema
import yaml

from workflow_scripts.cohort.dictionaries import (
    described_column,
    is_level,
    read_described,
    read_dictionary,
)
from workflow_scripts.common.files import is_there
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import IDS, read_rows, row_lines


def read_participants(
    bids_dir: Path, checked: list[str] | None = None, named: set[str] | None = None
) -> list[dict]:
    """Rows of ``participants.tsv``, without what participants.json declares as missing.

    Parameters
    ----------
    bids_dir : root of the dataset
    checked : participants whose rows are checked; None for all (0.1 s for 5000)
    named : columns that the studies name, see `read_rows`

    Raises
    ------
    InputError
        Listing every bad row: id that is missing, malformed or given twice, bad
        age or sex.
    """
    path = bids_dir / "participants.tsv"
    if not is_there(path):
        raise InputError(f"{path}: no such file; BIDS needs it, with a row per participant")
    rows = read_described(path, {*IDS, "age", "sex", *(named or ())})
    sexes = described_column(read_dictionary(path.with_suffix(".json")), "sex")
    problems = list(_row_problems(path, rows, checked, sexes))
    if problems:
        raise InputError(listing(problems))
    return rows


def _row_problems(path: Path, rows: list[dict], checked: list[str] | None, sexes: dict):
    """``sexes``: description of the column sex, whose Levels may say what a code means."""
    if rows and "participant_id" not in rows[0]:
        yield (
            f"{path}: has no column participant_id (found: {', '.join(rows[0])}); "
            "name the first column participant_id"
        )
        return
    schema = yaml.safe_load(resource("schemas/participant.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    seen: dict[str, int] = {}
    for line, row in zip(row_lines(path), rows, strict=True):
        name = row["participant_id"]
        for error in validator.iter_errors(row) if checked is None or name in checked else []:
            key = error.absolute_path[0]
            if key == "sex" and is_level(sexes, error.instance or ""):
                continue
            yield (
                f"{path} line {line}: {key} is {error.instance or 'n/a'!r}; "
                f"it must be {error.schema['description']}"
            )
        if name in seen:
            yield f"{path} line {line}: {name} stands already in line {seen[name]}; keep one"
        seen.setdefault(name, line)


def read_exclusions(path: Path, participants: set[str]) -> list[dict]:
    """Rows (participant_id, session_id, suffix, reason) of an exclusion list.

    Raises
    ------
    InputError
        If a column or a reason is missing, or a participant is unknown (a typing
        error here would keep a scan in the study).
    """
    needed = ["participant_id", "session_id", "suffix", "reason"]
    rows, problems = read_rows(path), []
    missing = [name for name in needed if rows and name not in rows[0]]
    if missing:
        raise InputError(f"{path}: lacks the columns {missing}; it needs {needed}")
    for line, row in zip(row_lines(path), rows, strict=True):
        if row["participant_id"] not in participants:
            problems.append(
                f"{path} line {line}: {row['participant_id']} is not in participants.tsv; "
                "correct the id"
            )
        if not row["reason"]:
            problems.append(f"{path} line {line}: no reason; give one")
    if problems:
        raise InputError(listing(problems))
    return rows


def check_exclusions(exclusions: list[dict], index: list[dict]) -> None:
    """Raise InputError for exclusions of sessions or modalities that do not exist."""
    problems = []
    scans_of: dict[str, list[dict]] = {}
    for scan in index:
        scans_of.setdefault(scan["participant_id"], []).append(scan)
    for row in exclusions:
        scans = scans_of.get(row["participant_id"], [])
        for key in ("session_id", "suffix"):
            known = sorted({scan[key] or "n/a" for scan in scans})
            if key == "suffix" and row[key] in {_name(scan["path"]) for scan in scans}:
                continue
            if row[key] and row[key] not in known:
                problems.append(
                    f"exclusions, {row['participant_id']}: {key} {row[key]} is none of "
                    f"{', '.join(known)}; correct it, or write n/a for all"
                )
    if problems:
        raise InputError(listing(problems))


def _name(path: str | None) -> str | None:
    return path and path.rpartition("/")[2]


def exclusion_reason(
    exclusions: list[dict],
    participant_id: str,
    session_id: str | None,
    suffix: str,
    path: str | None = None,
) -> str | None:
    """Reason why a scan is left out, None where it is not.

    An exclusion may have the name of the file at ``path`` in place of a suffix.
    """
    for row in exclusions:
        if (
            row["participant_id"] == participant_id
            and row["session_id"] in (None, session_id)
            and row["suffix"] in (None, suffix, _name(path) or suffix)
        ):
            return row["reason"]
    return None
