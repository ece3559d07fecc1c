"""The records of all jobs of an output folder, and the manifest of its files.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import csv
import hashlib
import json
import re
from pathlib import Path

JOBS = Path("audit/jobs.jsonl")
ENVIRONMENTS = Path("audit/environments.json")
MANIFEST = Path("audit/manifest.tsv")
RUNS = Path("audit/runs")
FIELDS = ["path", "kind", "bytes", "sha256", "rule", "job", "started"]


def with_uris(value, places: dict[str, str]):
    """A copy of a record in which paths below a place begin with its BIDS URI.

    So that a dataset can be moved, and no path of a machine stands in the records.

    Parameters
    ----------
    value : str, list, dict, or anything else, which stays as it is
    places : folder by URI, such as ``{"bids:raw:": "/data/study"}``
    """
    if isinstance(value, str):
        for uri, folder in places.items():
            if value.startswith(f"{folder}/"):
                return uri + value[len(folder) + 1 :]
        return value
    return _mapped(value, with_uris, places)


def with_paths(value, places: dict[str, str]):
    """The reverse of `with_uris`."""
    if isinstance(value, str):
        for uri, folder in places.items():
            if value.startswith(uri):
                return f"{folder}/{value[len(uri) :]}"
        return value
    return _mapped(value, with_paths, places)


def _mapped(value, function, places):
    if isinstance(value, dict):
        return {key: function(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [function(item, places) for item in value]
    return value


def files_of(entries: list[dict]) -> list[dict]:
    """Files of a record's inputs or outputs, those in folders one by one."""
    return [file for entry in entries for file in entry.get("files", [entry])]


def read_jobs(root: Path) -> dict[str, dict]:
    """Records by job, which goes by the path of its log.

    Parameters
    ----------
    root : output folder
    """
    if not (root / JOBS).is_file():
        return {}
    with open(root / JOBS) as file:
        return {record["job"]: record for record in map(json.loads, file)}


def read_environments(root: Path) -> dict[str, dict]:
    """Software and machine of the jobs, by the key that stands in their records."""
    path = root / ENVIRONMENTS
    return json.loads(path.read_text()) if path.is_file() else {}


def producers(jobs: dict[str, dict]) -> dict[str, dict]:
    """The record of the job that made a file, by path; the last one where there are several."""
    made = sorted(jobs.values(), key=lambda record: record["started"])
    return {file["path"]: record for record in made for file in files_of(record["outputs"])}


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that it is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def gather(
    root: Path, left: list[Path], places: dict, temporary: dict[str, list], run: str
) -> list[str]:
    """Put records that jobs have left in the spool among those of the output folder.

    Parameters
    ----------
    root : output folder
    left : files of the spool; whoever has kept all that depends on them removes them
    places : as in `with_uris`
    temporary : for each rule, for each of its outputs, whether Snakemake removes it after use
    run : name of this run

    Returns
    -------
    Jobs whose records are new
    """
    jobs, environments = read_jobs(root), read_environments(root)
    new = []
    for path in left:
        record = json.loads(path.read_text())
        flags = temporary.get(record["rule"], [False] * len(record["outputs"]))
        for entry, flag in zip(record["outputs"], flags, strict=True):
            entry["temporary"] = flag
        if not all((root / e["path"]).exists() for e in record["outputs"] if not e["temporary"]):
            jobs.pop(record["job"], None)  # Snakemake has failed the job and removed its outputs
            continue
        found = json.dumps(record["environment"], sort_keys=True)
        key = hashlib.sha256(found.encode()).hexdigest()[:12]
        environments[key] = record["environment"]
        record |= {"environment": key, "run": run}
        jobs[record["job"]] = with_uris(record, places)
        new.append(record["job"])
    lines = [json.dumps(jobs[job]) for job in sorted(jobs)]
    write_whole(root / ENVIRONMENTS, json.dumps(environments, indent=1) + "\n")
    write_whole(root / JOBS, "\n".join(lines) + "\n")
    return new


def read_otherwise(jobs: dict[str, dict], of: list[str]) -> dict[str, str]:
    """Inputs that jobs have found with another content than the jobs that made them wrote.

    Parameters
    ----------
    jobs : records by job
    of : jobs whose inputs are looked at

    Returns
    -------
    rule that read it, by path
    """
    written = {
        file["path"]: file["sha256"]
        for record in jobs.values()
        for file in files_of(record["outputs"])
    }
    return {
        file["path"]: jobs[job]["rule"]
        for job in of
        for file in files_of(jobs[job]["inputs"])
        if "sha256" in file and file["sha256"] != written.get(file["path"], file["sha256"])
    }


def manifest(jobs: dict[str, dict]) -> list[dict]:
    """A row for each file that jobs have made, or read without one having made it.

    ``kind`` is ``input`` for these, ``temporary`` for what Snakemake removes after use, and
    ``result``.
    """
    rows = {}
    made = producers(jobs)
    for record in sorted(jobs.values(), key=lambda record: record["started"]):
        told = {key: record[key] for key in ("rule", "job", "started")}
        for entry in record["outputs"]:
            kind = "temporary" if entry["temporary"] else "result"
            for file in files_of([entry]):
                rows[file["path"]] = {"kind": kind, **_sums(file), **told}
        for file in files_of(record["inputs"]):
            if file["path"] not in made and "sha256" in file:
                rows[file["path"]] = {"kind": "input", **_sums(file)}
    return [{"path": path, **rows[path]} for path in sorted(rows)]


def _sums(file: dict) -> dict:
    return {key: file[key] for key in ("bytes", "sha256")}


def write_manifest(rows: list[dict], path: Path) -> None:
    """Write a manifest as TSV, n/a where there is nothing to say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, "n/a", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def read_manifest(path: Path) -> list[dict]:
    """Rows of a manifest as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def last_run(root: Path) -> dict:
    """Record of the last run; empty where there is none."""
    runs = sorted((root / RUNS).glob("*.json"))
    return json.loads(runs[-1].read_text()) if runs else {}


def participant_of(path: str) -> str | None:
    """``sub-...`` of a file in a participant's folder, or named after one."""
    found = re.search(r"(?:^|[/:])(sub-[A-Za-z0-9]+)(?:/|_)", path)
    return found.group(1) if found else None
