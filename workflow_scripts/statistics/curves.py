"""ROC, calibration and decision curves of repeated predictions.

Arguments are the same throughout: ``truth`` bool array (N,), ``probability``
and ``fold`` arrays (R, N) of R repeats, ``drawn`` int array (B, N) with the
times each patient is drawn in B bootstrap samples.
"""

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.special import logit

from workflow_scripts.statistics.metrics import ratio, wilson

GRID = np.arange(101) / 100
THRESHOLDS = np.arange(1, 100) / 100
PER_BIN, MOST_BINS = 10, 10


def draw_patients(truth: np.ndarray, bootstraps: int, seed: int) -> np.ndarray:
    """Times each patient is drawn, with replacement within the class: int array, (B, N)."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((bootstraps, len(truth)), int)
    for member in (~truth, truth):
        n = int(member.sum())
        drawn[:, member] = rng.multinomial(n, np.full(n, 1 / n), size=bootstraps)
    return drawn


def roc_curve(truth, probability, fold, drawn) -> pd.DataFrame:
    """ROC curve within the folds, averaged over them, with a pointwise bootstrap band.

    The curve is the distribution of the placement values: the share of the
    negatives of the same fold that lie above a positive (Pepe 2003). Every pair
    counts once, so that the area under this step function is the AUC of
    `delong.area`.

    Returns
    -------
    DataFrame
        Columns false_positive_rate (0, 0.01 .. 1), sensitivity, ci_low, ci_high.
    """
    weight = np.concatenate([np.ones((1, len(truth)), int), drawn])
    w1, w0 = weight[:, truth], weight[:, ~truth]
    bins = len(GRID)
    mass = np.zeros(len(weight) * bins)
    offset = bins * np.arange(len(weight))[:, None]
    for values, folds in zip(probability, fold, strict=True):
        same = folds[truth][:, None] == folds[~truth][None, :]
        difference = values[~truth][None, :] - values[truth][:, None]
        above = same * ((difference > 0) + 0.5 * (difference == 0))
        pairs = w0 @ same.T
        placement = ratio(w0 @ above.T, pairs)
        step = np.ceil(np.nan_to_num(placement) * (bins - 1) - 1e-9).astype(int)
        mass += np.bincount((offset + step).ravel(), (w1 * pairs).ravel(), len(mass))
    curves = mass.reshape(-1, bins).cumsum(1)
    curves = ratio(curves, curves[:, -1:])
    low, high = np.nanpercentile(curves[1:], [2.5, 97.5], axis=0)
    columns = {"sensitivity": curves[0], "ci_low": low, "ci_high": high}
    return pd.DataFrame({"false_positive_rate": GRID} | columns)


def calibration_curve(truth, probability) -> pd.DataFrame:
    """Observed share of positives in bins of equally many predictions.

    A patient counts 1 / R in each repeat, and may lie in several bins. There is
    a bin for each 10 patients, 2 to 10 bins; equal probabilities share a bin.

    Returns
    -------
    DataFrame
        Columns bin, n (patients, a fraction where repeats differ),
        predicted_probability (mean), observed_share, ci_low, ci_high (Wilson).
    """
    bins = int(np.clip(len(truth) // PER_BIN, 2, MOST_BINS))
    edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    number = np.searchsorted(edges, probability, side="left")
    outcome = np.broadcast_to(truth, probability.shape)
    rows = []
    for found in np.unique(number):
        inside = number == found
        n, hits = inside.sum() / len(probability), outcome[inside].sum() / len(probability)
        low, high = wilson(hits, n)
        rows.append(
            {
                "bin": len(rows) + 1,
                "n": n,
                "predicted_probability": probability[inside].mean(),
                "observed_share": hits / n,
                "ci_low": low,
                "ci_high": high,
            }
        )
    return pd.DataFrame(rows)


def calibration_line(truth, probability) -> dict[str, tuple[float, float, float]]:
    """Calibration slope and intercept (in the large), each with a 95 % interval.

    Returns
    -------
    dict
        ``calibration_slope``: coefficient of the logit of the probability, 1 is
        perfect, below 1 too extreme. ``calibration_intercept``: log odds by which
        the outcome exceeds the predictions, slope held at 1; 0 is perfect. Value,
        low and high; NaN where equal probabilities or separated classes leave the
        slope undefined.

    Notes
    -----
    Logistic regression over all repeats, with the variance clustered by patient
    and t limits. Van Calster et al. 2016, 10.1016/j.jclinepi.2015.12.005.
    """
    repeats, n = probability.shape
    x = logit(np.clip(probability, 1e-9, 1 - 1e-9)).ravel()
    y = np.tile(truth, repeats).astype(float)
    settings = {
        "cov_type": "cluster",
        "cov_kwds": {"groups": np.tile(np.arange(n), repeats)},
    }
    quantile = stats.t.ppf(0.975, n - 1)

    def limits(fitted, i):
        half = quantile * fitted.bse[i]
        return fitted.params[i], fitted.params[i] - half, fitted.params[i] + half

    large = sm.GLM(y, np.ones(len(y)), family=sm.families.Binomial(), offset=x).fit(**settings)
    slope = (np.nan, np.nan, np.nan)
    overlap = x[y == 1].min() < x[y == 0].max() and x[y == 0].min() < x[y == 1].max()
    if overlap and np.ptp(x) > 1e-9:
        fitted = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(**settings)
        slope = limits(fitted, 1)
    return {"calibration_slope": slope, "calibration_intercept": limits(large, 0)}


def decision_curve(truth, probability, drawn) -> pd.DataFrame:
    """Net benefit of treating those at or above a threshold, all, and none.

    Net benefit = TP / N - FP / N * t / (1 - t), averaged over the repeats; the
    prevalence is that of the sample. Percentile limits over patients.

    Returns
    -------
    DataFrame
        Columns strategy (model, all, none), threshold (0.01 .. 0.99), net_benefit,
        ci_low, ci_high.

    Notes
    -----
    Vickers & Elkin 2006, 10.1177/0272989X06295361.
    """
    gain = np.where(truth[:, None], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
    treated = (probability[:, :, None] >= THRESHOLDS - 1e-12).mean(0)
    tables = []
    for strategy, share in (("model", treated), ("all", 1.0), ("none", 0.0)):
        benefit = share * gain
        low, high = np.percentile(drawn @ benefit / len(truth), [2.5, 97.5], axis=0)
        tables.append(
            pd.DataFrame(
                {
                    "strategy": strategy,
                    "threshold": THRESHOLDS,
                    "net_benefit": benefit.mean(0),
                    "ci_low": low,
                    "ci_high": high,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
