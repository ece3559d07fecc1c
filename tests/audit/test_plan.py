"""Why jobs would run, in words; of a whole dry run see tests/workflow/test_status.py."""

import pytest

from workflow_scripts.audit.plan import (
    MOST_KEYS,
    changed_files,
    changed_keys,
    explain,
    settings_told,
    some,
)
from workflow_scripts.common.fingerprint import contents

BEFORE = {"diffusion": {"denoise": None, "gibbs": True}, "studies": {"one": {"seed": 1}}}
NOW = {"diffusion": {"denoise": "mppca", "gibbs": True}, "studies": {"one": {"seed": 1}}}
NOW["studies"]["two"] = {"models": {"svm": {}}}


def test_keys_of_the_configuration_that_differ():
    found = changed_keys(BEFORE, NOW | {"threads": (1, 2)})
    assert found == {
        "diffusion.denoise": (None, "mppca"),
        "studies.two": (None, {"models": {"svm": {}}}),
        "threads": (None, [1, 2]),
    }
    assert changed_keys(BEFORE, BEFORE) == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("denoise", "mppca", "configuration key diffusion.denoise changed"),
        ("settings", {"a": {"denoise": 1}}, "configuration key diffusion.denoise changed"),
        ("config", {"studies": {"two": {}}}, "configuration key studies.two changed"),
        ("sessions_shown", [1], "its sessions shown changed"),
        ("raw_bytes", 3, "a scan has another size"),
    ],
)
def test_settings_are_told_as_keys_where_they_are_some(name, value, sentence):
    changed = changed_keys(BEFORE, NOW)
    assert list(settings_told([name], {name: value}, changed)) == [sentence]


def test_files_of_a_rule_that_were_edited_are_named():
    recorded = contents("anatomical/prepare_t1w.py")
    assert changed_files("prepare_t1w", recorded) == []
    edited = "workflow_scripts/common/images.py"
    assert changed_files("prepare_t1w", recorded | {edited: "another"}) == [edited]
    assert changed_files("all", recorded) == []


def test_jobs_are_summed_up_by_rule():
    jobs = [("prepare", [("sessions are new", f"sub-{n}")], []) for n in range(1, 6)] + [
        ("prepare", [("its code changed (a.py)", None)], ["make"]),
        ("fit", [], ["prepare"]),
        ("fit", [], ["prepare", "draw"]),
    ]
    assert explain(jobs, {"a.b": (1, None), "c": (["x" * 90], {})}).splitlines() == [
        "Configuration that is not as in the last run:",
        "  a.b: 1 -> none",
        f"  c: ['{58 * 'x'}... -> {{...}}",
        "Why these jobs would run:",
        "  prepare (6): sessions are new: sub-1, sub-2, sub-3 and 2 more; its code changed (a.py)",
        "  fit (2): after prepare, draw",
    ]
    many = {str(n): (n, None) for n in range(MOST_KEYS + 5)}
    assert "  and 5 more keys" in explain([], many)
    assert some("abcd") == "a, b, c and 1 more"
