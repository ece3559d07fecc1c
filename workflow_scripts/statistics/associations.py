"""How features go with outcomes at one visit, and whether one feature does so more than another."""

import logging
from itertools import combinations

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats

from workflow_scripts.common.people import as_covariates, as_numbers, columns_of, members
from workflow_scripts.statistics.correction import corrected
from workflow_scripts.statistics.correlate_features import check_names, correlate

COLUMNS = ["outcome", "feature", "other", "covariates", "n", "beta", "beta_low", "beta_high", "p"]
COLUMNS += ["p_corrected", "r", "r_low", "r_high", "r_p", "r_p_corrected", "correction", "n_tests"]
COLUMNS += ["beta_difference", "beta_difference_low", "beta_difference_high"]
CORRECTION = "fdr_bh"
MIDDLE = 100 * stats.norm.cdf([-1, 1])
LOG = logging.getLogger(__name__)


def resampled_betas(x: np.ndarray, y: np.ndarray, z: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Standardized coefficients of features in samples of the participants.

    Every sample is standardized anew, so that the spread of its SDs is in the interval.

    Parameters
    ----------
    x : (n, k), each in a model of its own
    y : (n,), outcome
    z : (n, c), covariates
    times : (B, n), how often each participant is in a sample

    Returns
    -------
    (B, k)
    """
    n, c = z.shape
    found = np.empty((len(times), x.shape[1]))
    for place, column in enumerate(x.T):
        data = np.column_stack([np.ones(n), z, column, y])
        data[:, 1:] = (data[:, 1:] - data[:, 1:].mean(0)) / data[:, 1:].std(0)
        products = (data[:, :, None] * data[:, None, :]).reshape(n, -1)
        sums = (times @ products).reshape(-1, c + 3, c + 3)
        inverse = np.linalg.pinv(sums[:, :-1, :-1], hermitian=True)
        coefficient = np.einsum("bi,bi->b", inverse[:, -1], sums[:, :-1, -1])
        mean = sums[:, 0, -2:] / n
        variance = sums[:, [-2, -1], [-2, -1]] / n - mean**2
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, place] = coefficient * np.sqrt(variance[:, 0] / variance[:, 1])
    return found


def beta_of(cases: pd.DataFrame, x: str, y: str, covariates: list[str]) -> dict:
    """Standardized coefficient of x in a linear model of y, with p; missing where it has none.

    Parameters
    ----------
    cases : complete cases
    """
    terms = [*covariates, x]
    enough = len(cases) > len(terms) + 1 and (cases[[x, y]].nunique() > 1).all()
    even = (cases - cases.mean()) / cases.std(ddof=1)
    if not enough or np.linalg.matrix_rank(even[terms].to_numpy()) < len(terms):
        LOG.warning("%s on %s: %d complete cases do not determine it", y, x, len(cases))
        return {"beta": np.nan, "p": np.nan}
    fit = sm.OLS(even[y], sm.add_constant(even[terms])).fit()
    return {"beta": fit.params[x], "p": fit.pvalues[x]}


def associate(
    features: pd.DataFrame, outcomes: pd.DataFrame, covariates: pd.DataFrame,
    bootstraps: int, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Associations of every feature with every outcome, and differences between the features.

    Parameters
    ----------
    features, outcomes, covariates : DataFrames
        Index participant_id, numbers; no name in two of them.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. Of a feature alone (``other`` missing): standardized beta of the
        outcome on feature and covariates, p of t, limits by the SD over bootstrap samples of
        participants, partial Spearman; p corrected over features and outcomes. Of two features:
        the first's beta less the other's among those who have both, in the same samples.
    """
    people, rows = pd.concat([features, outcomes, covariates], axis=1), []
    for y in outcomes:
        for x in features:
            cases = people[[x, y, *covariates]].dropna()
            used = [name for name in covariates if cases[name].nunique() > 1]
            row = {"outcome": y, "feature": x, "covariates": ", ".join(used) or None}
            row |= {"n": len(cases)} | beta_of(cases, x, y, used)
            if np.isfinite(row["beta"]):
                samples = _samples(cases, [x], y, used, bootstraps, seed)[:, 0]
                row |= _limits("beta", row["beta"], samples, len(cases), len(used) + 1)
            ranked = correlate(cases, x, y, used, "spearman")
            rows.append(
                row | {k: ranked[k] for k in ("r", "r_low", "r_high")} | {"r_p": ranked["p"]}
            )
        for x, other in combinations(features, 2):
            cases = people[[x, other, y, *covariates]].dropna()
            used = [name for name in covariates if cases[name].nunique() > 1]
            betas = [beta_of(cases[[name, y, *used]], name, y, used)["beta"] for name in (x, other)]
            row = {"outcome": y, "feature": x, "other": other, "n": len(cases)}
            apart = betas[0] - betas[1]
            row |= {"covariates": ", ".join(used) or None, "beta_difference": apart}
            if np.isfinite(apart):
                samples = _samples(cases, [x, other], y, used, bootstraps, seed)
                differences = samples[:, 0] - samples[:, 1]
                row |= _limits("beta_difference", apart, differences, len(cases), len(used) + 1)
            rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    for p in ("p", "r_p"):
        table[f"{p}_corrected"] = corrected(table[p], CORRECTION)
    alone = table["other"].isna()
    return table.assign(
        correction=np.where(alone, CORRECTION, None),
        n_tests=table["p"].notna().sum() * pd.Series(1, table.index).where(alone),
    )


def _samples(cases, features: list[str], y: str, used: list[str], bootstraps: int, seed: int):
    n = len(cases)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=bootstraps)
    columns = (cases[names].to_numpy(float) for names in (features, y, used))
    return resampled_betas(*columns, times.astype(float))


