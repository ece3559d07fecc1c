"""Share of the pure training time that is left with loading and augmentation, as Markdown.

python benchmarks/training.py > training.md
python benchmarks/training.py --supervised --encoders coll2024 --widths 8 16 32 64 --channels 2

A step is forward, contrastive loss and backward of 16 subjects in two views, or with
``--supervised`` cross-entropy of one view, on the first GPU where there is one. Pure steps, on
views that stay the same, and whole steps, with rows read from a half-precision memory map (on a
GPU: from the cohort held there) and augmented, take turns; the times are medians. Those on
processors, beside them, change less with what else a machine does. Beside contrastive steps of
one channel those fed by MONAI's dictionary transforms in a DataLoader with two workers, which
read nii.gz files; each is the mean time of steps in a row,
after those whose batches the workers had made in advance.
"""

import argparse
import shlex
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from monai import transforms as monai
from pytorch_metric_learning.losses import NTXentLoss
from scipy.ndimage import gaussian_filter
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, pad

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow_scripts.common.device import Device, keep_memory
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.encoders import build_encoder, with_classifier, with_projector

CUDA = torch.cuda.is_available()
NAME = "cuda:0" if CUDA else "cpu"
LIMITS = {"crop_voxels": 15, "rotate_degrees": 45, "shift_voxels": 14, "noise": 0.02}
CROP, ROTATE = LIMITS["crop_voxels"], LIMITS["rotate_degrees"]
STRATEGIES = {False: ("crop+flip", "crop+flip+rotate"), True: ("shift+noise", "shift+flip+noise")}


def seconds(work) -> np.ndarray:
    """Time that a function takes in s, and that of all this process's threads on processors."""
    start = np.array([time.perf_counter(), time.process_time()])
    work()
    if CUDA:
        torch.cuda.synchronize()
    return [time.perf_counter(), time.process_time()] - start


def take_turns(works: dict, rounds: int) -> dict:
    """Median times of each function, see `seconds`, after one round that is not counted."""
    taken = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds + 1)]
    return {name: np.median([turn[name] for turn in taken[1:]], axis=0) for name in works}


def save_cohort(folder: Path, n: int, channels: int, shape: tuple) -> None:
    """Smooth noise in an ellipsoid, as one memory map and as a nii.gz of each first channel."""
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    brain = sum(axis**2 for axis in grid) < 1
    size = (n, channels, *shape)
    volumes = np.lib.format.open_memmap(folder / "volumes.npy", "w+", np.float16, size)
    for row in range(n):
        for channel in range(channels):
            noise = gaussian_filter(rng.normal(size=shape).astype("f4"), 1)
            volumes[row, channel] = (1 + noise) * brain
        nib.save(nib.Nifti1Image(volumes[row, 0].astype("f4"), np.eye(4)), folder / f"{row}.nii.gz")
    volumes.flush()


def read_cohort(folder: Path) -> np.ndarray:
    return np.load(folder / "volumes.npy", mmap_mode="r")


class Step:
    """Forward, loss and backward of an encoder and its projector, or its linear layer."""

    def __init__(self, encoder: str, bf16: bool, options):
        torch.manual_seed(0)
        self.device, self.supervised = Device(NAME, bf16), options.supervised
        built = build_encoder(encoder, options.widths, options.channels)
        self.network = with_classifier(built) if self.supervised else with_projector(built, 128)
        self.device.place(self.network)
        self.loss = NTXentLoss(temperature=0.5)
        self.subjects = torch.arange(options.batch, device=NAME)

    def __call__(self, views: torch.Tensor) -> None:
        self.network.zero_grad(set_to_none=True)
        with self.device.autocast():
            found = self.network(self.device.place(views)).float()
        if self.supervised:
            cross_entropy(found, self.subjects % 2).backward()
        else:
            self.loss(found, self.subjects.repeat(2)).backward()


class Feed:
    """Views of random rows of the memory map."""

    def __init__(self, volumes: np.ndarray, strategy: str, options):
        self.volumes = torch.from_numpy(np.array(volumes)).to(NAME) if CUDA else volumes
        self.augmentation = Augmentation(strategy, **LIMITS)
        self.batch, self.views = options.batch, 1 if options.supervised else 2
        self.rng, self.draws = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def __call__(self) -> torch.Tensor:
        rows = self.rng.choice(len(self.volumes), self.batch, replace=False)
        images = torch.as_tensor(self.volumes[rows])
        return self.augmentation(images, self.draws, views=self.views)


def dictionary_transforms(strategy: str, shape: tuple):
    """The strategy as MONAI writes it."""
    smallest = [size - CROP for size in shape]
    chain = [
        monai.LoadImaged("image", ensure_channel_first=True),
        monai.RandSpatialCropd("image", smallest, shape, random_size=True),
        monai.SpatialPadd("image", shape),
        monai.RandFlipd("image", prob=0.5, spatial_axis=0),
    ]
    if "rotate" in strategy:
        angle = [np.deg2rad(ROTATE)] * 3
        chain.append(monai.RandRotated("image", *angle, prob=1, padding_mode="zeros"))
    return monai.Compose(chain)


class Pairs(torch.utils.data.Dataset):
    """Two views of each file, (2, X, Y, Z), for as many random files as a loader asks for."""

    def __init__(self, files: list[str], strategy: str, shape: tuple, length: int):
        self.files, self.transform = files, dictionary_transforms(strategy, shape)
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: int) -> torch.Tensor:
        file = self.files[item % len(self.files)]
        return torch.cat([self.transform({"image": file})["image"].as_tensor() for _ in range(2)])


