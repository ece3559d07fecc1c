"""Does an output folder hold what its records say?"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.audit.record_run import CRATE, script_of
from workflow_scripts.audit.records import (
    MANIFEST,
    RUNS,
    files_of,
    last_run,
    manifest,
    parameter,
    read_jobs,
    read_manifest,
    read_otherwise,
    with_paths,
)
from workflow_scripts.common.fingerprint import contents, fingerprint
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum

PROBLEMS = {
    "CHANGED": "not the file that the job wrote, or that was read",
    "MISSING": "was there when the run ended",
    "EXTRA": "no job has made it",
    "STALE": "made from another version of an input than lies there now",
    "CODE": "the code of the rule has changed since",
    "RECORD": "the records contradict each other",
    "DIFFERS": "the job done again made another file",
    "FAILED": "the job could not be done again",
}
# Not made by jobs: what Snakemake, the records and a training on its way keep.
OUTSIDE = {".snakemake", "audit", "benchmarks", "logs", "releases", str(CRATE)}
REWRITTEN = {"cohort/index.tsv", "cohort/status.tsv", "cohort/status.json"}
# Of a training on its way, and of Snakemake in the folders that it has made.
IGNORED = (".checkpoint", ".snakemake_timestamp")


@dataclass(frozen=True)
class Finding:
    """A problem with a file; ``rule`` and ``job`` made it, where one did."""

    path: str
    problem: str
    detail: str
    rule: str | None = None
    job: str | None = None


def verify(root: Path, places: dict, threads: int = 1) -> tuple[list[Finding], dict[str, dict]]:
    """Compare an output folder and what it was made from with the records.

    Parameters
    ----------
    root : output folder
    places : as in `workflow_scripts.audit.records.with_uris`
    threads : that read files

    Returns
    -------
    problems, and the records by job

    Raises
    ------
    InputError
        If there are no records.
    """
    jobs, run = read_jobs(root), last_run(root)
    if not jobs or not run:
        raise InputError(f"{root}/audit: no record of a run; run the workflow first")
    rows = manifest(jobs)
    findings = [
        *check_records(root, rows, run),
        *check_files(root, rows, places, threads),
        *check_extra(root, rows),
        *check_inputs(jobs, rows),
        *check_code(jobs, root),
    ]
    return findings, jobs


def check_records(root: Path, rows: list[dict], run: dict):
    """Are the records those that the last run has left, and is the manifest theirs?"""
    for name, kept in run["files"].items():
        path = root / name
        if not path.is_file():
            yield Finding(name, "MISSING", f"written by run {run['run']}")
        elif checksum(path) != kept:
            yield Finding(name, "RECORD", f"not as run {run['run']} has left it")
    if (root / MANIFEST).is_file():
        fields = ("path", "kind", "bytes", "sha256")
        written = {tuple(row[key] for key in fields) for row in read_manifest(root / MANIFEST)}
        for path, *_ in sorted(written ^ {tuple(str(row[key]) for key in fields) for row in rows}):
            yield Finding(str(MANIFEST), "RECORD", f"says of {path} other than audit/jobs.jsonl")


def check_files(root: Path, rows: list[dict], places: dict, threads: int):
    """Is every file there as it was?"""

    def look(row: dict) -> Finding | None:
        path = root / with_paths(row["path"], places)
        found = checksum(path) if path.is_file() else None
        if found == {key: row[key] for key in ("bytes", "sha256")}:
            return None
        if not found and row["kind"] == "temporary":
            return None
        problem, detail = "MISSING", PROBLEMS["MISSING"]
        if found:
            problem = "CHANGED"
            detail = f"SHA-256 {found['sha256'][:12]}, on record {row['sha256'][:12]}"
        return Finding(row["path"], problem, detail, row.get("rule"), row.get("job"))

    looked = [row for row in rows if row["path"] not in REWRITTEN]
    with ThreadPoolExecutor(threads) as pool:
        yield from filter(None, pool.map(look, looked))


def check_extra(root: Path, rows: list[dict]):
    """Are there files that no job has made?"""
    known = {row["path"] for row in rows} | REWRITTEN
    for folder, names, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        if inside == Path():
            names[:] = [name for name in names if name not in OUTSIDE]
            files = [name for name in files if name not in OUTSIDE]
        for name in files:
            path = (inside / name).as_posix()
            if path not in known and not name.endswith(IGNORED):
                yield Finding(path, "EXTRA", PROBLEMS["EXTRA"])


def check_inputs(jobs: dict[str, dict], rows: list[dict]):
    """Was everything made from the versions of its inputs that are on record?"""
    recorded = {row["path"]: row["sha256"] for row in rows}
    for record, path in read_otherwise(jobs, recorded):
        if path in REWRITTEN:
            continue
        detail = f"was made from another version of {path}"
        for made in files_of(record["outputs"]):
            yield Finding(made["path"], "STALE", detail, record["rule"], record["job"])


def check_code(jobs: dict[str, dict], root: Path):
    """Is the code of every rule still that which its jobs ran?"""
    rules: dict[tuple, list[dict]] = {}
    for record in jobs.values():
        rules.setdefault((record["rule"], parameter(record, "code")), []).append(record)
    for (rule, code), records in sorted(rules.items(), key=str):
        script = script_of(rule)
        if script and code in (None, fingerprint(script)):
            continue
        path = f"workflow_scripts/{script}" if script else f"rule {rule}"
        changed = changed_code(script, records[0]["run"], root) if script else "is no more"
        detail = f"{len(records)} jobs ran other code: {changed}"
        yield Finding(path, "CODE", detail, rule, records[0]["job"])


def changed_code(script: str, run: str, root: Path) -> str:
    """Files of a script's code that are not as in a run, for a message."""
    path = root / RUNS / f"{run}.json"
    if not path.is_file():
        return f"{path} is missing, which says more"
    then, now = json.loads(path.read_text())["code"], contents(script)
    return ", ".join(name for name in now if then.get(name) != now[name]) or "a file less"
