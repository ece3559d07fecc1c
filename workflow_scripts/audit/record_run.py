"""What a run leaves in ``audit/`` when it ends.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import io
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from workflow_scripts import __version__
from workflow_scripts.audit.records import (
    ENVIRONMENTS,
    JOBS,
    MANIFEST,
    gather,
    last_run,
    manifest,
    read_otherwise,
    retire,
    rewritten,
    run_file,
    with_uris,
    write_jobs,
    write_json,
    write_manifest,
)
from workflow_scripts.audit.run_time import run_times, write_run_times
from workflow_scripts.common.fingerprint import PACKAGE, contents
from workflow_scripts.common.record import SPOOL, checksum, processor, write_whole

CRATE = Path("ro-crate-metadata.json")
SNAKEFILE = Path("audit/Snakefile")
CODE = Path("audit/workflow.zip")
RUN_TIME = Path("audit/run_time.tsv")
KEPT_CODE = ["Snakefile", "Makefile", "README.md", "LICENSE", "CITATION.cff", "config.yaml"]
KEPT_CODE += ["docs", "envs", "profiles", "resources", "rules", "workflow_scripts"]
SINCE_1980 = (1980, 1, 1, 0, 0, 0)


def git(*arguments: str) -> str | None:
    """What git says of the clone; None where it is none."""
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def software() -> dict:
    """Version of this workflow, its commit, and every Python package beside it."""
    changed = git("status", "--porcelain", "--untracked-files=no")
    return {
        "neuroimmune-mri": __version__,
        "commit": git("rev-parse", "HEAD"),
        "changed_since_commit": changed.splitlines() if changed else [],
        "lock_sha256": checksum(PACKAGE.parent / "envs/lock.txt")["sha256"],
        "python": platform.python_version(),
        "packages": {d.name: d.version for d in sorted(distributions(), key=lambda d: d.name)},
    }


def hardware() -> dict:
    """The machine that Snakemake runs on; those of the jobs stand in their records."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
    }


def record_run(
    root: Path,
    config: dict,
    places: dict,
    temporary: dict,
    sessions: set[str] | None,
    started: datetime,
    succeeded: bool,
) -> str:
    """Write the records of a run that has ended, the manifest and the crate.

    Parameters
    ----------
    root : output folder
    config : resolved configuration
    places, temporary : as in `workflow_scripts.audit.records.gather`
    sessions : as in `workflow_scripts.audit.records.retire`; None drops no records
    started : of the run, UTC

    Returns
    -------
    What to tell the user; nothing if no job has left a record
    """
    name = started.strftime("%Y%m%dT%H%M%SZ")
    left = sorted((root / SPOOL).glob("*.json"))
    if not left:
        return ""
    from workflow_scripts.audit.crate import describe_crate

    before = last_run(root)
    previous = [str(run_file(before["run"]))] if before else []
    # What stays from run to run; the other files are made anew from it.
    kept = {str(name): before["files"][str(name)] for name in (JOBS, ENVIRONMENTS) if before}
    found_rewritten = rewritten(root, kept)
    jobs, environments, new = gather(root, left, places, temporary, name)
    retired = [] if sessions is None else retire(jobs, sessions)
    rows = manifest(jobs)
    run = {
        "run": name,
        "previous": {name: checksum(root / name) for name in previous},
        "found_rewritten": found_rewritten,
        "retired": retired,
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "succeeded": succeeded,
        "command": with_uris(sys.argv, places),
        "config": with_uris(config, places),
        "software": software(),
        "hardware": hardware(),
        "code": code_of({record["rule"] for record in jobs.values()}),
        "jobs": new,
    }
    crate = describe_crate(config["report"]["title"], jobs, rows, run, str(SNAKEFILE))
    keep_code(root)
    write_json(environments, root / ENVIRONMENTS)
    write_jobs(jobs, root / JOBS)
    write_manifest(rows, root / MANIFEST)
    write_run_times(run_times(jobs, environments), root / RUN_TIME)
    write_json(crate, root / CRATE)
    written = (JOBS, ENVIRONMENTS, MANIFEST, RUN_TIME, CRATE, SNAKEFILE, CODE)
    run["files"] = {str(path): checksum(root / path) for path in written}
    write_json(run, root / run_file(name))
    for path in left:
        path.unlink()
    digest = checksum(root / run_file(name))["sha256"]
    written = {row["path"]: row["sha256"] for row in rows if row["kind"] != "input"}
    found = read_otherwise({job: jobs[job] for job in new}, written)
    told = "".join(
        f"{path}: was not as the job that made it has written it when {rule} read it; unless you "
        f"edited it, make it again (snakemake --force {path} ...), then run again\n"
        for path, rule in {p: record["rule"] for record, p, _ in found if p in written}.items()
    )
    if retired:
        told += (
            f"{', '.join(retired)}: no scan is left in the dataset, and the records were dropped; "
            "delete the results too, which 'snakemake audit' calls EXTRA\n"
        )
    if found_rewritten:
        told += (
            f"{', '.join(found_rewritten)}: not as run {before['run']} has left it; edited, or "
            "that run was killed as it ended; 'snakemake audit' will say so from now on\n"
        )
    return (
        f"{told}audit: {len(new)} jobs of this run and {len(rows)} files on record; SHA-256 of "
        f"{run_file(name)}: {digest}"
    )


def keep_code(root: Path) -> None:
    """Keep the Snakefile, and all that the workflow runs with in an archive that bears no time."""
    clone = PACKAGE.parent
    shutil.copyfile(clone / "Snakefile", root / SNAKEFILE)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in KEPT_CODE:
            below = sorted((clone / name).rglob("*")) if (clone / name).is_dir() else [clone / name]
            for path in below:
                if path.is_file() and path.suffix != ".pyc":
                    entry = zipfile.ZipInfo(path.relative_to(clone).as_posix(), SINCE_1980)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, path.read_bytes())
    write_whole(root / CODE, packed.getvalue())


def script_of(rule: str) -> str | None:
    """Path of a rule's script, relative to ``workflow_scripts/``; None if there is none now."""
    found = PACKAGE.glob(f"*/{rule}.py") if rule.isidentifier() else []
    return next((path.relative_to(PACKAGE).as_posix() for path in found), None)


def code_of(rules) -> dict[str, str]:
    """Digest of every file of code or resources that some rules use, by name."""
    scripts = filter(None, map(script_of, sorted(rules)))
    return {name: digest for script in scripts for name, digest in contents(script).items()}
