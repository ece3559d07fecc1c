"""Classifier of a split, and its predictions of the other sides and of external participants.

On a pre-trained encoder, or trained from scratch with labels.
"""

from importlib.metadata import version

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from workflow_scripts.common.checkpoint import Checkpoint, checkpoint_key, checkpoint_path
from workflow_scripts.common.device import Device, choose_device, set_deterministic
from workflow_scripts.common.job import job
from workflow_scripts.common.predictions import PERMUTATIONS, PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN, SCORED, read_splits
from workflow_scripts.common.tables import write_table
from workflow_scripts.learning.classifier import (
    check_unseen,
    fit_linear,
    fit_whole,
    permutation_table,
    permuted_labels,
    predictions,
)
from workflow_scripts.learning.encoders import OnFeatures, build_encoder, with_classifier
from workflow_scripts.learning.history import COLUMNS
from workflow_scripts.learning.models import (
    load_weights,
    read_description,
    save_model,
    start_from,
)
from workflow_scripts.learning.sides import Side, make_augmentation, read_side, training_seed
from workflow_scripts.learning.training import infer


def relabelled(train: Side, test: Side, permutations: int, seed: int):
    """True labels, then those of the permutations, of both sides, with the weights of training.

    A class keeps the weight that its scans have in training. External participants keep their
    labels.

    Returns
    -------
    training labels (1 + k, n) and weights (1 + k, n), test labels (1 + k, m)
    """
    labels = []
    for side in (train, test):
        inside = (side.scans["role"] != "external").to_numpy()
        rows = np.tile(side.positive, (1 + permutations, 1))
        for number in range(1, permutations + 1):
            rows[number, inside] = permuted_labels(
                side.scans[inside], side.positive[inside], number, seed
            )
        labels.append(rows)
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
        Of the scored scans.
    layers : weight (1 + k, f), score (1 + k, m), positive (1 + k, m) and shared (f,)
        Of the linear layer with the true labels and the k with permuted ones: its weights and
        what it says of the test side, of the positive class minus the negative, and the test
        side's labels; of the first what the weights of both logits share.
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
    weight (layers, f) and score (layers, m), of the positive class minus the negative, positive,
    and shared (f,), the mean of both logits' weights in the first layer
    """
    return {
        "weight": (weights[:, 1] - weights[:, 0]).detach().numpy(),
        "score": (logits[..., 1] - logits[..., 0]).double().numpy(),
        "positive": positive,
        "shared": weights[0].mean(dim=0).detach().numpy(),
    }


def describe(settings: dict, entry: dict, classes: list[str], participants, mask) -> dict:
    """What has to be known of a classifier to use it on new scans.

    Parameters
    ----------
    settings : of the model
    entry : its input
    participants : whom it was trained on, or its best epoch chosen by
    mask : image of the input's grid
    """
    return {
        "encoder": settings["encoder"],
        "widths": settings["widths"],
        "classes": classes,
        "participants": sorted(participants),
        "input": entry,
        "shape": list(mask.shape),
        "affine": mask.affine.tolist(),
        "versions": {"torch": version("torch")},
    }


def main(source, out, params, wildcards, gpus: int, threads: int):
    """Train the classifier of a split and score its test side and the external participants."""
    torch.set_num_threads(threads)
    settings, classes, split = params.settings, params.classes, int(wildcards.split)
    splits = read_splits(source.splits)
    train, tested, validation = (
        read_side(splits, split, roles, source.volumes, classes[1])
        for roles in (["train"], SCORED, ["validation"])
    )
    seed = training_seed(params.seed, split, wildcards.model, int(wildcards.repeat))
    device = choose_device(settings["precision"], gpus)
    set_deterministic(settings["deterministic"])
    torch.manual_seed(seed)
    channels = train.volumes.shape[1]
    encoder = build_encoder(settings["encoder"], settings["widths"], channels)
    classifier = with_classifier(encoder)
    options, participants = settings, {*train.participants, *validation.participants}
    if settings["kind"] == "contrastive":
        options = settings["finetuning"]
        pretraining = read_description(source.encoder[0])
        kept_apart = pd.concat([tested.scans, validation.scans])
        check_unseen(kept_apart, pretraining["participants"], source.encoder[0])
        load_weights(classifier.encoder, source.encoder[0])
        participants = {*participants, *pretraining["participants"]}
    elif source.encoder:
        start_from(encoder, source.encoder)
    device.place(classifier)
    history = pd.DataFrame(columns=COLUMNS)
    if options.get("mode") == "linear":
        logits, layers = train_linear(
            classifier, train, tested, settings, params.permutations, params.seed, seed, device
        )
    else:
        kept = checkpoint_path(out.model)
        scans = pd.concat([train.scans, validation.scans]).to_csv()
        key = checkpoint_key(train.volumes, scans=scans, params=dict(params))
        history = fit_whole(
            classifier,
            make_augmentation(settings),
            train,
            options,
            settings["batch"],
            device,
            seed,
            Checkpoint(kept, key),
            validation if len(validation.scans) else None,
        )
        logits = infer(classifier, tested.volumes, device, settings["batch"])
        weights = classifier.head.weight.cpu()[None]
        layers = describe_layers(weights, logits[None], tested.positive[None])
    told = {"split": split, "model": wildcards.model, "repeat": int(wildcards.repeat)}
    columns = resource("columns/learning.tsv")
    scans = tested.scans
    if len(validation.scans):
        validated = infer(classifier, validation.volumes, device, settings["batch"])
        scans, logits = pd.concat([scans, validation.scans]), torch.cat([logits, validated])
    made = predictions(scans[[*SCAN, "label", "role"]].assign(**told), logits, classes)
    write_table(made[PREDICTIONS], out.predictions, columns)
    write_table(history, out.history, columns)
    inside = (tested.scans["role"] == "test").to_numpy()
    # safetensors writes the memory of an array, whatever its order
    layers |= {n: np.ascontiguousarray(layers[n][:, inside]) for n in ("score", "positive")}
    person = tested.scans.loc[inside, "participant_id"].to_numpy(str)
    permutations = permutation_table(layers["score"][1:], layers["positive"][1:], person)
    write_table(permutations.assign(**told)[PERMUTATIONS], out.permutations, columns)
    save_file(layers, out.layers)
    grid = nib.load(source.mask)
    described = describe(settings, params.entry, classes, participants, grid)
    save_model(classifier, out.model, described)
    checkpoint_path(out.model).unlink(missing_ok=True)


if "snakemake" in globals():
    with job(snakemake):
        main(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            snakemake.wildcards,
            snakemake.resources.gpu,
            snakemake.threads,
        )
