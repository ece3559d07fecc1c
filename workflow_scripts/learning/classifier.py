"""Classifiers on an encoder: fitting them and what they predict."""

from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch.nn import functional

from workflow_scripts.common.trials import LeakageError
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.checkpoint import Checkpoint
from workflow_scripts.learning.device import Device
from workflow_scripts.learning.encoders import OnFeatures
from workflow_scripts.learning.schedule import learning_rate
from workflow_scripts.learning.sides import Side
from workflow_scripts.learning.training import classification_loss, draw_batches, fit, seed_of


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


def fit_whole(
    classifier: OnFeatures,
    augmentation: Augmentation,
    side: Side,
    options: dict,
    batch: int,
    device: Device,
    seed: int,
    checkpoint: Checkpoint,
    events=None,
) -> pd.DataFrame:
    """Train encoder and linear layer together by Adam, cross-entropy and augmented views.

    The learning rate falls to 0 along half a cosine.

    Parameters
    ----------
    side : training side of a trial
    options : ``epochs`` and ``learning_rate``

    Returns
    -------
    Table of the epochs
    """
    device.place(classifier)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=options["learning_rate"])
    labels = torch.from_numpy(side.positive).long()
    return fit(
        classifier,
        optimizer,
        classification_loss(
            classifier, augmentation, side.volumes.to(device.name), labels, device, seed
        ),
        lambda epoch: draw_batches(side.weights, batch, seed_of(seed, epoch)),
        partial(learning_rate, base=options["learning_rate"], warmup=0, epochs=options["epochs"]),
        options["epochs"],
        checkpoint,
        device,
        events,
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
    probability (of the positive class) and predicted
    """
    score = (logits[:, 1] - logits[:, 0]).double().numpy()
    return scans.assign(
        score=score,
        probability=1 / (1 + np.exp(-score)),
        predicted=np.where(score > 0, classes[1], classes[0]),
    )


def permuted_labels(scans: pd.DataFrame, positive: np.ndarray, number: int, seed: int):
    """Labels of a permutation, (n,) bool: as many participants of each class as there are.

    Each participant draws one number per permutation, the same in every trial and on
    either side of it; the highest are called positive. So the trials stay as dependent
    as the participants that they share make them.

    Parameters
    ----------
    scans : DataFrame with participant_id, one side of a trial
    positive : (n,) bool, the true classes
    """
    people, first, person = np.unique(
        scans["participant_id"].to_numpy(str), return_index=True, return_inverse=True
    )
    drawn = [
        np.random.default_rng([seed, number, *name.encode()]).random() for name in people.tolist()
    ]
    called = np.zeros(len(people), bool)
    called[np.argsort(drawn)[len(people) - positive[first].sum() :]] = True
    return called[person]


def permutation_table(scores: np.ndarray, positive: np.ndarray) -> pd.DataFrame:
    """Columns permutation (1..k), balanced_accuracy, auc of scores and labels, both (k, n)."""
    rows = [
        {
            "permutation": number,
            "balanced_accuracy": balanced_accuracy_score(truth, score > 0),
            "auc": roc_auc_score(truth, score),
        }
        for number, (score, truth) in enumerate(zip(scores, positive, strict=True), start=1)
    ]
    return pd.DataFrame(rows, columns=["permutation", "balanced_accuracy", "auc"])
