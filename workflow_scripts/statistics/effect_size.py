"""Epsilon squared of Kruskal and Wallis, with limits."""

import numpy as np
from scipy import stats

# Shifts at which the distribution of epsilon squared is simulated, in standard deviations.
SHIFTS = np.concatenate([np.linspace(0, 3, 25), [3.5, 4, 5, 7, 10]])


def epsilon_squared(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Share of the variance of the ranks that lies between the groups.

    Parameters
    ----------
    values : float array, (..., N)
    group : int array, (N,)

    Returns
    -------
    float array, (...)
        NaN where all values are equal.

    Notes
    -----
    Equal to H / (N - 1) with the H of Kruskal and Wallis, ties included
    (Tomczak & Tomczak 2014, Trends Sport Sci 21:19). It cannot be negative, so
    its expectation without any difference is (k - 1) / (N - 1), not 0.
    """
    centred = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    total = (centred**2).sum(-1)
    between = sum(
        centred[..., group == g].sum(-1) ** 2 / (group == g).sum() for g in np.unique(group)
    )
    return between / np.where(total == 0, np.nan, total)


def shifted_epsilon(differences: np.ndarray, shift: np.ndarray, share: np.ndarray) -> float:
    """Epsilon squared of a population whose groups are shifted copies of one distribution.

    Parameters
    ----------
    differences : (M,), sorted differences of pairs of independent values of it
    shift, share : (k,), shift and share of each group
    """
    between = shift[:, None] - shift[None, :]
    below = np.searchsorted(differences, between) + np.searchsorted(differences, between, "right")
    higher = below / (2 * len(differences))  # probability that a value of i is above one of j
    return float(12 * share @ (higher @ share - 0.5) ** 2)


def epsilon_limits(samples: list[np.ndarray], simulations: int, seed: int) -> tuple[float, float]:
    """95 % limits of epsilon squared by inversion of a simulated test.

    The groups are taken as shifted copies of one distribution, that of the values around their
    group's median, with the shifts in the proportions observed. Between the limits lie the sizes
    of the shifts under which the observed epsilon squared is between the 2 and the 98 percentile
    of simulated samples; with 2.5 and 97.5 they covered 91 to 99 %, since the distribution is
    estimated. The upper limit is at least the observed value.

    Parameters
    ----------
    samples : float arrays, (N of the group,)
    simulations : samples drawn per size of the shifts
    seed : int

    Returns
    -------
    NaN, NaN where no group has different values.

    Notes
    -----
    Percentiles of bootstrap samples do not cover: epsilon squared is biased upwards, and twice so
    in the samples. `benchmarks/coverage.py`.
    """
    sizes = np.array([len(sample) for sample in samples])
    group, share = np.repeat(np.arange(len(samples)), sizes), sizes / sizes.sum()
    around = np.concatenate([sample - np.median(sample) for sample in samples])
    if np.ptp(around) == 0:
        return np.nan, np.nan
    observed = epsilon_squared(np.concatenate(samples), group)
    shift = np.array([np.median(sample) for sample in samples])
    if np.ptp(shift) == 0:
        shift = np.arange(len(samples), dtype=float)
    shift = shift / np.ptp(shift) * around.std()
    differences = np.sort((around[:, None] - around[None, :]).ravel())
    rng = np.random.default_rng(seed)
    drawn = around[rng.integers(len(around), size=(simulations, len(around)))]
    true, least, most = [], [], []
    for size in SHIFTS:
        ends = np.percentile(epsilon_squared(drawn + size * shift[group], group), [2, 98])
        true.append(shifted_epsilon(differences, size * shift, share))
        least.append(ends[0])
        most.append(ends[1])
    true, least, most = (np.maximum.accumulate(values) for values in (true, least, most))
    low = np.interp(observed, most, true) if observed > most[0] else 0.0
    high = np.interp(observed, least, true) if observed > least[0] else 0.0
    return float(low), float(max(high, observed))
