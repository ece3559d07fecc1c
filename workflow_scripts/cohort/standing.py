"""What is done, runs, has failed and is to be done, and how long that takes, told without a run.

From the files, logs and records as they are: no graph of jobs is built, which takes minutes for
some thousand sessions, and nothing is locked. Imported by the Snakefile, so nothing heavy is
imported here.
"""

import json
from base64 import urlsafe_b64decode
from binascii import Error
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_scripts.cohort.status import STATES, last_line, status_rows, table_of
from workflow_scripts.common.record import SPOOL
from workflow_scripts.common.rows import read_rows

MARKED, LOCKS = Path(".snakemake/incomplete"), Path(".snakemake/locks")
RUN_TIME = Path("audit/run_time.tsv")
MOST_RECORDS = 2000  # of a run that goes on: so many tell how long its jobs take
SHOWN = 10
LEAVES = {"preflight"}  # reads the dataset alone


def marked_outputs(root: Path) -> set[str]:
    """Outputs of the jobs that Snakemake has begun, or given to a scheduler, and not ended."""
    found = set()
    for path in filter(Path.is_file, (root / MARKED).rglob("*")):
        parts = path.relative_to(root / MARKED).parts
        try:
            found.add(urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode())
        except (Error, UnicodeDecodeError):
            continue
    return found


def goes_on(root: Path) -> bool:
    """Whether a run has locked the output folder; so has one that was killed."""
    return any((root / LOCKS).glob("*.lock"))


