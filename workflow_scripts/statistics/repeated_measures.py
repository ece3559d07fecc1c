"""Repeated-measures analysis of variance of strategies over trials."""

import numpy as np
import pandas as pd
from scipy.linalg import helmert
from scipy.stats import chi2, f

SINGULAR = 1e-9
FIELDS = ["value", "f", "df1", "df2", "p"]


def univariate(ratio: float, df1: float, df2: float, epsilon: float) -> dict:
    """Row of a univariate test whose degrees of freedom are shrunk by epsilon."""
    df1, df2 = epsilon * df1, epsilon * df2
    return {"value": epsilon, "f": ratio, "df1": df1, "df2": df2, "p": f.sf(ratio, df1, df2)}


def huynh_feldt(epsilon: float, n: int, k: int) -> float:
    """Huynh and Feldt's epsilon from Greenhouse and Geisser's, at most 1; NaN where it is 0/0."""
    above, below = n * (k - 1) * epsilon - 2, (k - 1) * (n - 1 - (k - 1) * epsilon)
    if below > SINGULAR:
        return min(1.0, above / below)
    return 1.0 if above > SINGULAR else np.nan


def mauchly(spread: np.ndarray, n: int) -> dict:
    """Row of Mauchly's test from the eigenvalues (d,) of the contrasts' covariance, n units.

    Notes
    -----
    p by Box's expansion, exact for d = 2 (Anderson 2003, An Introduction to
    Multivariate Statistical Analysis, 10.7.4).
    """
    d = len(spread)
    w = spread.prod() / spread.mean() ** d
    df, scale = d * (d + 1) / 2 - 1, n - 1 - (2 * d**2 + d + 2) / (6 * d)
    term = (d + 2) * (d - 1) * (d - 2) * (2 * d**3 + 6 * d**2 + 3 * d + 2)
    term /= 288 * (d * scale) ** 2
    first, second = chi2.sf(-scale * np.log(w), [df, df + 4])
    return {"value": w, "df1": df, "p": first + term * (second - first)}


def within_tests(values: np.ndarray) -> dict[str, dict]:
    """Tests of equal means of k conditions measured on the same n units.

    Parameters
    ----------
    values : float array, (n, k)
        A row per unit (trial), a column per condition (strategy), none missing.

    Returns
    -------
    dict of dict
        For sphericity_assumed, greenhouse_geisser, huynh_feldt, multivariate
        and mauchly: value (epsilon; Hotelling's T2; Mauchly's W), f, df1, df2,
        p and note. What is undefined is NaN, with the reason in the note. Of
        mauchly, df1 are the degrees of freedom of its chi-squared.

    Notes
    -----
    The orthonormal contrasts Y = values @ C.T (n, k - 1) with mean m and
    covariance S of eigenvalues l give F = n m'm / tr S,
    epsilon = (sum l)^2 / ((k - 1) sum l^2) (Greenhouse & Geisser 1959,
    10.1007/BF02289823), Huynh & Feldt's epsilon (1976, 10.2307/1164736), T2 = n m'S^-1 m with
    F = (n - k + 1) / ((n - 1)(k - 1)) T2, and W = prod l / (mean l)^(k - 1)
    (Mauchly 1940, 10.1214/aoms/1177731915): the rows of SPSS's GLM.
    """
    n, k = values.shape
    names = ["sphericity_assumed", "greenhouse_geisser", "huynh_feldt", "multivariate", "mauchly"]
    rows = {name: dict.fromkeys(FIELDS, np.nan) | {"note": ""} for name in names}

    def undefined(reason, *tests):
        for name in tests or names:
            rows[name]["note"] = reason
        return rows

    if k < 2:
        return undefined("one strategy, nothing to compare")
    if n < 2:
        return undefined("fewer than two trials in which every strategy has a value")
    contrasts = values @ helmert(k).T
    mean = contrasts.mean(axis=0)
    covariance = np.atleast_2d(np.cov(contrasts.T))
    spread = np.linalg.eigvalsh(covariance).clip(0)
    negligible = SINGULAR**2 * max((values**2).sum(), np.finfo(float).tiny)
    if spread.sum() <= negligible:
        same = (mean**2).sum() <= negligible
        return undefined(
            "every strategy has the same value in each trial"
            if same
            else "the strategies differ by the same amount in every trial, no error variance"
        )

    ratio = n * (mean @ mean) / spread.sum()
    degrees = k - 1, (n - 1) * (k - 1)
    epsilon = spread.sum() ** 2 / ((k - 1) * (spread**2).sum())
    corrected = huynh_feldt(epsilon, n, k)
    rows["sphericity_assumed"] |= univariate(ratio, *degrees, 1.0)
    rows["greenhouse_geisser"] |= univariate(ratio, *degrees, epsilon)
    if np.isfinite(corrected):
        rows["huynh_feldt"] |= univariate(ratio, *degrees, corrected)
    else:
        undefined("epsilon is 0/0 with so few trials", "huynh_feldt")

    if n < k:
        return undefined("fewer trials than strategies", "multivariate", "mauchly")
    if spread.min() <= SINGULAR * spread.max():
        return undefined("differences of strategies are collinear", "multivariate", "mauchly")
    t2 = n * mean @ np.linalg.solve(covariance, mean)
    multivariate = t2 * (n - k + 1) / ((n - 1) * (k - 1))
    p = f.sf(multivariate, k - 1, n - k + 1)
    rows["multivariate"] |= dict(zip(FIELDS, [t2, multivariate, k - 1, n - k + 1, p], strict=True))
    if k == 2:
        return undefined("two strategies are always spherical", "mauchly")
    rows["mauchly"] |= mauchly(spread, n)
    return rows


def compare_strategies(values: pd.DataFrame) -> pd.DataFrame:
    """Describe strategies over the trials and test whether their means are equal.

    Parameters
    ----------
    values : DataFrame
        A row per trial, a column per strategy; missing where undefined.

    Returns
    -------
    DataFrame
        A row per strategy with n_trials, mean, sd (n - 1) and cv = sd / mean
        over the trials in which it is defined; then, with strategy ``all``, a
        row per test of `within_tests` over the trials in which every strategy
        is defined.
    """
    mean, sd = values.mean(), values.std()
    rows = [
        {
            "strategy": name,
            "n_trials": values[name].notna().sum(),
            "mean": mean[name],
            "sd": sd[name],
            "cv": sd[name] / mean[name] if mean[name] else np.nan,
        }
        for name in values
    ]
    complete = values.dropna()
    left_out = ", ".join(str(trial) for trial in values.index.difference(complete.index))
    for test, row in within_tests(complete.to_numpy(float)).items():
        notes = [row["note"], f"without trial {left_out}, undefined" if left_out else ""]
        note = "; ".join(text for text in notes if text) or None
        rows.append(
            {"strategy": "all", "n_trials": len(complete), "test": test} | row | {"note": note}
        )
    columns = ["strategy", "n_trials", "mean", "sd", "cv", "test", *FIELDS, "note"]
    return pd.DataFrame(rows, columns=columns)
