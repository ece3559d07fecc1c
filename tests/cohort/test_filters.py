"""Filters of scans: what matches nothing is named, what is offered leaves one scan."""

import pytest
import yaml

from tests.cohort.test_index import dataset
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.filters import SHORT, matches
from workflow_scripts.cohort.index import index_scans
from workflow_scripts.common.job import InputError

SERIES = [
    f"sub-1/dwi/sub-1_acq-{acq}_dir-{way}_run-{run}_dwi.nii.gz"
    for acq, way, run in (("hi", "AP", 1), ("hi", "PA", 1), ("lo", "AP", 2))
]


def chosen(root, **filters):
    rows = index_scans(root, {"T1w": {}, "dwi": {}} | filters)
    return {row["path"].rpartition("/")[2] for row in rows if row["path"]}


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        ({"dir": "ap"}, ["scans.dwi.dir: no dwi file has dir-ap (found: dir-AP, dir-PA)"]),
        ({"dir": "Ap"}, ["scans.dwi.dir: no dwi file has dir-Ap"]),
        ({"run": "3"}, ["scans.dwi.run", "(found: run-1, run-2)"]),
        ({"acq": "h"}, ["scans.dwi.acq", "acq-hi, acq-lo"]),
        ({"acq": " hi"}, ["scans.dwi.acq"]),
        ({"dri": "AP"}, ["scans.dwi.dri: no dwi file has the entity dri", "acq", "dir", "run"]),
        ({"rec": "norm"}, ["scans.dwi.rec: no dwi file has the entity rec"]),
        ({"dri": None}, ["scans.dwi.dri"]),
        ({"dir": None}, ["scans.dwi.dir: all dwi files have the entity dir (found: dir-AP"]),
        (
            {"acq": "lo", "dir": "PA"},
            ["scans.dwi {acq: lo, dir: PA}: no dwi file has all of these"],
        ),
        ({"dir": "AP", "acq": "x", "nr": "1"}, ["scans.dwi.acq", "scans.dwi.nr"]),
        *(
            ({long: "x"}, [f"scans.dwi.{long}: no dwi file has the entity {long}; write {short}"])
            for long, short in SHORT.items()
            if long != short
        ),
    ],
)
def test_filter_that_matches_nothing_is_named(tmp_path, wanted, messages):
    dataset(tmp_path, *SERIES, "sub-2/anat/sub-2_T1w.nii.gz")
    with pytest.raises(InputError) as error:
        chosen(tmp_path, dwi=wanted)
    for message in messages:
        assert message in str(error.value)
    assert chosen(tmp_path, dwi={"dir": "AP", "run": "01"}) == {
        "sub-1_acq-hi_dir-AP_run-1_dwi.nii.gz",
        "sub-2_T1w.nii.gz",
    }


@pytest.mark.parametrize("name", ["T1w", "FLAIR", "epi", "R1map"])
def test_filter_of_what_the_dataset_has_not_at_all(tmp_path, name):
    dataset(tmp_path, *SERIES)
    message = rf"scans.{name} {{acq: x}}: the dataset has no {name} file; correct the filter"
    with pytest.raises(InputError, match=message):
        chosen(tmp_path, **{name: {"acq": "x"}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t1w", "scans.t1w: the dataset has no t1w file; write T1w"),
        ("DWI", "scans.DWI: the dataset has no DWI file; write dwi"),
        ("R1map", None),
    ],
)
def test_a_name_alone_that_no_scan_has(tmp_path, name, message):
    dataset(tmp_path, *SERIES)
    if message is None:
        assert chosen(tmp_path, **{name: {}})
    else:
        with pytest.raises(InputError, match=message):
            chosen(tmp_path, **{name: {}})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"suffix": "T2W", "acq": "stir"}, "the dataset has no T2W file"),
        ({"suffix": "T2w", "acq": "STIR"}, "scans.STIR.acq: no T2w file has acq-STIR"),
        ({"suffix": "T2w", "acquisition": "stir"}, "write acq"),
    ],
)
def test_filter_of_a_named_contrast(tmp_path, wanted, message):
    dataset(tmp_path, "sub-1/anat/sub-1_acq-stir_T2w.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz")
    with pytest.raises(InputError, match=message):
        chosen(tmp_path, STIR=wanted)


