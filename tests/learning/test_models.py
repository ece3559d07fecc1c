import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.cache_volumes import box_affine, brain_box
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.models import load_classifier, save_model
from workflow_scripts.learning.predict_sessions import score

DESCRIPTION = {"encoder": "strided", "widths": [3, 5]}


@pytest.fixture
def mask():
    mask = np.zeros((20, 24, 20), np.uint8)
    mask[2:18, 4:20, 2:18] = 1
    return nib.Nifti1Image(mask, np.diag([2.0, 2, 2, 1]))


@pytest.fixture
def weights(tmp_path, mask):
    box = brain_box(np.asanyarray(mask.dataobj) > 0, 1)
    description = DESCRIPTION | {
        "classes": ["n", "p"],
        "participants": ["sub-2"],
        "downsample": 1,
        "shape": [16, 16, 16],
        "affine": box_affine(mask.affine, box, 1).tolist(),
    }
    torch.manual_seed(0)
    path = tmp_path / "trial-1_strategy-crop_repeat-1_model.safetensors"
    save_model(with_classifier(build_encoder("strided", [3, 5])), path, description)
    return path


def test_a_loaded_classifier_is_the_saved_one(weights):
    torch.manual_seed(0)
    saved = with_classifier(build_encoder("strided", [3, 5])).eval()
    loaded, description = load_classifier(weights)
    volumes = torch.rand(2, 1, 16, 16, 16)
    torch.testing.assert_close(loaded(volumes), saved(volumes))
    assert description["participants"] == ["sub-2"]


@pytest.mark.parametrize("content", [b"", b"pickled code", b"\x80\x04."])
def test_what_is_no_safetensors_is_named_and_not_run(weights, content):
    weights.write_bytes(content)
    with pytest.raises(InputError, match="_model.safetensors: not the weights"):
        load_classifier(weights)


def test_missing_description_is_named(weights):
    weights.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="_model.json.*copy or make both"):
        load_classifier(weights)


def test_weights_of_another_network_are_refused(weights):
    save_model(with_classifier(build_encoder("strided", [3, 6])), weights, DESCRIPTION)
    with pytest.raises(InputError, match="not the weights of this network"):
        load_classifier(weights)


def brains(tmp_path, mask):
    rng = np.random.default_rng(0)
    paths = []
    for number in range(3):
        data = rng.uniform(1, 2, mask.shape).astype(np.float32) * np.asanyarray(mask.dataobj)
        paths.append(tmp_path / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(data, mask.affine), paths[-1])
    scans = pd.DataFrame({"participant_id": ["sub-1", "sub-2", "sub-3"], "session_id": None})
    return paths, scans


def test_sessions_are_scored_and_known_ones_marked(tmp_path, weights, mask):
    table = score(weights, *brains(tmp_path, mask), mask)
    assert table["seen_in_training"].tolist() == ["no", "yes", "no"]
    assert set(table["model"]) == {"trial-1_strategy-crop_repeat-1"}
    assert table["probability"].between(0, 1).all() and table["score"].nunique() == 3


def test_another_template_grid_is_refused(tmp_path, weights, mask):
    fine = nib.Nifti1Image(np.asanyarray(mask.dataobj).repeat(2, 0), np.diag([1.0, 2, 2, 1]))
    with pytest.raises(InputError, match="template_resolution"):
        score(weights, *brains(tmp_path, mask), fine)
