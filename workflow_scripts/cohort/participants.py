"""Participants, their phenotype columns, exclusions and labels, checked.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

from pathlib import Path

import jsonschema
import yaml

from workflow_scripts.cohort.index import read_rows
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource


def read_participants(bids_dir: Path, checked: list[str] | None = None) -> list[dict]:
    """Rows of ``participants.tsv`` with the columns of ``phenotype/*.tsv`` joined on.

    Parameters
    ----------
    bids_dir : root of the dataset
    checked : participants whose rows are checked; None for all (0.1 s for 5000)

    Raises
    ------
    InputError
        Listing every bad row: id that is missing, malformed or given twice, bad
        age or sex, phenotype rows of unknown participants, columns that stand
        in several files.
    """
    path = bids_dir / "participants.tsv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; BIDS needs it, with a row per participant")
    rows = read_rows(path)
    problems = list(_row_problems(path, rows, checked))
    if problems:
        raise InputError(_listing(problems))
    participants = {row["participant_id"]: row for row in rows}
    for table in sorted((bids_dir / "phenotype").glob("*.tsv")):
        problems += _join(participants, table)
    if problems:
        raise InputError(_listing(problems))
    return list(participants.values())


def _row_problems(path: Path, rows: list[dict], checked: list[str] | None):
    if rows and "participant_id" not in rows[0]:
        yield (
            f"{path}: has no column participant_id (found: {', '.join(rows[0])}); "
            "name the first column participant_id"
        )
        return
    schema = yaml.safe_load(resource("schemas/participant.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        name = row["participant_id"]
        for error in validator.iter_errors(row) if checked is None or name in checked else []:
            key = error.absolute_path[0]
            yield (
                f"{path} line {line}: {key} is {error.instance or 'n/a'!r}; "
                f"it must be {error.schema['description']}"
            )
        if name in seen:
            yield f"{path} line {line}: {name} stands already in line {seen[name]}; keep one"
        seen.setdefault(name, line)


def _join(participants: dict[str, dict], table: Path) -> list[str]:
    problems, seen = [], set()
    known = {key for row in participants.values() for key in row}
    for line, row in enumerate(read_rows(table), start=2):
        name = row.pop("participant_id", None)
        if name is None:
            problems.append(f"{table} line {line}: no participant_id; add the column or the value")
        elif name not in participants:
            problems.append(f"{table} line {line}: {name} is not in participants.tsv; add it there")
        elif name in seen:
            problems.append(f"{table} line {line}: {name} has a second row; keep one")
        elif clash := known & row.keys():
            return [f"{table}: {sorted(clash)} stands in another table already; rename the column"]
        else:
            seen.add(name)
            participants[name].update(row)
    columns = {key for row in participants.values() for key in row}
    for row in participants.values():
        for column in columns - row.keys():
            row[column] = None
    return problems


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
    for line, row in enumerate(rows, start=2):
        if row["participant_id"] not in participants:
            problems.append(
                f"{path} line {line}: {row['participant_id']} is not in participants.tsv; "
                "correct the id"
            )
        if not row["reason"]:
            problems.append(f"{path} line {line}: no reason; give one")
    if problems:
        raise InputError(_listing(problems))
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
            if row[key] and row[key] not in known:
                problems.append(
                    f"exclusions, {row['participant_id']}: {key} {row[key]} is none of "
                    f"{', '.join(known)}; correct it, or write n/a for all"
                )
    if problems:
        raise InputError(_listing(problems))


def exclusion_reason(
    exclusions: list[dict], participant_id: str, session_id: str | None, suffix: str
) -> str | None:
    """Reason why a scan is left out, None where it is not."""
    for row in exclusions:
        if (
            row["participant_id"] == participant_id
            and row["session_id"] in (None, session_id)
            and row["suffix"] in (None, suffix)
        ):
            return row["reason"]
    return None


def check_labels(participants: list[dict], name: str, study: dict) -> None:
    """Check a study's columns of participants.tsv.

    Raises
    ------
    InputError
        If the label column, a column of Table 1 or one that the statistics use is
        missing, or a label is unknown.
    """
    columns = list(participants[0]) if participants else []
    key = f"studies.{name}"
    used = [("label", study["label"])] + [("table1", column) for column in study["table1"]]
    for block, part in (
        ("correlations", "clinical"),
        ("correlations", "covariates"),
        ("models", "clinical"),
    ):
        used += [(f"{block}.{part}", column) for column in study.get(block, {}).get(part, [])]
    problems = [
        f"{key}.{where}: participants.tsv and phenotype/ have no column {column!r} "
        f"(found: {', '.join(columns)}); correct the key or the table"
        for where, column in used
        if column not in columns
    ]
    known = {*study["classes"], *study["other_labels"], None}
    problems += [
        f"participants.tsv, {row['participant_id']}: {study['label']} is {row[study['label']]!r}, "
        f"which is none of {key}.classes {study['classes']}; correct it, or list it in "
        f"{key}.other_labels"
        for row in participants
        if row.get(study["label"]) not in known
    ]
    if problems:
        raise InputError(_listing(problems))


def _listing(problems: list[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n  ".join(["several problems:", *problems])
