import json
from pathlib import Path

import pytest

from workflow_scripts.common.bids import entities_of, gradient_files, metadata_files, read_metadata
from workflow_scripts.common.job import InputError


@pytest.mark.parametrize(
    ("name", "entities"),
    [
        # examples of the BIDS specification
        (
            "sub-01_ses-test_acq-highres_run-02_T1w.nii.gz",
            {"sub": "01", "ses": "test", "acq": "highres", "run": "02"}
            | {"suffix": "T1w", "ext": ".nii.gz"},
        ),
        ("sub-control01_dwi.bval", {"sub": "control01", "suffix": "dwi", "ext": ".bval"}),
        ("task-rest_bold.json", {"task": "rest", "suffix": "bold", "ext": ".json"}),
        # no label of BIDS, but met with
        (
            "sub-1_acq-0.8mm_T1w.nii.gz",
            {"sub": "1", "acq": "0.8mm", "suffix": "T1w", "ext": ".nii.gz"},
        ),
        ("T1w.json", {"suffix": "T1w", "ext": ".json"}),
    ],
)
def test_entities_of_a_name(name, entities):
    assert entities_of(name) == entities


def dataset(root: Path, **files) -> Path:
    (root / "dataset_description.json").write_text("{}")
    for name, metadata in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(metadata))
    return root


def test_nearer_metadata_override_and_other_images_metadata_do_not_apply(tmp_path):
    """The examples of the specification's chapter on the inheritance principle."""
    root = tmp_path / "inside"
    (root / "sub-01/func").mkdir(parents=True)
    dataset(
        root,
        **{
            "task-xyz_acq-test1_bold.json": {"EchoTime": 20, "RepetitionTime": 2},
            "task-other_bold.json": {"EchoTime": 1, "FlipAngle": 1},
            "sub-01/sub-01_bold.json": {"FlipAngle": 70},
            "sub-01/func/sub-01_task-xyz_acq-test1_run-1_bold.json": {"EchoTime": 30},
            "sub-01/func/sub-01_task-xyz_acq-test1_sbref.json": {"EchoTime": 2},
        },
    )
    (tmp_path / "bold.json").write_text('{"Above": "the dataset"}')
    first, second = (
        read_metadata(root / f"sub-01/func/sub-01_task-xyz_acq-test1_run-{run}_bold.nii.gz")
        for run in (1, 2)
    )
    assert first == {"EchoTime": 30, "RepetitionTime": 2, "FlipAngle": 70}
    names = [path.name for path in metadata_files(root / "sub-01/func/sub-01_task-xyz_bold.nii.gz")]
    assert names == ["sub-01_bold.json"]
    assert second == {"EchoTime": 20, "RepetitionTime": 2, "FlipAngle": 70}


def test_within_a_folder_the_more_specific_metadata_override(tmp_path):
    dataset(tmp_path, **{"dwi.json": {"EchoTime": 1}, "acq-b_dwi.json": {"EchoTime": 2}})
    assert read_metadata(tmp_path / "sub-1/dwi/sub-1_acq-b_dwi.nii.gz") == {"EchoTime": 2}
    assert read_metadata(tmp_path / "sub-1/dwi/sub-1_acq-c_dwi.nii.gz") == {"EchoTime": 1}


def test_metadata_that_an_editor_on_windows_has_saved(tmp_path):
    (dataset(tmp_path) / "dwi.json").write_text('{"EchoTime": 1}', encoding="utf-8-sig")
    assert read_metadata(tmp_path / "sub-1/dwi/sub-1_dwi.nii.gz") == {"EchoTime": 1}


@pytest.mark.parametrize("text", ["{", "[]", '[["a", 1]]', '"x"', ""])
def test_broken_metadata_are_named(tmp_path, text):
    (dataset(tmp_path) / "dwi.json").write_text(text)
    with pytest.raises(InputError, match=r"dwi\.json: is no JSON object"):
        read_metadata(tmp_path / "sub-1/dwi/sub-1_dwi.nii.gz")


def test_metadata_deeper_than_python_goes_are_named(tmp_path):
    (dataset(tmp_path) / "dwi.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"dwi\.json: is no JSON object"):
        read_metadata(tmp_path / "sub-1/dwi/sub-1_dwi.nii.gz")


IMAGE = "sub-1/ses-1/dwi/sub-1_ses-1_acq-a_run-2_dwi.nii.gz"
OWN = IMAGE.replace(".nii.gz", ".bval")


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], OWN),
        (["dwi.bval"], "dwi.bval"),
        (["dwi.bval", OWN], OWN),
        (["dwi.bval", "sub-1/sub-1_acq-a_dwi.bval"], "sub-1/sub-1_acq-a_dwi.bval"),
        (["acq-a_dwi.bval", "acq-b_dwi.bval", "sub-2_dwi.bval"], "acq-a_dwi.bval"),
        (["sub-1/ses-1/sub-1_ses-1_dwi.bval"], "sub-1/ses-1/sub-1_ses-1_dwi.bval"),
        (["sub-1/ses-1/dwi/sub-1_ses-1_dwi.bval"], "sub-1/ses-1/dwi/sub-1_ses-1_dwi.bval"),
        # of another suffix, another run, or with an entity that the image lacks
        (["epi.bval", "run-1_dwi.bval", "dir-AP_dwi.bval", "._dwi.bval", "dwi.bvals"], OWN),
        # a table with an image of its own is that image's alone
        ([f"sub-1/ses-1/dwi/sub-1_ses-1_dwi{end}" for end in (".bval", ".nii.gz")], OWN),
    ],
)
def test_gradient_tables_are_inherited_from_the_nearest_that_applies(tmp_path, there, found):
    root = dataset(tmp_path, **{name: {} for name in there})
    bval, bvec = gradient_files(root / IMAGE)
    assert (bval, bvec) == (root / found, root / OWN.replace(".bval", ".bvec"))


def test_several_gradient_tables_of_a_folder_that_apply_are_named(tmp_path):
    root = dataset(tmp_path, **{"acq-a_dwi.bvec": {}, "run-2_dwi.bvec": {}})
    with pytest.raises(InputError, match="acq-a_dwi.bvec and .*run-2_dwi.bvec apply to it alike"):
        gradient_files(root / IMAGE)
    dataset(tmp_path, **{OWN.replace(".bval", ".bvec"): {}})
    assert gradient_files(root / IMAGE)[1] == root / OWN.replace(".bval", ".bvec")
