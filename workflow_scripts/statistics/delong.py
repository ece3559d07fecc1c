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
from scipy.special import expit, logit

from workflow_scripts.statistics.metrics import Z, auc_interval

SMALLEST = 1e-12


@dataclass
class Area:
    """AUC with the influence of each patient on it.

    Attributes
    ----------
    auc : float
    positive, negative : float arrays, (P,) and (N,)
        Influences; each sums to zero. With one fold these are the placement
        values minus the AUC, divided by P and N.
    """

    auc: float
    positive: np.ndarray
    negative: np.ndarray


def area(truth: np.ndarray, score: np.ndarray, fold: np.ndarray) -> Area:
    """AUC over the pairs that share a test fold, ties counted half.

    Parameters
    ----------
    truth : bool array, (N,)
    score : float array, (R, N)
        Higher is more positive, in each of R repeats.
    fold : int array, (R, N)
        Pairs are compared within a fold. Zeros for a single model.
    """
    right, pairs = 0.0, 0.0
    for values, folds in zip(score, fold, strict=True):
        same = folds[truth][:, None] == folds[~truth][None, :]
        difference = values[truth][:, None] - values[~truth][None, :]
        right = right + same * ((difference > 0) + 0.5 * (difference == 0))
        pairs = pairs + same
    auc = right.sum() / pairs.sum()
    excess = (right - auc * pairs) / pairs.sum()
    return Area(float(auc), excess.sum(1), excess.sum(0))


def covariance(a: Area, b: Area) -> float:
    """Covariance of two AUCs of the same patients; the variance where a is b.

    NaN with a single patient in a class.
    """
    total = 0.0
    for x, y in ((a.positive, b.positive), (a.negative, b.negative)):
        total += len(x) / (len(x) - 1) * (x @ y) if len(x) > 1 else np.nan
    return float(total)


def area_interval(a: Area) -> tuple[float, float, str]:
    """95 % interval of an AUC, on the logit scale: low, high, name of the method.

    Newcombe's method 5 stands in where DeLong's variance is zero (separated classes).
    """
    variance = covariance(a, a)
    if not variance > SMALLEST or not 0 < a.auc < 1:
        return *auc_interval(a.auc, len(a.positive), len(a.negative)), "Newcombe method 5"
    half = Z * np.sqrt(variance) / (a.auc * (1 - a.auc))
    return expit(logit(a.auc) - half), expit(logit(a.auc) + half), "DeLong, logit scale"


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


def fold_areas(truth: np.ndarray, score: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """AUC of each test fold with both classes, in each repeat: float array, (J,)."""
    return np.array(
        [
            area(truth[test], values[None, test], folds[None, test]).auc
            for values, folds in zip(score, fold, strict=True)
            for test in (folds == number for number in np.unique(folds))
            if truth[test].any() and not truth[test].all()
        ]
    )


def resampled_error(values: np.ndarray, fold: np.ndarray) -> tuple[float, int]:
    """Standard error of the mean of a value over the folds, and its degrees of freedom.

    Parameters
    ----------
    values : float array, (J,)
        One per test fold of all repeats.
    fold : int array, (R, N)

    Notes
    -----
    Corrected resampled t of Nadeau & Bengio 2003, 10.1023/A:1024068626366:
    variance of the values times 1 / J + test size / training size, since the
    training sides overlap and the repeats reuse the same patients; J - 1 degrees
    of freedom as in Bouckaert & Frank 2004, 10.1007/978-3-540-24775-3_3.
    """
    if len(values) < 2:
        return np.nan, 0
    folds = len(np.unique(fold[0]))
    factor = 1 / len(values) + 1 / (folds - 1)
    return float(np.sqrt(values.var(ddof=1) * factor)), len(values) - 1


def resampled_interval(a: Area, truth, score, fold) -> tuple[float, float, str]:
    """95 % interval of a cross-validated AUC: low, high, name of the method.

    Arguments as in `area`; Newcombe's method 5 where all folds have the same AUC.
    """
    se, df = resampled_error(fold_areas(truth, score, fold), fold)
    if not se > np.sqrt(SMALLEST):
        return *auc_interval(a.auc, len(a.positive), len(a.negative)), "Newcombe method 5"
    half = stats.t.ppf(0.975, df) * se
    return max(a.auc - half, 0.0), min(a.auc + half, 1.0), "corrected resampled t"


def resampled_test(difference: float, values: np.ndarray, fold: np.ndarray) -> dict:
    """Corrected resampled t-test of a difference in cross-validated AUC.

    Parameters
    ----------
    difference : float
        Difference of the AUCs.
    values : float array, (J,)
        Differences of the AUCs of the test folds.
    fold : int array, (R, N)

    Returns
    -------
    dict
        resampled_low, resampled_high, resampled_p; NaN where the folds do not vary.
    """
    se, df = resampled_error(values, fold)
    if not se > np.sqrt(SMALLEST):
        return dict.fromkeys(("resampled_low", "resampled_high", "resampled_p"), np.nan)
    half = stats.t.ppf(0.975, df) * se
    return {
        "resampled_low": difference - half,
        "resampled_high": difference + half,
        "resampled_p": 2 * stats.t.sf(abs(difference / se), df),
    }