def seconds_of_rules(root: Path) -> dict[str, tuple[float, float]]:
    """Mean seconds of a job of each rule, alone and times its threads, of the jobs on record.

    Those of runs that have ended, and up to `MOST_RECORDS` of one that goes on.
    """
    sums: dict[str, list[float]] = {}

    def add(rule, jobs, seconds, threads):
        known = sums.setdefault(rule, [0, 0, 0])
        for place, value in enumerate((jobs, seconds, seconds * threads)):
            known[place] += value

    for row in read_rows(root / RUN_TIME) if (root / RUN_TIME).is_file() else []:
        add(row["rule"], int(row["jobs"]), float(row["seconds"]), int(row["threads"]))
    paths = sorted((root / SPOOL).glob("*.json"))
    for path in paths[:: 1 + len(paths) // MOST_RECORDS]:
        try:
            record = json.loads(path.read_text())
        except (ValueError, FileNotFoundError):  # cut off, or taken up by the run that has ended
            continue
        add(record["rule"], 1, record["seconds"], record["threads"])
    return {rule: (wall / n, busy / n) for rule, (n, wall, busy) in sums.items() if n}


def jobs_behind(targets: Iterable[str], rules: list) -> Iterator[tuple]:
    """Jobs that some files come from, those of single sessions only where they are asked for.

    Of these, what one session needs of the cohort is what all need.

    Parameters
    ----------
    targets : paths in the output folder
    rules : of Snakemake

    Yields
    ------
    name of the rule, its lasting outputs, and its log
    """
    from snakemake.io import apply_wildcards

    queue, seen, last, followed = list(targets), set(), None, set(LEAVES)
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        candidates = [last, *rules] if last else rules
        made = next((rule for rule in candidates if rule.is_producer(path)), None)
        if made is None or not made.log:
            continue
        last, wildcards = made, made.get_wildcards(path)
        outputs = [apply_wildcards(str(output), wildcards) for output in made.output]
        if not seen.isdisjoint(set(outputs) - {path}):
            continue
        lasting = [
            o for o, made_of in zip(outputs, made.output, strict=True) if not is_temp(made_of)
        ]
        yield made.name, lasting, apply_wildcards(str(made.log[0]), wildcards)
        if made.name not in followed:
            followed |= {made.name} if "prefix" in made.wildcard_names else set()
            queue += [one for one in inputs_of(made, wildcards) if "sub-" not in one]


def is_temp(output) -> bool:
    """Whether Snakemake removes an output after use."""
    from snakemake.io import is_flagged

    return bool(is_flagged(output, "temp"))


def inputs_of(rule, wildcards: dict) -> Iterator[str]:
    """Inputs of a job that are known without the graph of jobs."""
    from snakemake.io import apply_wildcards
    from snakemake.iocontainers import Wildcards

    asked = Wildcards(fromdict=wildcards)

    def flat(found):
        if isinstance(found, dict):
            found = found.values()
        if isinstance(found, str | Path):
            yield str(found)
        else:
            for one in found or ():
                yield from flat(one)

    for item in rule.input:
        if callable(item):
            yield from flat(item(asked))
        else:
            yield apply_wildcards(str(item), wildcards)


def state_of_job(outputs: list[str], log: str, marked: set[str], root: Path) -> str:
    """DONE, RUNNING, FAILED or PENDING, as in `status.state_of_step`."""
    if not marked.isdisjoint(outputs):
        return "RUNNING"
    if outputs and all((root / output).exists() for output in outputs):
        return "DONE"
    return "FAILED" if (root / log).is_file() else "PENDING"


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.{unit == 'h':d}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def time_left(left: Counter, means: dict[str, tuple[float, float]], cores: int | None) -> list[str]:
    """How many jobs are left and how long they take by the times of their rules.

    Parameters
    ----------
    left : jobs by rule
    means : as from `seconds_of_rules`
    cores : that share them; None where nobody has said
    """
    if not left:
        return ["To be done: nothing"]
    known = {rule: n for rule, n in left.items() if rule in means}
    busy = sum(n * means[rule][1] for rule, n in known.items())
    longest = max((means[rule][0] for rule in known), default=0)
    lines = [f"To be done: {left.total()} jobs"]
    if known:
        lines[0] += f", by the times of this cohort's own jobs {in_words(busy)} of one core"
        if cores:
            lines[0] += f", {in_words(max(busy / cores, longest))} on {cores}"
    if unknown := {rule: n for rule, n in left.items() if rule not in means}:
        told = [f"{n} of {rule}" for rule, n in Counter(unknown).most_common(SHOWN)]
        told += [f"and of {len(unknown) - SHOWN} other rules"] * (len(unknown) > SHOWN)
        lines.append(f"Without a time on record yet, and not counted: {', '.join(told)}")
    return lines


def standing(cohort, steps_of, jobs: Iterable[tuple], root: Path, cores: int | None) -> str:
    """Where the sessions and the studies stand now.

    Parameters
    ----------
    cohort, steps_of, root : as in `status.report_status`
    jobs : as from `jobs_behind`, of all that is no step of a session
    cores : that share what is left
    """
    marked = marked_outputs(root) if goes_on(root) else set()
    return tell(status_rows(cohort, steps_of, root, marked), jobs, marked, root, cores)


def tell(
    rows: list[dict], jobs: Iterable[tuple], marked: set[str], root: Path, cores: int | None
) -> str:
    """Tables of steps and of rules by state, what failed, and what is left.

    Parameters
    ----------
    rows : as from `status.cohort_status`
    jobs : as in `standing`
    marked : as from `marked_outputs`; empty where no run goes on
    """
    found = [(rule, state_of_job(outputs, log, marked, root), log) for rule, outputs, log in jobs]
    left = Counter(rule for rule, state, _ in found if state != "DONE")
    left.update(row["rule"] for row in rows if row["status"] in STATES[1:4])
    failed = [
        f"FAILED {rule}: {last_line(root / log)} ({log})" for rule, s, log in found if s == "FAILED"
    ]
    failed = [
        f"FAILED {row['participant_id']} {row['session_id'] or ''} {row['step']}: {row['reason']}"
        f" ({row['log']})".replace("  ", " ")
        for row in rows
        if row["status"] == "FAILED"
    ] + failed
    lines = [table_of([(row["step"], row["status"]) for row in rows], "step")] if rows else []
    if found:
        lines += ["", table_of([(rule, state) for rule, state, _ in sorted(found)], "rule")]
    lines += ["", *failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"and {len(failed) - SHOWN} more, see logs/")
    lines.append(
        "A run goes on, or was killed (snakemake --unlock)" if goes_on(root) else "No run goes on"
    )
    lines += time_left(left, seconds_of_rules(root), cores)
    lines.append("Whether scans, code or configuration have changed since is told by snakemake -n")
    return "\n".join(lines).strip()
