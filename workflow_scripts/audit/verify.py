"""Does an output folder hold what its records say?"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workflow_scripts.audit.record_run import CRATE, script_of
from workflow_scripts.audit.records import (
    JOBS,
    MANIFEST,
    files_of,
    manifest,
    parameter,
    read_jobs,
    read_manifest,
    read_otherwise,
    read_runs,
    readable,
    rewritten,
    run_file,
    with_paths,
)
from workflow_scripts.common.fingerprint import contents, fingerprint
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum

PROBLEMS = {
    "CHANGED": "not the file that the job wrote, or that was read",
    "MISSING": "was there when the run ended",
    "EXTRA": "no job on record has made it",
    "STALE": "made from another version of an input than lies there now",
    "CODE": "the code of the rule has changed since",
    "RECORD": "the records contradict each other, or are not as they were left",
    "DIFFERS": "the job done again made another file",
    "FAILED": "the job could not be done again",
}
# Not made by jobs: what Snakemake, the records and a training on its way keep.
OUTSIDE = {".snakemake", "audit", "benchmarks", "logs", "releases", str(CRATE)}
REWRITTEN = {"cohort/index.tsv", "cohort/clinical.tsv", "cohort/status.tsv", "cohort/status.json"}
REWRITTEN |= {"cohort/exclusions_rated.tsv"}
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
    jobs, runs = read_jobs(root), read_runs(root)
    if not jobs or not runs:
        raise InputError(
            f"{root}/audit: no record of a run; run the workflow first (after a run that was "
            "killed: snakemake --force cohort/check.txt)"
        )
    with readable(root / JOBS):
        rows = manifest(jobs)
    findings = [
        *check_runs(root, runs),
        *check_manifest(root, rows),
        *check_files(root, rows, places, threads),
        *check_extra(root, rows),
        *check_inputs(jobs, rows, root, places),
        *check_code(jobs, root),
    ]
    return findings, jobs


def check_runs(root: Path, runs: list[dict]):
    """Are the records as each run has left them to the next, and the last one to us?"""
    last = runs[-1]
    for name in rewritten(root, last["files"]):
        yield Finding(name, "RECORD", f"not as run {last['run']} has left it, or gone")
    for run in runs:
        for name in run.get("found_rewritten", []):
            detail = f"was not as the run before had left it when run {run['run']} ended"
            yield Finding(name, "RECORD", detail)
        for name in rewritten(root, run.get("previous", {})):
            yield Finding(name, "RECORD", f"not as run {run['run']} has found it, or gone")


def check_manifest(root: Path, rows: list[dict]):
    """Does the manifest say what the records of the jobs say?"""
    if (root / MANIFEST).is_file():
        fields = ("path", "kind", "bytes", "sha256")
        written = {tuple(row.get(key) for key in fields) for row in read_manifest(root / MANIFEST)}
        told = {tuple(str(row[key]) for key in fields) for row in rows}
        for path, *_ in sorted(written ^ told, key=str):
            yield Finding(str(MANIFEST), "RECORD", f"says of {path} other than {JOBS}")


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
        linked = [name for name in names if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *linked]:
            path = os.fsencode(inside / name).decode(errors="replace")
            if path not in known and not name.endswith(IGNORED):
                yield Finding(path, "EXTRA", PROBLEMS["EXTRA"])


def check_inputs(jobs: dict[str, dict], rows: list[dict], root: Path, places: dict):
    """Was everything made from the versions of its inputs that are on record, or that lie there?

    What was made from a result edited by hand is not out of date; the result itself is CHANGED.
    """

    @cache
    def lies_there(path: str) -> str | None:
        now = root / with_paths(path, places)
        return checksum(now)["sha256"] if now.is_file() else None

    recorded = {row["path"]: row["sha256"] for row in rows}
    for record, path, read in read_otherwise(jobs, recorded):
        if path in REWRITTEN or lies_there(path) == read:
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
    path = root / run_file(run)
    if not path.is_file():
        return f"{path} is missing, which says more"
    then, now = json.loads(path.read_text())["code"], contents(script)
    return ", ".join(name for name in now if then.get(name) != now[name]) or "a file less"
