"""From a file, or a cell of a table, back to the raw scans.

python -m workflow_scripts.audit.trace results/studies/study/metrics.tsv
python -m workflow_scripts.audit.trace results/cohort/features.tsv sub-014 alps
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter, deque
from pathlib import Path

from workflow_scripts.audit.records import (
    JOBS,
    files_of,
    parameter,
    producers,
    read_jobs,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum

SHOWN = 3
# Rules whose tables say of a participant what was found in that participant's scans alone.
OF_EACH_ROW = {"collect_features", "tabulate_cohort"}
# Rules that wait for their inputs and read none of them.
WAITING = {"freeze_population"}


def find_root(path: Path) -> Path:
    """The output folder that a file lies in.

    Raises
    ------
    InputError
        If no folder above it has records.
    """
    for folder in path.absolute().parents:
        if (folder / JOBS).is_file():
            return folder
    raise InputError(f"{path}: no folder above it has {JOBS}; name a file of an output folder")


def find_cell(path: Path, row: str, column: str) -> tuple[dict, str]:
    """Row of a table and the value in a column.

    Parameters
    ----------
    row : number of the line, the header being 1; or what stands in any cell of one row alone,
        such as a participant
    column : name

    Raises
    ------
    InputError
        If there is no such column, or not one such row.
    """
    if path.suffix != ".tsv":
        raise InputError(f"{path}: rows and columns are those of a .tsv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows:
        raise InputError(f"{path}: has no rows")
    if column not in rows[0]:
        raise InputError(f"{path}: no column {column}; columns: {', '.join(rows[0])}")
    if row.isdecimal():
        found = rows[int(row) - 2 : int(row) - 1] if int(row) > 1 else []
    else:
        found = [line for line in rows if row in line.values()]
    if len(found) != 1:
        raise InputError(f"{path}: {len(found)} rows are {row}; give the number of a line")
    return found[0], found[0][column]


def participant_of(path: str) -> str | None:
    """``sub-...`` of a file in a participant's folder, or named after one."""
    found = re.search(r"(?:^|[/:])(sub-[A-Za-z0-9]+)(?:/|_)", path)
    return found.group(1) if found else None


def upstream(jobs: dict, path: str, participant: str | None = None) -> tuple[list, dict]:
    """Records of the jobs behind a file, nearest first, and the files that none of them made.

    Parameters
    ----------
    jobs : records by job
    path : as on record
    participant : if given, files of other participants are not followed

    Returns
    -------
    records, and checksums by path of the files at the beginning
    """
    made, found, raw = producers(jobs), {}, {}
    queue = deque([path])
    seen = {path}
    while queue:
        name = queue.popleft()
        record = made.get(name)
        if record is None or record["job"] in found:
            continue
        found[record["job"]] = record
        for file in files_of(record["inputs"]) if record["rule"] not in WAITING else ():
            name = file["path"]
            if participant and participant_of(name) not in (None, participant):
                continue
            if name not in made:
                raw[name] = raw.get(name) or file.get("sha256")
            elif name not in seen:
                seen.add(name)
                queue.append(name)
    return list(found.values()), raw


def tell_file(root: Path, path: str, record: dict) -> str:
    """Is the file still the one on record?"""
    made = {f["path"]: (f, entry) for entry in record["outputs"] for f in files_of([entry])}
    kept, entry = made[path]
    if not (root / path).is_file():
        return "removed after use" if entry["temporary"] else "MISSING, though not to be removed"
    same = checksum(root / path)["sha256"] == kept["sha256"]
    return f"SHA-256 {kept['sha256']}" if same else "CHANGED since the job wrote it"


def some(names: list[str]) -> str:
    """The first of some names, and how many there are."""
    names = sorted(names)
    more = f", ... ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def tell_rules(records: list[dict], raw: dict, every: bool) -> list[str]:
    """Lines on the jobs, rule by rule, and on the files at the beginning."""
    lines, rules = [], {}
    for record in records:
        rules.setdefault(record["rule"], []).append(record)
    made_by = {
        file["path"]: record["rule"] for record in records for file in files_of(record["outputs"])
    }
    for rule, of_rule in rules.items():
        last = max(of_rule, key=lambda record: record["started"])
        inputs = Counter(
            made_by.get(file["path"], "dataset")
            for record in of_rule
            for file in files_of(record["inputs"])
            if file["path"] in made_by or file["path"] in raw
        )
        code = parameter(last, "code") or "n/a"
        lines.append(f"{rule}: {len(of_rule)} job{'s' * (len(of_rule) > 1)}, code {code}")
        lines.append(f"  run {last['run']}, {last['started'][:19]} UTC on {last['host']}")
        lines.append("  logs  " + some([record["job"] for record in of_rule]))
        if inputs:
            lines.append("  from  " + ", ".join(f"{name} ({n})" for name, n in inputs.items()))
        if len(of_rule) == 1:
            told = [name for name in last["names"]["params"] if name != "code"]
            lines += [f"  {name} = {shorten(parameter(last, name))}" for name in told]
    lines.append(f"files of the dataset and the configuration: {len(raw)}")
    shown = sorted(raw) if every else sorted(raw)[: 4 * SHOWN]
    lines += [f"  {path}  {raw[path] or '(not read whole)'}" for path in shown]
    if len(shown) < len(raw):
        lines.append(f"  ... and {len(raw) - len(shown)} more (--all)")
    return lines


def shorten(value, longest: int = 100) -> str:
    text = json.dumps(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def trace(path: Path, row: str | None, column: str | None, every: bool) -> str:
    """What is on record of a file or a cell, as text.

    Raises
    ------
    InputError
        If the file, its record, the row or the column is not there.
    """
    root = find_root(path)
    name = path.absolute().relative_to(root).as_posix()
    jobs = read_jobs(root)
    record = producers(jobs).get(name)
    if record is None:
        raise InputError(f"{name}: no job on record has made it")
    lines, participant = [], None
    if row:
        found, value = find_cell(path, row, column)
        if record["rule"] in OF_EACH_ROW:
            participant = found.get("participant_id")
        dictionary = path.with_suffix(".json")
        told = json.loads(dictionary.read_text()) if dictionary.is_file() else {}
        described = told.get(column, {})
        lines.append(f"{column} = {value} {described.get('Units', '')}".rstrip())
        lines += [f"  {text}" for key, text in described.items() if key != "Units"]
        lines.append("  row   " + ", ".join(f"{k} {v}" for k, v in list(found.items())[:4]))
    lines.append(f"{name}: {tell_file(root, name, record)}")
    records, raw = upstream(jobs, name, participant)
    return "\n".join(lines + tell_rules(records, raw, every))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="in an output folder")
    parser.add_argument("row", nargs="?", help="number of a line, or what stands in one row alone")
    parser.add_argument("column", nargs="?", help="name of a column")
    parser.add_argument("--all", action="store_true", help="name every file of the dataset")
    given = parser.parse_args()
    if given.row and not given.column:
        parser.error("a row needs a column")
    try:
        print(trace(given.file, given.row, given.column, given.all))
    except (InputError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