def _limits(name: str, value: float, samples: np.ndarray, n: int, terms: int) -> dict[str, float]:
    """A value with 95 % limits from its spread over the samples, by t; as unbiased as that of OLS.

    The spread is half of the middle 68.27 % of the samples, the SD of a normal distribution: among
    few people some samples nearly repeat one another, and a single one would widen the SD at will.
    """
    freedom = n - terms - 1
    error = np.diff(np.nanpercentile(samples, MIDDLE)).item() / 2 * np.sqrt(n / freedom)
    half = stats.t.ppf(0.975, freedom) * error
    return {f"{name}_low": value - half, f"{name}_high": value + half}


def association_table(features, clinical, population, settings: dict) -> pd.DataFrame:
    """Associations of a study: of each participant the first session.

    Parameters
    ----------
    features, clinical, population : tables of the study
    settings : associations (features, outcomes, covariates), classes, bootstraps, seed and key

    Raises
    ------
    InputError
        If a column is nowhere, named twice, or no numbers.
    """
    asked, key = settings["associations"], settings["key"]
    check_names({"features": asked["features"], "clinical": asked["outcomes"],
                 "covariates": asked["covariates"]}, key)  # fmt: skip
    people = members(population, settings["classes"], f"{key}.classes")
    measured = [name for name in asked["covariates"] if name in features]
    told = [name for name in asked["covariates"] if name not in features]
    covariates = [
        as_covariates(columns_of(people, table, names, where, file), where, file)
        for table, names, where, file in (
            (features, measured, f"{key}.covariates", "features.tsv"),
            (clinical, told, f"{key}.covariates", "clinical.tsv"),
        )
        if names
    ]
    where = f"{key}.features"
    values = columns_of(people, features, asked["features"], where, "features.tsv")
    results = columns_of(people, clinical, asked["outcomes"], f"{key}.outcomes", "clinical.tsv")
    return associate(
        as_numbers(values, where, "features.tsv"),
        as_numbers(results, f"{key}.outcomes", "clinical.tsv"),
        pd.concat(covariates, axis=1) if covariates else pd.DataFrame(index=values.index),
        settings["bootstraps"],
        settings["seed"],
    )
