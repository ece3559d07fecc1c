"""The training loop of all networks: stoppable, resumable, on any number of processes.

All that is drawn at random in a step (order of the scans, augmentation) comes from a seed
made of the training's own seed, the epoch and the step. So nothing but weights, optimizer
and progress has to be kept, and a training that was stopped goes on bit by bit as if it
had not been.
"""

import logging
import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from workflow_scripts.common.checkpoint import Checkpoint, stop_requests
from workflow_scripts.common.device import Device, keep_memory
from workflow_scripts.common.job import InputError
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.history import History
from workflow_scripts.learning.processes import is_first

SAVE_EVERY_S = 60.0
LOG = logging.getLogger(__name__)


class Stopped(InputError):
    """The training was told to stop; its checkpoint is on disk."""


def seed_of(*parts: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def draw_batches(weights: np.ndarray, batch: int, seed: int, processes: int = 1) -> list:
    """Order of the scans in one epoch, in batches.

    Parameters
    ----------
    weights : (n,) int, times that each scan is used
    batch : scans per step
    seed : of this epoch
    processes : every batch is cut to a multiple of it

    Returns
    -------
    list of int arrays of positions; a last batch of a single scan is left out, since
    neither batch norm nor a contrastive loss can use it
    """
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(weights)), weights))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    batches = [part[: len(part) // processes * processes] for part in batches]
    return [part for part in batches if len(part) >= 2 * processes]


def share(positions: np.ndarray) -> slice:
    """Part of a batch that this process takes."""
    if not dist.is_initialized():
        return slice(None)
    each = len(positions) // dist.get_world_size()
    return slice(dist.get_rank() * each, (dist.get_rank() + 1) * each)


def random_views(augmentation: Augmentation, volumes, positions, n_views: int, seed: int):
    """Random views of this process's part of a batch.

    What is drawn is drawn for the whole batch, so that it does not depend on the processes.

    Returns
    -------
    (n_views * B, channels, X, Y, Z), all scans' first view first; and the B positions
    """
    draws = torch.Generator().manual_seed(seed)
    part = share(positions)
    own = torch.as_tensor(np.array(positions))[part]
    drawn = [augmentation.draw(len(positions), draws)[part] for _ in range(n_views)]
    parameters = [view for views in drawn for view in views]
    return augmentation.apply(volumes[own], parameters), own


def contrastive_loss(
    network, criterion, augmentation: Augmentation, volumes, subjects, device: Device, seed: int
) -> Callable:
    """Loss of a step: two views of each scan, told apart by whose scan it is.

    Parameters
    ----------
    network : (2B, channels, X, Y, Z) to (2B, projection)
    criterion : takes embeddings and subjects; views of one subject are positives, also
        where the subject is in the batch twice, and never negatives
    volumes : (n, channels, x, y, z) float16, on the device
    subjects : (n,) int, whose scan it is

    Returns
    -------
    Function of positions (B,), epoch and step
    """

    def loss(positions, epoch, step):
        views, own = random_views(augmentation, volumes, positions, 2, seed_of(seed, epoch, step))
        whose = subjects[own].to(device.name).repeat(2)
        with device.autocast():
            embeddings = network(device.place(views))
        return criterion(embeddings.float(), whose)

    return loss


def classification_loss(
    network,
    augmentation: Augmentation,
    volumes,
    labels,
    device: Device,
    seed: int,
    class_weights: torch.Tensor | None = None,
) -> Callable:
    """Cross-entropy of a step on one view of each scan; parameters as in `contrastive_loss`.

    class_weights : (2,) of the negative and the positive class; alike where not given
    """

    def loss(positions, epoch, step):
        views, own = random_views(augmentation, volumes, positions, 1, seed_of(seed, epoch, step))
        with device.autocast():
            logits = network(device.place(views))
        target = labels[own].to(device.name)
        return functional.cross_entropy(logits.float(), target, class_weights)

    return loss


def distributed(network):
    """Network whose gradients are averaged over the processes, where there are several."""
    if not dist.is_initialized():
        return network
    if next(network.parameters()).is_cuda:
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(network)


def fit(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable,
    batches: Callable,
    rate: Callable,
    epochs: int,
    checkpoint: Checkpoint,
    device: Device,
    validation_loss: Callable | None = None,
    patience: int | None = None,
) -> pd.DataFrame:
    """Train to the end, from the checkpoint where there is one.

    With a validation side the network ends with the weights of the epoch that had the lowest
    validation loss.

    Parameters
    ----------
    network : whose weights are kept in the checkpoint
    loss : (positions, epoch, step) to a scalar that depends on the network
    batches : epoch to list of positions, see `draw_batches`
    rate : time in epochs, and `History.setbacks`, to learning rate
    validation_loss : without arguments, of the network as it is
    patience : epochs without a lower validation loss after which training ends; None for never

    Returns
    -------
    Table of the epochs: epoch (from 1), loss (mean over the steps), learning_rate (at its end),
    validation_loss

    Raises
    ------
    Stopped
        On SIGTERM or SIGUSR1, after the checkpoint was written.
    """
    progress = checkpoint.load(network, optimizer, device.name)
    progress = progress or {"epoch": 0, "step": 0, "losses": [], "history": [], "best": None}
    first = is_first()
    history = History(epochs, progress["history"], shown=first)
    step, losses, best = progress["step"], progress["losses"], progress["best"]
    if first and (progress["epoch"] or step):
        LOG.info("goes on after epoch %d of %d", progress["epoch"], epochs)
    saved = time.monotonic()
    if device.name == "cpu":
        keep_memory()
    with stop_requests() as requests:

        def save(epoch, step, losses):
            if first:
                done = {"epoch": epoch, "step": step, "losses": losses}
                done |= {"history": history.rows, "best": best}
                checkpoint.save(network, optimizer, done)

        for epoch in range(progress["epoch"], epochs):
            if patience is not None and history.stalled >= patience:
                LOG.info("no lower validation loss for %d epochs: ends", patience)
                break
            network.train()
            plan = batches(epoch)
            while step < len(plan):
                for group in optimizer.param_groups:
                    group["lr"] = rate(epoch + (step + 1) / len(plan), history.setbacks)
                optimizer.zero_grad(set_to_none=True)
                value = loss(plan[step], epoch, step)
                value.backward()
                optimizer.step()
                losses.append(value.detach())
                step += 1
                if _agreed(bool(requests), device):
                    save(epoch, step, _numbers(losses))
                    raise Stopped(
                        f"stopped in epoch {epoch + 1} of {epochs} ({', '.join(requests)}); "
                        "start again to go on from there"
                    )
            row = {"epoch": epoch + 1, "loss": float(np.mean(_numbers(losses)))}
            row["learning_rate"] = rate(epoch + 1, history.setbacks)
            row["validation_loss"] = validation_loss() if validation_loss else math.nan
            history.add(row)
            if validation_loss and not history.stalled:
                best = {name: value.clone() for name, value in network.state_dict().items()}
            step, losses = 0, []
            if time.monotonic() - saved > SAVE_EVERY_S:
                save(epoch + 1, 0, [])
                saved = time.monotonic()
    if best is not None:
        network.load_state_dict(best)
    return history.close()


def _numbers(losses):
    return [float(value) for value in losses]


def _agreed(stop: bool, device: Device) -> bool:
    if not dist.is_initialized():
        return stop
    votes = torch.tensor(float(stop), device=device.name)
    dist.all_reduce(votes)
    return votes.item() > 0


@torch.no_grad()
def infer(network, volumes, device: Device, batch: int) -> torch.Tensor:
    """Output (n, features) float32 of a network in evaluation.

    volumes : (n, channels, x, y, z) float16
    """
    network.eval()
    parts = []
    for images in volumes.split(batch):
        with device.autocast():
            parts.append(network(device.place(images.to(device.name).float())).float())
    return torch.cat(parts).cpu()
