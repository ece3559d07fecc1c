import json

import pytest

from workflow_scripts.audit.records import JOBS
from workflow_scripts.audit.run_time import FIELDS, progress, run_times, write_run_times
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import SPOOL
from workflow_scripts.common.tables import read_table

MACHINES = {"a": {"processor": "X1", "gpu": None}, "b": {"processor": "X1", "gpu": "H200"}}


def record(rule, environment, seconds, cpu, memory, threads=1):
    return {
        "rule": rule, "environment": environment, "seconds": seconds, "cpu_seconds": cpu,
        "max_rss_mb": memory, "threads": threads,
    }  # fmt: skip


def test_jobs_are_added_up_by_rule_and_hardware(tmp_path):
    jobs = {
        "1": record("train", "b", 100.0, 90.0, 900, 4),
        "2": record("train", "b", 50.5, 45.0, 1000),
        "3": record("train", "a", 600.0, 1100.0, 700, 2),
        "4": record("fit", "a", 1.0, 1.0, 80),
    }
    path = tmp_path / "audit/run_time.tsv"
    write_run_times(run_times(jobs, MACHINES), path)
    table = read_table(path)
    assert list(table) == FIELDS == list(json.loads(path.with_suffix(".json").read_text()))
    assert table["rule"].tolist() == ["fit", "train", "train", "all", "all"]
    rows = table.set_index(["rule", table["gpu"].fillna("none")])
    on_gpu = rows.loc[
        ("train", "H200"), ["jobs", "threads", "seconds", "cpu_seconds", "max_rss_mb"]
    ]
    assert on_gpu.tolist() == [2, 4, 150.5, 135, 1000]
    assert rows.at[("train", "H200"), "longest_seconds"] == 100
    assert rows.at[("all", "none"), "seconds"] == 601
    assert rows.loc["all", "jobs"].sum() == len(jobs)


def test_a_run_that_goes_on_is_counted_too(tmp_path):
    """A job that runs anew counts once, with its new times; a record that is cut off does not."""
    with pytest.raises(InputError, match="name the output folder"):
        progress(tmp_path)
    jobs = [record("train", "a", 3600.0, 7200.0, 1), record("fit", "a", 9.0, 9.0, 1)]
    (tmp_path / SPOOL).mkdir(parents=True)
    lines = [json.dumps(job | {"job": name}) for name, job in zip("ab", jobs, strict=True)]
    (tmp_path / JOBS).write_text("\n".join(lines) + "\n")
    left = {"b": record("fit", {}, 2.0, 1.0, 1), "c": record("fit", {}, 4.0, 2.0, 1)}
    for name, job in left.items():
        (tmp_path / SPOOL / f"{name}.json").write_text(json.dumps(job | {"job": name}))
    (tmp_path / SPOOL / "d.json").write_text('{"job": "d", "ru')
    rows = [line.split() for line in progress(tmp_path).splitlines()]
    assert rows[0] == ["rule", "jobs", "mean", "s", "CPU", "s", "sum", "h", "CPU", "h"]
    assert rows[1:] == [
        ["fit", "2", "3.0", "1.5", "0.00", "0.00"],
        ["train", "1", "3600.0", "7200.0", "1.00", "2.00"],
        ["all", "3", "1202.0", "2401.0", "1.00", "2.00"],
    ]
