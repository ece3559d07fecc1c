"""Shares of CSF, grey and white matter in voxels that may hold two of them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter, gaussian_gradient_magnitude, zoom
from scipy.special import erf
from skimage.measure import block_reduce

BINS = 400
TABLE = 40_000
RANGE_PERCENT = (0.1, 99.9)
ITERATIONS = 100
ROUNDS = 2
SMOOTHING_VOXELS = 0.7
LEAST_PRIOR = 0.05
LEAST_WEIGHT = 0.001
LEAST_CORE = 50
FLATTEST = 0.5
REACH_MM = 15.0
BLOCK_MM = 4.0
FEW_VOXELS = 0.02
# Pairs of tissues that share voxels, by place among CSF, GM, WM.
MIXTURES = ((0, 1), (1, 2))


@dataclass(frozen=True)
class Histogram:
    """Intensities of a brain as three pure tissues and two uniform mixtures of neighbours.

    Attributes
    ----------
    means : (3,), of pure CSF, GM, WM, rising
    sds : (3,), of CSF, which holds vessels and membranes too, but at least half of that of GM and
        WM, which is one
    weights : (5,), of CSF, GM, WM, CSF with GM, GM with WM
    """

    means: np.ndarray
    sds: np.ndarray
    weights: np.ndarray

    def densities(self, values: np.ndarray) -> np.ndarray:
        """Density of each component at intensities (n,): (5, n)."""
        pure = [
            np.exp(-(((values - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
            for mean, sd in zip(self.means, self.sds, strict=True)
        ]
        mixed = []
        for a, b in MIXTURES:
            low, high = self.means[a], self.means[b]
            reach = [erf((values - end) / (self.sds[b] * np.sqrt(2))) for end in (low, high)]
            mixed.append((reach[0] - reach[1]) / (2 * (high - low)))
        return np.stack([*pure, *mixed])

    @property
    def plausible(self) -> bool:
        """Whether tissues can be told apart: means further apart than the noise, GM and WM there.

        Pure CSF may hardly be there: small ventricles on a coarse grid are all rim.
        """
        return bool(
            (np.diff(self.means) > self.sds[1:]).all() and (self.weights[1:3] > LEAST_WEIGHT).all()
        )


def fit_weights(values: np.ndarray, means: np.ndarray, sds: np.ndarray) -> Histogram:
    """Expectation maximisation of the weights of a brain's histogram.

    Means and noise are kept: left free, they drift in brains with little CSF, with uneven deep
    grey matter, and in images smoothed by a resampling.

    Parameters
    ----------
    values : (n,) intensities of the brain
    means, sds : (3,) of pure CSF, GM and WM

    Notes
    -----
    Gaussians with partial volumes: Santago and Gage 1993, doi:10.1109/42.241879.
    """
    counts, edges = np.histogram(values, BINS, range=np.percentile(values, RANGE_PERCENT))
    weights = np.full(5, 0.2)
    densities = Histogram(means, sds, weights).densities((edges[1:] + edges[:-1]) / 2)
    for _ in range(ITERATIONS):
        share = weights[:, None] * densities
        share *= counts / (share.sum(axis=0) + 1e-12)
        weights = share.sum(axis=1) / share.sum()
    return Histogram(means, sds, weights)


def pure_places(t1w: np.ndarray, labels: np.ndarray, ventricles: np.ndarray):
    """Where a voxel is likely to hold CSF, GM or WM alone: three (x, y, z) bool, or None.

    CSF and WM are taken where all neighbours are the same, CSF in the ventricles if enough of
    it lies there. Cortex is too thin for that: of it, the half where the image is flattest.

    Parameters
    ----------
    t1w : (x, y, z)
    labels : (x, y, z) 0 outside the brain, 1 CSF, 2 GM, 3 WM
    ventricles : (x, y, z) bool, about where they are

    Returns
    -------
    None where a tissue has fewer than `LEAST_CORE` such voxels
    """
    csf, white = (binary_erosion(labels == tissue) for tissue in (1, 3))
    if (csf & ventricles).sum() >= LEAST_CORE:
        csf &= ventricles
    grey = labels == 2
    if min(place.sum() for place in (csf, grey, white)) < LEAST_CORE:
        return None
    slope = gaussian_gradient_magnitude(t1w, SMOOTHING_VOXELS, output=np.float32)
    grey &= slope <= np.quantile(slope[grey], FLATTEST)
    return csf, grey, white


def local_mean(image: np.ndarray, where: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Mean of an image over a part of its voxels, at each place weighted by a Gaussian.

    Its standard deviation is `REACH_MM`; far from all of them the median over the part.

    Parameters
    ----------
    image : (x, y, z)
    where : (x, y, z) bool
    spacing : voxel size in mm
    """
    block = tuple(max(1, round(BLOCK_MM / size)) for size in spacing)
    reach = [REACH_MM / (size * side) for size, side in zip(spacing, block, strict=True)]
    sums = gaussian_filter(block_reduce(np.where(where, image, 0), block, np.mean), reach)
    counts = gaussian_filter(block_reduce(where, block, np.mean), reach)
    mean = (sums + FEW_VOXELS * np.median(image[where])) / (counts + FEW_VOXELS)
    fine = zoom(mean.astype(np.float32), block, order=1, mode="nearest", grid_mode=True)
    return fine[tuple(slice(size) for size in image.shape)]


