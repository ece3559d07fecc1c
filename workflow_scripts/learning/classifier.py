"""Classifiers on an encoder: fitting them and what they predict."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.common.device import Device
from workflow_scripts.common.metrics import split_figures
from workflow_scripts.common.predictions import PERMUTATIONS
from workflow_scripts.common.splits import LeakageError
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.encoders import OnFeatures
from workflow_scripts.learning.schedule import learning_rate, plateau
from workflow_scripts.learning.sides import Side
from workflow_scripts.learning.training import (
    classification_loss,
    draw_batches,
    fit,
    infer,
    seed_of,
)


def check_unseen(tested: pd.DataFrame, seen: list[str], what: str) -> None:
    """Raise LeakageError if a participant to be tested was seen in training.

    Parameters
    ----------
    tested : DataFrame with participant_id
    seen : participant ids
    what : the training they were seen in
    """
    leaks = sorted(set(tested["participant_id"]) & set(seen))
    if leaks:
        raise LeakageError(
            f"{what}: was trained on {', '.join(leaks)}, who are to be tested; train it again "
            "without them, or test others"
        )


def fit_linear(features, positive, weights, options: dict, batch: int, seed: int):
    """Linear layers on fixed features, one for each labelling, by Adam and cross-entropy.

    Parameters
    ----------
    features : (n, f) tensor
    positive : (k, n) bool, k labellings of the same scans
    weights : (k, n), times that a scan counts per epoch
    options : ``epochs`` and ``learning_rate``
    batch : scans per step
    seed : of the first weights, alike for all labellings, and of the order of the scans

    Returns
    -------
    matrix (k, f, 2) and bias (k, 1, 2), the negative class first
    """
    labels = torch.as_tensor(np.asarray(positive)).long()
    weights = torch.as_tensor(np.asarray(weights), dtype=torch.float32)
    torch.manual_seed(seed)
    layer = torch.nn.Linear(features.shape[1], 2)
    matrix = layer.weight.detach().T.repeat(len(labels), 1, 1).requires_grad_()
    bias = layer.bias.detach().repeat(len(labels), 1, 1).requires_grad_()
    optimizer = torch.optim.Adam([matrix, bias], lr=options["learning_rate"])
    for epoch in range(options["epochs"]):
        for rows in draw_batches(np.ones(len(features), int), batch, seed_of(seed, epoch)):
            optimizer.zero_grad()
            logits = features[rows] @ matrix + bias
            losses = functional.cross_entropy(
                logits.transpose(1, 2), labels[:, rows], reduction="none"
            )
            shares = weights[:, rows] / weights[:, rows].sum(dim=1, keepdim=True)
            (losses * shares).sum().backward()
            optimizer.step()
    return matrix.detach(), bias.detach()


def balanced(weights: np.ndarray, positive: np.ndarray, seed: int) -> np.ndarray:
    """Times that scans are used in an epoch so that both classes are as often: int array, (n,).

    The scans of the rarer class are used more often, whole rounds of them and, drawn anew in
    each epoch, as many more as are lacking.

    Parameters
    ----------
    weights : (n,) int, times without balance
    positive : (n,) bool
    seed : of the epoch
    """
    used = weights.copy()
    sums = weights[~positive].sum(), weights[positive].sum()
    rarer = positive if sums[1] < sums[0] else ~positive
    rounds, lacking = divmod(max(sums) - min(sums), min(sums))
    pool = np.repeat(np.flatnonzero(rarer), weights[rarer])
    drawn = np.random.default_rng(seed).permutation(pool)[:lacking]
    np.add.at(used, np.concatenate([np.repeat(pool, rounds), drawn]), 1)
    return used


def class_weights_of(side: Side) -> torch.Tensor:
    """Weight of each class in the loss, float32 (2,): inverse to its scans, 1 for equal classes."""
    counts = np.array([side.weights[side.positive == value].sum() for value in (False, True)])
    return torch.tensor(counts.sum() / (2 * counts), dtype=torch.float32)


def loss_of_side(
    classifier: OnFeatures, side: Side, batch: int, device: Device, class_weights
) -> Callable:
    """Cross-entropy of a side whose scans are taken as they are, each once: a function of nothing.

    class_weights : (2,) tensor or None
    """
    labels = torch.from_numpy(side.positive).long()

    def loss():
        logits = infer(classifier, side.volumes, device, batch)
        return functional.cross_entropy(logits, labels, class_weights).item()

    return loss


def fit_whole(
    classifier: OnFeatures,
    augmentation: Augmentation,
    side: Side,
    options: dict,
    batch: int,
    device: Device,
    seed: int,
    checkpoint: Checkpoint,
    validation: Side | None = None,
) -> pd.DataFrame:
    """Train encoder and linear layer together by Adam, cross-entropy and augmented views.

    Parameters
    ----------
    side : training side of a split
    options : ``epochs`` and ``learning_rate``, which falls to 0 along half a cosine, and where
        they are to be others than those of `Adam` and this schedule: ``betas``, ``schedule``
        (``plateau``: see `schedule.plateau`), ``class_weights`` (whether the loss is weighted
        by `class_weights_of`), ``sampling`` (``balanced``: see there) and ``patience``
    validation : side by which the best epoch is chosen, see `training.fit`

    Returns
    -------
    Table of the epochs
    """
    device.place(classifier)
    base, epochs = options["learning_rate"], options["epochs"]
    optimizer = torch.optim.Adam(
        classifier.parameters(), base, tuple(options.get("betas", (0.9, 0.999)))
    )
    labels = torch.from_numpy(side.positive).long()
    weights = class_weights_of(side) if options.get("class_weights") else None

    def batches(epoch):
        used, of_epoch = side.weights, seed_of(seed, epoch)
        if options.get("sampling") == "balanced":
            used = balanced(used, side.positive, seed_of(seed, epoch, 1))
        return draw_batches(used, batch, of_epoch)

    def rate(time, setbacks):
        if options.get("schedule") == "plateau":
            return plateau(setbacks, base)
        return learning_rate(time, base, 0, epochs)

    placed = None if weights is None else weights.to(device.name)
    return fit(
        classifier,
        optimizer,
        classification_loss(
            classifier, augmentation, side.volumes.to(device.name), labels, device, seed, placed
        ),
        batches,
        rate,
        epochs,
        checkpoint,
        device,
        loss_of_side(classifier, validation, batch, device, weights) if validation else None,
        options.get("patience"),
    )


def predictions(scans: pd.DataFrame, logits: torch.Tensor, classes: list[str]) -> pd.DataFrame:
    """Table of what a classifier says of scans.

    Parameters
    ----------
    scans : participant_id, session_id and whatever else is to stand there
    logits : (n, 2)
    classes : [negative, positive]

    Returns
    -------
    ``scans`` with score (logit of the positive class minus that of the negative),
    threshold (of the score), probability (of the positive class) and predicted
    """
    score = (logits[:, 1] - logits[:, 0]).double().numpy()
    return scans.assign(
        score=score,
        threshold=0.0,
        probability=1 / (1 + np.exp(-score)),
        predicted=np.where(score > 0, classes[1], classes[0]),
    )


def permuted_labels(scans: pd.DataFrame, positive: np.ndarray, number: int, seed: int):
    """Labels of a permutation, (n,) bool: participants exchange them with others.

    The labels of a participant's scans, all together, go to another one with as many scans, so
    that a class which changes between a participant's scans does so here too. Each participant
    draws one number per permutation, the same in every split and on either side of it; the
    higher it is, the more scans are called positive. So the splits stay as dependent as the
    participants that they share make them.

    Parameters
    ----------
    scans : DataFrame with participant_id, one side of a split
    positive : (n,) bool, the true classes
    """
    people, person, many = np.unique(
        scans["participant_id"].to_numpy(str), return_inverse=True, return_counts=True
    )
    drawn = np.array(
        [np.random.default_rng([seed, number, *name.encode()]).random() for name in people.tolist()]
    )
    called = positive.copy()
    for size in np.unique(many):
        members = np.flatnonzero(many == size)
        rows = np.stack([np.flatnonzero(person == member) for member in members])
        truth = positive[rows]
        called[rows[drawn[members].argsort()]] = truth[truth.sum(axis=1).argsort(kind="stable")]
    return called


def permutation_table(scores: np.ndarray, positive: np.ndarray, person) -> pd.DataFrame:
    """Columns permutation (1..k) and those of `split_figures`, of scores and labels, both (k, n).

    person : (n,), whose scan it is
    """
    return pd.DataFrame(
        [
            {"permutation": number, **split_figures(truth, score > 0, score, person)}
            for number, (score, truth) in enumerate(zip(scores, positive, strict=True), start=1)
        ],
        columns=PERMUTATIONS[3:],
    )
