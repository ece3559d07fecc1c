"""ROC, calibration and decision curves of predictions: ``scores`` of one model."""

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.special import logit
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.common.metrics import pairs_in_order, ratio
from workflow_scripts.statistics.metrics import wilson, worth
from workflow_scripts.statistics.scores import Scores

GRID = np.arange(101) / 100
THRESHOLDS = np.arange(1, 100) / 100
PER_BIN, MOST_BINS = 10, 10


def roc_curve(scores: Scores, drawn: np.ndarray) -> pd.DataFrame:
    """ROC curve within the splits, averaged over them, with a pointwise 95 % band.

    The band is Wilson's for as many positive participants as the variance over bootstrap samples
    is `worth`, since percentiles of samples have no width where all positives lie above.

    The curve is the distribution of the placement values: the share of the
    negatives of the same split that lie above a positive (Pepe 2003). Every pair
    counts once, so that the area under this step function is the AUC of
    `delong.area`.

    Parameters
    ----------
    drawn : int array, (B, N)
        Times each scan is drawn, with its participant, in B bootstrap samples.

    Returns
    -------
    DataFrame
        Columns false_positive_rate (0, 0.01 .. 1), sensitivity, ci_low, ci_high.
    """
    truth = scores.truth
    weight = np.concatenate([np.ones((1, len(truth)), int), drawn]) * scores.scan_weight
    w1, w0 = weight[:, truth], weight[:, ~truth]
    bins = len(GRID)
    mass = np.zeros(len(weight) * bins)
    offset = bins * np.arange(len(weight))[:, None]
    for values, folds in zip(scores.score, scores.fold, strict=True):
        same = (folds[truth][:, None] == folds[~truth][None, :]) & (folds[truth] >= 0)[:, None]
        above = same * pairs_in_order(values[~truth], values[truth]).T
        pairs = w0 @ same.T
        placement = ratio(w0 @ above.T, pairs)
        step = np.ceil(np.nan_to_num(placement) * (bins - 1) - 1e-9).astype(int)
        mass += np.bincount((offset + step).ravel(), (w1 * pairs).ravel(), len(mass))
    curves = mass.reshape(-1, bins).cumsum(1)
    curves = ratio(curves, curves[:, -1:])
    n, whole = scores.participants(truth), curves[0].clip(0, 1)
    people = worth(whole * (1 - whole) / n, np.nanvar(curves[1:], axis=0), n)
    low, high = proportion_confint(whole * people, people, method="wilson")
    columns = {"sensitivity": whole, "ci_low": low, "ci_high": high}
    return pd.DataFrame({"false_positive_rate": GRID} | columns)


