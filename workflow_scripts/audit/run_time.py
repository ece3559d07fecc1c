"""Hardware and run time of what made an output folder, rule by rule, from the jobs on record.

python -m workflow_scripts.audit.run_time results     # while it runs too, from another terminal
"""

import argparse
import csv
import io
import json
import sys
from pathlib import Path

from workflow_scripts.audit.records import JOBS, read_jobs
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import SPOOL, write_whole
from workflow_scripts.common.resources import resource

FIELDS = ["rule", "processor", "gpu", "jobs", "threads", "seconds", "longest_seconds"]
FIELDS += ["cpu_seconds", "max_rss_mb"]


def run_times(jobs: dict[str, dict], environments: dict[str, dict]) -> list[dict]:
    """A row for each rule on each processor and GPU; then, as rule ``all``, for each of these.

    Parameters
    ----------
    jobs, environments : as from `records.gather`
    """
    groups: dict[tuple, list[dict]] = {}
    for record in jobs.values():
        machine = environments[record["environment"]]
        place = machine["processor"], machine["gpu"]
        for rule in (record["rule"], "all"):
            groups.setdefault((rule, *place), []).append(record)
    rows = []
    for key in sorted(groups, key=lambda key: (key[0] == "all", *map(str, key))):
        records = groups[key]
        rows.append(
            dict(zip(FIELDS[:3], key, strict=True))
            | {
                "jobs": len(records),
                "threads": max(record["threads"] for record in records),
                "seconds": round(sum(record["seconds"] for record in records), 1),
                "longest_seconds": max(record["seconds"] for record in records),
                "cpu_seconds": round(sum(record["cpu_seconds"] for record in records), 1),
                "max_rss_mb": max(record["max_rss_mb"] for record in records),
            }
        )
    return rows


def write_run_times(rows: list[dict], path: Path) -> None:
    """Write the table as TSV, n/a where there is nothing to say, with its data dictionary."""
    from workflow_scripts.common.tables import read_descriptions, write_dictionary

    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, "n/a", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "n/a" if v is None else v for k, v in row.items()} for row in rows)
    write_whole(path, text.getvalue())
    described = read_descriptions(resource("columns/audit.tsv"))
    write_dictionary({name: described[name] for name in FIELDS}, path)


def progress(root: Path) -> str:
    """Jobs done by rule, with the mean and the sum of their times, those of a run that goes on too.

    Parameters
    ----------
    root : output folder

    Raises
    ------
    InputError
        If it has no job on record.
    """
    jobs = read_jobs(root)
    for path in sorted((root / SPOOL).glob("*.json")):
        try:
            record = json.loads(path.read_text())
        except (ValueError, FileNotFoundError):  # cut off, or taken up by the run that has ended
            continue
        jobs[record["job"]] = record
    if not jobs:
        raise InputError(f"{root}: no job in {JOBS} or {SPOOL}; name the output folder of a run")
    groups: dict[str, list[dict]] = {}
    for record in jobs.values():
        groups.setdefault(record["rule"], []).append(record)
    width = max(map(len, [*groups, "rule"]))
    head = f"{'rule':{width}}  {'jobs':>5}  {'mean s':>8}  {'CPU s':>8}  {'sum h':>7}  {'CPU h':>7}"
    lines = []
    for rule, records in [*sorted(groups.items()), ("all", list(jobs.values()))]:
        wall, cpu = (sum(one[key] for one in records) for key in ("seconds", "cpu_seconds"))
        number = len(records)
        lines.append(
            f"{rule:{width}}  {number:5}  {wall / number:8.1f}  {cpu / number:8.1f}"
            f"  {wall / 3600:7.2f}  {cpu / 3600:7.2f}"
        )
    return "\n".join([head, *lines])


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("results", type=Path, help="output folder")
    try:
        print(progress(options.parse_args().results))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
