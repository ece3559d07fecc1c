"""Release of the studies: tables, splits, models and records; no image, no path, no host.

The release is a folder of its own, which another site verifies with ``sha256sum -c
SHA256SUMS`` and whose models score new sessions (configuration: ``frozen_models``).
"""

import re
import shutil
import zipfile
from pathlib import Path

import yaml

from workflow_scripts.audit.crate import describe_crate
from workflow_scripts.audit.record_run import CODE, CRATE, SNAKEFILE
from workflow_scripts.audit.records import (
    ENVIRONMENTS,
    JOBS,
    MANIFEST,
    manifest,
    read_environments,
    read_runs,
    with_texts,
    write_jobs,
    write_json,
    write_manifest,
)
from workflow_scripts.audit.verify import verify
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.record import checksum
from workflow_scripts.common.resources import resource

RELEASED = ["studies/*/*.tsv", "studies/*/*.json", "studies/*/models/*_model.*"]
RELEASED += ["studies/*/models/*_stack.json", "segmentation/*_fold-0_model.*"]
RELEASED += ["studies/*/models/*_encoder.*", "studies/*/models/*.tsv", "studies/*/gradcam/*.tsv"]
RELEASED += ["studies/*/gradcam/*.json", "cohort/features.*", "cohort/outliers.*", "published/*"]
RELEASED += ["report/checklist.*"]
TEXTS = {".tsv", ".json", ".jsonl", ".yaml", ".md"}
SUMS = "SHA256SUMS"
# Of the code, what users fill in with their own paths and accounts.
OWN = ("config.yaml", "profiles/slurm/")
PART = r'[^\s",:*?]+'
ABSOLUTE = re.compile(rf"(?:(?<![\w:/.])|(?<=\w:)(?!//)|(?<=file://))/{PART}/{PART}")
# A text, or the value of an option, that is a path and nothing else; it may have spaces.
WHOLE = re.compile(r"(?P<option>[\w-]+=)?(?:/|\.\./)(?:[^:\n]*/)?(?P<name>[^/:\n]+)/?")


def without_paths(value):
    """A copy of a record in which of paths out of the output folder only the name is left."""

    def named(text: str) -> str:
        if whole := WHOLE.fullmatch(text):
            return f"{whole['option'] or ''}(path)/{whole['name']}"
        return ABSOLUTE.sub(lambda found: f"(path)/{found.group().rsplit('/', 1)[1]}", text)

    return with_texts(value, named)


def without_place(record: dict) -> dict:
    """A copy of a record without the machine's name and without absolute paths."""
    return without_paths({key: part for key, part in record.items() if key != "host"})


def released_run(run: dict) -> dict:
    """Record of a run without the machine's name and without absolute paths."""
    command = ["snakemake", *run["command"][1:]]
    return without_place(run | {"hardware": without_place(run["hardware"]), "command": command})


def released_files(root: Path, rows: list[dict]) -> list[str]:
    """Files on a manifest that go into a release, relative to the output folder."""
    found = {path for pattern in RELEASED for path in root.glob(pattern) if path.is_file()}
    made = {row["path"] for row in rows if row["kind"] == "result"}
    return sorted(made & {path.relative_to(root).as_posix() for path in found})


def release_code(archive: Path, target: Path) -> None:
    """Copy an archive of the code, without what users fill in."""
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w") as released:
        for entry in whole.infolist():
            if not entry.filename.startswith(OWN):
                released.writestr(entry, whole.read(entry))


def identifying(folder: Path, names: list[str]) -> list[str]:
    """Files of a release in which a name of this place or an absolute path stands.

    Parameters
    ----------
    names : that must not stand in any file, such as that of the machine
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in TEXTS:
            continue
        text = path.read_text()
        hits = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
        hits += [absolute.group() for absolute in [ABSOLUTE.search(text)] if absolute]
        if hits:
            found.append(f"{path.relative_to(folder)}: {hits[0]}")
    return found


def write_release(root: Path, folder: Path, title: str, jobs: dict, run: dict) -> list[str]:
    """Fill an empty folder with the release of an output folder.

    Parameters
    ----------
    jobs, run : records by job, and that of the last run

    Returns
    -------
    Names of its files
    """
    told = released_run(run)
    records = {name: without_place(record) for name, record in jobs.items()}
    rows = manifest(records)
    kept = [*released_files(root, rows), str(SNAKEFILE)]
    for name in kept:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / name)
    release_code(root / CODE, folder / CODE)
    write_jobs(records, folder / JOBS)
    write_json(without_paths(read_environments(root)), folder / ENVIRONMENTS)
    write_manifest(rows, folder / MANIFEST)
    write_json(told, folder / "audit/run.json")
    (folder / "config.yaml").write_text(yaml.safe_dump(told["config"], sort_keys=False))
    shutil.copyfile(resource("release.md"), folder / "README.md")
    here = [row | {"kind": row["kind"] if row["path"] in kept else "temporary"} for row in rows]
    crate = describe_crate(title, records, here, told, str(SNAKEFILE))
    write_json(crate, folder / CRATE)
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    sums = [f"{checksum(folder / name)['sha256']}  {name}" for name in names]
    (folder / SUMS).write_text("\n".join(sums) + "\n")
    return names


def whole_run(root: Path) -> dict:
    """Record of the last run that was about all participants.

    Raises
    ------
    InputError
        If it has failed, or there is none.
    """
    runs = [run for run in read_runs(root) if not run["config"]["participants"]]
    if not runs or not runs[-1]["succeeded"]:
        raise InputError(
            "the last run for all participants has failed, or there is none; run the workflow, or "
            "exclude the scans that fail, before you release it"
        )
    return runs[-1]


def freeze(root: Path, places: dict, title: str, threads: int) -> str:
    """Verify an output folder and make a release of it in ``releases/<last run>``.

    Returns
    -------
    A line for the user

    Raises
    ------
    InputError
        If a file is not as recorded, the last run has failed, the release is there, or
        something in it identifies the place.
    """
    findings, jobs = verify(root, places, threads)
    if findings:
        raise InputError(
            f"{len(findings)} files or records are not as the run left them, the first is "
            f"{findings[0].path} ({findings[0].problem}: {findings[0].detail}); see "
            "'snakemake audit' and run the workflow again before you release it"
        )
    run = whole_run(root)
    folder = root / "releases" / run["run"]
    if folder.exists():
        raise InputError(f"{folder}: is there; nothing was made since")
    partial = folder.with_name(f".{run['run']}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names = write_release(root, partial, title, jobs, run)
    hosts = {record["host"] for record in jobs.values()} | {run["hardware"]["host"]}
    if found := identifying(partial, sorted(hosts)):
        raise InputError(
            "the release would tell of this place:\n  "
            + "\n  ".join(found[:20])
            + f"\nlook at {partial}; rename what says it, run the workflow and freeze again"
        )
    partial.replace(folder)
    digest = checksum(folder / SUMS)["sha256"]
    return f"{len(names)} files in {folder}; SHA-256 of {SUMS}: {digest}"


def main(params, threads):
    """Release the studies of the output folder that the process is in."""
    print(freeze(Path.cwd(), params.places, params.title, threads))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.params, snakemake.threads)
