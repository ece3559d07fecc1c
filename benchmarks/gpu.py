"""What a GPU makes of the contrastive training, in at most 8 minutes; docs/gpu.md explains it.

python benchmarks/gpu.py --json gpu.json

Needs the repository, torch and numpy; where another package of the workflow is missing, a
stand-in of a few lines takes its place, and the output says so. Each measurement runs in a
process of its own, which is killed when its time is up; one that fails is printed with its
reason, the others go on, and the exit code is 1.
"""

import argparse
import importlib
import json
import math
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.functional import cosine_similarity, interpolate, softplus

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.common.device import Device, set_deterministic
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.encoders import build_encoder, with_projector
from workflow_scripts.learning.processes import in_processes, is_first
from workflow_scripts.learning.schedule import learning_rate

FORK = multiprocessing.get_context("fork")
ENCODERS = ("paper", "strided")
STRATEGY = "crop+flip+rotate"
TRAININGS, EPOCHS, IMAGES = 18, 1000, 136  # three strategies x six trials, Inglese et al. 2022
BUSY = {"cuda": ("kernel", "gpu_memcpy", "gpu_memset"), "cpu": ("cpu_op",)}


class OwnNTXent:
    """NT-Xent of embeddings of all processes, as pytorch-metric-learning computes it.

    A positive pair is told apart from all views of other subjects; further views of the same
    subject are left out. As with its `DistributedLossWrapper`, the loss is multiplied by the
    number of processes, over which DistributedDataParallel averages the gradients.
    """

    def __init__(self, temperature: float):
        self.temperature = temperature

    def __call__(self, embeddings: torch.Tensor, subjects: torch.Tensor) -> torch.Tensor:
        processes = dist.get_world_size() if dist.is_initialized() else 1
        if processes > 1:
            embeddings, subjects = self._gather(embeddings), self._gather(subjects)
        similarity = cosine_similarity(embeddings[:, None], embeddings, dim=2) / self.temperature
        same = subjects[:, None] == subjects
        negatives = similarity.masked_fill(same, -math.inf).logsumexp(dim=1, keepdim=True)
        positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        return processes * softplus(negatives - similarity)[positive].mean()

    def _gather(self, own: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.detach().contiguous())
        parts[dist.get_rank()] = own
        return torch.cat(parts)


class OwnLARS(torch.optim.Optimizer):
    """LARS (You et al. 2017) as pytorch-optimizer computes it: vectors take plain SGD steps."""

    def __init__(self, parameters, lr: float, momentum: float, weight_decay: float):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                change = weight.grad
                if weight.ndim > 1:
                    size, decay = weight.norm(), group["weight_decay"]
                    whole = change.norm() + decay * size
                    trust = torch.where((size > 0) & (whole > 0), 1e-3 * size / whole, 1.0)
                    change = (change + decay * weight) * trust
                state = self.state[weight]
                before = state.get("momentum_buffer", torch.zeros_like(weight))
                state["momentum_buffer"] = before * group["momentum"] + change
                weight.sub_(group["lr"] * state["momentum_buffer"])


class SilentHistory:
    """Stands for workflow_scripts.learning.history.History, which needs pandas and tqdm."""

    setbacks = stalled = 0  # without a side for validation

    def __init__(self, epochs, past, shown=True):
        self.rows = [*past]

    def add(self, row: dict) -> None:
        self.rows.append(row)

    def close(self) -> list[dict]:
        return self.rows


