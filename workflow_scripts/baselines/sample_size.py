"""Whether there are enough people for the terms of a logistic model, and how firm it is."""

import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit

from workflow_scripts.baselines.cases import Cases
from workflow_scripts.baselines.preparation import before
from workflow_scripts.common.metrics import scan_weights

SHRINKAGE, OPTIMISM, MARGIN = 0.9, 0.05, 0.05  # Riley et al. 2019
SEPARATED = 1e-3  # deviance per participant that only separated classes leave


def needed(r2: float, parameters: int, share: float) -> dict[str, float]:
    """Participants that a new logistic model needs, by three criteria.

    Parameters
    ----------
    r2 : Cox-Snell R2 that is expected of it, corrected for optimism
    parameters : number of its terms
    share : of the positive class

    Returns
    -------
    dict
        n_shrinkage (expected shrinkage of .9 at least), n_optimism (Nagelkerke R2 at most .05 too
        high), n_risk (overall risk within .05); NaN where nothing is expected of the model.

    Notes
    -----
    Riley et al. 2019, 10.1002/sim.7992.
    """
    largest = 1 - np.exp(2 * (share * np.log(share) + (1 - share) * np.log(1 - share)))
    risk = np.ceil((1.959964 / MARGIN) ** 2 * share * (1 - share))
    if not 0 < r2 < largest:
        return {"n_shrinkage": np.nan, "n_optimism": np.nan, "n_risk": risk}

    def least(shrinkage):
        return np.ceil(parameters / ((shrinkage - 1) * np.log(1 - r2 / shrinkage)))

    of_optimism = r2 / (r2 + OPTIMISM * largest)
    return {"n_shrinkage": least(SHRINKAGE), "n_optimism": least(of_optimism), "n_risk": risk}


def likelihood_fit(cases: Cases, settings: dict) -> dict:
    """Maximum-likelihood fit of a model's terms to all cases: log likelihoods and their R2.

    Missing values are imputed, and sites harmonized, as the model does; all its terms count,
    whatever a screening leaves. Scans of a participant
    count together as one. Everything is NaN where the terms separate the classes.
    """
    x = cases.matrix(settings)
    for step in before(cases, settings | {"screening": None}):
        x = step.fit_transform(x)
    sd = x.std(0)
    x = (x - x.mean(0)) / np.where(sd > 0, sd, 1)
    weight = scan_weights(cases.person)
    n, y = weight.sum(), cases.y.astype(float)
    share = weight @ y / n
    null = n * (share * np.log(share) + (1 - share) * np.log(1 - share))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of separated classes, which are found below
        fitted = sm.GLM(y, sm.add_constant(x), sm.families.Binomial(), freq_weights=weight).fit()
    p = np.clip(fitted.fittedvalues, 1e-300, 1 - 1e-16)
    own = float(weight @ np.where(cases.y, np.log(p), np.log1p(-p)))
    if -2 * own / n < SEPARATED:
        own = np.nan
    r2 = 1 - np.exp(-2 * (own - null) / n)
    return {
        "n": round(n),
        "n_events": round(min(weight @ y, n - weight @ y)),
        "n_parameters": x.shape[1],
        "log_likelihood": own,
        "log_likelihood_null": null,
        "r2_cox_snell": r2,
        "r2_nagelkerke": r2 / (1 - np.exp(2 * null / n)),
    }


def tabulate_sample_size(cases: Cases, models: dict) -> pd.DataFrame:
    """Events per parameter, expected shrinkage and participants needed, of every model.

    The shrinkage is that of a fit without a penalty: (LR - k) / LR of the likelihood-ratio
    statistic LR of all k terms (van Houwelingen & le Cessie 1990, 10.1002/sim.4780091109).
    Participants needed are those of `needed` at the R2 times this shrinkage.
    """
    rows = []
    for model, settings in models.items():
        row = likelihood_fit(cases, settings)
        ratio = 2 * (row["log_likelihood"] - row["log_likelihood_null"])
        shrinkage = (ratio - row["n_parameters"]) / ratio
        adjusted = row["r2_cox_snell"] * shrinkage
        row |= {
            "model": model,
            "events_per_parameter": row["n_events"] / row["n_parameters"],
            "shrinkage": shrinkage,
            **needed(adjusted, row["n_parameters"], row["n_events"] / row["n"]),
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    return table[["model", *table.columns.drop("model")]]


def tabulate_instability(cases: Cases, apparent: pd.DataFrame, samples: pd.DataFrame):
    """How much each person's prediction hangs on who happened to be in the sample.

    Parameters
    ----------
    apparent : DataFrame
        Predictions of the models of all cases, of `apparent_predictions`.
    samples : DataFrame
        Rows of `bootstrap`, with the probabilities of all cases under ``probability``.

    Returns
    -------
    DataFrame
        participant_id, session_id, label, model, probability; over the models of the bootstrap
        samples: probability_low, probability_high (2.5 and 97.5 percentiles), instability (mean
        absolute difference to probability) and reclassified (share that predict the other class
        at the threshold of the model of all).

    Notes
    -----
    Riley & Collins 2023, 10.1002/bimj.202200302.
    """
    tables = []
    for model, own in apparent.groupby("model", sort=False):
        drawn = np.stack(samples.loc[samples["model"] == model, "probability"].to_list())
        probability = own["probability"].to_numpy()
        threshold = expit(own["threshold"].iloc[0])
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        other = (drawn > threshold) != (probability > threshold)
        tables.append(
            cases.scans.assign(
                model=model,
                probability=probability,
                probability_low=low,
                probability_high=high,
                instability=abs(drawn - probability).mean(0),
                reclassified=other.mean(0),
            )
        )
    return pd.concat(tables, ignore_index=True)
