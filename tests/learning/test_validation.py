"""Training with a side for validation, and of classes that are not alike."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.common.device import Device
from workflow_scripts.learning import training
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.classifier import balanced, class_weights_of, fit_whole
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.history import COLUMNS, History
from workflow_scripts.learning.schedule import plateau
from workflow_scripts.learning.sides import Side
from workflow_scripts.learning.training import Stopped

DEVICE = Device("cpu", bf16=False)
OPTIONS = {"epochs": 8, "learning_rate": 0.05, "schedule": "plateau", "class_weights": True}
OPTIONS |= {"sampling": "balanced"}
NOISY = Augmentation("shift+noise", shift_voxels=2, noise=0.5)


def side(labels, seed=0):
    """Noise, so that what is learned of one side is wrong for another."""
    volumes = torch.from_numpy(
        np.random.default_rng(seed).random((len(labels), 2, 8, 8, 8), np.float32)
    )
    scans = pd.DataFrame(
        {
            "participant_id": [f"sub-{seed}{i}" for i in range(len(labels))],
            "session_id": None,
            "label": list(labels),
            "role": "train",
            "weight": 1,
        }
    )
    return Side(scans, volumes.half(), (scans["label"] == "p").to_numpy())


NOT_KEPT = Checkpoint(None, "")
TRAIN, VALIDATION = side("nnnnnppp"), side("npnpn", seed=1)


def trained(options=OPTIONS, checkpoint=NOT_KEPT, validation=VALIDATION):
    torch.manual_seed(3)
    classifier = with_classifier(build_encoder("coll2024", [3, 4], 2))
    table = fit_whole(classifier, NOISY, TRAIN, options, 4, DEVICE, 5, checkpoint, validation)
    return classifier.eval(), table


def loss_by_hand(classifier, weights=None):
    logits = classifier(VALIDATION.volumes.float())
    return cross_entropy(logits, torch.from_numpy(VALIDATION.positive).long(), weights).item()


def test_weights_are_those_of_the_best_epoch_on_scans_as_they_are():
    classifier, table = trained()
    assert list(table) == COLUMNS and len(table) == 8
    losses = table["validation_loss"]
    assert losses.idxmin() < 7  # else the last epoch would do
    weights = class_weights_of(TRAIN)
    assert loss_by_hand(classifier, weights) == pytest.approx(losses.min(), rel=1e-5)


def test_without_a_side_for_validation_weights_are_the_last():
    classifier, table = trained(validation=None)
    assert table["validation_loss"].isna().all()
    shorter, _ = trained(OPTIONS | {"epochs": 1}, validation=None)
    assert not torch.equal(classifier.head.weight, shorter.head.weight)


def test_training_ends_when_the_loss_stalls():
    _, whole = trained(OPTIONS | {"epochs": 30})
    _, table = trained(OPTIONS | {"epochs": 30, "patience": 2})
    losses = whole["validation_loss"].to_numpy()
    stalled = [epoch - losses[: epoch + 1].argmin() for epoch in range(30)]
    assert len(table) == stalled.index(2) + 1 < 30
    np.testing.assert_array_equal(table["validation_loss"], losses[: len(table)])


@pytest.mark.parametrize("stop_after", [3, 8, 11])
def test_a_stopped_training_keeps_its_best_weights_and_its_rate(tmp_path, monkeypatch, stop_after):
    expected, rows = trained()
    checkpoint = Checkpoint(tmp_path / "training.checkpoint", "key")
    answers = iter([False] * (stop_after - 1) + [True])
    with monkeypatch.context() as patch:
        patch.setattr(training, "_agreed", lambda *_: next(answers))
        with pytest.raises(Stopped):
            trained(checkpoint=checkpoint)
    resumed, table = trained(checkpoint=checkpoint)
    pd.testing.assert_frame_equal(table, rows)
    for one, other in zip(expected.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_rate_falls_with_each_epoch_that_is_not_the_best():
    history = History(5, [])
    for epoch, (loss, setbacks, stalled) in enumerate(
        [(0.9, 0, 0), (0.8, 0, 0), (0.85, 1, 1), (0.8, 2, 2), (0.7, 2, 0)], start=1
    ):
        history.add({"epoch": epoch, "loss": 1, "learning_rate": 1, "validation_loss": loss})
        assert (history.setbacks, history.stalled) == (setbacks, stalled)
    assert plateau(2, 0.5) == pytest.approx(0.5 * 0.99**2)
    _, table = trained()
    losses, rates = table["validation_loss"], table["learning_rate"]
    worse = [(losses[:epoch] <= losses[epoch]).any() for epoch in range(8)]
    np.testing.assert_allclose(rates, 0.05 * 0.99 ** np.cumsum([False, *worse[:-1]]))


def test_classes_count_alike():
    positive = np.array([False] * 7 + [True] * 3)
    weights = np.ones(10, int)
    used = balanced(weights, positive, seed=1)
    assert used[:7].tolist() == [1] * 7 and sorted(used[7:]) == [2, 2, 3]
    others = {tuple(balanced(weights, positive, seed)[7:]) for seed in range(20)}
    assert len(others) == 3 and weights.tolist() == [1] * 10
    assert balanced(weights, ~positive, seed=1)[7:].tolist() == used[7:].tolist()
    np.testing.assert_array_equal(balanced(weights[2:8], positive[2:8], 0), [1] * 5 + [5])


def test_weights_of_the_classes_against_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.array([False, True]), y=TRAIN.positive)
    np.testing.assert_allclose(class_weights_of(TRAIN), expected, rtol=1e-6)


def test_no_transform_exchanges_channels():
    volumes = torch.ones(3, 2, 12, 12, 12)
    volumes[:, 1] = 5
    names = "crop+shift+flip"
    views = Augmentation(names, crop_voxels=2, shift_voxels=3)(volumes, torch.Generator(), 4)
    assert set(views[:, 0].unique().tolist()) <= {0, 1}
    assert set(views[:, 1].unique().tolist()) <= {0, 5}
    torch.testing.assert_close(views[:, 1], 5 * views[:, 0])


def test_shift_moves_by_whole_voxels():
    rng = np.random.default_rng(0)
    volume = torch.from_numpy(rng.random((1, 1, 6, 7, 8), np.float32))
    augmentation = Augmentation("shift", shift_voxels=2)
    for view, (steps,) in zip(
        augmentation.apply(volume, made := augmentation.draw(1, torch.Generator().manual_seed(4))),
        made,
        strict=True,
    ):
        rolled = np.roll(volume[0, 0].numpy(), steps.tolist(), axis=(0, 1, 2))
        kept = view[0].numpy() != 0
        np.testing.assert_array_equal(view[0].numpy()[kept], rolled[kept])
        assert kept.sum() == np.prod([n - abs(s) for n, s in zip((6, 7, 8), steps, strict=True)])
