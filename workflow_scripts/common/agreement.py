"""Agreement of two measurements of the same people, by two scans or two methods."""

import numpy as np
import pandas as pd
import pingouin as pg
from scipy import stats


def agreement(pairs: pd.DataFrame) -> dict:
    """Intraclass correlation and limits of agreement of two measurements.

    Parameters
    ----------
    pairs : DataFrame, (N, 2)
        Columns a and b.

    Returns
    -------
    dict
        n; icc: ICC(A,1), two-way random, absolute agreement of single values, with 95 % limits;
        sd_within (of a single measurement) and cv_within (of the mean); bias (b - a) with limits;
        agreement_low, agreement_high: bias -+ 1.96 SD of the differences, and agreement_error,
        the half width of their 95 % interval; slope_p: of the difference on the mean.

    Notes
    -----
    McGraw & Wong 1996, 10.1037/1082-989X.1.1.30; Bland & Altman 1999,
    10.1177/096228029900800204.
    """
    n = len(pairs)
    a, b = pairs["a"].to_numpy(float), pairs["b"].to_numpy(float)
    difference, middle = b - a, (a + b) / 2
    sd, bias = difference.std(ddof=1), difference.mean()
    t = stats.t.ppf(0.975, n - 1)
    long = pd.DataFrame({"who": np.tile(np.arange(n), 2), "scan": np.repeat([0, 1], n)})
    long["value"] = np.concatenate([a, b])
    icc = pg.intraclass_corr(long, "who", "scan", "value").set_index("Type").loc["ICC(A,1)"]
    within = np.sqrt((difference**2).mean() / 2)
    return {
        "n": n,
        "icc": icc["ICC"],
        "icc_low": icc["CI95"][0],
        "icc_high": icc["CI95"][1],
        "sd_within": within,
        "cv_within": within / abs(middle.mean()),
        "bias": bias,
        "bias_low": bias - t * sd / np.sqrt(n),
        "bias_high": bias + t * sd / np.sqrt(n),
        "agreement_low": bias - 1.96 * sd,
        "agreement_high": bias + 1.96 * sd,
        "agreement_error": t * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1))),
        "slope_p": stats.linregress(middle, difference).pvalue,
    }


def proportional_bias(pairs: pd.DataFrame) -> dict:
    """How the difference of two methods grows with what is measured.

    Parameters
    ----------
    pairs : DataFrame, (N, 2)
        Columns a and b.

    Returns
    -------
    dict
        slope of the difference b - a on the mean of the two, slope_low, slope_high (95 %, t) and
        slope_p.

    Notes
    -----
    Bland & Altman 1999, 10.1177/096228029900800204, section 3.2.
    """
    a, b = pairs["a"].to_numpy(float), pairs["b"].to_numpy(float)
    fit = stats.linregress((a + b) / 2, b - a)
    half = stats.t.ppf(0.975, len(a) - 2) * fit.stderr
    return {
        "slope": fit.slope,
        "slope_low": fit.slope - half,
        "slope_high": fit.slope + half,
        "slope_p": fit.pvalue,
    }


def deming(pairs: pd.DataFrame) -> dict:
    """Line b = intercept + slope a where both are measured with errors of the same variance.

    Parameters
    ----------
    pairs : DataFrame, (N, 2)
        Columns a and b.

    Returns
    -------
    dict
        deming_slope, deming_intercept, each with _low and _high (95 %, jackknife, t).

    Notes
    -----
    Linnet 1990, 10.1002/sim.4780091210 (jackknife); Deming 1943, Statistical Adjustment of Data.
    """
    a, b = pairs["a"].to_numpy(float), pairs["b"].to_numpy(float)
    n = len(a)
    whole = _deming_line(a, b)
    kept = ~np.eye(n, dtype=bool)
    without = np.array([_deming_line(a[keep], b[keep]) for keep in kept])
    pseudo = n * whole - (n - 1) * without
    half = stats.t.ppf(0.975, n - 2) * pseudo.std(axis=0, ddof=1) / np.sqrt(n)
    found = {}
    for name, value, error in zip(("slope", "intercept"), whole, half, strict=True):
        found |= {
            f"deming_{name}": value,
            f"deming_{name}_low": value - error,
            f"deming_{name}_high": value + error,
        }
    return found


def _deming_line(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Slope and intercept, by the orthogonal distances."""
    (var_a, cov), (_, var_b) = np.cov(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (var_b - var_a + np.hypot(var_b - var_a, 2 * cov)) / (2 * cov)
    return np.array([slope, b.mean() - slope * a.mean()])