def test_dataset_need_not_have_the_vessel_wall_image_of_a_configuration(tmp_path):
    dataset(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz")
    assert chosen(tmp_path, VWI={"suffix": "T1w", "acq": "vwi"}) == {"sub-1_T1w.nii.gz"}


def test_run_about_some_does_not_ask_whether_the_others_match(tmp_path):
    dataset(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", "sub-2/anat/sub-2_acq-a_T1w.nii.gz")
    assert len(index_scans(tmp_path, {"T1w": {"acq": "a"}}, ["sub-1"])) == 1


def test_series_of_a_session_none_of_which_matches_are_missing_with_that_reason(tmp_path):
    others = [f"sub-2/dwi/sub-2_acq-lo_run-{n}_dwi.nii.gz" for n in (1, 2)]
    dataset(tmp_path, *SERIES, *others)
    rows = index_scans(tmp_path, {"dwi": {"acq": "hi"}})
    [row] = [row for row in rows if row["participant_id"] == "sub-2"]
    assert row["path"] is None
    assert row["note"].startswith("scans.dwi {acq: hi} fits none of sub-2_acq-lo_run-1_dwi")


@pytest.mark.parametrize("text", ["null", "", "~", "''", "n/a"])
def test_null_is_without_the_entity(tmp_path, text):
    plain = "sub-1/anat/sub-1_T1w.nii.gz"
    dataset(tmp_path, plain, "sub-1/anat/sub-1_ce-gd_T1w.nii.gz")
    scans = yaml.safe_load(f"T1w: {{ce: {text}}}")
    config = {"output_dir": "out", "anatomical": {}, "studies": {}, "scans": scans}
    assert chosen(tmp_path, **check_config(config)["scans"]) == {"sub-1_T1w.nii.gz"}


@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (["T1w.nii.gz", "ce-gadolinium_T1w.nii.gz"], "{ce: null}"),
        (["acq-a_T1w.nii.gz", "acq-b_T1w.nii.gz"], "{acq: a}"),
        (["run-1_T1w.nii.gz", "run-2_T1w.nii.gz"], "{run: '1'}"),
        (["T1w.nii", "T1w.nii.gz"], "{ext: .nii}"),
        (["acq-a_run-1_T1w.nii.gz", "acq-a_run-2_T1w.nii.gz"], "{run: '1'}"),
        (
            ["acq-a_run-1_T1w.nii.gz", "acq-a_run-2_T1w.nii.gz", "acq-b_run-1_T1w.nii.gz"],
            "{acq: a, run: '1'}",
        ),
        (["acq-a_T1w.nii.gz", "acq-b_T1w.nii.gz", "acq-on_T1w.nii.gz"], "{acq: a}"),
        (["inv-1_T1w.nii.gz", "inv-2_T1w.nii.gz", "T1w.nii.gz"], "{inv: null}"),
    ],
)
def test_message_offers_the_entity_in_which_they_differ_and_it_chooses(tmp_path, names, offered):
    dataset(tmp_path, *(f"sub-1/anat/sub-1_{name}" for name in names))
    with pytest.raises(InputError, match="sub-1: .*set scans.T1w, for example ") as error:
        chosen(tmp_path)
    wanted = str(error.value).rpartition("for example ")[2]
    if offered != "{inv: null}":
        assert wanted == offered
    assert len(chosen(tmp_path, T1w=yaml.safe_load(wanted))) == 1


def test_a_scan_in_a_folder_that_nobody_asked_for_is_noted(tmp_path):
    dataset(tmp_path, "sub-1/excluded/sub-1_T1w.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz")
    aside, sound = (row for row in index_scans(tmp_path, {"T1w": {}}) if row["path"])
    assert aside["note"].startswith("lies in excluded/, not in anat, dwi, fmap: was it set aside?")
    assert "note" not in sound
    asked = index_scans(tmp_path, {"T1w": {"datatype": "excluded"}})
    assert "note" not in asked[0]


