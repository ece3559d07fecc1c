"""Where and how precisely networks are computed."""

import ctypes
import os
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from workflow_scripts.common.job import InputError


@dataclass(frozen=True)
class Device:
    """A device, the type that matrix products are computed in, and the layout of volumes.

    Attributes
    ----------
    name : ``cpu`` or ``cuda:0``, ``cuda:1``, ...
    bf16 : compute convolutions in bfloat16 with channels last
    """

    name: str
    bf16: bool

    def autocast(self):
        """Context in which a network is run."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(torch.device(self.name).type, torch.bfloat16)

    def place(self, module_or_volumes):
        """Move a network or volumes (B, channels, X, Y, Z) here, in the layout that is fastest."""
        layout = torch.channels_last_3d if self.bf16 else torch.preserve_format
        return module_or_volumes.to(self.name, memory_format=layout)


def choose_device(precision: str, gpus: int, rank: int = 0) -> Device:
    """Device of a process.

    Parameters
    ----------
    precision : ``float32``, ``bf16``, or ``auto``: bfloat16 where the processor computes in it
    gpus : number of GPUs of the job; 0 for the CPU
    rank : number of the process, which takes the GPU of that number

    Raises
    ------
    InputError
        If there is no GPU of that number.
    """
    if gpus:
        there = torch.cuda.device_count()
        if rank >= there:
            raise InputError(
                f"gpus: {gpus} are asked for, and torch {torch.__version__} sees {there} on this "
                "machine; give the job its GPUs (set-resources, gres), install a CUDA build of "
                "torch, or set gpus: 0"
            )
        name, able = f"cuda:{rank}", torch.cuda.is_bf16_supported()
    else:
        capabilities = torch.cpu.get_capabilities()
        name, able = "cpu", capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return Device(name, precision == "bf16" or (precision == "auto" and bool(able)))


def set_deterministic(wanted: bool) -> None:
    """Ask torch for algorithms that give the same result each time, a bit slower on GPUs.

    Max pooling in three dimensions has none on CUDA; torch then warns.
    """
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted, warn_only=True)


def keep_memory() -> None:
    """Keep freed memory in the process: fresh pages cost a CPU step nearly as much as its sums.

    Does nothing where the C library is not glibc. Peak memory grows by up to a half.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(-4, 0)  # M_MMAP_MAX
        mallopt(-1, -1)  # M_TRIM_THRESHOLD
