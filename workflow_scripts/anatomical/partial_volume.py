"""Shares of CSF, grey and white matter in voxels that may hold two of them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.special import erf

BINS = 400
RANGE_PERCENT = (0.1, 99.9)
ITERATIONS = 60
ROUNDS = 2
SMOOTHING_VOXELS = 0.7
LEAST_PRIOR = 0.05
LEAST_WEIGHT = 0.001
LEAST_CORE = 50
# Pairs of tissues that share voxels, by place among CSF, GM, WM.
MIXTURES = ((0, 1), (1, 2))


@dataclass(frozen=True)
class Histogram:
    """Intensities of a brain as three pure tissues and two uniform mixtures of neighbours.

    Attributes
    ----------
    means : (3,), of pure CSF, GM, WM, rising
    sds : (3,), of CSF, which holds vessels and membranes too, and of GM and WM, the same
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
        """Whether the tissues can be told apart: rising means, a noise apart, none empty."""
        return bool(
            np.isfinite(self.means).all()
            and (np.diff(self.means) > self.sds[1:]).all()
            and (self.weights[:3] > LEAST_WEIGHT).all()
        )


def fit_histogram(values: np.ndarray, means: np.ndarray) -> Histogram:
    """Expectation maximisation of weights and noise over the histogram of a brain.

    Parameters
    ----------
    values : (n,) intensities of the brain
    means : (3,) of pure CSF, GM and WM, which are kept: left free, they drift in brains with
        little CSF or with uneven deep grey matter

    Notes
    -----
    Gaussians with partial volumes: Santago and Gage 1993, doi:10.1109/42.241879.
    """
    counts, edges = np.histogram(values, BINS, range=np.percentile(values, RANGE_PERCENT))
    at = (edges[1:] + edges[:-1]) / 2
    found = Histogram(means, np.full(3, np.diff(means).min() / 3), np.full(5, 0.2))
    for _ in range(ITERATIONS):
        if not found.plausible:
            return found
        share = found.weights[:, None] * found.densities(at)
        share *= counts / (share.sum(axis=0) + 1e-12)
        pure = share[:3]
        squares = (pure * (at - means[:, None]) ** 2).sum(axis=1)
        solid = squares[1:].sum() / pure[1:].sum()
        sds = np.sqrt([squares[0] / pure[0].sum(), solid, solid])
        found = Histogram(means, sds, share.sum(axis=1) / share.sum())
    return found


def pure_means(t1w: np.ndarray, labels: np.ndarray, ventricles: np.ndarray) -> np.ndarray | None:
    """Median intensities (3,) of pure CSF, GM and WM, or None.

    CSF and WM are taken where all neighbours are the same, CSF in the ventricles if enough of
    it lies there. Cortex is too thin for that.

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
    places = (csf, labels == 2, white)
    if any(place.sum() < LEAST_CORE for place in places):
        return None
    return np.array([float(np.median(t1w[place])) for place in places])


def tissue_shares(
    t1w: np.ndarray, mask: np.ndarray, posteriors: np.ndarray, ventricles: np.ndarray
) -> np.ndarray | None:
    """Expected share of CSF, GM and WM in each voxel of a brain, or None.

    A segmentation that gives a voxel to one tissue draws thin CSF and cortex towards whatever
    surrounds them: over simulated atrophy (BrainWeb at 2 mm with CSF fractions of .17 to .32)
    the posteriors of Atropos followed the truth with slopes of .54, .67 and .35 (CSF, GM, WM)
    and were up to .056 off, these shares with .95, .85 and 1.05 and up to .012
    (``benchmarks/atrophy.py``).

    Parameters
    ----------
    t1w, mask : (x, y, z)
    posteriors : (x, y, z, tissue) in the order CSF, GM, WM, of a first segmentation; smoothed a
        little, they say what is likely where
    ventricles : (x, y, z) bool, about where they are

    Returns
    -------
    (x, y, z, tissue) float32, summing to 1 inside the mask; None where the histogram does not
    tell the tissues apart
    """
    for _ in range(ROUNDS):
        posteriors = _shares_given(posteriors, t1w, mask > 0, ventricles)
        if posteriors is None:
            break
    return posteriors


def _shares_given(posteriors, t1w, inside, ventricles) -> np.ndarray | None:
    values = t1w[inside].astype(float)
    labels = np.where(inside, posteriors.argmax(axis=-1) + 1, 0)
    means = pure_means(t1w, labels, ventricles)
    if means is None or not (np.diff(means) > 0).all():
        return None
    histogram = fit_histogram(values, means)
    if not histogram.plausible:
        return None
    prior = np.stack(
        [gaussian_filter(p, SMOOTHING_VOXELS)[inside] for p in np.moveaxis(posteriors, -1, 0)]
    )
    prior = np.stack([*prior, *(prior[a] + prior[b] for a, b in MIXTURES)]) + LEAST_PRIOR
    likely = histogram.weights[:, None] * histogram.densities(values) * prior
    total = likely.sum(axis=0)
    far = total <= 0  # brighter or darker than any tissue
    likely[:, far] = 0
    likely[np.where(values < histogram.means[1], 0, 2)[far], np.flatnonzero(far)] = 1
    likely /= likely.sum(axis=0)
    shares = likely[:3]
    for component, (a, b) in enumerate(MIXTURES, start=3):
        low, high = histogram.means[a], histogram.means[b]
        upper = np.clip((values - low) / (high - low), 0, 1)
        shares[a] += likely[component] * (1 - upper)
        shares[b] += likely[component] * upper
    result = np.zeros(posteriors.shape, np.float32)
    result[inside] = shares.T
    return result
