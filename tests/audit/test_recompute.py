import json
import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.audit.compare import differences
from workflow_scripts.audit.recompute import (
    Recomputation,
    draw_jobs,
    same_environment,
    tolerance_of,
    waves,
)
from workflow_scripts.audit.records import gather, manifest, retire
from workflow_scripts.audit.verify import check_inputs
from workflow_scripts.common.fingerprint import PACKAGE
from workflow_scripts.common.record import checksum

ENVIRONMENT = {
    "python": "3.11",
    "processor": "x",
    "gpu": None,
    "container": None,
    "programs": {},
    "modules": {"numpy": "2", "scipy": "1"},
}


def record(job, rule, inputs=(), outputs=(), temporary=(), seconds=1):
    return {
        "job": job,
        "rule": rule,
        "seconds": seconds,
        "started": job,
        "inputs": [{"path": path} for path in inputs],
        "outputs": [{"path": path, "temporary": path in temporary} for path in outputs],
    }


def as_jobs(*records):
    return {record["job"]: record for record in records}


def test_each_rule_is_drawn_before_any_a_second_time():
    rules = [("a", 50), ("b", 3), ("c", 1)]
    jobs = as_jobs(*(record(f"{rule}{n}", rule) for rule, count in rules for n in range(count)))
    for seed in range(20):
        drawn = draw_jobs(jobs, 5, 30, seed)
        assert sorted(job[0] for job in drawn[:3]) == ["a", "b", "c"]
        assert len(set(drawn)) == 5
    assert sorted(draw_jobs(jobs, 1000, 30, 0)) == sorted(jobs)
    assert draw_jobs(jobs, 5, 30, 1) == draw_jobs(jobs, 5, 30, 1) != draw_jobs(jobs, 5, 30, 2)


def test_long_jobs_are_not_drawn():
    jobs = as_jobs(record("short", "a", seconds=59), record("long", "b", seconds=61))
    assert draw_jobs(jobs, 2, 1, 0) == ["short"]


def test_what_makes_a_removed_input_is_done_first():
    jobs = as_jobs(
        record("raw", "r", outputs=["kept"]),
        record("clean", "c", ["kept"], ["cleaned", "log"], temporary=["cleaned"]),
        record("fit", "f", ["cleaned"], ["fitted"], temporary=["fitted"]),
        record("measure", "m", ["fitted", "kept"], ["number"]),
    )
    assert waves(jobs, ["measure"]) == [["clean"], ["fit"], ["measure"]]
    assert waves(jobs, ["fit", "raw"]) == [["clean", "raw"], ["fit"]]


def test_no_difference_is_allowed_where_nothing_has_changed():
    assert same_environment(ENVIRONMENT, ENVIRONMENT | {"modules": {"numpy": "2", "other": "3"}})
    for change in ({"processor": "y"}, {"modules": {"numpy": "3"}}, {"gpu": "H100"}):
        assert not same_environment(ENVIRONMENT, ENVIRONMENT | change)
    assert tolerance_of("segment_brain", "values", same=True) == 0
    assert 0 < tolerance_of("segment_brain", "values", same=False) < 0.01
    assert tolerance_of("pretrain_encoder", "blocks.0.0.weight", same=True) == 0
    assert tolerance_of("pretrain_encoder", "blocks.0.0.weight", same=False) == float("inf")


def image(values, path):
    nib.save(nib.Nifti1Image(np.asarray(values, np.float32), np.eye(4)), path)


def table(values, path):
    pd.DataFrame({"name": ["a", "b"], "x": values}).to_csv(
        path, sep="\t", index=False, na_rep="n/a"
    )


def sidecar(values, path):
    path.write_text(json.dumps({"Measures": {"x": values[1]}, "Text": "a"}))


@pytest.mark.parametrize(
    ("write", "ending", "name"),
    [(table, ".tsv", "x"), (sidecar, ".json", "Measures.x"), (image, ".nii.gz", "values")],
)
def test_difference_is_relative_to_the_largest_value(tmp_path, write, ending, name):
    first, second, same = (tmp_path / f"{number}{ending}" for number in range(3))
    shape = (2, 1, 1) if write is image else (2,)
    write(np.array([1.0, 200.0]).reshape(shape), first)
    write(np.array([1.0, 199.0]).reshape(shape), second)
    write(np.array([1.0, 200.0]).reshape(shape), same)
    assert differences(first, second) == {name: pytest.approx(1 / 200)}
    assert differences(first, same) == {}


