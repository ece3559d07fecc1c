"""Random views of brain volumes for training: geometry and contrast, on the training device.

Random parameters are drawn apart from their use, on the CPU, so that a seed gives the same
views on every device up to rounding (the values of added noise excepted).
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import torch
from torch import Generator, Tensor
from torch.nn.functional import embedding_bag

from workflow_scripts.common.job import InputError

BIAS_POWERS = torch.cartesian_prod(*[torch.arange(3)] * 3)
BIAS_POWERS = BIAS_POWERS[(BIAS_POWERS.sum(1) > 0) & (BIAS_POWERS.sum(1) <= 2)]


def crop(volumes: Tensor, cuts: Tensor) -> Tensor:
    """Keep a window of each volume, centred in a volume of zeros.

    Parameters
    ----------
    volumes : (N, X, Y, Z)
    cuts : int, (N, 3, 2)
        Along each axis how many voxels are cut off in all, and how many of them at its start.

    Returns
    -------
    (N, X, Y, Z)
        The window of size - cut voxels begins at voxel cut // 2.
    """
    cropped = torch.zeros_like(volumes)
    for view, volume, axes in zip(cropped, volumes, cuts.tolist(), strict=True):
        source, target = [], []
        for size, (cut, start) in zip(volume.shape, axes, strict=True):
            source.append(slice(start, start + size - cut))
            target.append(slice(cut // 2, cut // 2 + size - cut))
        view[tuple(target)] = volume[tuple(source)]
    return cropped


def shift(volumes: Tensor, moved: Tensor) -> Tensor:
    """Move volumes by whole voxels, int (N, 3) along each axis; what comes in is 0."""
    shifted = torch.zeros_like(volumes)
    for view, volume, steps in zip(shifted, volumes, moved.tolist(), strict=True):
        sizes = list(zip(volume.shape, steps, strict=True))
        kept = tuple(slice(max(0, -step), n - max(0, step)) for n, step in sizes)
        view[tuple(slice(max(0, step), n - max(0, -step)) for n, step in sizes)] = volume[kept]
    return shifted


def flip(volumes: Tensor, flipped: Tensor) -> Tensor:
    """Swap left and right, the first axis of a volume, where `flipped`, bool (N,), says so."""
    pairs = zip(volumes, flipped.tolist(), strict=True)
    return torch.stack([volume.flip(0) if swap else volume for volume, swap in pairs])


def turn(volumes: Tensor, angles: Tensor) -> Tensor:
    """Rotate volumes about their last axis, bilinearly, with zeros outside.

    Parameters
    ----------
    volumes : (N, A, B, C)
    angles : float32, (N,)
        In radians, from the first axis to the second.

    Returns
    -------
    (N, A, B, C), in the type of the volumes

    Notes
    -----
    The voxels of a line along C move together: a line of the result is a weighted sum of four
    lines of the source, which is what `embedding_bag` computes on rows of a table.
    """
    n, *shape, depth = volumes.shape
    device = volumes.device
    cos, sin = (f(angles.to(device))[:, None] for f in (torch.cos, torch.sin))
    a, b = (torch.arange(size, device=device) - (size - 1) / 2 for size in shape)
    corners, weights = [], []
    for size, along_a, along_b in zip(shape, (cos * a, -sin * a), (sin * b, cos * b), strict=True):
        source = (along_a + (size - 1) / 2)[:, :, None] + along_b[:, None, :]
        corner = source.floor().clamp_(0, size - 2)
        offset = source - corner
        weights.append([(1 - (offset - place).abs_()).clamp_(min=0) for place in (0, 1)])
        corners.append(corner.int())
    first = corners[0] * shape[1] + corners[1]
    first += math.prod(shape) * torch.arange(n, dtype=torch.int32, device=device)[:, None, None]
    lines = [first + place for place in (0, 1, shape[1], shape[1] + 1)]
    weights = [u * v for u, v in product(*weights)]
    return embedding_bag(
        torch.stack(lines, dim=-1).view(-1, 4),
        volumes.reshape(-1, depth),
        per_sample_weights=torch.stack(weights, dim=-1).view(-1, 4).to(volumes.dtype),
        mode="sum",
    ).view(volumes.shape)


def rotate(volumes: Tensor, angles: Tensor) -> Tensor:
    """Rotate volumes about their centre: about the first axis, then the second, then the third.

    Parameters
    ----------
    volumes : (N, X, Y, Z)
    angles : float32, (N, 3)
        About x, y and z in radians: from y to z, from z to x, from x to y.

    Returns
    -------
    (N, X, Y, Z), in the type of the volumes

    Notes
    -----
    Three rotations in a plane, because whole lines move in each: 6 ms per volume of
    96 x 112 x 96 and core, against 40 ms for the three-dimensional `grid_sample` and its grid,
    whose CPU kernel is not vectorised. Each rounds to the type of the volumes, which costs
    volumes in half precision 2e-4 of their mean and, against float32, saves a third of the
    time. What leaves the volume in one rotation does not come back in the next: by angles up
    to 45 degrees, in a box as tight as the brain, 0.4 % of the brain on average, beside 1.4 %
    that lie outside in the end.
    """
    for angle in angles.unbind(1):
        n, x, y, z = volumes.shape
        rolled = volumes.new_empty(n, y * z, x)
        for target, volume in zip(rolled, volumes, strict=True):
            target.copy_(volume.reshape(x, -1).t())
        volumes = turn(rolled.view(n, y, z, x), angle)
    return volumes


def change_intensity(volumes: Tensor, drawn: Tensor) -> Tensor:
    """Multiply the brain, all that is not 0, by a gain and add an offset; drawn: (N, 2)."""
    gain, offset = drawn.to(volumes.device).view(-1, 2, 1, 1, 1).unbind(1)
    return torch.where(volumes != 0, volumes.float() * gain + offset, 0)


def add_noise(volumes: Tensor, drawn: Tensor) -> Tensor:
    """Add Gaussian noise to the brain, all that is not 0.

    Parameters
    ----------
    volumes : (N, X, Y, Z)
    drawn : float64, (N, 2)
        Standard deviation and seed of each volume.

    Notes
    -----
    The noise is made where the volumes are: on another device it has other values.
    """
    noise = torch.empty(volumes.shape, device=volumes.device)
    for view, (deviation, seed) in zip(noise, drawn.tolist(), strict=True):
        view.normal_(0, deviation, generator=Generator(view.device).manual_seed(int(seed)))
    brain = torch.ne(volumes, 0, out=torch.empty_like(noise))  # as floats, twice as fast
    return noise.mul_(brain).add_(volumes)


def bias_field(volumes: Tensor, drawn: Tensor) -> Tensor:
    """Multiply by a smooth field, the exponential of a polynomial of degree 2 without constant.

    Parameters
    ----------
    volumes : (N, X, Y, Z)
    drawn : float32, (N, 9)
        Coefficients; along each axis the coordinate runs from -1 to 1. The model is that of
        Van Leemput et al. 1999 (doi:10.1109/42.811268).
    """
    axes = [torch.linspace(-1, 1, size, device=volumes.device) for size in volumes.shape[1:]]
    log = torch.zeros(volumes.shape, device=volumes.device)
    for (i, j, k), coefficient in zip(BIAS_POWERS.tolist(), drawn.unbind(1), strict=True):
        term = (axes[0] ** i)[:, None, None] * (axes[1] ** j)[:, None] * axes[2] ** k
        log += coefficient.to(volumes.device).view(-1, 1, 1, 1) * term
    return volumes * log.exp_()


TRANSFORMS = {
    "crop": crop,
    "shift": shift,
    "flip": flip,
    "rotate": rotate,
    "intensity": change_intensity,
    "noise": add_noise,
    "bias_field": bias_field,
}


@dataclass(frozen=True)
class Augmentation:
    """Random views by the transforms of a strategy, in the order of their names.

    Parameters
    ----------
    strategy : str
        Names of `TRANSFORMS` joined by "+", for instance "crop+flip+rotate".
    crop_voxels : int
        Along each axis 0 to this many voxels are cut off, evenly distributed (Inglese et al.
        2022, doi:10.3389/fnins.2022.695888: up to 15), the window's place too.
    rotate_degrees : float
        Largest angle about each axis (there: 45).
    shift_voxels : int
        Most voxels that a volume is moved along each axis.
    gain, offset : float
        Largest change of the brain's intensity, as a share of itself and of its mean, which
        is 1.
    noise : float
        Largest standard deviation of added noise, in units of the brain's mean.
    bias : float
        Largest coefficient of the bias field: 0.2 changes the edge of a volume by a fifth per
        term.

    Raises
    ------
    InputError
        If the strategy names an unknown transform.
    """

    strategy: str
    crop_voxels: int = 15
    rotate_degrees: float = 45
    shift_voxels: int = 0
    gain: float = 0.1
    offset: float = 0.1
    noise: float = 0.1
    bias: float = 0.2

    def __post_init__(self):
        for name in self.names:
            if name not in TRANSFORMS:
                raise InputError(
                    f"augmentation: {self.strategy!r} has the unknown transform {name!r}; "
                    f"join names of {', '.join(TRANSFORMS)} by +"
                )

    @property
    def names(self) -> list[str]:
        return self.strategy.split("+")

    def _draw(self, name: str, n: int, generator: Generator) -> Tensor:
        def uniform(limit: float, *shape: int) -> Tensor:
            return limit * (2 * torch.rand(n, *shape, generator=generator) - 1)

        match name:
            case "crop":
                cut = torch.randint(self.crop_voxels + 1, (n, 3), generator=generator)
                start = torch.rand(n, 3, generator=generator) * (cut + 1)
                return torch.stack([cut, start.long()], dim=-1)
            case "shift":
                limit = self.shift_voxels
                return torch.randint(-limit, limit + 1, (n, 3), generator=generator)
            case "flip":
                return torch.rand(n, generator=generator) < 0.5
            case "rotate":
                return uniform(math.radians(self.rotate_degrees), 3)
            case "intensity":
                return torch.stack([1 + uniform(self.gain), uniform(self.offset)], dim=-1)
            case "noise":
                seed = torch.randint(2**31, (n,), generator=generator)
                deviation = self.noise * torch.rand(n, generator=generator)
                return torch.stack([deviation.double(), seed.double()], dim=-1)
            case "bias_field":
                return uniform(self.bias, len(BIAS_POWERS))

    def draw(self, n: int, generator: Generator) -> list[tuple[Tensor, ...]]:
        """Random parameters of n views: of each view those of every transform, on the CPU."""
        drawn = [self._draw(name, n, generator) for name in self.names]
        return list(zip(*drawn, strict=True))

    @torch.no_grad()
    def apply(self, volumes: Tensor, parameters: list) -> Tensor:
        """Make views of volumes.

        Parameters
        ----------
        volumes : (N, C, X, Y, Z), any float type and device
        parameters : list of V * N
            Of `draw`; those of view v of volume i at v * N + i.

        Returns
        -------
        float32, (V * N, C, X, Y, Z), on the device of the volumes

        Raises
        ------
        InputError
            If the crop could leave nothing of a volume.

        Notes
        -----
        The channels of a volume go the same way, with noise of their own. On a CPU each thread
        makes one view after another, which stays in its cache; elsewhere each transform takes
        all volumes at once.
        """
        n, channels, *shape = volumes.shape
        if "crop" in self.names and self.crop_voxels >= min(shape):
            raise InputError(
                f"crop_voxels: {self.crop_voxels} voxels of {shape} would leave nothing; lower it"
            )
        made = torch.empty(len(parameters), channels, *shape, device=volumes.device)

        def make(first: int, last: int) -> None:
            drawn = [torch.stack(values) for values in zip(*parameters[first:last], strict=True)]
            for channel in range(channels):
                views = volumes[first % n : first % n + last - first, channel]
                for name, values in zip(self.names, drawn, strict=True):
                    if name == "noise":
                        values = values + torch.tensor([0, channel])
                    views = TRANSFORMS[name](views, values)
                made[first:last, channel] = views

        if volumes.device.type == "cpu":
            threads, total = torch.get_num_threads(), len(parameters)
            with ThreadPoolExecutor(threads, "", torch.set_num_threads, (1,)) as pool:
                list(pool.map(make, range(total), range(1, total + 1)))
            torch.set_num_threads(threads)
        else:
            for first in range(0, len(parameters), n):
                make(first, first + n)
        return made

    def __call__(self, volumes: Tensor, generator: Generator, views: int = 1) -> Tensor:
        """Random views of each volume: one of all volumes, then the next of all volumes.

        Parameters
        ----------
        volumes : (N, C, X, Y, Z), any float type and device
        generator : torch.Generator on the CPU
        views : int
            Of each volume.

        Returns
        -------
        float32, (views * N, C, X, Y, Z), on the device of the volumes
        """
        return self.apply(volumes, self.draw(views * len(volumes), generator))
