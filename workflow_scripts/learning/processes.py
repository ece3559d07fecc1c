"""One process per GPU."""

import os
import signal
import tempfile
from collections.abc import Callable

import torch.distributed as dist
import torch.multiprocessing as mp

from workflow_scripts.common.checkpoint import STOPPING


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def in_processes(work: Callable, count: int, backend: str = "nccl") -> None:
    """Run ``work()`` here, or in ``count`` processes of one torch.distributed group.

    Processes are forked, so that the script of a job is not run again in each of them;
    before, no GPU may have been used. Signals to stop are handed on to them.
    """
    if count <= 1:
        work()
        return
    with tempfile.TemporaryDirectory() as folder:

        def join(rank):
            dist.init_process_group(
                backend, init_method=f"file://{folder}/store", rank=rank, world_size=count
            )
            try:
                work()
            finally:
                dist.destroy_process_group()

        group = mp.start_processes(join, nprocs=count, join=False, start_method="fork")

        def hand_on(number, _):
            for process in group.processes:
                if process.is_alive():
                    os.kill(process.pid, number)

        for number in STOPPING:
            signal.signal(number, hand_on)
        while not group.join():
            pass
