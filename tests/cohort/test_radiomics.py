"""Radiomics of regions in the configuration, and in which session they are measured."""

import sys
from types import SimpleNamespace

import pytest

from tests.cohort.test_config import pelvis
from workflow_scripts.cohort.cohort import Cohort
from workflow_scripts.cohort.config import check_config, shown_config
from workflow_scripts.cohort.engines import Segmentation
from workflow_scripts.cohort.evaluations import radiomics_read, radiomics_shown, table_inputs
from workflow_scripts.cohort.segmentation import complete_radiomics, place_paths
from workflow_scripts.cohort.startup import count_splits
from workflow_scripts.common.job import InputError

REGION = "sacroiliac_joints"
LOGISTIC = {"kind": "logistic", "inputs": ["radiomics"], "penalty": "l1"}


def config(unet=None, design=None, **changes):
    """A study of a pelvis that reads radiomics of the joints as a network finds them."""
    section = {"python": "p", "engine": "net", "channels": ["T1w", "STIR"]}
    found = pelvis(unet=unet or {}, design=design or {"kind": "holdout"})
    found["scans"] = {"T1w": {}, "STIR": {"suffix": "T2w"}}
    found["segmentation"]["regions"][REGION]["radiomics"] = section | changes.pop("section", {})
    study = found["studies"]["s"]
    study["inputs"] = {"radiomics": {"radiomics": {"region": REGION}}} | changes.pop("inputs", {})
    study["models"] = {"m": LOGISTIC} | changes.pop("models", {})
    study |= changes
    return found


def test_defaults_and_what_the_models_read():
    checked = check_config(config())
    study = checked["studies"]["s"]
    asked = checked["segmentation"]["regions"][REGION]["radiomics"]
    assert asked["bin_number"] == 32 and asked["spacing"] is None and asked["distance"] == 2
    assert len(asked["families"]) == 11
    assert table_inputs(study) == {"radiomics": {"region": REGION, "stable": 0.75}}
    table = "studies/s/SacroiliacJoints_radiomics.tsv"
    assert radiomics_read("s", study) == [table]
    stability = "studies/s/SacroiliacJoints_desc-stability_radiomics.tsv"
    assert radiomics_shown("s", study) == [table, stability]
    assert study["requires"] == ["T1w"]  # who lacks a contrast has no value of it