def test_text_gaps_and_shapes_differ_without_bounds(tmp_path):
    table([1, 2], tmp_path / "a.tsv")
    table([1, np.nan], tmp_path / "b.tsv")
    (tmp_path / "c.tsv").write_text("name\tx\na\t1\n")
    (tmp_path / "d.tsv").write_text("name\ty\na\t1\nc\t2\n")
    infinite = float("inf")
    assert differences(tmp_path / "a.tsv", tmp_path / "b.tsv") == {"x": infinite}
    assert differences(tmp_path / "a.tsv", tmp_path / "c.tsv") == {"name": infinite, "x": infinite}
    assert differences(tmp_path / "a.tsv", tmp_path / "d.tsv").keys() == {"name", "x", "y"}


def test_table_on_record_as_a_folder_is_compared_all_the_same(tmp_path):
    file = {"path": "table.tsv", "bytes": 1, "sha256": "0"}
    then = {"rule": "r", "job": "j", "environment": "e"}
    then["outputs"] = [{"path": "table.tsv", "files": [file], "temporary": False}]
    now = {"outputs": [file], "environment": ENVIRONMENT}
    again = Recomputation(tmp_path, {}, tmp_path, {"j": then}, {"e": ENVIRONMENT}, set())
    again.compare(then, now, tmp_path)
    assert [(found.path, found.problem) for found in again.findings] == [("table.tsv", "DIFFERS")]


def test_record_that_a_power_cut_has_emptied_is_passed_over(tmp_path):
    (tmp_path / "empty.json").touch()
    assert gather(tmp_path, [tmp_path / "empty.json"], {}, {}, "run") == ({}, {}, [])


def test_records_of_sessions_without_scans_are_dropped():
    prefixes = {"a": "sub-1", "b": "sub-2_ses-1", "c": "sub-2_ses-2", "d": None}
    jobs = {job: {"wildcards": {"prefix": prefix}} for job, prefix in prefixes.items()}
    assert retire(jobs, {"sub-1", "sub-2_ses-2"}) == ["sub-2_ses-1"]
    assert sorted(jobs) == ["a", "c", "d"]


def test_what_was_made_from_a_mask_corrected_by_hand_is_not_stale(tmp_path):
    def versions():
        for content in ("made", "corrected", "corrected again"):
            (tmp_path / "mask").write_text(content)
            yield {"path": "mask", **checksum(tmp_path / "mask")}

    made, corrected, _ = versions()
    jobs = as_jobs(record("draw", "d", outputs=["mask"]), record("use", "u", outputs=["volume"]))
    jobs["draw"]["outputs"][0] |= made
    jobs["use"]["outputs"][0] |= made | {"path": "volume"}
    jobs["use"]["inputs"] = [corrected]
    stale = [(f.path, f.problem) for f in check_inputs(jobs, manifest(jobs), tmp_path, {})]
    assert stale == [("volume", "STALE")]
    (tmp_path / "mask").write_text("corrected")
    assert list(check_inputs(jobs, manifest(jobs), tmp_path, {})) == []


@pytest.mark.parametrize("what", ["rule", "job", "output"])
def test_records_that_lead_elsewhere_are_not_followed(tmp_path, what):
    victim = tmp_path / "victim.txt"
    victim.write_text("kept")
    (tmp_path / "evil.py").write_text(f"open({str(victim)!r}, 'w')")
    told = record("logs/j.log", "make_templates", outputs=["t.nii"]) | {"threads": 1}
    if what == "rule":
        told["rule"] = os.path.relpath(tmp_path / "evil", PACKAGE / "audit")
    elif what == "job":
        told["job"] = str(victim)
    else:
        told["outputs"][0]["path"] = "../victim.txt"
    (tmp_path / "scratch").mkdir()
    again = Recomputation(tmp_path, {}, tmp_path / "scratch", {told["job"]: told}, {}, set())
    again.do_job(told["job"])
    [found] = again.findings
    assert found.problem == "FAILED"
    assert "there is no rule" in found.detail or "outside of the output folder" in found.detail
    assert victim.read_text() == "kept"
