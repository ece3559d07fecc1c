"""State of a training on disk, so that a stopped job goes on where it was."""

import hashlib
import json
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import torch

STOPPING = (signal.SIGTERM, signal.SIGUSR1)


def checkpoint_path(weights) -> Path:
    """Where a training keeps its state until its weights are written."""
    return Path(weights).with_suffix(".checkpoint")


def checkpoint_key(volumes: torch.Tensor, **settings) -> str:
    """Digest of all that a training depends on: its volumes and its settings."""
    digest = hashlib.sha256(volumes.numpy().tobytes())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()


class Checkpoint:
    """A file with weights, optimizer and progress, replaced as a whole.

    Parameters
    ----------
    path : of the file; None keeps nothing
    key : whatever the training depends on; a file with another key is not used
    """

    def __init__(self, path, key: str):
        self.path, self.key = path and Path(path), key

    def save(self, network, optimizer, progress: dict) -> None:
        """Replace the file."""
        if self.path is None:
            return
        content = {
            "key": self.key,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "progress": progress,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(content, partial)
        os.replace(partial, self.path)

    def load(self, network, optimizer, device: str) -> dict | None:
        """Fill network and optimizer from the file and return the progress; None without one."""
        if self.path is None or not self.path.exists():
            return None
        content = torch.load(self.path, map_location=device, weights_only=True)
        if content["key"] != self.key:
            return None
        network.load_state_dict(content["network"])
        optimizer.load_state_dict(content["optimizer"])
        return content["progress"]


@contextmanager
def stop_requests():
    """List that SIGTERM and SIGUSR1 (a time limit, say) append their names to."""
    received = []

    def note(number, _):
        received.append(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
