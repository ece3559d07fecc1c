import json

from workflow_scripts.audit.run_time import FIELDS, run_times, write_run_times
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
