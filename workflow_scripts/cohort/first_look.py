"""What to look at first when a run has ended: unusable sessions, what failed, then the studies.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from workflow_scripts.cohort.standing import state_of_job
from workflow_scripts.cohort.status import last_line
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.rows import read_rows

OUTLIERS, STATUS, REPORT = "cohort/outliers.tsv", "cohort/status.tsv", "report/index.html"
SHOWN = 5
LONGEST = 160


def first_look(
    root: Path, studies: Iterable[str], jobs: Iterable[tuple], started: datetime
) -> str | None:
    """Numbered list of what to look at, None where this run has left nothing to look at.

    Parameters
    ----------
    root : output folder, whose ``cohort/status.tsv`` is that of this run
    studies : their names
    jobs : as from `standing.jobs_behind`, of a run that has failed
    started : when the run began; a report from before is not its own
    """

    def own(name):
        return (root / name).is_file() and (root / name).stat().st_mtime >= started.timestamp()

    parts = []
    unusable: dict[str, list[str]] = {}
    doubtful = set()
    for row in read_rows(root / OUTLIERS, quoted=True) if (root / OUTLIERS).is_file() else []:
        prefix = session_prefix(row["participant_id"], row["session_id"])
        if row["level"] == "unusable":
            value = f" {row['value']}" if row["value"] else ""
            unusable.setdefault(prefix, []).append(f"{row['measure']}{value}: {row['reason']}")
        elif row["level"] == "doubtful" and row["common"] != "yes":
            doubtful.add(prefix)
    if unusable:
        when = "" if own(OUTLIERS) else ", as an earlier run has left it"
        lines = [f"{prefix} {'; '.join(told)}" for prefix, told in unusable.items()]
        parts.append(
            part(f"Unusable numbers of {count(unusable, 'session')}", lines, OUTLIERS + when)
        )
    rows = read_rows(root / STATUS) if (root / STATUS).is_file() else []
    failed = [
        f"{session_prefix(row['participant_id'], row['session_id'])} {row['step']}: {row['reason']}"
        for row in rows
        if row["status"] == "FAILED"
    ]
    failed += [
        f"{rule}: {last_line(root / log)} ({log})"
        for rule, outputs, log in jobs
        if state_of_job(outputs, log, set(), root) == "FAILED"
    ]
    if failed:
        parts.append(part(f"Failed: {count(failed, 'job')}", failed, STATUS))
    if own(REPORT):
        seen = f"; {count(doubtful - unusable.keys(), 'session')} to look at under Quality control"
        named = ", ".join(studies)
        told = (
            f"Studies, in {root / REPORT}, Overview first: {named}" if named else f"{root / REPORT}"
        )
        parts.append(told + seen * bool(doubtful - unusable.keys()))
    if not parts:
        return None
    return "\n".join(["Look first at", *(f"{n}. {told}" for n, told in enumerate(parts, 1))])


def count(things, name: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def part(title: str, lines: list[str], where: str) -> str:
    """A part of the list with its first lines, and where all of them stand."""
    shown = [
        f"   {line if len(line) <= LONGEST else line[: LONGEST - 3] + '...'}" for line in lines
    ]
    rest = [f"   and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([f"{title} ({where})", *shown[:SHOWN], *rest])
