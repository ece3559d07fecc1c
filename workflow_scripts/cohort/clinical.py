"""What the tables of a dataset say of each session: the columns that studies name.

participants.tsv has a value per participant, sub-*_sessions.tsv and the tables of phenotype/ with
a session_id one per session. Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import os
import re
from functools import cache
from pathlib import Path

from workflow_scripts.cohort.config import SIDECARS, clinical_columns
from workflow_scripts.cohort.dictionaries import read_described, read_dictionary
from workflow_scripts.cohort.index import is_derived, write_rows
from workflow_scripts.common.bids import read_metadata
from workflow_scripts.common.columns import described_as
from workflow_scripts.common.files import is_there, why_unreadable
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.values import NUMBER, folded

SESSION = ["participant_id", "session_id"]
# Columns of other tables of the cohort than features.tsv.
NO_FEATURES = {
    *("label", "external", "site", "split", "role", "weight", "of_split", "suffix", "path"),
    *("size_bytes", "mtime_ns", "shape", "voxel_size_mm", "values", "sketch", "shell"),
    *("directions", "code"),
    *("conflict", "note", "problem", "status", "reason", "manufacturer", "scanner", "sequence"),
    *("field_strength_t", "repetition_time_s", "echo_time_s", "inversion_time_s"),
    *("flip_angle_deg", "readout_s"),
}
SCANNER = ["Manufacturer", "ManufacturersModelName", "MagneticFieldStrength"]
# What the same scanner is called otherwise: without its company's form, its range of products, and
# the mark of one that was built into another's magnet (Prisma_fit).
FIRMS = re.compile(
    r"(siemens|ge|general electric|philips|canon|toshiba|hitachi|uih|united imaging)\b.*"
)
SHORTER = {"general electric": "ge", "united imaging": "uih"}
RANGE, REBUILT = re.compile(r"^magnetom\W*"), re.compile(r"[\W_]+fit$")
# T, of which scanners write the exact one (2.89), some in mT or Gauss; share that it may be off.
FIELDS_T, FIELD_TOLERANCE = (0.35, 0.5, 0.55, 1, 1.5, 3, 4, 4.7, 5, 7, 9.4, 10.5, 11.7), 0.05


@cache
def feature_columns() -> set[str]:
    """Columns that features.tsv can have, see `described_as`."""
    rows = read_rows(resource("columns/cohort.tsv"))
    return {row["column"] for row in rows} - NO_FEATURES


def clinical_inputs(study: dict, known: set[str]) -> dict[str, list[str]]:
    """Columns that may be of either kind and are none of features.tsv, by the key that names them.

    Those of the table inputs, and those that group tests and associations are adjusted for.
    """
    named = {
        f"inputs.{name}.columns": entry["columns"]
        for name, entry in study["inputs"].items()
        if "columns" in entry
    }
    for key, part in (("groups", "adjust"), ("associations", "covariates")):
        if adjust := study["evaluation"].get(key, {}).get(part):
            named[f"evaluation.{key}.{part}"] = adjust
    return {
        key: [column for column in columns if described_as(column, known) is None]
        for key, columns in named.items()
    }


def columns_by_key(study: dict) -> dict[str, list[str]]:
    """Columns of the participants' tables that a study names, by the key that does so."""
    return clinical_columns(study) | clinical_inputs(study, feature_columns())


def named_columns(studies: dict, frozen: dict | None = None) -> dict[str, str]:
    """Columns of the participants' tables that are named, with the key that does so."""
    named = {}
    for name, study in studies.items():
        for key, columns in columns_by_key(study).items():
            for column in columns:
                named.setdefault(column, f"studies.{name}.{key}")
    return (frozen or {}) | named


