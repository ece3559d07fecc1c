import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from workflow_scripts.common.device import Device
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.learning import predict_sessions
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.images import (
    Around,
    Template,
    make_grid,
    native_volume,
    normalized_volume,
)
from workflow_scripts.learning.models import load_classifier, save_model, start_from
from workflow_scripts.learning.predict_sessions import score
from workflow_scripts.learning.train_classifier import describe

DESCRIPTION = {"encoder": "strided", "widths": [3, 5]}
SHAPE = (20, 24, 20)
T1W = {"channels": ["T1w"], "space": "MNI152", "region": "brain", "downsample": 1}
TWO = T1W | {"channels": ["FLAIR", "T1w"], "region": "ventricles"}
NATIVE = {"channels": ["STIR"], "space": "native", "region": "brain", "downsample": 1}
NATIVE |= {"spacing": [0.6, 0.6, 3.3], "shape": [16, 16, 8]}


@pytest.fixture
def template():
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:18, 4:20, 2:18] = 1
    regions = np.zeros(SHAPE, np.uint8)
    regions[8:12, 8:12, 8:12] = 4
    return Template(nib.Nifti1Image(mask, np.diag([2.0, 2, 2, 1])), regions, mask / 2, mask / 2)


def saved(path, entry, mask):
    """A classifier that was trained on an input, as `train_classifier` writes it."""
    torch.manual_seed(0)
    settings = DESCRIPTION | {"augmentation": "crop"}
    encoder = build_encoder("strided", [3, 5], len(entry["channels"]))
    save_model(
        with_classifier(encoder), path, describe(settings, entry, ["n", "p"], {"sub-2"}, mask)
    )
    return path


@pytest.fixture
def weights(tmp_path, template):
    path = tmp_path / "model-crop_split-1_repeat-1_model.safetensors"
    return saved(path, T1W, make_grid(T1W, template).mask)


@pytest.fixture
def old_weights(tmp_path, weights):
    """The same model as version 0.6 described it."""
    path = tmp_path / "trial-1_strategy-crop_repeat-1_model.safetensors"
    path.write_bytes(weights.read_bytes())
    description = json.loads(weights.with_suffix(".json").read_text())
    description |= {"downsample": description.pop("input")["downsample"]}
    path.with_suffix(".json").write_text(json.dumps(description))
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


@pytest.mark.parametrize(("widths", "channels"), [([3, 6], 1), ([3, 5], 2)])
def test_weights_of_another_network_are_refused(weights, widths, channels):
    network = with_classifier(build_encoder("strided", widths, channels))
    save_model(network, weights, DESCRIPTION | {"input": T1W})
    with pytest.raises(InputError, match="not the weights of this network"):
        load_classifier(weights)


@pytest.fixture
def sessions(tmp_path):
    """Three sessions with a T1w, of which two have a FLAIR, and a fourth with a STIR alone."""
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE)
    brain[2:18, 4:20, 2:18] = 1

    def image(name, data, affine):
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine), tmp_path / name)
        return str(tmp_path / name)

    made = []
    for number in range(1, 5):
        entry = {"participant_id": f"sub-{number}", "session_id": "ses-1"}
        made.append(entry | {"MNI152": {}, "native": {}, "T1w": {}, "sides": {}})
        for name in ["T1w", "FLAIR"][: (2, 1, 2, 0)[number - 1]]:
            data = rng.uniform(1, 2, SHAPE) * (brain if name == "T1w" else 1)
            path = image(f"{number}_{name}.nii.gz", data, np.diag([2.0, 2, 2, 1]))
            made[-1]["MNI152"][name] = path
    thick = np.diag([0.6, 0.6, 3.3, 1])
    stir = image("4_STIR.nii.gz", rng.uniform(1, 2, (18, 18, 9)), thick)
    made[-1]["native"]["STIR"] = made[-1]["T1w"]["STIR"] = stir
    joint = np.zeros((18, 18, 9))
    joint[3:9, 4:10, 2:5] = 1
    made[-1]["sides"]["joint unet"] = image("4_joint.nii.gz", joint, thick)
    return made


def said(weights, volumes):
    """Scores of a model for volumes, by its own network."""
    with torch.no_grad():
        logits = load_classifier(weights)[0](torch.from_numpy(np.stack(volumes)).float())
    return (logits[:, 1] - logits[:, 0]).tolist()


def test_sessions_are_scored_but_those_of_people_of_the_training(
    weights, sessions, template, tmp_path
):
    table = score(weights, sessions, template)
    assert table["participant_id"].tolist() == ["sub-1", "sub-2", "sub-3"]
    assert table["seen_in_training"].tolist() == ["no", "yes", "no"]
    assert set(table["model"]) == {"model-crop_split-1_repeat-1"}
    assert table["score"].notna().tolist() == [True, False, True]
    assert table["predicted"].notna().tolist() == [True, False, True]
    assert table["probability"].dropna().between(0, 1).all() and table["score"].nunique() == 2
    write_table(table, tmp_path / "sessions.tsv", resource("columns/learning.tsv"))
    assert len(read_table(tmp_path / "sessions.tsv")) == 3


def test_labels_are_classes_of_the_model(weights, sessions, template):
    for session, edss in zip(sessions, ("3.0", "2.5", None, "9"), strict=True):
        session["label"] = edss
    threshold = {"column": "edss", "at_least": 3}
    table = score(weights, sessions, template, threshold)
    negative, positive = table[["negative", "positive"]].iloc[0]
    assert table["label"].fillna("none").tolist() == [positive, negative, "none"]
    assert score(weights, sessions, template, "edss")["label"][0] == "3.0"
    sessions[0]["label"] = "three"
    with pytest.raises(InputError, match="frozen_label: edss of sub-1 is three, no number"):
        score(weights, sessions, template, threshold)