def calibration_curve(scores: Scores) -> pd.DataFrame:
    """Observed share of positives in bins of equally many predictions.

    A participant counts once over all rows, however many scans there are, and may lie in several
    bins. There is a bin for each 10 participants, 2 to 10 bins; equal probabilities share a bin.

    Returns
    -------
    DataFrame
        Columns bin, n (participants, a fraction where rows differ),
        predicted_probability (mean), observed_share, ci_low, ci_high (Wilson).
    """
    scored = scores.fold >= 0
    probability, weight = scores.probability[scored], scores.weight[scored]
    truth = np.broadcast_to(scores.truth, scored.shape)[scored]
    bins = int(np.clip(round(scores.participants()) // PER_BIN, 2, MOST_BINS))
    values, place = np.unique(probability, return_inverse=True)
    predictions = _predictions(scores)
    # The quantiles of numpy, as if scans and trainings of a split were one prediction.
    below = predictions * np.bincount(place, weight).cumsum() / weight.sum()
    last = (predictions - 1) * np.arange(1, bins) // bins + 1
    edges = np.unique(values[np.searchsorted(below.round(9), last)])
    number = np.searchsorted(edges, probability, side="left")
    rows = []
    for found in np.unique(number):
        inside = number == found
        n, hits = weight[inside].sum(), weight[inside] @ truth[inside]
        low, high = wilson(hits, n)
        rows.append(
            {
                "bin": len(rows) + 1,
                "n": n,
                "predicted_probability": np.average(probability[inside], weights=weight[inside]),
                "observed_share": hits / n,
                "ci_low": low,
                "ci_high": high,
            }
        )
    return pd.DataFrame(rows)


def _predictions(scores: Scores) -> int:
    """Number of predictions: of a participant by a split, however many scans and trainings."""
    row, scan = np.nonzero(scores.fold >= 0)
    return len(np.unique(np.stack([scores.fold[row, scan], scores.person[scan]]), axis=1)[0])


def calibration_line(scores: Scores) -> dict[str, tuple[float, float, float]]:
    """Calibration slope and intercept (in the large), each with a 95 % interval.

    Returns
    -------
    dict
        ``calibration_slope``: coefficient of the logit of the probability, 1 is
        perfect, below 1 too extreme. ``calibration_intercept``: log odds by which
        the outcome exceeds the predictions, slope held at 1; 0 is perfect. Value,
        low and high; NaN where equal probabilities or separated classes leave the
        slope undefined, and limits of a single participant.

    Notes
    -----
    Logistic regression over all rows, in which every participant counts once, with the variance
    clustered by participant and t limits. Van Calster et al. 2016, 10.1016/j.jclinepi.2015.12.005.
    """
    scored = scores.fold >= 0
    x = logit(np.clip(scores.probability[scored], 1e-9, 1 - 1e-9))
    y = np.broadcast_to(scores.truth, scored.shape)[scored].astype(float)
    person = np.broadcast_to(scores.person, scored.shape)[scored]
    weight = scores.weight[scored] / scores.weight.max()
    n, people = _predictions(scores), len(np.unique(person))

    def last_of(columns, **offset):
        """Last coefficient with its limits; the variance is the sandwich over the participants."""
        fitted = sm.GLM(y, columns, sm.families.Binomial(), freq_weights=weight, **offset).fit()
        p = fitted.fittedvalues[:, None]
        bread = np.linalg.pinv(columns.T @ (columns * weight[:, None] * p * (1 - p)))
        meat = np.zeros((scores.person.max() + 1, columns.shape[1]))
        np.add.at(meat, person, columns * weight[:, None] * (y[:, None] - p))
        if people < 2:
            return fitted.params[-1], np.nan, np.nan
        covariance = bread @ meat.T @ meat @ bread
        correction = people / (people - 1) * (n - 1) / (n - columns.shape[1])
        half = stats.t.ppf(0.975, people - 1) * np.sqrt(covariance[-1, -1] * correction)
        return fitted.params[-1], fitted.params[-1] - half, fitted.params[-1] + half

    slope = (np.nan, np.nan, np.nan)
    overlap = x[y == 1].min() < x[y == 0].max() and x[y == 0].min() < x[y == 1].max()
    if overlap and np.ptp(x) > 1e-9:
        slope = last_of(sm.add_constant(x))
    return {
        "calibration_slope": slope,
        "calibration_intercept": last_of(np.ones((len(y), 1)), offset=x),
    }


def benefit_of_each(scores: Scores) -> np.ndarray:
    """What each scan adds to the net benefit of a model, times the participants: (N, T).

    Of those with a probability at or above each of `THRESHOLDS`, the mean over the rows.
    """
    gain = np.where(scores.truth[:, None], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
    return _above(scores) * gain * scores.scan_weight[:, None]


def _above(scores: Scores) -> np.ndarray:
    """Share of the rows in which each scan is at or above each of `THRESHOLDS`: (N, T)."""
    above = (scores.probability[:, :, None] >= THRESHOLDS - 1e-12).sum(0)
    return above / (scores.fold >= 0).sum(0)[:, None]


def treated(scores: Scores, member: np.ndarray) -> np.ndarray:
    """Share of a class that is treated at each of `THRESHOLDS`, with Wilson's 95 % limits: (3, T).

    The limits are for as many participants as the share, the mean over the rows, is `worth`.

    Parameters
    ----------
    member : bool array, (N,)
    """
    n, weight = scores.participants(member), (member * scores.scan_weight)[:, None]
    if not n:
        return np.zeros((3, len(THRESHOLDS)))
    share = _above(scores)
    rate = (weight * share).sum(0) / n
    variance = scores.variance_between(weight * (share - rate) / n)
    people = worth(rate * (1 - rate) / n, variance, n)
    return np.stack([rate, *proportion_confint(rate * people, people, method="wilson")])


def decision_curve(scores: Scores) -> pd.DataFrame:
    """Net benefit of treating those at or above a threshold, all, and none.

    Net benefit = TP / N - FP / N * t / (1 - t), averaged over the rows; the prevalence is that of
    the sample. Its limits are put together from those of both classes by Zou and Donner's method
    (2008, 10.1002/sim.3095).

    Returns
    -------
    DataFrame
        Columns strategy (model, all, none), threshold (0.01 .. 0.99), net_benefit,
        ci_low, ci_high.

    Notes
    -----
    Vickers & Elkin 2006, 10.1177/0272989X06295361.
    """
    prevalence = scores.participants(scores.truth) / scores.participants()
    gain, loss = prevalence, (1 - prevalence) * THRESHOLDS / (1 - THRESHOLDS)
    right, wrong = (treated(scores, member) for member in (scores.truth, ~scores.truth))
    benefit = gain * right[0] - loss * wrong[0]
    tables = []
    for strategy, values, below, above in (
        ("model", benefit, (right[0] - right[1], wrong[2] - wrong[0]),
         (right[2] - right[0], wrong[0] - wrong[1])),
        ("all", gain - loss, (0, 0), (0, 0)),
        ("none", 0 * loss, (0, 0), (0, 0)),
    ):  # fmt: skip
        low = values - np.hypot(gain * below[0], loss * below[1])
        high = values + np.hypot(gain * above[0], loss * above[1])
        columns = {"net_benefit": values, "ci_low": low, "ci_high": high}
        tables.append(pd.DataFrame({"strategy": strategy, "threshold": THRESHOLDS} | columns))
    return pd.concat(tables, ignore_index=True)
