"""Self-supervised training of an encoder on the training side of a split, without labels."""

from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from pytorch_metric_learning.losses import NTXentLoss
from pytorch_metric_learning.utils.distributed import DistributedLossWrapper
from pytorch_optimizer import LARS

from workflow_scripts.common.checkpoint import Checkpoint, checkpoint_key, checkpoint_path
from workflow_scripts.common.device import choose_device, set_deterministic
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import read_splits
from workflow_scripts.common.tables import write_table
from workflow_scripts.learning.encoders import build_encoder, with_projector
from workflow_scripts.learning.models import save_model
from workflow_scripts.learning.processes import in_processes, is_first
from workflow_scripts.learning.schedule import learning_rate
from workflow_scripts.learning.sides import Side, make_augmentation, read_side, training_seed
from workflow_scripts.learning.training import (
    contrastive_loss,
    distributed,
    draw_batches,
    fit,
    seed_of,
)

SOFTWARE = ["torch", "pytorch-metric-learning", "pytorch-optimizer"]


def pretrain(
    side: Side, settings: dict, seed: int, checkpoint: Checkpoint, gpus: int = 0
) -> tuple[torch.nn.Module, pd.DataFrame]:
    """Train an encoder by contrasting two views of each scan with those of other subjects.

    NT-Xent loss (Chen et al. 2020, arXiv:2002.05709) on cosine similarity, LARS (You et al.
    2017, arXiv:1708.03888) over SGD; settings after Inglese et al. 2022,
    doi:10.3389/fnins.2022.695888.

    Parameters
    ----------
    side : training side of a split; its labels are not used
    settings : of a model of kind ``contrastive``

    Returns
    -------
    The encoder, and the table of the epochs
    """
    options = settings["pretraining"]
    rank, processes = 0, 1
    if dist.is_initialized():
        rank, processes = dist.get_rank(), dist.get_world_size()
    device = choose_device(settings["precision"], gpus, rank)
    set_deterministic(settings["deterministic"])
    torch.manual_seed(seed)
    encoder = build_encoder(settings["encoder"], settings["widths"], side.volumes.shape[1])
    network = with_projector(encoder, options["projection"])
    device.place(network)
    optimizer = LARS(
        network.parameters(),
        lr=options["learning_rate"],
        momentum=options["momentum"],
        weight_decay=options["weight_decay"],
    )
    criterion = NTXentLoss(temperature=options["temperature"])
    if processes > 1:
        criterion = DistributedLossWrapper(criterion)
    _, subjects = np.unique(side.scans["participant_id"].to_numpy(str), return_inverse=True)
    running = torch.compile(network) if settings["compile"] else network
    history = fit(
        network,
        optimizer,
        contrastive_loss(
            distributed(running),
            criterion,
            make_augmentation(settings),
            side.volumes.to(device.name),
            torch.from_numpy(subjects),
            device,
            seed,
        ),
        lambda epoch: draw_batches(
            side.weights, settings["batch"], seed_of(seed, epoch), processes
        ),
        lambda time, _: learning_rate(
            time, options["learning_rate"], options["warmup_epochs"], options["epochs"]
        ),
        options["epochs"],
        checkpoint,
        device,
    )
    return encoder, history


def main(source, out, params, wildcards, gpus: int, threads: int):
    """Train the encoder of a split."""
    torch.set_num_threads(threads)
    split, settings = int(wildcards.split), params.settings
    side = read_side(read_splits(source.splits), split, ["train"], source.volumes, "")
    seed = training_seed(params.seed, split, wildcards.model, int(wildcards.repeat))
    key = checkpoint_key(side.volumes, scans=side.scans.to_csv(), seed=seed, settings=settings)
    kept = checkpoint_path(out.encoder)

    def work():
        encoder, history = pretrain(side, settings, seed, Checkpoint(kept, key), gpus)
        if is_first():
            description = {
                "encoder": settings["encoder"],
                "widths": settings["widths"],
                "channels": side.volumes.shape[1],
                "augmentation": settings["augmentation"],
                "participants": side.participants,
                "versions": {name: version(name) for name in SOFTWARE},
            }
            save_model(encoder, out.encoder, description)
            write_table(history, out.history, resource("columns/learning.tsv"))
            kept.unlink(missing_ok=True)

    in_processes(work, gpus)


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
