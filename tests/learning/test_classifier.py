import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from workflow_scripts.common.device import Device
from workflow_scripts.common.predictions import PERMUTATIONS
from workflow_scripts.common.splits import LeakageError, read_splits
from workflow_scripts.learning.classifier import (
    check_unseen,
    fit_linear,
    permutation_table,
    permuted_labels,
    predictions,
)
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.sides import Side
from workflow_scripts.learning.train_classifier import relabelled, train_linear
from workflow_scripts.learning.training import draw_batches, seed_of

OPTIONS = {"epochs": 12, "learning_rate": 0.05}


def scans(*ids):
    return pd.DataFrame({"participant_id": ids, "session_id": None})


def test_a_participant_seen_in_pretraining_is_named():
    check_unseen(scans("sub-1", "sub-2"), ["sub-3"], "encoder")
    with pytest.raises(LeakageError, match="encoder.*sub-2, sub-9"):
        check_unseen(scans("sub-9", "sub-1", "sub-2"), ["sub-2", "sub-3", "sub-9"], "encoder")


@pytest.mark.parametrize("role", ["validation", "test", "external"])
def test_a_participant_on_two_sides_is_named(tmp_path, role):
    """Both rules that train read the splits by this function."""
    splits = scans("sub-1", "sub-1").assign(split=1, label="a", weight=1, role=["train", role])
    splits.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    with pytest.raises(LeakageError, match="sub-1"):
        read_splits(tmp_path / "splits.tsv")


def test_linear_layers_are_those_of_single_trainings():
    """All labellings at once equal torch's own layer and optimizer, one by one."""
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(9, 4)).astype(np.float32))
    positive = rng.random((3, 9)) > 0.5
    weights = np.where(positive, 2, 1)
    matrix, bias = fit_linear(features, positive, weights, OPTIONS, batch=4, seed=3)
    for k in range(3):
        torch.manual_seed(3)
        layer = torch.nn.Linear(4, 2)
        optimizer = torch.optim.Adam(layer.parameters(), lr=OPTIONS["learning_rate"])
        labels, weight = torch.from_numpy(positive[k]).long(), torch.from_numpy(weights[k]).float()
        for epoch in range(OPTIONS["epochs"]):
            for rows in draw_batches(np.ones(9, int), 4, seed_of(3, epoch)):
                optimizer.zero_grad()
                losses = functional.cross_entropy(
                    layer(features[rows]), labels[rows], reduction="none"
                )
                ((losses * weight[rows]).sum() / weight[rows].sum()).backward()
                optimizer.step()
        torch.testing.assert_close(matrix[k], layer.weight.detach().T)
        torch.testing.assert_close(bias[k, 0], layer.bias.detach())


def test_what_both_logits_share_stays_as_the_weights_were_drawn():
    """So the map of a single logit holds a part that no label has shaped."""
    rng = np.random.default_rng(1)
    features = torch.from_numpy(rng.normal(size=(12, 5)).astype(np.float32))
    positive = np.stack([np.arange(12) % 2 == 0, rng.random(12) > 0.3])
    matrix, _ = fit_linear(features, positive, np.ones((2, 12)), OPTIONS, batch=4, seed=8)
    torch.manual_seed(8)
    first = torch.nn.Linear(5, 2).weight.detach().sum(dim=0)
    torch.testing.assert_close(matrix.sum(dim=2), first.expand(2, 5), atol=1e-4, rtol=0)
    assert (matrix[0] - matrix[1]).abs().max() > 0.01


def test_participants_exchange_the_labels_of_all_their_scans():
    """Those with two scans among each other: constant ones, and one that changes in its order."""
    people = scans("a", "b", "c", "b", "d", "e", "e", "f", "f")
    positive = np.array([True, False, False, True, False, False, False, True, True])
    drawn = np.stack([permuted_labels(people, positive, n, seed=1) for n in range(400)])
    single, double = drawn[:, [0, 2, 4]], drawn[:, [[1, 3], [5, 6], [7, 8]]]
    assert (single.sum(axis=1) == 1).all()
    np.testing.assert_allclose(single.mean(axis=0), 1 / 3, atol=4 * np.sqrt(2 / 9 / 400))
    assert (np.sort(double @ [2, 1], axis=1) == [0, 1, 3]).all()
    np.testing.assert_allclose(double.mean(axis=(0, 2)), 1 / 2, atol=4 * np.sqrt(1 / 6 / 400))


def test_sides_stay_as_large_where_a_class_changes_between_scans():
    """Of four people with two scans each, 1.5 are positive; one class each made it 1 or 2."""
    people, rng = [*"aabbccdd"], np.random.default_rng(0)
    positive = np.array([False, True, True, True, False, False, False, False])
    train, test = (side(people, positive, rng, 0, role) for role in ("train", "test"))
    labels, weights, truth = relabelled(train, test, 30, seed=1)
    np.testing.assert_array_equal(weights, np.where(labels, 2, 1))
    assert (labels.sum(axis=1) == 3).all() and len(np.unique(labels, axis=0)) > 5
    table = permutation_table(np.ones(truth.shape), truth, people)
    assert (table[["n_positive", "n_negative"]] == [1.5, 2.5]).all(axis=None)


def test_a_permuted_participant_is_ranked_alike_in_every_split():
    """Two sides that share people: who is called positive in both depends on one draw."""
    positive = np.array([True, False, False])
    agreed = [
        permuted_labels(scans("a", "x", "y"), positive, n, 1)[0]
        == permuted_labels(scans("a", "v", "w"), positive, n, 1)[0]
        for n in range(300)
    ]
    assert np.mean(agreed) > 5 / 9 + 3 * np.sqrt(20 / 81 / 300)  # 5/9 if drawn independently


