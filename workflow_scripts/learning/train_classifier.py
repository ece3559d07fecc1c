"""Classifier of a trial, and its predictions of the test side.

On a pre-trained encoder, or trained from scratch with labels as a baseline.
"""

from importlib.metadata import version

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.learning.checkpoint import Checkpoint, checkpoint_key, checkpoint_path
from workflow_scripts.learning.classifier import (
    check_unseen,
    fit_linear,
    fit_whole,
    permutation_table,
    permuted_labels,
    predictions,
)
from workflow_scripts.learning.device import Device, choose_device, set_deterministic
from workflow_scripts.learning.encoders import OnFeatures, build_encoder, with_classifier
from workflow_scripts.learning.history import COLUMNS
from workflow_scripts.learning.models import load_weights, read_description, save_model
from workflow_scripts.learning.sides import Side, make_augmentation, read_side, training_seed
from workflow_scripts.learning.training import infer

SUPERVISED = "supervised"
SCAN = ["participant_id", "session_id", "label"]


def relabelled(train: Side, test: Side, permutations: int, seed: int):
    """True labels, then those of the permutations, of both sides, with the weights of training.

    A class keeps the weight that its scans have in training.

    Returns
    -------
    training labels (1 + k, n) and weights (1 + k, n), test labels (1 + k, m)
    """
    labels = [
        np.stack(
            [side.positive]
            + [
                permuted_labels(side.scans, side.positive, number, seed)
                for number in range(1, permutations + 1)
            ]
        )
        for side in (train, test)
    ]
    heavy, light = (train.weights[train.positive == value][0] for value in (True, False))
    return labels[0], np.where(labels[0], heavy, light), labels[1]


def train_linear(
    classifier: OnFeatures,
    train: Side,
    test: Side,
    settings: dict,
    permutations: int,
    study_seed: int,
    seed: int,
    device: Device,
) -> tuple[torch.Tensor, dict]:
    """Fit the linear layer on the frozen encoder's features, with true and permuted labels.

    The encoder has seen no labels (though, where the smaller class counts twice, its scans twice
    as often), so a permutation test needs no other one. Features are those of whole volumes,
    without augmentation; the layer is trained on them standardized by the training side, which
    then is made part of it.

    Parameters
    ----------
    classifier : its linear layer is filled
    study_seed : of the permutations, which are the same for all trainings of a study
    seed : of this training

    Returns
    -------
    logits : (m, 2)
        Of the test side.
    layers : weight (1 + k, f), score (1 + k, m) and positive (1 + k, m)
        Of the linear layer with the true labels and the k with permuted ones: its weights and
        what it says of the test side, of the positive class minus the negative, and the test
        side's labels.
    """
    features, tested = (
        infer(classifier.encoder, side.volumes, device, settings["batch"]) for side in (train, test)
    )
    labels, weights, truth = relabelled(train, test, permutations, study_seed)
    mean, spread = features.mean(dim=0), features.std(dim=0).clamp(min=1e-6)
    matrix, bias = fit_linear(
        (features - mean) / spread, labels, weights, settings["finetuning"], settings["batch"], seed
    )
    matrix = matrix / spread[:, None]
    bias = bias - mean @ matrix[:, None]
    with torch.no_grad():
        classifier.head.weight.copy_(matrix[0].T)
        classifier.head.bias.copy_(bias[0, 0])
    logits = tested @ matrix + bias
    return logits[0], describe_layers(matrix.transpose(1, 2), logits, truth)


def describe_layers(weights: torch.Tensor, logits: torch.Tensor, positive: np.ndarray) -> dict:
    """What is kept of linear layers.

    Parameters
    ----------
    weights : (layers, 2, f)
    logits : (layers, m, 2), of the test side
    positive : (layers, m) bool, its labels

    Returns
    -------
    weight (layers, f) and score (layers, m), of the positive class minus the negative, and
    positive
    """
    return {
        "weight": (weights[:, 1] - weights[:, 0]).detach().numpy(),
        "score": (logits[..., 1] - logits[..., 0]).double().numpy(),
        "positive": positive,
    }


def describe(settings: dict, classes: list[str], participants, mask: nib.Nifti1Image) -> dict:
    """What has to be known of a classifier to use it on new scans."""
    return {
        "encoder": settings["encoder"],
        "widths": settings["widths"],
        "classes": classes,
        "participants": sorted(participants),
        "downsample": settings["downsample"],
        "shape": list(mask.shape),
        "affine": mask.affine.tolist(),
        "versions": {"torch": version("torch")},
    }


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        params, wildcards = snakemake.params, snakemake.wildcards  # noqa: F821
        torch.set_num_threads(snakemake.threads)  # noqa: F821
        settings, study = params.learning, params.study
        trial, strategy = int(wildcards.trial), wildcards.strategy
        trials = read_table(source.trials)
        train, test = (
            read_side(trials, trial, role, source.volumes, study["classes"][1])
            for role in ("train", "test")
        )
        seed = training_seed(study["seed"], trial, strategy, int(wildcards.repeat))
        device = choose_device(settings["precision"], snakemake.resources.gpu)  # noqa: F821
        set_deterministic(settings["deterministic"])
        torch.manual_seed(seed)
        classifier = with_classifier(build_encoder(settings["encoder"], settings["widths"]))
        model, options, participants = SUPERVISED, settings["supervised"], train.participants
        if source.encoder:
            model, options = f"contrastive_{strategy}", settings["finetuning"]
            pretraining = read_description(source.encoder[0])
            check_unseen(test.scans, pretraining["participants"], source.encoder[0])
            load_weights(classifier.encoder, source.encoder[0])
            participants = {*participants, *pretraining["participants"]}
        device.place(classifier)
        history = pd.DataFrame(columns=COLUMNS)
        if options.get("mode") == "linear":
            logits, layers = train_linear(
                classifier,
                train,
                test,
                settings,
                study["permutations"],
                study["seed"],
                seed,
                device,
            )
        else:
            kept = checkpoint_path(out.model)
            key = checkpoint_key(train.volumes, scans=train.scans.to_csv(), params=dict(params))
            history = fit_whole(
                classifier,
                make_augmentation(options.get("strategy", strategy), settings),
                train,
                options,
                settings["batch"],
                device,
                seed,
                Checkpoint(kept, key),
            )
            logits = infer(classifier, test.volumes, device, settings["batch"])
            weights = classifier.head.weight.cpu()[None]
            layers = describe_layers(weights, logits[None], test.positive[None])
        told = {"trial": trial, "model": model, "repeat": int(wildcards.repeat)}
        columns = resource("columns/learning.tsv")
        made = predictions(test.scans[SCAN].assign(**told), logits, study["classes"])
        write_table(made, out.predictions, columns)
        write_table(history, out.history, columns)
        permutations = permutation_table(layers["score"][1:], layers["positive"][1:])
        write_table(permutations.assign(**told), out.permutations, columns)
        save_file(layers, out.layers)
        grid = nib.load(source.mask)
        save_model(classifier, out.model, describe(settings, study["classes"], participants, grid))
        checkpoint_path(out.model).unlink(missing_ok=True)
