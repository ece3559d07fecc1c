"""AUC of predictions by DeLong's method, for repeated folds too.

In predictions of repeated cross-validation only patients of the same test fold
are compared, since probabilities of different folds come from different models
(Airola et al. 2011, 10.1016/j.csda.2010.11.018: pooling the folds biases the
AUC). The unit of all variances is the patient, however often a patient is
predicted (LeDell et al. 2015, 10.1214/15-EJS1035). With one prediction per
patient and one fold this is DeLong et al. 1988, 10.2307/2531595.

The fitted models are taken as given: what another training sample would have
changed is not in these variances. `resampled_error` allows for it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workflow_scripts.common.metrics import auc, pairs_in_order, ratio
from workflow_scripts.statistics.metrics import SMALLEST, Z, auc_interval, hanley_mcneil, worth
from workflow_scripts.statistics.scores import Scores


@dataclass
class Area:
    """AUC with the influence of each participant on it.

    Attributes
    ----------
    auc : float
    positive, negative : float arrays, (P,)
        Influences of the participants through their positive and their negative scans; each
        sums to zero. With one fold and one scan each these are the placement values minus the
        AUC, divided by the number of their class.
    n_positive, n_negative : participants
    """

    auc: float
    positive: np.ndarray
    negative: np.ndarray
    n_positive: float
    n_negative: float


def area(scores: Scores) -> Area:
    """AUC over the pairs that share a row and a split, ties counted half."""
    truth, weight = scores.truth, scores.scan_weight
    right, pairs = 0.0, 0.0
    for row, folds in zip(scores.score, scores.fold, strict=True):
        same = (folds[truth][:, None] == folds[~truth][None, :]) & (folds[truth] >= 0)[:, None]
        right = right + same * pairs_in_order(row[truth], row[~truth])
        pairs = pairs + same
    both = weight[truth][:, None] * weight[~truth][None, :]
    right, pairs = right * both, pairs * both
    auc = float(ratio(right.sum(), pairs.sum()))
    excess = (right - auc * pairs) / pairs.sum() if pairs.sum() else right
    people = scores.person.max() + 1
    return Area(
        auc,
        np.bincount(scores.person[truth], excess.sum(1), people),
        np.bincount(scores.person[~truth], excess.sum(0), people),
        scores.participants(truth),
        scores.participants(~truth),
    )


def covariance(a: Area, b: Area) -> float:
    """Covariance of two AUCs of the same participants; the variance where a is b.

    NaN with a single participant in a class. A participant with scans of both classes counts
    with both (Obuchowski 1997, 10.2307/2533958).
    """
    total = a.positive @ b.negative + a.negative @ b.positive
    for x, y, n in (
        (a.positive, b.positive, a.n_positive),
        (a.negative, b.negative, a.n_negative),
    ):
        total += n / (n - 1) * (x @ y) if n > 1 else np.nan
    return float(total)


def area_interval(a: Area, auc: float | None = None) -> tuple[float, float]:
    """95 % limits of an AUC, or of a mean ``auc`` of the same scans.

    Newcombe's method 5 for as many participants as DeLong's variance is worth, at most those there
    are, which it takes where that is zero (separated classes).
    """
    auc = a.auc if auc is None else auc
    counts = np.array([a.n_positive, a.n_negative])
    single = hanley_mcneil(auc, *counts) if counts.all() else np.nan
    return auc_interval(auc, *counts * worth(single, covariance(a, a), 1))


def compare_areas(a: Area, b: Area) -> dict:
    """DeLong's test of two AUCs of the same patients.

    Returns
    -------
    dict
        auc_difference (b minus a), se, ci_low, ci_high, z and two-sided p; NaN
        beyond the difference where its variance is zero.
    """
    difference = b.auc - a.auc
    variance = covariance(a, a) + covariance(b, b) - 2 * covariance(a, b)
    se = np.sqrt(variance) if variance > SMALLEST else np.nan
    z = difference / se
    return {
        "auc_difference": difference,
        "se": se,
        "ci_low": difference - Z * se,
        "ci_high": difference + Z * se,
        "z": z,
        "p": 2 * stats.norm.sf(abs(z)),
    }


def fold_areas(scores: Scores) -> np.ndarray:
    """AUC of each split with both classes, the mean over its rows: float array, (J,)."""
    weight, found = scores.scan_weight, []
    for number in np.unique(scores.fold[scores.fold >= 0]):
        of_rows = [
            auc(scores.truth[tested], row[tested], weight[tested])
            for row, folds in zip(scores.score, scores.fold, strict=True)
            if (tested := folds == number).any()
        ]
        if np.isfinite(of_rows).all():
            found.append(np.mean(of_rows))
    return np.array(found)


def resampled_error(values: np.ndarray, scores: Scores) -> tuple[float, int]:
    """Standard error of the mean of a value over the splits, and its degrees of freedom.

    NaN and 0 where the splits do not divide the participants among them, as with random trials.

    Parameters
    ----------
    values : float array, (J,)
        One per split.
    scores : Scores

    Notes
    -----
    Corrected resampled t of Nadeau & Bengio 2003, 10.1023/A:1024068626366:
    variance of the values times 1 / J + test size / training size, since the
    training sides overlap and the repeats reuse the same patients; J - 1 degrees
    of freedom as in Bouckaert & Frank 2004, 10.1007/978-3-540-24775-3_3.
    """
    folds = len(np.unique(scores.fold[0]))
    if len(values) < 2 or folds < 2 or (scores.fold < 0).any():
        return np.nan, 0
    factor = 1 / len(values) + 1 / (folds - 1)
    return float(np.sqrt(values.var(ddof=1) * factor)), len(values) - 1


def resampled_test(difference: float, values: np.ndarray, scores: Scores) -> dict:
    """Corrected resampled t-test of a difference in cross-validated AUC.

    Parameters
    ----------
    difference : float
        Difference of the AUCs.
    values : float array, (J,)
        Differences of the AUCs of the splits.
    scores : of either model

    Returns
    -------
    dict
        resampled_low, resampled_high, resampled_p; NaN where the splits do not vary.
    """
    se, df = resampled_error(values, scores)
    if not se > np.sqrt(SMALLEST):
        return dict.fromkeys(("resampled_low", "resampled_high", "resampled_p"), np.nan)
    half = stats.t.ppf(0.975, df) * se
    return {
        "resampled_low": difference - half,
        "resampled_high": difference + half,
        "resampled_p": 2 * stats.t.sf(abs(difference / se), df),
    }
