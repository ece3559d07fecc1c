import json
from pathlib import Path

import pytest

from workflow_scripts.common.bids import entities_of, metadata_files, read_metadata
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
