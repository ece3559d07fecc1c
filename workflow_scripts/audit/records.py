"""The records of all jobs of an output folder, and the manifest of its files.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import csv
import hashlib
import io
import json
from contextlib import contextmanager
from pathlib import Path

from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum, write_whole

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

    def shortened(text: str) -> str:
        for uri, folder in places.items():
            if text.startswith(f"{folder}/"):
                return uri + text[len(folder) + 1 :]
        return text

    return with_texts(value, shortened)


def with_paths(value, places: dict[str, str]):
    """The reverse of `with_uris`."""

    def located(text: str) -> str:
        for uri, folder in places.items():
            if text.startswith(uri):
                return f"{folder}/{text[len(uri) :]}"
        return text

    return with_texts(value, located)


def with_texts(value, change):
    """A copy of a record, or a part of one, in which every text is replaced by ``change`` of it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    return value


def files_of(entries: list[dict]) -> list[dict]:
    """Files of a record's inputs or outputs, those in folders one by one."""
    return [file for entry in entries for file in entry.get("files", [entry])]


def read_jobs(root: Path) -> dict[str, dict]:
    """Records by job, which goes by the path of its log.

    Parameters
    ----------
    root : output folder

    Raises
    ------
    InputError
        If they cannot be read.
    """
    if not (root / JOBS).is_file():
        return {}
    with readable(root / JOBS), open(root / JOBS) as file:
        return {record["job"]: record for record in map(json.loads, file)}


@contextmanager
def readable(path: Path):
    """Name the file of records that is cut off, or is something else."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); put it back from a backup, "
            "or run the study anew in another output_dir"
        ) from None


def read_environments(root: Path) -> dict[str, dict]:
    """Software and machine of the jobs, by the key that stands in their records."""
    path = root / ENVIRONMENTS
    return _read_json(path) if path.is_file() else {}


def producers(jobs: dict[str, dict]) -> dict[str, dict]:
    """The record of the job that made a file, by path; the last one where there are several."""
    made = sorted(jobs.values(), key=lambda record: record["started"])
    return {file["path"]: record for record in made for file in files_of(record["outputs"])}


def parameter(record: dict, name: str):
    """A parameter of a job; None if it has none of that name."""
    if name not in record["names"]["params"]:
        return None
    first, end = record["names"]["params"][name]
    return record["params"][first] if end is None else record["params"][first:end]


def write_json(value, path: Path) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n")


def write_jobs(jobs: dict[str, dict], path: Path) -> None:
    """Write records, a line each, in the order of the jobs' names."""
    write_whole(path, "".join(json.dumps(jobs[job]) + "\n" for job in sorted(jobs)))


def gather(
    root: Path, left: list[Path], places: dict, temporary: dict[str, list], run: str
) -> tuple[dict[str, dict], dict[str, dict], list[str]]:
    """Records of the output folder and those that jobs have left in the spool.

    Parameters
    ----------
    root : output folder
    left : files of the spool; whoever has kept all that depends on them removes them
    places : as in `with_uris`
    temporary : for each rule, for each of its outputs, whether Snakemake removes it after use
    run : name of this run

    Returns
    -------
    all records by job, all environments by key, and the jobs whose records are new
    """
    jobs, environments = read_jobs(root), read_environments(root)
    new = []
    for path in left:
        try:
            record = json.loads(path.read_text())
        except ValueError:  # as a power cut leaves it; the results are EXTRA to an audit
            continue
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
    return jobs, environments, new


def retire(jobs: dict[str, dict], sessions: set[str]) -> list[str]:
    """Drop the records of sessions that are in the dataset no more.

    Parameters
    ----------
    jobs : records by job
    sessions : ``sub-...`` or ``sub-..._ses-...`` of those that have a scan

    Returns
    -------
    the sessions whose records were dropped
    """
    gone = set()
    for job, record in list(jobs.items()):
        session = record["wildcards"].get("prefix")
        if session and session not in sessions:
            gone.add(session)
            del jobs[job]
    return sorted(gone)


def read_otherwise(jobs: dict[str, dict], recorded: dict[str, str]):
    """Inputs that jobs have found with another content than is on record.

    Parameters
    ----------
    jobs : records by job
    recorded : SHA-256 by path; a file that is not in it is another content

    Yields
    ------
    record of the job, path, SHA-256 that was found
    """
    for record in jobs.values():
        for file in files_of(record["inputs"]):
            path = file["path"]
            if "sha256" in file and file["sha256"] != recorded.get(path):
                yield record, path, file["sha256"]


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
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, "n/a", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def read_manifest(path: Path) -> list[dict]:
    """Rows of a manifest as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_runs(root: Path) -> list[dict]:
    """Records of all runs, the first one first."""
    return [_read_json(path) for path in _run_files(root)]


def last_run(root: Path) -> dict:
    """Record of the last run; empty where there is none."""
    paths = _run_files(root)
    return _read_json(paths[-1]) if paths else {}


def _run_files(root: Path) -> list[Path]:
    return sorted((root / RUNS).glob("*.json"))


def _read_json(path: Path) -> dict:
    with readable(path):
        return json.loads(path.read_text())


def run_file(name: str) -> Path:
    """Where the record of a run is kept, in the output folder."""
    return RUNS / f"{name}.json"


def rewritten(root: Path, files: dict[str, dict]) -> list[str]:
    """Files of records whose checksums are not those that a run has kept, or that are gone."""
    return [
        name
        for name, kept in files.items()
        if not (root / name).is_file() or checksum(root / name) != kept
    ]
