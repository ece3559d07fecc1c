"""Where every session stands in every step, from the files and logs as they are.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.cohort.index import write_rows
from workflow_scripts.cohort.participants import exclusion_reason
from workflow_scripts.common.bids import bids_uri, session_prefix
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows

STATES = ("DONE", "FAILED", "PENDING", "EXCLUDED", "MISSING", "INVALID")
FIELDS = ["participant_id", "session_id", "suffix", "step", "status", "reason", "log"]
LONGEST_REASON = 300
SHOWN_FAILURES = SHOWN_NOTES = 10


@dataclass(frozen=True)
class Step:
    """A rule that each session with a scan goes through.

    suffix : of the scan
    result, log : paths with {folder} and {prefix}; the result is there when the step is done
    not_run : why it is not run in this session, though its scan can be used
    """

    name: str
    suffix: str
    result: str
    log: str
    not_run: str | None = None


def last_line(path: Path) -> str:
    """Last line of a log that is not blank, cut to 300 characters."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 10_000))
        lines = file.read().decode(errors="replace").split("\n")
    lines = [" ".join(line.split()) for line in lines if line.strip()]
    return lines[-1][:LONGEST_REASON] if lines else "ended without a message"


def state_of_step(step: Step, prefix: str, root: Path) -> dict:
    """``status``, ``reason`` and ``log`` of a step of a session whose scan is usable.

    DONE with the result there; FAILED with a log and no result, since Snakemake removes what
    a failed job has written; else PENDING.
    """
    names = {"folder": prefix.replace("_", "/"), "prefix": prefix}
    if (root / step.result.format(**names)).exists():
        return {"status": "DONE", "reason": None, "log": None}
    log = step.log.format(**names)
    if (root / log).is_file():
        return {"status": "FAILED", "reason": last_line(root / log), "log": log}
    return {"status": "PENDING", "reason": None, "log": None}


def problem_of(row: dict) -> str | None:
    """What the preflight found wrong with a scan, in itself or beside the others."""
    return row["problem"] or row.get("conflict")


def state_of_scan(
    scan: dict, problem: str | None, exclusions: list[dict]
) -> tuple[str, str | None]:
    """MISSING, EXCLUDED, INVALID or AVAILABLE, and why.

    Parameters
    ----------
    scan : row of the index
    problem : what the preflight found wrong, None for a good scan
    exclusions : rows with participant_id, session_id, suffix, reason
    """
    session = scan["participant_id"], scan["session_id"], scan["suffix"]
    if scan["path"] is None:
        return "MISSING", scan.get("note") or f"no {scan['suffix']} in the dataset"
    if reason := exclusion_reason(exclusions, *session, scan["path"]):
        return "EXCLUDED", reason
    if problem:
        return "INVALID", problem
    return "AVAILABLE", None


def cohort_status(
    index: list[dict], exclusions: list[dict], problems: dict, steps_of, root: Path
) -> list[dict]:
    """A row for each session and step.

    Parameters
    ----------
    index, exclusions : of the cohort
    problems : BIDS URI -> what the preflight found wrong, None for a good scan
    steps_of : function of a session's prefix to its list of `Step`
    root : output folder

    Returns
    -------
    dicts with the keys `FIELDS`
    """
    sessions: dict[tuple, dict[str, list]] = {}
    for scan in index:
        session = scan["participant_id"], scan["session_id"]
        state = state_of_scan(scan, problems.get(bids_uri(scan["path"])), exclusions)
        sessions.setdefault(session, {}).setdefault(scan["suffix"], []).append(state)
    rows = []
    for session, scans in sessions.items():
        prefix = session_prefix(*session)
        for step in steps_of(prefix):
            states = dict(reversed(scans.get(step.suffix, [])))
            if not states:
                continue
            if "AVAILABLE" in states and step.not_run:
                reason = f"not run: {step.not_run}"
                found = {"status": "MISSING", "reason": reason, "log": None}
            elif "AVAILABLE" in states:
                found = state_of_step(step, prefix, root)
            else:
                status = next(name for name in STATES if name in states)
                found = {"status": status, "reason": states[status], "log": None}
            named = dict(zip(FIELDS, (*session, step.suffix, step.name), strict=False))
            rows.append(named | found)
    return rows


def summary(rows: list[dict]) -> str:
    """Short table of steps by state, and the first failures with their logs."""
    counts = Counter((row["step"], row["status"]) for row in rows)
    shown = [state for state in STATES if any(name == state for _, name in counts)]
    steps = list(dict.fromkeys(row["step"] for row in rows))
    width = max(map(len, ["step", *steps]))
    lines = ["  ".join([f"{'step':{width}}", *(f"{state:>8}" for state in shown)])]
    for step in steps:
        numbers = (f"{counts[step, state] or '.':>8}" for state in shown)
        lines.append("  ".join([f"{step:{width}}", *numbers]))
    failed = [row for row in rows if row["status"] == "FAILED"]
    for row in failed[:SHOWN_FAILURES]:
        name = session_prefix(row["participant_id"], row["session_id"])
        lines.append(f"FAILED {name} {row['step']}: {row['reason']} ({row['log']})")
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"and {len(failed) - SHOWN_FAILURES} more in cohort/status.tsv")
    return "\n".join(lines)


def notes(rows: list[dict]) -> list[str]:
    """Lines of what is to be known of scans, ten of them at most."""
    lines = [f"  {row['path']}: {row['note']}" for row in rows if row.get("note")]
    if not lines:
        return []
    shown = (
        f" (the first {SHOWN_NOTES} here, all in cohort/scans.tsv)"
        if len(lines) > SHOWN_NOTES
        else ""
    )
    return [
        f"To be known of {len(lines)} scans{shown}:",
        *lines[:SHOWN_NOTES],
    ]


def report_status(cohort, steps_of, root: Path, kept: Path | None, body_part: str = "brain") -> str:
    """Summary of where the sessions stand.

    Parameters
    ----------
    cohort : Cohort
    steps_of, root : as in `cohort_status`
    kept : where the table is written, with its dictionary; None for nowhere, in a run that knows
        no table of the cohort's scans either
    body_part : that the scans show
    """
    preflight = root / "cohort/preflight.tsv"
    checked = read_rows(preflight, quoted=True) if preflight.is_file() else []
    problems = {row["path"]: problem_of(row) for row in checked}
    rows = cohort_status(cohort.index, cohort.exclusions, problems, steps_of, root)
    if kept:
        from workflow_scripts.common.tables import read_descriptions, write_dictionary

        write_rows(rows, FIELDS, kept)
        described = read_descriptions(resource("columns/status.tsv"))
        write_dictionary({name: described[name] for name in FIELDS}, kept)
    scans = root / "cohort/scans.tsv"
    noted = read_rows(scans, quoted=True) if kept and scans.is_file() else []
    if not kept:
        from workflow_scripts.cohort.session_checks import note_unread

        used = {row["suffix"]: cohort.scans(row["suffix"]) for row in cohort.index}
        read = [row for scans in used.values() for rows in scans.values() for row in rows]
        noted = note_unread(read, body_part)
    return "\n".join([summary(rows), *notes(noted)])
