"""Trained networks as files: weights as safetensors, what is known of them as JSON beside."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.encoders import (
    MonaiEncoder,
    OnFeatures,
    build_encoder,
    with_classifier,
)

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


def start_from(encoder: MonaiEncoder, weights) -> None:
    """Fill a network of MONAI with weights of the user's own; no code of the file is run.

    What the file has beyond the network, such as a last, linear layer, is left out. A first
    convolution of one channel is shared out among several, so that channels which are equal give
    what the one gave. A convolution before a batch norm needs no bias, and has none if the file
    has none (MedicalNet's, arXiv:1904.00625).

    Raises
    ------
    InputError
        If the file cannot be read, or is of another network.
    """
    try:
        state = (
            load_file(weights)
            if str(weights).endswith(".safetensors")
            else torch.load(weights, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        raise InputError(
            f"{weights}: cannot be read as weights ({error}); save a state dict, or safetensors"
        ) from error
    state = state.get("state_dict", state)
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    own, unlike = encoder.network.state_dict(), []
    for name, tensor in own.items():
        given = state.get(name)
        if given is None and name.endswith("downsample.0.bias"):
            given = torch.zeros_like(tensor)
        if given is not None and given.dim() == 5 and given.shape[1] == 1 < tensor.shape[1]:
            given = given.expand(-1, tensor.shape[1], -1, -1, -1) / tensor.shape[1]
        if given is not None and given.shape == tensor.shape:
            own[name] = given
        elif not name.endswith("num_batches_tracked"):
            unlike.append(name)
    if unlike:
        raise InputError(
            f"{weights}: lacks {len(unlike)} of {len(own)} weights of the network, or has them in "
            f"another shape ({', '.join(unlike[:3])}); name a file of this encoder"
        )
    encoder.network.load_state_dict(own)


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
