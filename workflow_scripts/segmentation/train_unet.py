"""A network that segments a region, trained on what a rater drew outside of a fold."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from workflow_scripts.common.bids import bids_uri, entities_of
from workflow_scripts.common.checkpoint import Checkpoint, checkpoint_key, checkpoint_path
from workflow_scripts.common.device import choose_device, set_deterministic
from workflow_scripts.common.engines import labels_of
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.splits import read_splits
from workflow_scripts.segmentation.unet import (
    brought_in,
    extent_of,
    frame_around,
    frame_of,
    seen,
    train,
)

FEWEST = 4  # sessions
KEPT_APART = ("test", "validation", "external")


def who_may_train(
    sides: list[str], splits: str, where: str, of_split: int | None = None
) -> list[int]:
    """Places of the masks of those whom no split of a study tests, validates or calls external.

    Parameters
    ----------
    sides : paths of the masks
    splits : path of the study's splits
    of_split : number of the one split that counts, if not all do

    Raises
    ------
    InputError
        If fewer than `FEWEST` are left.
    """
    table = read_splits(splits)
    if of_split is not None:
        table = table[table["split"] == of_split]
    apart = set(table.loc[table["role"].isin(KEPT_APART), "participant_id"])
    people = [f"sub-{entities_of(Path(path).name)['sub']}" for path in sides]
    places = [place for place, name in enumerate(people) if name not in apart]
    if len(places) < FEWEST:
        raise InputError(
            f"{where}: {len(places)} of {len(people)} participants with a mask are on the training "
            f"side of {'every split' if of_split is None else f'split {of_split}'}, {FEWEST} are "
            "needed; draw more, or test fewer people"
        )
    return places


def main(source, out, params, gpus: int, threads: int):
    """Train a network and write its weights, and what they come from."""
    torch.set_num_threads(threads)
    set_deterministic(True)
    settings = params.settings
    split = settings.get("of_split")
    name = settings["engine"].removesuffix(f"split{split}")
    where = f"segmentation.regions.{settings['region']}.engines.{name}"
    places = range(len(source.sides))
    if source.splits:
        places = who_may_train(source.sides, source.splits, where, split)
    extent = None if source.affines else extent_of([source.sides[place] for place in places])
    # Of each session all its channels, one session after the other.
    each, images, targets = len(settings["channels"]), [], []
    for place in places:
        channels = source.channels[each * place : each * (place + 1)]
        affine = source.affines[place : place + 1]
        frame = (
            frame_around(
                source.regions, labels_of("atlas", settings["region"]).left, settings["spacing"]
            )
            if extent is None
            else frame_of(source.t1w[place], extent, settings["spacing"])
        )
        images.append(torch.from_numpy(seen(channels, affine, frame)))
        targets.append(torch.from_numpy(brought_in(source.sides[place], affine, frame)))
    kept = checkpoint_path(out.model)
    together = [torch.cat(pair).flatten() for pair in zip(images, targets, strict=True)]
    key = checkpoint_key(torch.cat(together), settings=dict(settings))
    device = choose_device("float32", gpus).name
    network, losses = train(images, targets, settings, Checkpoint(kept, key), device)
    save_file(network.state_dict(), out.model)
    described = {
        "Region": settings["region"],
        "Rater": settings["rater"],
        "Channels": settings["channels"],
        "SpacingMm": settings["spacing"],
        "Sources": [bids_uri(source.sides[place]) for place in places],
        "Losses": [round(loss, 5) for loss in losses],
    }
    if extent is not None:
        described["ExtentMm"] = extent.round(3).tolist()
    Path(out.description).write_text(json.dumps(described, indent=2) + "\n")
    kept.unlink(missing_ok=True)


if "snakemake" in globals():
    with job(snakemake):
        main(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            snakemake.resources.gpu,
            snakemake.threads,
        )
