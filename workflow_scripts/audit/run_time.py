"""Hardware and run time of what made an output folder, rule by rule, from the jobs on record."""

import csv
import io
from pathlib import Path

from workflow_scripts.common.record import write_whole
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