def test_predictions_and_their_probabilities():
    logits = torch.tensor([[0.0, 0.0], [1.0, 3.0], [2.0, -1.0]])
    table = predictions(scans("a", "b", "c"), logits, ["n", "p"])
    np.testing.assert_allclose(table["probability"], logits.softmax(dim=1)[:, 1], rtol=1e-6)
    assert table["predicted"].tolist() == ["n", "p", "n"]
    assert table["score"].tolist() == [0, 2, -3]
    assert (table["threshold"] == 0).all()


def test_permutation_table_of_known_scores():
    truth = np.array([[True, True, False, False]] * 2)
    table = permutation_table(np.array([[2.0, 1, -1, -2], [1, -1, 2, -2]]), truth, list("abcd"))
    assert list(table) == PERMUTATIONS[3:]
    assert table["permutation"].tolist() == [1, 2]
    assert table["sensitivity"].tolist() == [1.0, 0.5]
    assert table["specificity"].tolist() == [1.0, 0.5]
    assert table["auc"].tolist() == [1.0, 0.5]
    assert (table[["n_positive", "n_negative"]] == 2).all(axis=None)


def test_scans_of_a_participant_count_as_one_in_a_permutation():
    """Three scans of a, one of them missed, and one of b, missed: a mean of 2/3 and 0."""
    truth = np.array([[True] * 4 + [False]])
    scores = np.array([[3.0, 2, -1, -1, -2]])
    (row,) = permutation_table(scores, truth, list("aaabc")).to_dict("records")
    assert (row["n_positive"], row["n_negative"]) == (2, 1)
    assert row["sensitivity"] == pytest.approx(1 / 3)
    assert row["auc"] == 1


def test_without_permutations_the_table_has_its_columns():
    table = permutation_table(np.empty((0, 3)), np.empty((0, 3), bool), list("abc"))
    assert table.empty and list(table) == PERMUTATIONS[3:]


def side(ids, positive, rng, signal, role="train"):
    volumes = rng.normal(1, 0.05, (len(ids), 1, 16, 16, 16))
    volumes[np.asarray(positive)] *= 1 + signal
    table = scans(*ids).assign(
        label=np.where(positive, "p", "n"), role=role, weight=np.where(positive, 2, 1)
    )
    return Side(table, torch.from_numpy(volumes.astype(np.float16)), np.asarray(positive))


def test_the_layer_finds_a_signal_and_permuted_labels_do_not():
    rng = np.random.default_rng(0)
    train = side("abcdef", [True] * 3 + [False] * 3, rng, 0.2)
    test = side("uvwxyz", [True] * 3 + [False] * 3, rng, 0.2, "test")
    torch.manual_seed(0)
    classifier = with_classifier(build_encoder("strided", [4, 8])).eval()
    settings = {"batch": 4, "finetuning": {"epochs": 30, "learning_rate": 0.05}}
    cpu = Device("cpu", False)
    logits, layers = train_linear(classifier, train, test, settings, 60, 1, 2, cpu)
    nulls = permutation_table(layers["score"][1:], layers["positive"][1:], list("uvwxyz"))
    assert ((logits[:, 1] > logits[:, 0]).numpy() == test.positive).all()
    assert 0.3 < nulls["auc"].mean() < 0.7
    with torch.no_grad():
        own = classifier(test.volumes.float())
        features = classifier.encoder(test.volumes.float()).numpy()
    torch.testing.assert_close(
        own[:, 1] - own[:, 0], logits[:, 1] - logits[:, 0], atol=1e-3, rtol=1e-3
    )
    told = layers["weight"] @ (features - features[0]).T  # what differs from the first scan
    np.testing.assert_allclose(told, layers["score"] - layers["score"][:, :1], atol=1e-3)
    np.testing.assert_array_equal(layers["positive"][0], test.positive)


def test_true_labels_come_first_and_weights_go_with_the_class():
    rng = np.random.default_rng(0)
    train = side("abcdef", [True, True, False, False, False, False], rng, 0)
    test = side("wxyz", [True, False, True, False], rng, 0, "test")
    labels, weights, truth = relabelled(train, test, 5, seed=1)
    assert labels.shape == weights.shape == (6, 6) and truth.shape == (6, 4)
    np.testing.assert_array_equal(labels[0], train.positive)
    np.testing.assert_array_equal(truth[0], test.positive)
    np.testing.assert_array_equal(weights, np.where(labels, 2, 1))
    assert (labels.sum(axis=1) == 2).all() and (truth.sum(axis=1) == 2).all()


def test_external_participants_keep_their_labels_and_do_not_change_the_others():
    rng = np.random.default_rng(0)
    train = side("abcdef", [True, True, False, False, False, False], rng, 0)
    alone = side("wxyz", [True, False, True, False], rng, 0, "test")
    outside = [True, True, False]
    both = side("wxyzopq", [*alone.positive, *outside], rng, 0, ["test"] * 4 + ["external"] * 3)
    expected = relabelled(train, alone, 20, seed=1)
    labels, weights, truth = relabelled(train, both, 20, seed=1)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_array_equal(weights, expected[1])
    np.testing.assert_array_equal(truth[:, :4], expected[2])
    np.testing.assert_array_equal(truth[:, 4:], [outside] * 21)
