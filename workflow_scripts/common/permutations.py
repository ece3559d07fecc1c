"""The p value of a permutation test."""

import numpy as np

ROUNDING = 1e-9


def permutation_p(observed, permuted) -> np.ndarray:
    """Share of the permutations that reach the observed value, itself among them.

    (1 + b) / (1 + k), Phipson and Smyth 2010, doi:10.2202/1544-6115.1585; one-sided.

    Parameters
    ----------
    observed : (...)
    permuted : (k, ...)

    Returns
    -------
    (...), nan without a permutation
    """
    permuted = np.asarray(permuted)
    if not len(permuted):
        return np.full(np.shape(observed), np.nan)[()]
    reached = (permuted >= np.asarray(observed) - ROUNDING).sum(axis=0)
    return (1 + reached) / (1 + len(permuted))
