"""A network that segments a region, trained on what a rater drew outside of a fold."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.checkpoint import Checkpoint, checkpoint_key, checkpoint_path
from workflow_scripts.common.engines import labels_of
from workflow_scripts.common.job import job
from workflow_scripts.segmentation.unet import brought_in, frame_around, seen, train


def main(source, out, params, threads):
    """Train a network and write its weights, and what they come from."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    settings, number = params.settings, len(source.sides)
    frame = frame_around(
        source.regions, labels_of("atlas", settings["region"]).left, settings["spacing"]
    )
    # Of each session all its channels, one session after the other.
    each = len(settings["channels"])
    channels = [source.channels[each * place : each * (place + 1)] for place in range(number)]
    pairs = list(zip(channels, source.affines, strict=True))
    images = torch.stack([torch.from_numpy(seen(*pair, frame)) for pair in pairs])
    targets = torch.stack(
        [
            torch.from_numpy(brought_in(sides, affine, frame))
            for sides, affine in zip(source.sides, source.affines, strict=True)
        ]
    )
    kept = checkpoint_path(out.model)
    key = checkpoint_key(torch.cat([images, targets], dim=1), settings=dict(settings))
    network, losses = train(images, targets, settings, Checkpoint(kept, key))
    save_file(network.state_dict(), out.model)
    described = {
        "Region": settings["region"],
        "Rater": settings["rater"],
        "Channels": settings["channels"],
        "Sources": [bids_uri(path) for path in source.sides],
        "Losses": [round(loss, 5) for loss in losses],
    }
    Path(out.description).write_text(json.dumps(described, indent=2) + "\n")
    kept.unlink(missing_ok=True)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.threads)