def find_packages() -> tuple[dict, types.ModuleType, Callable, type]:
    """What is used: names for the output, `learning.training`, the loss and the optimizer."""
    used = {}
    try:
        training = importlib.import_module("workflow_scripts.learning.training")
        used["training loop"] = "repository"
    except ImportError:
        history = types.ModuleType("workflow_scripts.learning.history")
        history.History = SilentHistory
        pandas = types.ModuleType("pandas")
        pandas.DataFrame = list
        lent = {history.__name__: history}
        if not importable("pandas"):
            lent["pandas"] = pandas
        sys.modules.update(lent)
        training = importlib.import_module("workflow_scripts.learning.training")
        for name in lent:
            del sys.modules[name]
        used["training loop"] = "repository, without its table and progress bar"
    try:
        from pytorch_metric_learning.losses import NTXentLoss
        from pytorch_metric_learning.utils.distributed import DistributedLossWrapper

        def criterion(temperature):
            loss = NTXentLoss(temperature=temperature)
            return DistributedLossWrapper(loss) if dist.is_initialized() else loss

        used["NT-Xent"] = "pytorch-metric-learning " + find_version("pytorch-metric-learning")
    except ImportError:
        criterion, used["NT-Xent"] = OwnNTXent, "stand-in"
    try:
        from pytorch_optimizer import LARS as optimizer

        used["LARS"] = "pytorch-optimizer " + find_version("pytorch-optimizer")
    except ImportError:
        optimizer, used["LARS"] = OwnLARS, "stand-in"
    return used, training, criterion, optimizer


def importable(name: str) -> bool:
    with suppress(ImportError):
        return bool(importlib.import_module(name))
    return False