CLINICAL = {"columns": ["age"]}
TWICE = {"other": {"radiomics": {"region": REGION, "stable": 0.9}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"section": {"channels": ["T2"]}}, r"joints\.radiomics\.channels: T2 is no contrast"),
        ({"section": {"families": ["laws"]}}, r"radiomics\.families\.0: 'laws' is not one of"),
        ({"section": {"python": ""}}, r"radiomics\.python: ''"),
        (
            {"inputs": {"x": {"radiomics": {"region": "thalamus"}}}},
            r"inputs\.x\.radiomics: segmentation\.regions\.thalamus has no key radiomics; add it",
        ),
        (
            {"inputs": {"x": CLINICAL | {"radiomics": {"region": REGION}}}},
            r"inputs\.x: is either columns of tables, channels of an image or radiomics",
        ),
        (
            {"inputs": {"x": {"radiomics": {"region": REGION}, "spacing": [1, 1, 1]}}},
            r"inputs\.x: spacing is of images",
        ),
        (
            {"inputs": TWICE, "models": {"n": LOGISTIC | {"inputs": ["radiomics", "other"]}}},
            r"models\.n\.inputs: radiomics of one region stand in two of them",
        ),
        (
            {"models": {"n": {"kind": "cnn", "inputs": ["radiomics"]}}},
            r"models\.n\.inputs: radiomics is a table, cnn reads images",
        ),
        (
            {"models": {"n": {"kind": "stack", "of": ["m"], "inputs": ["radiomics"]}}},
            r"models\.n\.inputs: a stack reads no radiomics",
        ),
        (
            {"models": {"n": LOGISTIC | {"missing": "impute"}}},
            r"models\.n\.missing: who lacks one of the radiomics of a region lacks all",
        ),
        ({"evaluation": {"missing": None}}, r"evaluation\.missing: counts columns, and the table"),
        ({"evaluation": {"nomogram": {"model": "m"}}}, r"nomogram\.model: m reads radiomics"),
        (
            {"unet": {"study": None}},
            r"radiomics: the network net is trained on masks of people whom this study tests; set",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(changes, message):
    found = config(**changes)
    engine = found["segmentation"]["regions"][REGION]["engines"]["net"]
    if engine["study"] is None:
        del engine["study"]
    with pytest.raises(InputError, match=message):
        check_config(found)


def test_a_vote_of_a_network_that_saw_who_is_tested_is_named():
    found = config(section={"engine": "both"})
    engines = found["segmentation"]["regions"][REGION]["engines"]
    engines |= {
        "own": engines["net"] | {"study": "s"},
        "both": {"kind": "vote", "of": ["own", "net"]},
    }
    del engines["net"]["study"]
    with pytest.raises(InputError, match="the network net is trained on masks of people"):
        check_config(found)


@pytest.mark.parametrize("engine", ["net", "both"])
def test_radiomics_of_a_network_that_is_another_in_each_split_are_refused(engine):
    """One table for all splits would be measured in masks of networks that saw who is tested."""
    found = config(section={"engine": engine}, design={"kind": "folds", "folds": 3})
    engines = found["segmentation"]["regions"][REGION]["engines"]
    engines |= {"both": {"kind": "vote", "of": ["net", "given"]}}
    engines |= {"given": {"kind": "import", "labels": [1, 2], "files": "/a/{prefix}"}}
    with pytest.raises(InputError, match=r"studies\.s: .* the network net is another in each of"):
        count_splits(check_config(found), {"s": []})
    found["studies"]["s"]["design"] = {"kind": "holdout"}
    count_splits(check_config(found), {"s": []})


def test_the_python_of_mirp_is_asked_before_anything_runs(tmp_path):
    section = {"regions": {REGION: {"engines": {}, "radiomics": {"python": "x/python"}}}}
    where = rf"regions\.{REGION}\.radiomics\.python"
    with pytest.raises(InputError, match=rf"{where}: x/python cannot be run .*make mirp"):
        complete_radiomics(section)
    section["regions"][REGION]["radiomics"]["python"] = sys.executable
    with pytest.raises(InputError, match=rf"{where}: .* has no mirp .*install envs/mirp.txt there"):
        complete_radiomics(section)
    one = tmp_path / "python"
    one.write_text("#!/bin/sh\necho 2.7.0\n")
    one.chmod(0o755)
    section["regions"][REGION]["radiomics"]["python"] = str(one)
    complete_radiomics(section)
    assert section["regions"][REGION]["radiomics"]["version"] == "2.7.0"


def test_a_moved_environment_is_no_other_report():
    written = config()
    checked = check_config(written)
    place_paths(checked["segmentation"], lambda part, key: key in part and part.update({key: "/a"}))
    shown = shown_config(checked, written)["segmentation"]["regions"][REGION]["radiomics"]
    assert shown["python"] == "p" and shown["bin_number"] == 32


@pytest.fixture
def found():
    """Three sessions: the second without STIR, the third without a mask of anna."""
    rows = [
        {"participant_id": f"sub-{number}", "session_id": None, "suffix": suffix, "path": "x"}
        for number in "123"
        for suffix in ("T1w", "STIR", f"{REGION}_anna")
        if (number, suffix) not in (("2", "STIR"), ("3", f"{REGION}_anna"))
    ]
    checked = check_config(config(section={"engine": "anna"}))
    checked["studies"] = {}
    return Segmentation(checked, Cohort([], rows, [], {})), checked, rows


def test_a_session_without_a_mask_or_a_contrast_says_so(found):
    segmentation, _, rows = found
    people = [row for row in rows if row["suffix"] == "T1w"]
    people.append({"participant_id": "sub-4", "session_id": None})
    manifest = segmentation.radiomics_of(people, "{folder}/{prefix}_label-{region}.json")
    assert [row["reason"] for row in manifest] == [
        None, "no STIR", "no mask of this rater", "no T1w",
    ]  # fmt: skip
    assert manifest[0]["sidecar"] == "sub-1/sub-1_label-SacroiliacJoints.json"
    assert not any(row["sidecar"] for row in manifest[1:])
    assert segmentation.radiomics_of(people, "{region}", "Thalamus") == []
    assert segmentation.measured == ["SacroiliacJoints"]


def test_what_a_session_is_measured_from(found):
    segmentation, *_ = found
    outputs = SimpleNamespace(
        sides="{prefix}_label-{region}_desc-{engine}", t1w="t1w", aligned="{desc}_{suffix}"
    )
    made = SimpleNamespace(output=outputs)
    rules = SimpleNamespace(segment_region=made, prepare_t1w=made, align_contrast=made)
    read = segmentation.radiomics_inputs(SimpleNamespace(region="SacroiliacJoints"), rules)
    assert read["sides"] == "{prefix}_label-SacroiliacJoints_desc-anna"
    assert read["channels"][0] == "t1w" and "STIR" in read["channels"][1]


def test_an_engine_that_nobody_is_is_named(found):
    _, checked, rows = found
    checked["segmentation"]["regions"][REGION]["radiomics"]["engine"] = "ann"
    with pytest.raises(
        InputError, match=r"radiomics\.engine: ann is no engine and no rater \(net, an"
    ):
        Segmentation(checked, Cohort([], rows, [], {}))
