"""Trained networks as files: weights as safetensors, what is known of them as JSON beside."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.encoders import OnFeatures, build_encoder, with_classifier

SINGLE_T1W = {"channels": ["T1w"], "space": "MNI152", "region": "brain"}


def description_path(weights) -> Path:
    """The JSON file beside a file of weights."""
    return Path(weights).with_suffix(".json")


def save_model(model: torch.nn.Module, weights, description: dict) -> None:
    """Write the weights (``.safetensors``) and the description beside them (``.json``)."""
    state = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    save_file(state, weights)
    description_path(weights).write_text(json.dumps(description, indent=2) + "\n")


def read_description(weights) -> dict:
    """What the JSON beside a file of weights says.

    Raises
    ------
    InputError
        If it is missing or no JSON.
    """
    path = description_path(weights)
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); it belongs to {Path(weights).name}, copy or make "
            "both together"
        ) from error


def load_weights(model: torch.nn.Module, weights) -> None:
    """Fill a network with the weights of a file; no code of the file is run.

    Raises
    ------
    InputError
        If the file is no safetensors or belongs to another network.
    """
    try:
        model.load_state_dict(load_file(weights))
    except Exception as error:
        raise InputError(
            f"{weights}: not the weights of this network ({error}); make it again"
        ) from error


def load_classifier(weights) -> tuple[OnFeatures, dict]:
    """A trained classifier, ready to predict, and its description."""
    description = read_description(weights)
    if "input" not in description:  # of version 0.6
        description["input"] = SINGLE_T1W | {"downsample": description["downsample"]}
    channels = len(description["input"]["channels"])
    encoder = build_encoder(description["encoder"], description["widths"], channels)
    classifier = with_classifier(encoder)
    load_weights(classifier, weights)
    return classifier.eval(), description