def test_same_name_in_two_folders_is_chosen_by_datatype(tmp_path):
    dataset(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/func/sub-1_T1w.nii.gz")
    with pytest.raises(InputError, match=r"\{datatype: anat\}"):
        chosen(tmp_path)
    rows = index_scans(tmp_path, {"T1w": {"datatype": "func"}})
    assert rows[0]["path"].endswith("func/sub-1_T1w.nii.gz")


def test_numbers_match_as_numbers_and_labels_as_text():
    assert matches({"run": "01"}, {"run": "1"}) and not matches({"acq": "01"}, {"acq": "1"})
    assert not matches({"run": None}, {"run": "1"}) and matches({}, {"run": None})


# What a diffusion series is


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["part-mag_dwi", "part-phase_dwi"], ["part-mag_dwi"]),
        (["part-real_dwi", "part-imag_dwi", "dwi"], ["dwi"]),
        (["dwi", "sbref"], ["dwi"]),
        (["part-phase_dwi"], []),
        (["dir-AP_dwi", "dir-PA_dwi"], ["dir-AP_dwi", "dir-PA_dwi"]),
        (["run-1_dwi", "run-2_dwi"], ["run-1_dwi", "run-2_dwi"]),
        (["acq-hi_dwi", "acq-lo_dwi"], ["acq-hi_dwi", "acq-lo_dwi"]),
    ],
)
def test_files_that_are_diffusion_series(tmp_path, names, kept):
    dataset(tmp_path, *(f"sub-1/dwi/sub-1_{name}.nii.gz" for name in names))
    assert chosen(tmp_path) == {f"sub-1_{name}.nii.gz" for name in kept}


def test_session_with_phases_alone_says_so(tmp_path):
    dataset(tmp_path, "sub-1/dwi/sub-1_part-phase_dwi.nii.gz", "sub-2/dwi/sub-2_dwi.nii.gz")
    row = index_scans(tmp_path, {"dwi": {}})[0]
    assert row["path"] is None and "sub-1_part-phase_dwi.nii.gz: phases" in row["note"]


@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (["dwi.nii", "dwi.nii.gz"], "{ext: .nii}"),
        (["dwi.nii.gz", "rec-norm_dwi.nii.gz"], "{rec: null}"),
        (["dir-AP_dwi.nii.gz", "dir-AP_desc-x_dwi.nii.gz"], "{desc: null}"),
        (["dir-AP_dwi.nii.gz", "dir-AP_part-mag_dwi.nii.gz"], "{part: null}"),
        (["echo-1_dwi.nii.gz", "echo-2_dwi.nii.gz"], "{echo: '1'}"),
        (["dwi.nii.gz", "dwi.bval", "rec-norm_dwi.nii.gz"], "{rec: null}"),
    ],
)
def test_copies_of_a_series_are_never_used_together(tmp_path, names, offered):
    dataset(tmp_path, *(f"sub-1/dwi/sub-1_{name}" for name in names))
    with pytest.raises(InputError, match="several scans match") as error:
        chosen(tmp_path)
    assert f"set scans.dwi, for example {offered}" in str(error.value)
    assert len(chosen(tmp_path, dwi=yaml.safe_load(offered))) == 1


@pytest.mark.parametrize("part", ["phase", "Phase", "real", "imag"])
@pytest.mark.parametrize("suffix", ["T1w", "FLAIR", "R1map"])
def test_phases_are_no_contrast_unless_a_filter_asks_for_them(tmp_path, part, suffix):
    alone, mag = f"sub-1_part-{part}_{suffix}.nii.gz", f"sub-2_part-mag_{suffix}.nii.gz"
    other = alone.replace("sub-1", "sub-2")
    dataset(tmp_path, f"sub-1/anat/{alone}", f"sub-2/anat/{mag}", f"sub-2/anat/{other}")
    rows = index_scans(tmp_path, {suffix: {}})
    found = {row["participant_id"]: row for row in rows if row["suffix"] == suffix}
    assert found["sub-1"]["path"] is None and f"{alone}: phases" in found["sub-1"]["note"]
    assert found["sub-2"]["path"].endswith(mag)
    rows = index_scans(tmp_path, {suffix: {"part": part}})
    assert {row["path"].rpartition("/")[2] for row in rows if row["path"]} == {alone, other}
