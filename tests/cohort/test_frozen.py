import json

import pytest

from workflow_scripts.cohort.frozen import (
    Frozen,
    check_frozen,
    frozen_columns,
    frozen_models,
    image_files,
    prepared,
    session_images,
    wanted_inputs,
)
from workflow_scripts.common.job import InputError

T1W = {"channels": ["T1w"], "space": "MNI152", "region": "brain", "downsample": 1}
TWO = T1W | {"channels": ["FLAIR", "T1w"], "region": "ventricles"}
NATIVE = {"channels": ["STIR"], "space": "native", "region": "brain", "downsample": 1}
DEEPBET = {"brain_extraction": "deepbet", "registration": "syn", "preprocessed": None}
AROUND = NATIVE | {"segmented": {"region": "joint", "engine": "unet", "margin": 8}}


def frozen(tmp_path, **inputs):
    for name, entry in inputs.items():
        (tmp_path / f"{name}_model.safetensors").touch()
        description = {"downsample": 2} if entry is None else {"input": entry}
        (tmp_path / f"{name}_model.json").write_text(json.dumps(description))
    return frozen_models(str(tmp_path))


def paths_of(prefix, names, space, on_t1w):
    return [f"{'T1w' if on_t1w else space}/{prefix}_{name}" for name in names]


def sides_of(prefix, region, engine):
    return None if prefix.startswith("sub-2") else f"{prefix}_{region}_{engine}"


def stack(folder, name="signature", **inputs):
    content = {"inputs": inputs, "measured": ["gm_fraction"]}
    (folder / f"model-{name}_stack.json").write_text(json.dumps(content))


def config(folder, label=None, engines=()):
    regions = {"joint": {"engines": {name: {} for name in engines}}} if engines else {}
    section = {"regions": regions}
    return {
        "frozen_models": str(folder),
        "frozen_label": label,
        "segmentation": section,
        "anatomical": DEEPBET,
    }


def rows(*prefixes):
    return {
        prefix: [dict(zip(("participant_id", "session_id"), prefix.split("_"), strict=True))]
        for prefix in prefixes
    }


def test_networks_are_found_and_where_there_are_none_it_is_said(tmp_path):
    assert frozen_models(None) == [
        "(configuration: frozen_models is not set)/no *_model.safetensors there"
    ]
    assert frozen_models(str(tmp_path)) == [f"{tmp_path}/no *_model.safetensors there"]
    (tmp_path / "._a_model.safetensors").touch()
    found = frozen(tmp_path, b=T1W, a=None)
    assert [path.rpartition("/")[2][0] for path in found] == ["a", "b"]


def test_inputs_are_those_of_the_descriptions_each_once(tmp_path):
    """A network of version 0.6 reads the T1w in MNI152; what cannot be read is left to the job."""
    models = frozen(tmp_path, good=NATIVE, same=NATIVE, old=None)
    (tmp_path / "bad_model.json").write_text("{")
    found = wanted_inputs([str(tmp_path / "bad_model.safetensors"), *models])
    assert found == [NATIVE, {"channels": ["T1w"], "space": "MNI152"}]


def test_networks_of_native_images_alone_want_no_t1w(tmp_path):
    models = frozen(tmp_path, native=NATIVE)
    scans = {"T1w": rows("sub-1_ses-1"), "STIR": rows("sub-2_ses-1")}
    (session,) = session_images(models, scans, paths_of, sides_of)
    assert session["participant_id"] == "sub-2" and not session["MNI152"]


def test_images_around_a_region_are_those_on_the_grid_of_the_t1w(tmp_path):
    """Of whom the engine segments nothing, there is no label image."""
    models = frozen(tmp_path, around=AROUND)
    scans = {name: rows("sub-1_ses-1", "sub-2_ses-1") for name in ("T1w", "STIR")}
    one, two = session_images(models, scans, paths_of, sides_of)
    assert one["T1w"] == {"T1w": "T1w/sub-1_ses-1_T1w", "STIR": "T1w/sub-1_ses-1_STIR"}
    assert one["sides"] == {"joint unet": "sub-1_ses-1_joint_unet"} and not two["sides"]
    files = image_files([one, two])
    assert "sub-1_ses-1_joint_unet" in files and len(files) == 5


def test_a_region_that_no_engine_finds_is_said_before_anything_runs(tmp_path):
    frozen(tmp_path, around=AROUND)
    with pytest.raises(InputError, match="add .*joint.engines.unet of kind pre"):
        check_frozen(config(tmp_path, engines=["other"]))
    check_frozen(config(tmp_path, engines=["unet"]))
    check_frozen(config(tmp_path / "nothing"))


def test_images_that_were_prepared_otherwise_are_refused(tmp_path):
    """Settings of the training stand in a network's description; one of before says none."""
    frozen(tmp_path, good=T1W | {"prepared": prepared(DEEPBET)}, old=None)
    check_frozen(config(tmp_path))
    other = {"registration": "affine", "preprocessed": {"take": ["tissues", "T1w"]}}
    for key, said in (("registration", "affine, .* has syn"), ("preprocessed", "T1w, .* nothing")):
        there = prepared(DEEPBET | {key: other[key]})
        frozen(tmp_path, other=T1W | {"prepared": there})
        with pytest.raises(InputError, match=rf"of anatomical.{key}: {said}"):
            check_frozen(config(tmp_path))
    of_tissues = prepared(DEEPBET | {"preprocessed": {"take": ["tissues"]}})
    assert of_tissues == prepared(DEEPBET)


def test_columns_are_those_of_labels_and_of_stacks_but_measures(tmp_path):
    stack(tmp_path, clinical={"age": None, "sex": ["F", "M"], "gm_fraction": None})
    found = frozen_columns(config(tmp_path, label={"column": "edss", "at_least": 3}))
    key = "frozen_models"
    assert found == {"age": key, "sex": key, "edss": "frozen_label"}
    row = {"participant_id": "sub-1", "session_id": None, "age": "40", "sex": "F", "other": "1"}
    chain = Frozen(config(tmp_path), {("sub-1", None): row})
    assert chain.columns(measured=True) == ["gm_fraction"]
    assert chain.values() == [{key: row[key] for key in row if key != "other"}]


def test_sessions_come_with_what_they_have(tmp_path):
    """Without a T1w nothing comes to MNI152; a contrast that `scans` does not name is nowhere."""
    models = frozen(tmp_path, two=TWO, native=NATIVE, other=T1W | {"channels": ["R1map"]})
    scans = {
        "T1w": rows("sub-1_ses-1", "sub-2_ses-1"),
        "FLAIR": rows("sub-1_ses-1", "sub-3_ses-1"),
        "STIR": rows("sub-2_ses-1", "sub-4_ses-1"),
    }
    found = {s["participant_id"]: s for s in session_images(models, scans, paths_of, sides_of)}
    assert set(found) == {"sub-1", "sub-2", "sub-4"}
    one = "MNI152/sub-1_ses-1"
    assert found["sub-1"]["MNI152"] == {"T1w": f"{one}_T1w", "FLAIR": f"{one}_FLAIR"}
    assert found["sub-2"]["MNI152"] == {"T1w": "MNI152/sub-2_ses-1_T1w"}
    assert found["sub-2"]["native"] == {"STIR": "native/sub-2_ses-1_STIR"}
    assert found["sub-4"]["MNI152"] == {}
    assert all(session["session_id"] == "ses-1" for session in found.values())
