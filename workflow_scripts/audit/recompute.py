"""Do jobs again from their records, beside the results, and compare what they make."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from workflow_scripts.audit.compare import differences
from workflow_scripts.audit.record_run import script_of
from workflow_scripts.audit.records import files_of, with_paths
from workflow_scripts.audit.verify import Finding
from workflow_scripts.common.fingerprint import PACKAGE
from workflow_scripts.common.record import SPOOL
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table

# As Snakemake sets them for each job, to its threads.
THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")
ANY = "*"


def draw_jobs(jobs: dict[str, dict], count: int, longest_minutes: float, seed: int) -> list[str]:
    """Jobs drawn at random, one of each rule before a second one of any.

    Parameters
    ----------
    jobs : records by job
    count : how many
    longest_minutes : jobs that took longer are not drawn
    """
    rng = random.Random(seed)
    rules: dict[str, list[str]] = {}
    for job, record in sorted(jobs.items()):
        if record["seconds"] <= 60 * longest_minutes:
            rules.setdefault(record["rule"], []).append(job)
    for drawn in rules.values():
        rng.shuffle(drawn)
    drawn = []
    while any(rules.values()) and len(drawn) < count:
        left = [rule for rule in sorted(rules) if rules[rule]]
        rng.shuffle(left)
        drawn += [rules[rule].pop() for rule in left]
    return drawn[:count]


def waves(jobs: dict[str, dict], chosen: Iterable[str]) -> list[list[str]]:
    """Chosen jobs and those that make temporary inputs for them, in the order of doing.

    Returns
    -------
    lists of jobs that can be done at once, each after those of the lists before it
    """
    removed = {
        file["path"]: record["job"]
        for record in jobs.values()
        for file in files_of([entry for entry in record["outputs"] if entry["temporary"]])
    }

    @cache
    def before(job: str) -> set[str]:
        inputs = (file["path"] for file in files_of(jobs[job]["inputs"]))
        return {removed[path] for path in inputs if path in removed}

    @cache
    def depth(job: str) -> int:
        return 1 + max(map(depth, before(job)), default=-1)

    wanted, queue = set(), list(chosen)
    while queue:
        job = queue.pop()
        if job not in wanted:
            wanted.add(job)
            queue += before(job)
    ordered: dict[int, list[str]] = {}
    for job in sorted(wanted):
        ordered.setdefault(depth(job), []).append(job)
    return [ordered[level] for level in sorted(ordered)]


@dataclass
class Recomputation:
    """Jobs done again in a scratch folder.

    root : output folder
    places : as in `workflow_scripts.audit.records.with_uris`
    scratch : empty folder
    jobs, environments : records
    bad : files that are not as recorded, from which nothing is made
    """

    root: Path
    places: dict
    scratch: Path
    jobs: dict[str, dict]
    environments: dict[str, dict]
    bad: set[str]
    identical: int = 0
    close: int = 0
    findings: list[Finding] = field(default_factory=list)
    remade: dict[str, Path] = field(default_factory=dict)

    def do(self, chosen: Iterable[str], threads: int) -> None:
        """Do jobs again; ``findings``, ``identical`` and ``close`` say how the files compare."""
        for wave in waves(self.jobs, chosen):
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(self.do_job, wave))

    def do_job(self, job: str) -> None:
        """Do one job again and compare its files."""
        record = with_paths(self.jobs[job], self.places)
        inputs = [file["path"] for file in files_of(self.jobs[job]["inputs"])]
        if unusable := [path for path in inputs if path in self.bad]:
            self.failed(record, f"its input {unusable[0]} is not as recorded")
            return
        if script_of(record["rule"]) is None:
            self.failed(record, f"there is no rule {record['rule']} any more")
            return
        if outside := leads_out(record):
            self.failed(record, f"{outside} is outside of the output folder")
            return
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        for path in {entry["path"] for entry in record["inputs"]}:
            if not os.path.isabs(path):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).symlink_to(self.remade.get(path, self.root / path))
        (folder / "record.json").write_text(json.dumps(record))
        count = {f"{name}_NUM_THREADS": str(record["threads"]) for name in THREADS}
        process = subprocess.run(
            [sys.executable, "-m", "workflow_scripts.audit.rerun_job", "record.json"],
            cwd=folder,
            env=os.environ | count | {"PYTHONPATH": str(PACKAGE.parent)},
            capture_output=True,
            text=True,
        )
        found = list((folder / SPOOL).glob("*.json"))
        if process.returncode or not found:
            log = folder / record["job"]
            said = (log.read_text() if log.is_file() else process.stderr).strip().splitlines()
            self.failed(record, said[-1] if said else f"ended with status {process.returncode}")
        else:
            self.compare(record, json.loads(found[0].read_text()), folder)
        if not any(path.is_relative_to(folder) for path in self.remade.values()):
            shutil.rmtree(folder)

    def failed(self, record: dict, reason: str) -> None:
        self.find(record, record["outputs"][0]["path"], "FAILED", reason)

    def find(self, record: dict, path: str, problem: str, detail: str) -> None:
        self.findings.append(Finding(path, problem, detail, record["rule"], record["job"]))

    def compare(self, record: dict, again: dict, folder: Path) -> None:
        """Compare the files of a job with those that it has made now."""
        same = same_environment(self.environments[record["environment"]], again["environment"])
        for then, now in zip(record["outputs"], again["outputs"], strict=True):
            path = then["path"]
            if "files" in then and "files" in now:
                continue
            if "files" in then or "files" in now:
                self.find(record, path, "DIFFERS", "on record as a folder or as a file, and is not")
                continue
            wrong = ""
            if then["sha256"] == now["sha256"]:
                self.identical += 1
            elif wrong := self.too_far(record["rule"], path, folder, same):
                self.find(record, path, "DIFFERS", wrong)
            else:
                self.close += 1
            if then["temporary"] and not wrong:
                self.remade[path] = folder / path

    def too_far(self, rule: str, path: str, folder: Path, same: bool) -> str:
        """What is farther apart than allowed in a file and the one made now; empty if nothing."""
        if not (self.root / path).is_file():
            return "the bytes differ, and the first file is no more" if same else ""
        try:
            apart = differences(self.root / path, folder / path)
        except Exception as error:
            return f"cannot be read: {error}"
        allowed = {name: tolerance_of(rule, name, same) for name in apart}
        wrong = [
            f"{name} differs by {apart[name]:.2g} of its largest value, allowed are {limit:g}"
            for name, limit in allowed.items()
            if apart[name] > limit
        ]
        if not apart and same:
            wrong = ["the values are the same, the bytes differ"]
        return "; ".join(wrong[:3])


def leads_out(record: dict) -> str | None:
    """A path of a job that would be written outside of the folder where it is done."""
    inputs, outputs = (
        [file["path"] for file in files_of(record[k])] for k in ("inputs", "outputs")
    )
    written = [record["job"], *outputs, *(path for path in inputs if not os.path.isabs(path))]
    return next((p for p in written if os.path.isabs(p) or ".." in Path(p).parts), None)


def same_environment(then: dict, now: dict) -> bool:
    """Are processor, GPU, Python, programs and the libraries that both have loaded the same?"""
    named = ("python", "processor", "gpu", "container", "programs")
    shared = then["modules"].keys() & now["modules"].keys()
    return all(then[key] == now[key] for key in named) and all(
        then["modules"][name] == now["modules"][name] for name in shared
    )


@cache
def tolerances() -> dict[tuple[str, str], float]:
    """Allowed differences by rule and name of the value, from resources/tolerances.tsv."""
    table = read_table(resource("tolerances.tsv"))
    return {
        (row["rule"], row["value"]): float(row["tolerance"]) for row in table.to_dict("records")
    }


def tolerance_of(rule: str, value: str, same: bool) -> float:
    """Difference between two runs that is allowed, relative to the largest value.

    Parameters
    ----------
    same : None is allowed then but for what the table names; see `same_environment`
    """
    known = tolerances()
    limits = [known.get((rule, value), 0.0)]
    if not same:
        limits.append(known.get((rule, ANY), known[ANY, ANY]))
    return max(limits)