def read_clinical(
    bids_dir: Path | None,
    participants: list[dict],
    sessions: list[tuple],
    studies: dict,
    frozen: dict | None = None,
) -> list[dict]:
    """One row per session with the columns that the studies and frozen models name.

    Parameters
    ----------
    bids_dir : root of the dataset; None for a simulated one, which has participants.tsv alone
    participants : rows of participants.tsv
    sessions : participant and session (or None) of all rows
    studies : of the checked configuration
    frozen : columns that frozen models need, see `frozen_columns`

    Returns
    -------
    Rows with participant_id, session_id and the columns as text, None where a table has no value

    Notes
    -----
    A value of the session goes before one of the participant. Columns, rows and people that no
    study names may look as they like, and so may those of sessions without a scan.

    Raises
    ------
    InputError
        If a named column is nowhere, in several tables of phenotype/, has two values, or stands
        in a table whose ids all lack their sub- or ses-, of which one is nearly another's, or none
        of which has scans.
    """
    named = named_columns(studies, frozen)
    tables = {"participants.tsv": participants}
    if bids_dir and named:
        tables |= _phenotype(bids_dir, named) | _sessions_tables(bids_dir, sessions, named)
    known = {*sessions, *((participant, None) for participant, _ in sessions)}
    everybody = {row["participant_id"] for row in participants} <= {name for name, _ in known}
    values: dict[str, dict] = {column: {} for column in named}
    places: dict[str, list] = {column: [] for column in named}
    problems = []
    # Participants first, so that what a session's table says replaces it.
    for table, rows in sorted(tables.items(), key=lambda entry: entry[0] != "participants.tsv"):
        for column in named.keys() & (rows[0].keys() if rows else ()):
            places[column].append(table)
            problems += _take(values[column], rows, column, table, known, everybody)
    for column, key in named.items():
        if not places[column]:
            found = sorted({name for rows in tables.values() for name in (rows[0] if rows else ())})
            problems.append(
                f"{key}: participants.tsv, sessions.tsv and phenotype/ have no column {column!r} "
                f"(found: {', '.join(found)}); correct the key or the table"
            )
        elif len(several := [t for t in places[column] if t.startswith("phenotype/")]) > 1:
            problems.append(
                f"{key}: column {column!r} stands in {' and '.join(several)}; rename one"
            )
    if problems:
        raise InputError(listing(problems))
    return [
        {"participant_id": participant, "session_id": session}
        | {
            column: values[column].get(
                (participant, session), values[column].get((participant, None))
            )
            for column in named
        }
        for participant, session in sessions
    ]


def add_scanners(rows: list[dict], index: list[dict], studies: dict) -> None:
    """Add to each session's row what the sidecars of its scans say of the scanner.

    Manufacturer, model and field strength, of each different one where a session has several,
    as the column `config.SIDECARS`. Only where a study takes its site from there. Capitals and
    other names of one company, model (`Prisma_fit`) or field (2.89 T) make no other scanner, nor
    does a sidecar that says less than another of the session.

    Raises
    ------
    InputError
        If no sidecar says any of it.
    """
    asking = [name for name, study in studies.items() if study.get("site") == SIDECARS]
    if not asking:
        return
    found: dict[tuple, set] = {}
    spellings: dict[str, str] = {}
    for scan in index:
        if scan["path"] and not is_derived(scan["suffix"]):
            session = scan["participant_id"], scan["session_id"]
            maker, model, field = _scanner(Path(scan["path"]))
            maker = spellings.setdefault(_maker(maker), maker)
            model = spellings.setdefault(_model(model), model)
            found.setdefault(session, set()).add((maker, model, field))
    for row in rows:
        scanners = found.get((row["participant_id"], row["session_id"]), set())
        fullest = [s for s in scanners if not any(_says_less(s, other) for other in scanners)]
        names = filter(None, (" ".join(filter(None, scanner)) for scanner in fullest))
        row[SIDECARS] = " and ".join(sorted(names)) or None
    if not any(row[SIDECARS] for row in rows):
        raise InputError(
            f"studies.{asking[0]}.site: no sidecar of the dataset has one of the fields "
            f"{', '.join(SCANNER)}; write the site into a column, and name it"
        )


def _scanner(image: Path) -> list[str]:
    """Manufacturer, model and field strength in an image's sidecars, empty where they have none."""
    metadata = read_metadata(image)
    *names, strength = (str(metadata.get(field) or "").strip() for field in SCANNER)
    strength = strength.rstrip("T ")
    return [*names, f"{_field(float(strength)):g} T" if NUMBER.fullmatch(strength) else ""]


def _maker(name: str) -> str:
    found = FIRMS.fullmatch(folded(name).replace("_", " "))
    return SHORTER.get(found[1], found[1]) if found else folded(name)


def _model(name: str) -> str:
    """A model's name in lower case, without what makes no other scanner of it."""
    return re.sub(r"[\W_]", "", REBUILT.sub("", RANGE.sub("", folded(name))))


def _field(strength: float) -> float:
    """The field that scanners of this strength are named by; the strength where there is none."""
    for unit in (1, 1e3, 1e4):
        for field in FIELDS_T:
            if abs(strength / unit - field) <= FIELD_TOLERANCE * field:
                return field
    return strength


def _says_less(one: tuple, other: tuple) -> bool:
    return one != other and all(a in ("", b) for a, b in zip(one, other, strict=True))


