"""Features of a region measured with several masks, and how well these agree."""

import numpy as np
import pandas as pd

from workflow_scripts.common.splits import SCAN

MASKS = ("original", "eroded", "dilated")
FEWEST = 3  # sessions, to say how stable a feature is


def icc(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intraclass correlation of single values, absolute agreement, of many features at once.

    Parameters
    ----------
    values : (N, K, F)
        N sessions, each measured in the same K ways; a session that lacks one of the K values of a
        feature does not count for that feature.

    Returns
    -------
    icc : (F,)
        ICC(A,1), two-way random (also called ICC(2,1)); NaN of fewer than `FEWEST` sessions, or
        where all values are the same.
    n : (F,) int, sessions that count

    Notes
    -----
    McGraw & Wong 1996, 10.1037/1082-989X.1.1.30. Absolute agreement, since masks are too wide in
    one person and too narrow in another: what a wider mask does to all alike is then no less of an
    error in each.
    """
    there = np.isfinite(values).all(axis=1)
    n, k = there.sum(axis=0), values.shape[1]
    kept = np.where(there[:, None], values, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        overall = kept.sum(axis=(0, 1)) / (n * k)
        of_ways = kept.sum(axis=0) / n
        of_sessions = kept.mean(axis=1)
        rest = (kept - of_sessions[:, None] - of_ways + overall) * there[:, None]
        between = k * (((of_sessions - overall) * there) ** 2).sum(axis=0) / (n - 1)
        ways = n * ((of_ways - overall) ** 2).sum(axis=0) / (k - 1)
        error = (rest**2).sum(axis=(0, 1)) / ((n - 1) * (k - 1))
        total = between + (k - 1) * error + k / n * (ways - error)
        found = (between - error) / total
    low = np.where(there[:, None], values, np.inf).min(axis=(0, 1))
    high = np.where(there[:, None], values, -np.inf).max(axis=(0, 1))
    return np.where((n >= FEWEST) & (high > low), found, np.nan), n


def wide(table: pd.DataFrame, mask: str) -> pd.DataFrame:
    """Features with one of `MASKS`: a row per session, also of one without any, a column for each.

    Parameters
    ----------
    table : of collect_radiomics: participant_id, session_id, feature and the masks
    """
    named = table.assign(session_id=table["session_id"].fillna(""))
    everybody = pd.MultiIndex.from_frame(named[SCAN].drop_duplicates())
    known = named.dropna(subset=["feature"])
    found = known.pivot(index=SCAN, columns="feature", values=mask).reindex(everybody)
    found = found.rename_axis(columns=None).reset_index()
    return found.assign(session_id=found["session_id"].replace("", None))