def find_version(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return ""


USED, training, criterion, optimizer = find_packages()


@dataclass(frozen=True)
class Sizes:
    """What is trained, and for how long it is measured."""

    device: str = "cuda:0"
    shape: tuple = (96, 112, 96)
    volumes: int = 163
    batch: int = 16
    widths: tuple = (16, 32, 64)
    crop: int = 15
    measure_s: float = 4.0  # of each kind of step
    block: int = 10  # most steps between two looks at the clock
    compiler: str = "inductor"


TINY = Sizes("cpu", (16, 16, 16), 8, 4, (4, 8), 3, 0.0, 2, "eager")


@dataclass(frozen=True)
class Variant:
    """How a network is computed."""

    name: str
    bf16: bool = True
    deterministic: bool = True
    compiled: bool = False


VARIANTS = (
    Variant("bf16"),
    Variant("float32", bf16=False),
    Variant("bf16, not deterministic", deterministic=False),
    Variant("bf16, compiled", compiled=True),
)


def reason(error: Exception) -> str:
    """Message of an error in one line, without the traceback that one of a process brings."""
    lines = str(error).splitlines()
    told = [line for line in lines if line and line[0] not in " -" and line[:9] != "Traceback"]
    return "; ".join(told)[:500]


def apart(work: Callable, limit_s: float):
    """What `work()` returns, in a forked process with its own GPU context.

    Raises
    ------
    TimeoutError
        If it takes longer; the process and all that it started are killed in any case.
    RuntimeError
        If it fails, with the message of its error.
    """
    limit_s = max(limit_s, 0.0)
    receive, send = FORK.Pipe(duplex=False)

    def run() -> None:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        warnings.simplefilter("ignore")
        try:
            send.send((True, work()))
        except Exception as error:
            send.send((False, f"{type(error).__name__}: {reason(error)}"))

    process = FORK.Process(target=run)
    process.start()
    send.close()
    try:
        if not receive.poll(limit_s):
            raise TimeoutError(f"not done after {limit_s:.0f} s")
        done, value = receive.recv()
    except EOFError:
        raise RuntimeError("the process was killed; out of memory?") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    if not done:
        raise RuntimeError(value)
    return value


def make_cohort(sizes: Sizes, n: int) -> torch.Tensor:
    """Smooth noise in an ellipsoid, another for each volume, in half precision on the device."""
    axes = [torch.linspace(-1, 1, size, device=sizes.device) for size in sizes.shape]
    brain = sum(axis**2 for axis in torch.meshgrid(*axes, indexing="ij")) < 1
    volumes = torch.empty(n, 1, *sizes.shape, dtype=torch.float16, device=sizes.device)
    for row, volume in enumerate(volumes):
        draws = torch.Generator(sizes.device).manual_seed(row)
        coarse = torch.randn(1, 1, 6, 6, 6, device=sizes.device, generator=draws)
        smooth = interpolate(coarse, sizes.shape, mode="trilinear")[0, 0]
        noise = torch.randn(sizes.shape, device=sizes.device, generator=draws)
        volume[0] = (1 + 0.3 * smooth + 0.1 * noise) * brain
    return volumes


class Training:
    """Network, optimizer and loss of a contrastive training, on a cohort held on the device."""

    def __init__(self, sizes: Sizes, encoder: str, variant: Variant, volumes: int, batch: int):
        set_deterministic(variant.deterministic)
        torch.manual_seed(0)
        self.device, self.batch = Device(sizes.device, variant.bf16), batch
        self.network = with_projector(build_encoder(encoder, list(sizes.widths)), 128)
        self.device.place(self.network)
        self.optimizer = optimizer(
            self.network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-6
        )
        self.criterion = criterion(temperature=0.5)
        self.augmentation = Augmentation(STRATEGY, sizes.crop, 45)
        self.volumes = make_cohort(sizes, volumes)
        running = self.network
        if variant.compiled:
            running = torch.compile(running, backend=sizes.compiler)
        self.running = training.distributed(running)
        self.loss = training.contrastive_loss(
            self.running,
            self.criterion,
            self.augmentation,
            self.volumes,
            torch.arange(volumes),
            self.device,
            0,
        )
        self.steps = 0

    def backward(self) -> torch.Tensor:
        """Loss of the next step, with its gradients."""
        rows = np.random.default_rng(self.steps).permutation(len(self.volumes))[: self.batch]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(rows, 0, self.steps)
        loss.backward()
        self.steps += 1
        return loss.detach()

    def step(self) -> None:
        """A whole step: augmentation, forward, loss, backward, optimizer."""
        self.backward()
        self.optimizer.step()

    def pure_step(self) -> Callable:
        """A step of forward, loss and backward alone, on views that stay the same."""
        rows = np.arange(self.batch)
        views, _ = training.random_views(self.augmentation, self.volumes, rows, 2, 0)
        views = self.device.place(views)
        subjects = torch.arange(self.batch, device=self.device.name).repeat(2)

        def step() -> None:
            self.network.zero_grad(set_to_none=True)
            with self.device.autocast():
                embeddings = self.running(views)
            self.criterion(embeddings.float(), subjects).backward()

        return step


def seconds(work: Callable, times: int = 1) -> float:
    """Time of `work()`, mean over so many times in a row, which a GPU may overlap."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def step_time(step: Callable, sizes: Sizes) -> float:
    """Median over blocks of steps, after steps that are not counted."""
    start = time.perf_counter()
    once = min(seconds(step) for _ in range(2))
    block = max(1, min(sizes.block, int(sizes.measure_s / 4 / once)))
    blocks = [seconds(step, block)]
    while time.perf_counter() - start < sizes.measure_s:
        blocks.append(seconds(step, block))
    return statistics.median(blocks)


def busy_time(trace: dict, kinds: tuple) -> float:
    """Time in s in which at least one of a trace's events of these kinds ran."""
    events = [event for event in trace["traceEvents"] if event.get("cat") in kinds]
    busy = last = 0
    for start, end in sorted((event["ts"], event["ts"] + event["dur"]) for event in events):
        busy += max(0, end - max(start, last))
        last = max(last, end)
    return busy / 1e6


def idle_share(step: Callable, step_s: float, sizes: Sizes, times: int = 3) -> float:
    """Share of a step in which the GPU computes and copies nothing, by torch.profiler.

    The steps' time is that without the profiler, which slows the CPU. (On a CPU: share in
    which no operator of torch runs, and meaningless.)
    """
    kind = torch.device(sizes.device).type
    with torch.profiler.profile() as profile:
        seconds(step, times)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        busy = busy_time(json.loads(path.read_text()), BUSY[kind])
    if not busy:
        raise RuntimeError("torch.profiler saw no work on the device")
    return max(0.0, 1 - busy / times / step_s)


def peak_gib() -> float:
    """Most memory of the tensors on the GPU, or of the process."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_steps(sizes: Sizes, encoder: str, variant: Variant) -> dict:
    """Times of an encoder's steps; `error` says why the idle share is missing."""
    run = Training(sizes, encoder, variant, sizes.volumes, sizes.batch)
    first = seconds(run.step)
    whole = step_time(run.step, sizes)
    peak = peak_gib()
    pure = step_time(run.pure_step(), sizes)
    figures = {
        "encoder": encoder,
        "variant": variant.name,
        "step_s": whole,
        "pure_s": pure,
        "pure_share": pure / whole,
        "peak_gib": peak,
        "first_step_s": first,
        "all_trainings_h": TRAININGS * EPOCHS * IMAGES / sizes.batch * whole / 3600,
    }
    try:
        return figures | {"idle_share": idle_share(run.step, whole, sizes)}
    except Exception as error:
        return figures | {"idle_share": None, "error": f"idle share: {error}"}


def describe_machine(sizes: Sizes) -> dict:
    """GPU, driver, processor and packages."""
    figures = {"cores": len(os.sched_getaffinity(0)), "torch": torch.__version__}
    if sizes.device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        figures |= {
            "gpu": properties.name,
            "gpus": torch.cuda.device_count(),
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "driver": find_driver(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "bf16": torch.cuda.is_bf16_supported(),
        }
    return figures | USED


def find_driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=10)
        return found.stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown, nvidia-smi does not say"


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten().double().cpu() for tensor in tensors])


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Length of a - b as a share of that of b."""
    return ((a - b).norm() / b.norm()).item()


def save_two_steps(sizes: Sizes, file: Path) -> None:
    """Two steps by this process or the group it is in: losses, gradients, running statistics.

    float32 without TF32, so that rounding stays small. On a CPU there is no synchronised batch
    norm, and batch norm takes its running statistics instead.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    rank, processes = 0, 1
    if dist.is_initialized():
        rank, processes = dist.get_rank(), dist.get_world_size()
    if sizes.device != "cpu":
        sizes = Sizes(f"cuda:{rank % torch.cuda.device_count()}", shape=(48, 48, 48))
    run = Training(sizes, "strided", Variant("float32", bf16=False), sizes.batch, sizes.batch)
    run.network.train(sizes.device != "cpu")
    losses = [run.backward() / processes]
    gradients = flat(weight.grad for weight in run.network.parameters())
    run.optimizer.step()
    losses.append(run.backward() / processes)
    run.optimizer.step()
    result = {
        "loss": flat(losses),
        "gradient": gradients,
        "statistics": flat(run.network.buffers()),
    }
    if is_first():
        torch.save(result, file)


