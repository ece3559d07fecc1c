"""Correction of p for the number of tests."""

import numpy as np
from statsmodels.stats.multitest import multipletests


def corrected(p, method: str) -> np.ndarray:
    """p corrected over the defined ones; undefined (NaN) stay undefined.

    Parameters
    ----------
    p : float array, (T,)
    method : str
        Name in ``statsmodels.stats.multitest.multipletests``, such as holm or fdr_bh.
    """
    p = np.asarray(p, float)
    defined = np.isfinite(p)
    result = np.full(p.shape, np.nan)
    if defined.any():
        result[defined] = multipletests(p[defined], method=method)[1]
    return result