def test_a_model_of_version_0_6_says_what_it_said(weights, old_weights, sessions, template):
    table, old = (score(path, sessions, template) for path in (weights, old_weights))
    assert set(old.pop("model")) == {"trial-1_strategy-crop_repeat-1"}
    pd.testing.assert_frame_equal(old, table.drop(columns="model"))


@pytest.fixture
def in_32_bits(monkeypatch):
    monkeypatch.setattr(predict_sessions, "choose_device", lambda *_, **__: Device("cpu", False))


@pytest.mark.usefixtures("in_32_bits")
def test_a_model_of_two_channels_scores_the_sessions_that_have_both(sessions, template, tmp_path):
    """Its channels in its own order, on its own region."""
    grid = make_grid(TWO, template)
    path = saved(tmp_path / "two_model.safetensors", TWO, grid.mask)
    table = score(path, sessions, template)
    assert table["participant_id"].tolist() == ["sub-1", "sub-3"]
    images = [sessions[number]["MNI152"] for number in (0, 2)]
    expected = said(
        path, [normalized_volume([i["FLAIR"], i["T1w"]], i["T1w"], grid) for i in images]
    )
    np.testing.assert_allclose(table["score"], expected, rtol=1e-5)
    assert table["seen_in_training"].tolist() == ["no", "no"]


@pytest.mark.usefixtures("in_32_bits")
def test_a_native_model_needs_no_template(sessions, tmp_path):
    mask = nib.Nifti1Image(np.ones(NATIVE["shape"], np.uint8), np.diag([0.6, 0.6, 3.3, 1]))
    path = saved(tmp_path / "native_model.safetensors", NATIVE, mask)
    table = score(path, sessions, None)
    assert table["participant_id"].tolist() == ["sub-4"]
    volume = native_volume([sessions[3]["native"]["STIR"]], NATIVE["spacing"], NATIVE["shape"])
    np.testing.assert_allclose(table["score"], said(path, [volume]), rtol=1e-5)


@pytest.mark.usefixtures("in_32_bits")
def test_a_model_of_images_around_a_region_cuts_them_as_in_its_training(sessions, tmp_path):
    mask = nib.Nifti1Image(np.ones(NATIVE["shape"], np.uint8), np.diag([0.6, 0.6, 3.3, 1]))
    entry = NATIVE | {"segmented": {"region": "joint", "engine": "unet", "margin": 1.0}}
    path = saved(tmp_path / "joint_model.safetensors", entry, mask)
    table = score(path, sessions, None)
    around = Around(sessions[3]["sides"]["joint unet"], 1.0)
    stir = [sessions[3]["T1w"]["STIR"]]
    cut, whole = (
        native_volume(stir, NATIVE["spacing"], NATIVE["shape"], a) for a in (around, None)
    )
    np.testing.assert_allclose(table["score"], said(path, [cut]), rtol=1e-5)
    assert abs(table["score"].iloc[0] - said(path, [whole])[0]) > 1e-4
    sessions[3]["sides"] = {}
    with pytest.raises(InputError, match="no session has STIR and joint unet, which it reads"):
        score(path, sessions, None)


def test_a_model_that_no_session_has_the_channels_of_is_named(sessions, template, tmp_path):
    path = saved(tmp_path / "two_model.safetensors", TWO, make_grid(TWO, template).mask)
    with pytest.raises(InputError, match="two_model.*: no session has FLAIR and T1w"):
        score(path, sessions[1:2], template)


@pytest.mark.parametrize("affine", [np.diag([1.0, 2, 2, 1]), np.diag([2.0, 2, 2.1, 1])])
def test_another_template_grid_is_refused(weights, old_weights, sessions, template, affine):
    mask = np.asanyarray(template.brain.dataobj)
    finer = mask.repeat(2, 0) if affine[0, 0] == 1 else mask
    other = Template(nib.Nifti1Image(finer, affine), finer, finer, finer)
    for path in (weights, old_weights):
        with pytest.raises(InputError, match="2 mm, these are .*template_resolution"):
            score(path, sessions, other)


def medicalnet(path, **changes):
    """A network of MONAI as MedicalNet's files have it, for one channel."""
    from monai.networks import nets

    torch.manual_seed(1)
    network = nets.resnet10(spatial_dims=3, n_input_channels=1, bias_downsample=False).eval()
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()} | changes
    torch.save({"state_dict": state}, path)
    network.fc = torch.nn.Identity()
    return network


def test_a_network_starts_from_weights_of_the_users_own(tmp_path):
    """Two channels that are equal give what the file's network gives of the one."""
    judge = medicalnet(tmp_path / "resnet10.pth")
    encoder = build_encoder("resnet10", [], 2)
    start_from(encoder, tmp_path / "resnet10.pth")
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        found, expected = encoder.eval()(image.repeat(1, 2, 1, 1, 1)), judge(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_start_from_weights_of_another_network_is_refused(tmp_path):
    medicalnet(tmp_path / "resnet10.pth")
    with pytest.raises(InputError, match="resnet10.pth: lacks .* of .* weights of the network"):
        start_from(build_encoder("resnet18", []), tmp_path / "resnet10.pth")
    (tmp_path / "no.pth").write_text("no weights")
    with pytest.raises(InputError, match="no.pth: cannot be read as weights"):
        start_from(build_encoder("resnet10", []), tmp_path / "no.pth")
