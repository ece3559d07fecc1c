"""Verify an output folder, and do some of its jobs again."""

import secrets
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

from workflow_scripts.audit.recompute import Recomputation, draw_jobs
from workflow_scripts.audit.records import manifest, read_environments
from workflow_scripts.audit.verify import PROBLEMS, Finding, verify
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table

VERIFICATION = Path("audit/verification.tsv")
COLUMNS = ["path", "problem", "detail", "rule", "job"]
EVERY_JOB = "all"
SHOWN = 30


def summary(findings: list[Finding]) -> str:
    """What was found wrong, the first lines of it in full."""
    counts = Counter(finding.problem for finding in findings)
    lines = [f"{counts[kind]} {kind}: {PROBLEMS[kind]}" for kind in PROBLEMS if counts[kind]]
    lines += [f"{f.problem} {f.path}: {f.detail}" for f in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN} more in {VERIFICATION}")
    return "\n  ".join(lines)


def audit(root: Path, places: dict, recompute, longest_minutes: float, threads: int) -> str:
    """Verify, recompute, and write what was found to `VERIFICATION`.

    Parameters
    ----------
    root : output folder
    places : as in `workflow_scripts.audit.records.with_uris`
    recompute : number of jobs, or ``all``
    longest_minutes : jobs that took longer are not drawn

    Returns
    -------
    A line for the user

    Raises
    ------
    InputError
        If anything is wrong, saying what.
    """
    findings, jobs = verify(root, places, threads)
    seed = secrets.randbits(32)
    chosen = list(jobs)
    if recompute != EVERY_JOB:
        chosen = draw_jobs(jobs, int(recompute), longest_minutes, seed)
    bad = {finding.path for finding in findings}
    with tempfile.TemporaryDirectory() as scratch:
        again = Recomputation(root, places, Path(scratch), jobs, read_environments(root), bad)
        again.do(chosen, threads)
    findings += again.findings
    table = pd.DataFrame([vars(finding) for finding in findings], columns=COLUMNS)
    write_table(table, root / VERIFICATION, resource("columns/audit.tsv"))
    done = (
        f"{len(manifest(jobs))} files verified; {len(chosen)} of {len(jobs)} jobs done again "
        f"(seed {seed}): {again.identical} files identical"
    )
    done += f", {again.close} within tolerance" if again.close else ""
    if findings:
        raise InputError(f"{done}\n  {summary(findings)}")
    return done


def main(params, threads):
    """Audit the output folder that the process is in."""
    settings = params.audit
    recompute, longest = settings["recompute"], settings["longest_minutes"]
    print(audit(Path.cwd(), params.places, recompute, longest, threads))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.params, snakemake.threads)
