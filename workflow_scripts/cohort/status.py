"""Where every session stands in every step, from the files and logs as they are.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.cohort.engines import of_engine
from workflow_scripts.cohort.index import write_rows
from workflow_scripts.cohort.participants import exclusion_reason
from workflow_scripts.common.bids import bids_uri, session_prefix
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows

STATES = ("DONE", "RUNNING", "FAILED", "PENDING", "EXCLUDED", "MISSING", "INVALID")
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

    @property
    def rule(self) -> str:
        """The rule, whose logs lie in a folder of its name."""
        return self.log.split("/")[1]


def steps_of_session(names: dict, files, aligned: list, engines: list) -> list[Step]:
    """Steps that a session goes through.

    Parameters
    ----------
    names : rules by the suffix of the scan
    files : function of a rule's name to the patterns of its result and its log
    aligned : names of contrasts with these patterns
    engines : region, engine, and why it is not run, of all that segment regions
    """
    made = [Step(name, suffix, *files(name)) for suffix in names for name in names[suffix]]
    made += [Step("align_contrast", name, *patterns) for name, patterns in aligned]
    patterns = files("segment_region")
    return made + [
        Step(f"{region}_{name}", "T1w", *(of_engine(path, region, name) for path in patterns), why)
        for region, name, why in engines
    ]


def last_line(path: Path) -> str:
    """Last line of a log that is not blank, cut to 300 characters."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 10_000))
        lines = file.read().decode(errors="replace").split("\n")
    lines = [" ".join(line.split()) for line in lines if line.strip()]
    return lines[-1][:LONGEST_REASON] if lines else "ended without a message"


def state_of_step(step: Step, prefix: str, root: Path, marked: set[str] = frozenset()) -> dict:
    """``status``, ``reason`` and ``log`` of a step of a session whose scan is usable.

    RUNNING where the result is among the ``marked`` outputs of jobs that have begun; DONE with
    the result there; FAILED with a log and no result, since Snakemake removes what a failed job
    has written; else PENDING.
    """
    names = {"folder": prefix.replace("_", "/"), "prefix": prefix}
    if step.result.format(**names) in marked:
        return {"status": "RUNNING", "reason": None, "log": None}
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
    index: list[dict],
    exclusions: list[dict],
    problems: dict,
    steps_of,
    root: Path,
    marked: set[str] = frozenset(),
) -> list[dict]:
    """A row for each session and step.

    Parameters
    ----------
    index, exclusions : of the cohort
    problems : BIDS URI -> what the preflight found wrong, None for a good scan
    steps_of : function of a session's prefix to its list of `Step`
    root : output folder
    marked : outputs of jobs that go on

    Returns
    -------
    dicts with the keys `FIELDS`, and the step's ``rule``
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
                found = state_of_step(step, prefix, root, marked)
            else:
                status = next(name for name in STATES if name in states)
                found = {"status": status, "reason": states[status], "log": None}
            named = dict(zip(FIELDS, (*session, step.suffix, step.name), strict=False))
            rows.append(named | found | {"rule": step.rule})
    return rows


def table_of(states: list[tuple[str, str]], heading: str) -> str:
    """Table of names by state, the names in the order in which they come first."""
    counts = Counter(states)
    shown = [state for state in STATES if any(name == state for _, name in counts)]
    names = list(dict.fromkeys(name for name, _ in states))
    width = max(map(len, [heading, *names]))
    lines = ["  ".join([f"{heading:{width}}", *(f"{state:>8}" for state in shown)])]
    for name in names:
        numbers = (f"{counts[name, state] or '.':>8}" for state in shown)
        lines.append("  ".join([f"{name:{width}}", *numbers]))
    return "\n".join(lines)


def summary(rows: list[dict]) -> str:
    """Short table of steps by state, and the first failures with their logs."""
    lines = [table_of([(row["step"], row["status"]) for row in rows], "step")]
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


def status_rows(cohort, steps_of, root: Path, marked: set[str] = frozenset()) -> list[dict]:
    """`cohort_status` with what the preflight found, where it has run."""
    preflight = root / "cohort/preflight.tsv"
    checked = read_rows(preflight, quoted=True) if preflight.is_file() else []
    problems = {row["path"]: problem_of(row) for row in checked}
    return cohort_status(cohort.index, cohort.exclusions, problems, steps_of, root, marked)


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
    rows = status_rows(cohort, steps_of, root)
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