def _take(values: dict, rows: list[dict], column: str, table: str, known: set, everybody: bool):
    """Put a table's values of a column in, those of places that are known; yields what is wrong.

    ``everybody``: whether the known ones are all of the dataset.
    """
    if "participant_id" not in rows[0]:
        yield f"{table}: has no column participant_id, and {column!r} is used; add it"
        return
    for key, start in (("participant_id", "sub-"), ("session_id", "ses-")):
        ids = [row[key] for row in rows if row.get(key)]
        if ids and not any(one.startswith(start) for one in ids):
            yield f"{table}: {key} is {ids[0]!r}, and {column!r} is used; write {start}{ids[0]}"
            return
    seen, fits, mistaken = set(), False, _mistaken(known)
    for row in rows:
        place, value = (row["participant_id"], row.get("session_id")), row[column]
        who = " ".join(filter(None, place))
        if place not in known:
            if value is not None and (problem := mistaken(*place)):
                yield f"{table}: {problem}, and {column!r} is used; correct it"
            continue
        fits = True
        if place in seen:
            yield f"{table}: {who} has a second row, and {column!r} is used; keep one"
        elif value is not None and values.setdefault(place, value) != value:
            yield f"{table}: {column} of {who} is {value!r}, in another table {values[place]!r}"
        seen.add(place)
    if not fits and everybody:
        first = " ".join(filter(None, (rows[0]["participant_id"], rows[0].get("session_id"))))
        there = " ".join(filter(None, max(known, key=lambda place: (place[1] or "", place[0]))))
        yield (
            f"{table}: no row is of a participant and session with scans, and {column!r} is used; "
            f"correct the ids (its first is {first!r}, in the dataset there is {there!r})"
        )


def _mistaken(known: set):
    """Function of participant and session: which of those that are known may be meant."""
    people, sessions = {}, {}
    for participant, session in known:
        people[_bare(participant)] = participant
        if session:
            sessions[participant, _bare(session)] = session

    def problem(participant: str | None, session: str | None) -> str | None:
        if participant is None:
            return "a row has no participant_id"
        meant = people.get(_bare(participant))
        if meant not in (None, participant):
            return f"participant_id is {participant!r}, which nobody has, but {meant} is there"
        meant = session and sessions.get((participant, _bare(session)))
        if meant not in (None, session):
            return f"session_id of {participant} is {session!r}, but {meant} is there"
        return None

    return problem


def _bare(name: str) -> str:
    """An id without its sub- or ses-, leading zeros, case, blanks and punctuation."""
    letters = "".join(filter(str.isalnum, folded(name)))
    return letters.removeprefix("sub").removeprefix("ses").lstrip("0")


def phenotype_tables(bids_dir: Path) -> list[Path]:
    """Tables of phenotype/; names that begin with a dot are ignored.

    Raises
    ------
    InputError
        If the folder is there and cannot be read.
    """
    folder = bids_dir / "phenotype"
    if not is_there(folder):
        return []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(why_unreadable(folder, error)) from error
    return [folder / n for n in names if n.endswith(".tsv") and not n.startswith(".")]


def _phenotype(bids_dir: Path, named) -> dict[str, list[dict]]:
    return {
        f"phenotype/{file.name}": read_described(file, {*named, *SESSION})
        for file in phenotype_tables(bids_dir)
    }


def _sessions_tables(bids_dir: Path, sessions: list[tuple], named) -> dict[str, list[dict]]:
    """All sub-*_sessions.tsv as one table; a column that some lack is missing there.

    Raises
    ------
    InputError
        If one that has a named column says in a column participant_id that it is another's, or
        not of which sessions its rows are.
    """
    rows, above = [], read_dictionary(bids_dir / "sessions.json")
    for participant in sorted({name for name, session in sessions if session}):
        file = bids_dir / participant / f"{participant}_sessions.tsv"
        if is_there(file):
            read = read_described(file, {*named, *SESSION}, above)
            told = [row for row in read if not named.keys().isdisjoint(row)]
            if not all(row.get("session_id") for row in told):
                raise InputError(f"{file}: has rows without a session_id; write it, such as ses-01")
            ids = {row.get("participant_id") for row in told}
            if others := [one for one in ids if one and _bare(one) != _bare(participant)]:
                raise InputError(
                    f"{file}: has rows of {', '.join(sorted(others))}; keep those of {participant} "
                    "alone, or correct participant_id"
                )
            rows += [row | {"participant_id": participant} for row in read]
    columns = {column: None for row in rows for column in row}
    return {"sessions.tsv": [columns | row for row in rows]} if rows else {}


def write_clinical(rows: list[dict], path: Path) -> None:
    """Keep the rows for the processes of the jobs."""
    fields = [*SESSION, *(name for name in (rows[0] if rows else ()) if name not in SESSION)]
    write_rows(rows, fields, path)


def columns_of_study(study: dict) -> list[str]:
    """Columns of the participants' tables that a study's analyses read."""
    keys = columns_by_key(study).items()
    apart = ("label", "within_days")
    read = [column for key, columns in keys if key not in apart for column in columns]
    return list(dict.fromkeys(read))
