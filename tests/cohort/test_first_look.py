"""What the end of a run tells to look at first."""

import os
from datetime import UTC, datetime, timedelta

from workflow_scripts.cohort.first_look import OUTLIERS, REPORT, SHOWN, STATUS, first_look

STARTED = datetime.now(UTC) - timedelta(minutes=1)
FLAGS = "participant_id\tsession_id\tmeasure\tlevel\tcommon\tvalue\treason\n"
STEPS = "participant_id\tsession_id\tsuffix\tstep\tstatus\treason\tlog\n"


def put(root, name, text=""):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_unusable_sessions_then_failures_then_studies(tmp_path):
    rows = ["sub-1\tn/a\ttiv_ml\tunusable\tno\t310\toutside the limits"]
    rows += ["sub-1\tn/a\tgm_fraction\tunusable\tno\tn/a\tmissing"]
    rows += ["sub-2\tses-1\talps\tdoubtful\tno\t2\tunlike the cohort"]
    rows += ["sub-3\tn/a\tdseg\tdoubtful\tyes\tn/a\ttissues", "sub-3\tn/a\tage\tnote\tno\t3\tchild"]
    put(tmp_path, OUTLIERS, FLAGS + "\n".join(rows) + "\n")
    states = ["sub-4\tn/a\tT1w\tprepare_t1w\tFAILED\tno brain found\tlogs/prepare.log"]
    states += ["sub-4\tn/a\tT1w\tregister_to_mni\tPENDING\tn/a\tn/a"]
    put(tmp_path, STATUS, STEPS + "\n".join(states) + "\n")
    put(tmp_path, REPORT)
    put(tmp_path, "logs/fit.log", "singular\n")
    put(tmp_path, "made.tsv")
    jobs = [("fit", ["fit.tsv"], "logs/fit.log"), ("draw", ["made.tsv"], "logs/fit.log")]
    assert first_look(tmp_path, ["npsle", "ms"], jobs, STARTED).splitlines() == [
        "Look first at",
        "1. Unusable numbers of 1 session (cohort/outliers.tsv)",
        "   sub-1 tiv_ml 310: outside the limits; gm_fraction: missing",
        "2. Failed: 2 jobs (cohort/status.tsv)",
        "   sub-4 prepare_t1w: no brain found",
        "   fit: singular (logs/fit.log)",
        f"3. Studies, in {tmp_path / REPORT}, Overview first: npsle, ms; 1 session to look at "
        "under Quality control",
    ]


def test_many_are_counted_and_long_texts_cut(tmp_path):
    rows = [f"sub-{n}\tn/a\ttiv_ml\tunusable\tno\t1\t{300 * 'x'}" for n in range(SHOWN + 3)]
    put(tmp_path, OUTLIERS, FLAGS + "\n".join(rows) + "\n")
    lines = first_look(tmp_path, [], [], STARTED).splitlines()
    assert len(lines) == 3 + SHOWN and lines[-1].strip() == "and 3 more"
    assert max(map(len, lines)) < 170


def test_what_an_earlier_run_has_left_is_not_this_runs_own(tmp_path):
    assert first_look(tmp_path, ["npsle"], [], STARTED) is None
    put(tmp_path, REPORT)
    os.utime(tmp_path / REPORT, (0, 0))
    assert first_look(tmp_path, ["npsle"], [], STARTED) is None
    put(tmp_path, OUTLIERS, FLAGS + "sub-1\tn/a\ttiv_ml\tunusable\tno\t1\toutside\n")
    os.utime(tmp_path / OUTLIERS, (0, 0))
    assert "as an earlier run has left it" in first_look(tmp_path, [], [], STARTED)
