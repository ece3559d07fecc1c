"""What `snakemake status` tells, from files as a run leaves them."""

import json
from base64 import urlsafe_b64encode
from collections import Counter

import pytest

from workflow_scripts.cohort.standing import (
    LOCKS,
    MARKED,
    MOST_RECORDS,
    RUN_TIME,
    SPOOL,
    goes_on,
    in_words,
    marked_outputs,
    seconds_of_rules,
    state_of_job,
    tell,
    time_left,
)

ROW = {"participant_id": "sub-1", "session_id": None, "step": "prepare", "rule": "prepare"}
ROW |= {"reason": None, "log": None}


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_outputs_of_jobs_that_go_on_are_read_as_snakemake_marks_them(tmp_path):
    """Long names it cuts into folders that begin with @."""
    short, long = "sub-1/anat/sub-1_T1w.json", f"sub-1/anat/sub-1_{300 * 'x'}.json"
    code = urlsafe_b64encode(long.encode()).decode()
    put(tmp_path / MARKED / urlsafe_b64encode(short.encode()).decode())
    put(tmp_path / MARKED / f"@{code[:200]}" / code[200:])
    put(tmp_path / MARKED / "no code at all!")
    assert marked_outputs(tmp_path) == {short, long}
    assert not goes_on(tmp_path)
    put(tmp_path / LOCKS / "0.output.lock")
    assert goes_on(tmp_path)


def test_states_of_a_job(tmp_path):
    asked = ["a.tsv", "a.json"], "logs/a.log"
    assert state_of_job(*asked, set(), tmp_path) == "PENDING"
    put(tmp_path / "logs/a.log")
    put(tmp_path / "a.tsv")
    assert state_of_job(*asked, set(), tmp_path) == "FAILED"
    put(tmp_path / "a.json")
    assert state_of_job(*asked, set(), tmp_path) == "DONE"
    assert state_of_job(*asked, {"a.json"}, tmp_path) == "RUNNING"


def test_times_are_those_on_record_and_of_the_run_that_goes_on(tmp_path):
    assert seconds_of_rules(tmp_path) == {}
    rows = ["rule\tjobs\tseconds\tthreads", "a\t3\t30.0\t1", "a\t1\t30.0\t2", "b\t2\t8\t4"]
    put(tmp_path / RUN_TIME, "\n".join(rows) + "\n")
    for number in range(2):
        record = {"rule": "c", "seconds": 4.0 + 2 * number, "threads": 1}
        put(tmp_path / SPOOL / f"{number}.json", json.dumps(record))
    put(tmp_path / SPOOL / "x.json", '{"rule": "c", "sec')
    found = seconds_of_rules(tmp_path)
    assert found == {"a": (15, 22.5), "b": (4, 16), "c": (5, 5)}


def test_of_many_records_some_are_read(tmp_path):
    for number in range(MOST_RECORDS + 10):
        put(tmp_path / SPOOL / f"{number}.json", '{"rule": "a", "seconds": 2.0, "threads": 1}')
    assert seconds_of_rules(tmp_path) == {"a": (2, 2)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (720, "12 min"), (12600, "3.5 h"), (181440, "2.1 days"), (0, "0 s")],
)
def test_times_in_words(seconds, text):
    assert in_words(seconds) == text


def test_time_left_is_jobs_times_their_mean_and_no_less_than_the_longest():
    means = {"prepare": (60, 60), "train": (7200, 7200)}
    [line] = time_left(Counter(prepare=60, train=1), means, cores=4)
    assert line.startswith("To be done: 61 jobs") and "3.0 h of one core, 2.0 h on 4" in line
    first, second = time_left(Counter(prepare=1, draw=2), means, None)
    assert "60 s of one core" in first and second.endswith("2 of draw")
    assert time_left(Counter(), means, 4) == ["To be done: nothing"]


def test_failures_of_sessions_stand_before_those_of_the_studies(tmp_path):
    put(tmp_path / "logs/fit/study.log", "singular\n")
    rows = [
        ROW | {"status": "FAILED", "reason": "no brain", "log": "logs/prepare/sub-1.log"},
        ROW | {"status": "DONE"},
        ROW | {"status": "EXCLUDED"},
    ]
    jobs = [("fit", ["a.tsv"], "logs/fit/study.log"), ("draw", ["b.webp"], "logs/draw.log")]
    told = tell(rows, jobs, set(), tmp_path, None).splitlines()
    assert told[0].split() == ["step", "DONE", "FAILED", "EXCLUDED"]
    place = told.index("FAILED sub-1 prepare: no brain (logs/prepare/sub-1.log)")
    assert told[place + 1] == "FAILED fit: singular (logs/fit/study.log)"
    assert told[place + 2] == "No run goes on"
    assert told[place + 3] == "To be done: 3 jobs"
