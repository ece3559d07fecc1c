"""Training to the end on files, as the rules do it: who trains, who is tested, what is kept."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from workflow_scripts.common.job import InputError
from workflow_scripts.common.predictions import PERMUTATIONS, PREDICTIONS
from workflow_scripts.common.splits import LeakageError
from workflow_scripts.common.tables import read_table
from workflow_scripts.learning import explain_predictions, pretrain_encoder, train_classifier
from workflow_scripts.learning.models import load_classifier

CLASSES = ["01", "02"]
PERMUTED = 6
SETTINGS = {
    "encoder": "strided",
    "widths": [3, 4],
    "augmentation": "crop+flip",
    "crop_voxels": 2,
    "rotate_degrees": 10,
    "batch": 4,
    "precision": "float32",
    "deterministic": True,
}
CNN = SETTINGS | {"kind": "cnn", "epochs": 2, "learning_rate": 0.01}
CONTRASTIVE = SETTINGS | {
    "kind": "contrastive",
    "compile": False,
    "pretraining": {
        "epochs": 1,
        "learning_rate": 0.5,
        "warmup_epochs": 0,
        "momentum": 0.9,
        "weight_decay": 0,
        "temperature": 0.5,
        "projection": 4,
    },
    "finetuning": {"mode": "linear", "epochs": 3, "learning_rate": 0.01},
}
FULL = CONTRASTIVE | {"finetuning": {"mode": "full", "epochs": 1, "learning_rate": 0.01}}
ROLES = ["train"] * 6 + ["test"] * 4 + ["validation"] * 2 + ["external"] * 3 + ["rest"]
ENTRY = {"channels": ["T1w", "FLAIR"], "space": "MNI152", "region": "brain", "downsample": 1}
WILDCARDS = SimpleNamespace(split="1", model="net", repeat="1")


class Params(dict):
    """Parameters of a rule: by name and by key."""

    __getattr__ = dict.__getitem__


class Study:
    """Volumes and splits of people of two classes, in a folder."""

    def __init__(self, folder, roles=ROLES, seed=0):
        self.folder = folder
        n = len(roles)
        rng = np.random.default_rng(seed)
        people = pd.DataFrame(
            {
                "participant_id": [f"sub-{i:02d}" for i in range(n)],
                "session_id": "ses-1",
                "label": [CLASSES[i % 2] for i in range(n)],
            }
        )
        volumes = rng.uniform(0.5, 1.5, (n, len(ENTRY["channels"]), 8, 8, 8)).astype(np.float16)
        np.save(folder / "v.npy", volumes)
        people.assign(row=range(n)).to_csv(folder / "v.tsv", sep="\t", index=False)
        splits = people.assign(split=1, role=roles)
        splits["weight"] = (splits["role"] == "train").astype(int)
        self.splits = splits
        splits.to_csv(folder / "splits.tsv", sep="\t", index=False)
        mask = nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4))
        nib.save(mask, folder / "mask.nii.gz")

    def of(self, *roles):
        return self.splits.loc[self.splits["role"].isin(roles), "participant_id"].tolist()

    def files(self, **names):
        return SimpleNamespace(**{key: self.folder / name for key, name in names.items()})

    def source(self, encoder=()):
        names = {"volumes": "v.npy", "index": "v.tsv", "mask": "mask.nii.gz"}
        source = self.files(**names, splits="splits.tsv")
        source.encoder = list(encoder)
        return source

    def pretrain(self):
        out = self.files(encoder="encoder.safetensors", history="pre.tsv")
        params = Params(settings=CONTRASTIVE, seed=7)
        pretrain_encoder.main(self.source(), out, params, WILDCARDS, 0, 1)
        return [out.encoder, out.encoder.with_suffix(".json")]

    def train(self, settings, encoder=()):
        """Train, and give tables, layers and description."""
        names = {"predictions": "p.tsv", "permutations": "n.tsv", "history": "h.tsv"}
        out = self.files(model="m.safetensors", layers="l.safetensors", **names)
        params = Params(
            settings=settings, entry=ENTRY, classes=CLASSES, permutations=PERMUTED, seed=7
        )
        train_classifier.main(self.source(encoder), out, params, WILDCARDS, 0, 1)
        return SimpleNamespace(
            **{key: read_table(getattr(out, key)) for key in names},
            layers=load_file(out.layers),
            model=load_classifier(out.model)[0],
            description=json.loads(out.model.with_suffix(".json").read_text()),
        )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def encoder(study):
    return study.pretrain()


@pytest.fixture(scope="module")
def linear(study, encoder):
    return study.train(CONTRASTIVE, encoder)


@pytest.fixture(scope="module")
def alone(study, encoder, tmp_path_factory):
    """The same people, of whom nobody is external."""
    roles = ["rest" if role == "external" else role for role in ROLES]
    return Study(tmp_path_factory.mktemp("alone"), roles).train(CONTRASTIVE, encoder)


def test_test_side_and_external_participants_are_scored_in_the_one_format(study, linear):
    table = linear.predictions
    assert list(table) == PREDICTIONS
    assert table["participant_id"].tolist() == [
        *study.of("test", "external"),
        *study.of("validation"),
    ]
    assert table["role"].tolist() == ["test"] * 4 + ["external"] * 3 + ["validation"] * 2
    assert (table["threshold"] == 0).all() and table["score"].notna().all()
    assert set(table["label"]) == set(CLASSES) and set(table["predicted"]) <= set(CLASSES)
    expected = np.where(table["score"] > 0, "02", "01")
    assert table["predicted"].tolist() == expected.tolist()
    keys = table[["split", "model", "repeat"]].drop_duplicates().to_numpy().tolist()
    assert keys == [[1, "net", 1]]


def test_nobody_is_seen_but_the_training_side_and_by_the_classifier_that_for_validation(
    study, encoder, linear
):
    assert json.loads(encoder[1].read_text())["participants"] == study.of("train")
    assert linear.description["participants"] == sorted(study.of("train", "validation"))
    assert linear.description["classes"] == CLASSES
    assert linear.description["input"] == ENTRY
    assert linear.description["shape"] == [8, 8, 8]


def test_external_participants_change_nothing_of_the_others(linear, alone):
    """Neither a score of the test side, nor a permutation, nor a layer; bit by bit."""
    inside = linear.predictions[linear.predictions["role"] == "test"].reset_index(drop=True)
    tested = alone.predictions[alone.predictions["role"] == "test"].reset_index(drop=True)
    pd.testing.assert_frame_equal(inside, tested)
    pd.testing.assert_frame_equal(linear.permutations, alone.permutations)
    for name, values in linear.layers.items():
        np.testing.assert_array_equal(values, alone.layers[name])


def test_permutations_are_of_test_people_only(linear):
    table = linear.permutations
    assert list(table) == PERMUTATIONS
    assert table["permutation"].tolist() == list(range(1, PERMUTED + 1))
    assert (table[["n_positive", "n_negative"]] == 2).all(axis=None)
    assert linear.layers["score"].shape == linear.layers["positive"].shape == (1 + PERMUTED, 4)


def test_grad_cam_is_of_test_people_only(study, linear):
    names = {"predictions": "p.tsv", "volumes": "v.npy", "index": "v.tsv", "mask": "mask.nii.gz"}
    source = study.files(model="m.safetensors", layers="l.safetensors", **names)
    names = {"maps": "cam.nii.gz", "logits": "logit.nii.gz", "index": "cam.tsv"}
    names["attributions"] = "gradients.nii.gz"
    out = study.files(sums="s.safetensors", **names)
    explain_predictions.main(source, out, SimpleNamespace(), 1)
    index = read_table(out.index)
    assert index["participant_id"].tolist() == study.of("test")
    for path in (out.maps, out.logits, out.attributions):
        assert nib.load(path).shape == (8, 8, 8, 4)
    correct = (index["label"] == index["predicted"]).astype(int)
    assert index["correct"].tolist() == correct.tolist()
    sums = load_file(out.sums)
    assert sums["counts"][0].sum() == correct.sum()
    assert (sums["counts"].sum(axis=1) <= 4).all()


def test_a_network_from_scratch_and_one_that_goes_on_keep_the_same_format(tmp_path, encoder):
    roles = ROLES[:-4] + ["external"] * 4
    for settings, files, epochs in ((CNN, (), 2), (FULL, encoder, 1)):
        study = Study(tmp_path, roles)
        made = study.train(settings, files)
        scored = [*study.of("test", "external"), *study.of("validation")]
        assert made.predictions["participant_id"].tolist() == scored
        assert list(made.predictions) == PREDICTIONS
        assert made.permutations.empty and list(made.permutations) == PERMUTATIONS
        assert made.history["epoch"].tolist() == list(range(1, epochs + 1))
        assert made.layers["score"].shape == (1, 4)
        scores = made.predictions.loc[made.predictions["role"] == "test", "score"]
        np.testing.assert_allclose(made.layers["score"][0], scores)
        assert made.description["participants"] == sorted(study.of("train", "validation"))
        assert not list(tmp_path.glob("*.checkpoint"))
        assert made.model.encoder.blocks[0][0].weight.shape[1] == 2


def test_weights_do_not_depend_on_who_is_scored(tmp_path):
    weights = {}
    for changed in ((), ("test", "external", "rest"), ("train",)):
        study = Study(tmp_path)
        volumes = np.load(tmp_path / "v.npy")
        volumes[study.splits["role"].isin(changed)] *= 3
        np.save(tmp_path / "v.npy", volumes)
        weights[changed] = study.train(CNN).model.state_dict()
    same = {
        changed: all(torch.equal(found[name], weights[()][name]) for name in found)
        for changed, found in weights.items()
    }
    assert list(same.values()) == [True, True, False]


@pytest.mark.parametrize("role", ["validation", "test", "external"])
def test_an_encoder_that_saw_who_is_to_be_scored_is_refused(tmp_path, encoder, role):
    """The pre-training had the first six people; the fifth is scored here."""
    roles = ["train"] * 4 + [role, "rest"] + ROLES[6:]
    study = Study(tmp_path, roles)
    with pytest.raises(LeakageError, match=r"encoder.safetensors: was trained on sub-04"):
        study.train(CONTRASTIVE, encoder)


def test_a_table_of_splits_with_a_leak_stops_both_rules(tmp_path):
    study = Study(tmp_path)
    twice = study.splits.iloc[[0]].assign(role="test", session_id="ses-2")
    leaking = pd.concat([study.splits, twice])
    leaking.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    for rule in (study.pretrain, lambda: study.train(CNN)):
        with pytest.raises(LeakageError, match=r"sub-00 \(split 1\)"):
            rule()


def test_a_scan_that_the_cache_lacks_is_named(tmp_path):
    study = Study(tmp_path)
    index = read_table(tmp_path / "v.tsv")
    index[index["participant_id"] != "sub-03"].to_csv(tmp_path / "v.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match=r"holds no scan of \['sub-03'\]"):
        study.train(CNN)