def compare_processes(sizes: Sizes, limit_s: float) -> dict:
    """Two processes against one that has the whole batch; NCCL first, then gloo.

    Raises
    ------
    RuntimeError
        If neither works, or if they disagree by more than rounding can.
    """
    deadline, refused = time.monotonic() + limit_s, {}
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one", Path(folder) / "two"
        apart(lambda: save_two_steps(sizes, one), limit_s / 3)
        for backend in ("gloo",) if sizes.device == "cpu" else ("nccl", "gloo"):
            limit = min(limit_s / 3, deadline - time.monotonic())
            try:
                apart(
                    lambda b=backend: in_processes(lambda: save_two_steps(sizes, two), 2, b), limit
                )
                break
            except (RuntimeError, TimeoutError) as error:
                refused[backend] = str(error)
        else:
            raise RuntimeError("; ".join(f"{name}: {why}" for name, why in refused.items()))
        one, two = torch.load(one), torch.load(two)
    figures = {"backend": backend, "refused": refused}
    figures |= {f"{name}_difference": difference(two[name], one[name]) for name in one}
    if not (figures["loss_difference"] < 1e-3 and figures["gradient_difference"] < 1e-2):
        figures["error"] = "two processes disagree with one"
    return figures


def train(sizes: Sizes, encoder: str, file: Path, checkpoint: Path | None, stop: bool) -> int:
    """Train for three epochs of three steps and save the weights; or stop by SIGTERM in the fourth.

    Returns
    -------
    Number of steps that were made
    """
    batch = max(2, sizes.batch // 2)
    run = Training(sizes, encoder, Variant("bf16"), 3 * batch, batch)

    steps = 0

    def loss(positions, epoch, step):
        nonlocal steps
        steps += 1
        if stop and (epoch, step) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return run.loss(positions, epoch, step)

    try:
        training.fit(
            run.network,
            run.optimizer,
            loss,
            lambda epoch: training.draw_batches(np.ones(3 * batch, int), batch, epoch),
            lambda time, _: learning_rate(time, base=1.0, warmup=1, epochs=3),
            3,
            Checkpoint(checkpoint, "benchmark"),
            run.device,
        )
    except training.Stopped:
        return steps
    torch.save(flat(run.network.state_dict().values()), file)
    return steps


def compare_resumed(sizes: Sizes, encoder: str, limit_s: float) -> dict:
    """Weights of a training that was stopped and went on, against one that ran through.

    Max pooling in three dimensions has no deterministic backward on CUDA. So two trainings
    that ran through are compared too: a resumed one may differ as they do.
    """
    deadline = time.monotonic() + limit_s
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "training.checkpoint"
        runs = {
            "through": (None, False, 9),
            "again": (None, False, 9),
            "stopped": (checkpoint, True, 4),
            "resumed": (checkpoint, False, 5),
        }
        for key, (kept, stop, expected) in runs.items():
            work = partial(train, sizes, encoder, folder / key, kept, stop)
            steps = apart(work, deadline - time.monotonic())
            if steps != expected:
                raise RuntimeError(f"{key}: {steps} steps, not {expected}")
        through, again, resumed = (
            torch.load(folder / key) for key in ("through", "again", "resumed")
        )
    figures = {
        "encoder": encoder,
        "largest_difference": (resumed - through).abs().max().item(),
        "largest_difference_of_two_runs": (again - through).abs().max().item(),
    }
    if not figures["largest_difference"] <= 10 * figures["largest_difference_of_two_runs"]:
        figures["error"] = "the resumed training differs more than two that ran through"
    return figures


def measure_unet(sizes: Sizes) -> dict:
    """Two epochs of a U-Net on spheres in noise: time of a step, and losses against the CPU's."""
    unet = importlib.import_module("workflow_scripts.segmentation.unet")
    side = 16 if sizes.device == "cpu" else 96
    distance = np.linalg.norm(np.indices((side,) * 3) - side / 2, axis=0)
    sphere = torch.from_numpy(np.float32(distance < side / 4))[None]
    noise = torch.randn((4, *sphere.shape), generator=torch.Generator().manual_seed(0))
    settings = {"seed": 1, "epochs": 2, "spacing": 1.0}
    losses, taken = {}, {}
    for device in ("cpu", sizes.device):
        start = time.perf_counter()
        _, losses[device] = unet.train(
            list(sphere + noise), [sphere] * 4, settings, Checkpoint(None, "benchmark"), device
        )
        taken[device] = time.perf_counter() - start
    differences = [abs(a / b - 1) for a, b in zip(losses[sizes.device], losses["cpu"], strict=True)]
    figures = {
        "step_s": taken[sizes.device] / len(noise) / settings["epochs"],
        "cpu_step_s": taken["cpu"] / len(noise) / settings["epochs"],
        "loss_difference": max(differences),
    }
    if figures["loss_difference"] > 1e-2:
        figures["error"] = "losses differ from those of the CPU"
    return figures


class Report:
    """Figures and failures of the parts, printed as they come."""

    def __init__(self, minutes: float):
        self.scale = minutes / 8
        self.end = time.monotonic() + 60 * minutes
        self.figures, self.failures = {}, {}

    def part(self, name: str, limit_s: float, work: Callable) -> dict | None:
        """Figures that `work(limit in s)` returns; None where it fails.

        The limit is for a benchmark of 8 minutes. An `error` among the figures is a failure.
        """
        limit_s = min(limit_s * self.scale, self.end - time.monotonic())
        try:
            if limit_s < 5 * self.scale:
                raise TimeoutError("not begun, the time is up")
            figures = work(limit_s)
        except Exception as error:
            self.fail(name, f"{error}" or type(error).__name__)
            return None
        if "error" in figures:
            self.fail(name, figures.pop("error"))
        return figures

    def fail(self, name: str, reason: str) -> None:
        self.failures[name] = reason
        print(f"FAILED {name}: {reason}", flush=True)

    def keep(self, section: str, figures: dict | None) -> None:
        """Add to a section: a row of its list."""
        self.figures.setdefault(section, [])
        if figures is not None:
            self.figures[section].append(figures)


def show(*cells, widths: tuple) -> None:
    """Print a row of a table: text to the left where the width is negative."""
    texts = [
        f"{cell:.4g}" if isinstance(cell, float) else "-" if cell is None else str(cell)
        for cell in cells
    ]
    columns = zip(texts, widths, strict=True)
    print("".join(text.ljust(-w) if w < 0 else text.rjust(w) for text, w in columns), flush=True)


def run_parts(report: Report, sizes: Sizes) -> None:
    """All measurements, in the order of their weight."""
    machine = report.part("machine", 25, lambda s: apart(lambda: describe_machine(sizes), s))
    report.figures["machine"] = machine
    for name, value in (machine or {}).items():
        print(f"{name:15}{value}")

    shape, images = "x".join(map(str, sizes.shape)), f"{sizes.batch} images in 2 views"
    print(f"\nsteps: {images}, 1x{shape}, {STRATEGY}, {sizes.volumes} volumes on the device")
    columns = {
        "encoder": ("encoder", -9),
        "variant": ("variant", -25),
        "step_s": ("step, s", 10),
        "pure_s": ("pure, s", 10),
        "pure_share": ("share", 9),
        "idle_share": ("idle", 9),
        "peak_gib": ("peak, GiB", 11),
        "first_step_s": ("first, s", 10),
        "all_trainings_h": ("18 trainings, h", 17),
    }
    heads, widths = zip(*columns.values(), strict=True)
    show(*heads, widths=widths)
    for encoder in ENCODERS:
        for variant in VARIANTS:
            row = report.part(
                f"steps of {encoder}, {variant.name}",
                70 if variant.compiled else 25,
                lambda s, e=encoder, v=variant: apart(lambda: measure_steps(sizes, e, v), s),
            )
            report.keep("steps", row)
            if row:
                show(*(row[name] for name in columns), widths=widths)

    print("\ntwo processes against one (relative differences)")
    two = report.part("two processes", 90, lambda s: compare_processes(sizes, s))
    report.figures["two processes"] = two
    if two:
        for name, reason in two["refused"].items():
            print(f"{name} did not work: {reason}")
        for name in ("backend", "loss_difference", "gradient_difference", "statistics_difference"):
            show(name, two[name], widths=(-24, 12))

    print("\nresumed after SIGTERM (largest difference of a weight)")
    widths = (-9, 12, 34)
    show("encoder", "resumed", "between two that ran through", widths=widths)
    for encoder in ENCODERS:
        row = report.part(
            f"resume of {encoder}", 60, lambda s, e=encoder: compare_resumed(sizes, e, s)
        )
        report.keep("resume", row)
        if row:
            show(*row.values(), widths=widths)

    if not (importable("monai") and importable("ants")):
        print("\nU-Net: not run, needs monai and antspyx")
        return
    print("\nU-Net of a region")
    row = report.part("U-Net", 60, lambda s: apart(lambda: measure_unet(sizes), s))
    report.figures["unet"] = row
    for name, value in (row or {}).items():
        show(name, value, widths=(-24, 12))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file that takes the figures")
    parser.add_argument("--minutes", type=float, default=8, help="that it takes at most")
    parser.add_argument("--tiny", action="store_true", help="tiny volumes on the CPU, as a test")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report, started = Report(options.minutes), time.monotonic()
    sizes = TINY if options.tiny else Sizes()
    torch.set_num_threads(1)  # processes forked after torch's threads have run would hang
    if not options.tiny and not apart(torch.cuda.is_available, 60):
        print(
            f"torch {torch.__version__} finds no GPU: start this on a machine with an NVIDIA GPU "
            "and a CUDA build of torch (nvidia-smi shows the GPU), or try --tiny on the CPU",
            file=sys.stderr,
        )
        return 2
    try:
        run_parts(report, sizes)
    finally:
        if options.json:
            content = {"sizes": asdict(sizes)} | report.figures | {"failures": report.failures}
            options.json.write_text(json.dumps(content, indent=2) + "\n")
    taken = time.monotonic() - started
    print(f"\n{len(report.failures)} failed; {taken:.0f} s")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