def time_monai(
    step: Step, files: list[str], strategy: str, shape, batch: int, steps: int
) -> np.ndarray:
    """Mean time in s of steps that a DataLoader feeds, and nan, since its workers do a part."""
    workers = 2
    pairs = Pairs(files, strategy, shape, batch * (steps + workers))
    loader = torch.utils.data.DataLoader(
        pairs, batch, shuffle=True, num_workers=workers, prefetch_factor=1, pin_memory=CUDA
    )
    ends = []
    for images in loader:
        step(images.transpose(0, 1).reshape(-1, 1, *shape).to(NAME, non_blocking=True))
        if CUDA:
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    return np.array([(ends[-1] - ends[workers - 1]) / steps, np.nan])


def rotate_by_grid_sample(images: torch.Tensor) -> torch.Tensor:
    """Two views of each volume by the three-dimensional `grid_sample`, one by one."""
    views = []
    for image in images.repeat(2, 1, 1, 1, 1)[:, None].float():
        x, y, z = ((torch.rand(3) * 2 - 1) * np.deg2rad(ROTATE)).tolist()
        turn = torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
        grid = affine_grid(pad(turn, (0, 1))[None].to(NAME), image.shape, align_corners=False)
        views.append(grid_sample(image, grid, align_corners=False))
    return torch.cat(views)


def time_augmentation(folder: Path, options) -> pd.DataFrame:
    """Augmentation by itself."""
    volumes, batch = read_cohort(folder), options.batch
    works = {name: Feed(volumes, name, options) for name in STRATEGIES[options.supervised]}
    if not options.supervised:
        images = torch.from_numpy(np.array(volumes[:batch, :1])).to(NAME)
        augmentation, draws = Augmentation("rotate", **LIMITS), torch.Generator().manual_seed(0)
        works["rotate alone"] = lambda: augmentation(images, draws, views=2)
        works["rotate alone by grid_sample"] = lambda: rotate_by_grid_sample(images)
    taken = take_turns(works, options.steps)
    table = pd.DataFrame(taken.values(), columns=["s", "processors, s"])
    table.insert(0, "loading and augmentation", taken.keys())
    return table


def time_steps(folder: Path, options, name: str) -> pd.DataFrame:
    """Pure steps of an encoder and steps fed in each way."""
    volumes, files = read_cohort(folder), sorted(map(str, folder.glob("*.nii.gz")))
    step, strategies = Step(name, not options.float32, options), STRATEGIES[options.supervised]
    feeds = {key: Feed(volumes, key, options) for key in strategies}
    fixed = feeds[strategies[0]]()
    works = {"pure": lambda: step(fixed)}
    works |= {key: lambda feed=feed: step(feed()) for key, feed in feeds.items()}
    taken = take_turns(works, options.steps)
    shape = volumes.shape[2:]
    taken |= {
        f"MONAI {key}": time_monai(step, files, key, shape, options.batch, options.steps)
        for key in (strategies if options.monai else ())
    }
    rows = [
        {
            "encoder": name,
            "fed by": key,
            "s per step": wall,
            "share": taken["pure"][0] / wall,
            "processors, s": worked,
            "share of it": taken["pure"][1] / worked,
        }
        for key, (wall, worked) in taken.items()
    ]
    return pd.DataFrame(rows)


def time_precision(folder: Path, options, name: str) -> pd.DataFrame:
    """Pure steps in float32 and in bfloat16 with channels last, taking turns."""
    views = Feed(read_cohort(folder), STRATEGIES[options.supervised][0], options)()
    steps = {bf16: Step(name, bf16, options) for bf16 in (False, True)}
    works = {bf16: lambda step=step: step(views) for bf16, step in steps.items()}
    taken = take_turns(works, min(options.steps, 3))
    row = {
        "encoder": name,
        "float32, contiguous, s": taken[False][0],
        "bf16, channels last, s": taken[True][0],
        "gain": taken[False][0] / taken[True][0],
    }
    return pd.DataFrame([row])


def show(title: str, work, folder: Path, options, *names: str) -> None:
    """Print the table that a function makes in a process of its own."""
    prepare = keep_memory if options.keep_memory else None
    with ProcessPoolExecutor(1, get_context("spawn"), prepare) as pool:
        table = pool.submit(work, folder, options, *names).result()
    print(f"\n{title}\n\n{table.to_markdown(index=False, floatfmt='.3f')}", flush=True)


def main(options) -> None:
    where = torch.cuda.get_device_name() if CUDA else f"{torch.get_num_threads()} cores"
    print(f"`python {shlex.join(sys.argv)}`, torch {torch.__version__}, {where}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_cohort(folder, options.volumes, options.channels, tuple(options.shape))
        print(f"\nIn memory and on disk {read_cohort(folder)[0].nbytes / 1e6:.2f} MB per scan.")
        show("Augmentation alone", time_augmentation, folder, options)
        for encoder in options.encoders:
            show(f"Steps of {encoder}", time_steps, folder, options, encoder)
            show(f"Precision of {encoder}", time_precision, folder, options, encoder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", default=["paper", "strided"])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--supervised", action="store_true", help="labels and one view of each")
    parser.add_argument("--shape", type=int, nargs=3, default=[96, 112, 96])
    parser.add_argument("--volumes", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16, help="subjects per step")
    parser.add_argument("--steps", type=int, default=7, help="measured, of each kind")
    parser.add_argument("--float32", action="store_true", help="train in float32")
    parser.add_argument("--keep-memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--monai", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    given.monai &= given.channels == 1 and not given.supervised
    main(given)