def even_tissues(
    t1w: np.ndarray, places: tuple[np.ndarray, ...], spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """A brain whose pure tissues have the same intensity everywhere, and these intensities.

    Grey and white matter differ from region to region by myelin, iron and age, and what the
    bias correction left adds to that; a mixture of the two would be taken for either. The
    local means of each are brought to their means over the brain.

    Parameters
    ----------
    t1w : (x, y, z)
    places : of `pure_places`

    Returns
    -------
    even : (x, y, z), about 0 in CSF and 1 in WM
    means : (3,), its medians in pure CSF, GM and WM
    """
    csf, grey, white = places
    dark = np.float32(np.median(t1w[csf]))
    level = (t1w - dark) / (local_mean(t1w, white, spacing) - dark)
    middle = np.float32(np.median(level[grey]))
    local = np.clip(local_mean(level, grey, spacing), 0.1, 0.9)
    above = middle + (level - local) / (1 - local) * (1 - middle)
    even = np.where(level < local, level / local * middle, above)
    return even, np.array([0.0, middle, 1.0])


def tissue_shares(
    t1w: np.ndarray,
    mask: np.ndarray,
    posteriors: np.ndarray,
    ventricles: np.ndarray,
    spacing: tuple[float, ...],
) -> np.ndarray | None:
    """Expected share of CSF, GM and WM in each voxel of a brain, or None.

    A segmentation that gives a voxel to one tissue draws thin CSF and cortex towards whatever
    surrounds them: over simulated atrophy the posteriors of Atropos followed the true fractions
    with slopes of .54, .67 and .35 (CSF, GM, WM); ``benchmarks/atrophy.py`` has those of these
    shares.

    Parameters
    ----------
    t1w, mask : (x, y, z)
    posteriors : (x, y, z, tissue) in the order CSF, GM, WM, of a first segmentation; smoothed a
        little, they say what is likely where
    ventricles : (x, y, z) bool, about where they are
    spacing : voxel size in mm

    Returns
    -------
    (x, y, z, tissue) float32, summing to 1 inside the mask; None where the histogram does not
    tell the tissues apart
    """
    for _ in range(ROUNDS):
        posteriors = _shares_given(posteriors, t1w, mask > 0, ventricles, spacing)
        if posteriors is None:
            break
    return posteriors


def _shares_given(posteriors, t1w, inside, ventricles, spacing) -> np.ndarray | None:
    labels = np.where(inside, posteriors.argmax(axis=-1) + 1, 0)
    places = pure_places(t1w, labels, ventricles)
    if places is None:
        return None
    dark, middle, bright = (np.median(t1w[place]) for place in places)
    if not dark < middle < bright:
        return None
    even, means = even_tissues(t1w, places, spacing)
    fluid, solid = (_spread(even[place]) for place in (places[0], places[2]))
    histogram = fit_weights(even[inside], means, np.array([max(fluid, solid / 2), solid, solid]))
    if not histogram.plausible:
        return None
    likely = _likely_components(histogram, even[inside])
    tissues = np.moveaxis(posteriors, -1, 0)
    prior = np.stack([gaussian_filter(one, SMOOTHING_VOXELS)[inside] for one in tissues])
    likely[:3] *= prior + LEAST_PRIOR
    for component, (a, b) in enumerate(MIXTURES, start=3):
        likely[component] *= prior[a] + prior[b] + LEAST_PRIOR
    likely /= likely.sum(axis=0)
    shares = likely[:3]
    for component, (a, b) in enumerate(MIXTURES, start=3):
        upper = np.clip((even[inside] - means[a]) / (means[b] - means[a]), 0, 1)
        shares[a] += likely[component] * (1 - upper)
        shares[b] += likely[component] * upper
    result = np.zeros(posteriors.shape, np.float32)
    result[inside] = shares.T
    return result


def _spread(values) -> float:
    """Standard deviation, from the median distance to the median."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _likely_components(histogram: Histogram, values: np.ndarray) -> np.ndarray:
    """Weighted density of each component at intensities (n,), read from a table: (5, n) float32."""
    low, *_, high = histogram.means + np.array([-3, 0, 3]) * histogram.sds
    table = histogram.weights[:, None] * histogram.densities(np.linspace(low, high, TABLE))
    at = np.rint((values - low) * ((TABLE - 1) / (high - low))).clip(0, TABLE - 1)
    return table.astype(np.float32)[:, at.astype(np.int32)]
