"""What logistic models fitted to everybody are worth: apparent figures less their optimism.

An apparent AUC on some 80 people is not a forecast for new patients: with as
many columns it lies far above one half even where there is nothing to find.
"""

import numpy as np
import pandas as pd

from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.statistics.calibration import brier_score
from workflow_scripts.statistics.delong import area, area_interval
from workflow_scripts.statistics.scores import Scores

COLUMNS = ["model", "estimate", "metric", "value", "ci_low", "ci_high", "ci_method", "optimism"]
COLUMNS += ["null_mean", "null_low", "null_high", "p", "n_permutations"]
COLUMNS += ["n_negative", "n_positive", "n_samples", "note"]
NEWCOMBE = "Newcombe method 5, patients"
APPARENT = "scored on the people it was fitted to; not a forecast for new patients"


def correct_optimism(apparent: dict[str, float], samples: pd.DataFrame) -> list[dict]:
    """AUC and Brier score less the optimism that refitting bootstrap samples shows.

    Optimism is the mean, over the samples, of a model's value in its own sample
    minus its value in the original participants. The limits are those of the
    values in the samples, shifted by the optimism; missing where these do not vary, or, as
    happens with few samples, do not hold the value itself.

    Parameters
    ----------
    apparent : values by metric
    samples : DataFrame
        Columns auc_bootstrap, auc_original, brier_bootstrap, brier_original.

    Notes
    -----
    Harrell et al. 1996, 10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4;
    location-shifted interval of Noma et al. 2021, 10.1002/sim.9148.
    """
    rows = []
    for metric in ("auc", "brier"):
        inside = samples[f"{metric}_bootstrap"].to_numpy(float)
        optimism = float((inside - samples[f"{metric}_original"]).mean())
        value = apparent[metric] - optimism
        low, high = np.clip(np.percentile(inside, [2.5, 97.5]) - optimism, 0, 1)
        if np.ptp(inside) <= 1e-9 or not low <= np.clip(value, 0, 1) <= high:
            low = high = np.nan
        rows.append(
            {
                "metric": metric,
                "value": value,
                "ci_low": low,
                "ci_high": high,
                "ci_method": "location-shifted bootstrap",
                "optimism": optimism,
            }
        )
    return rows


def null_distribution(observed: float, null: np.ndarray) -> dict:
    """Mean, 2.5 and 97.5 percentiles of the AUC with permuted labels, and one-sided p."""
    low, high = np.percentile(null, [2.5, 97.5])
    return {
        "null_mean": null.mean(),
        "null_low": low,
        "null_high": high,
        "p": float(permutation_p(observed, null)),
        "n_permutations": len(null),
    }


def tabulate_optimism(apparent: dict[str, Scores], samples, permutations) -> pd.DataFrame:
    """Apparent and optimism-corrected AUC and Brier score of every model.

    Parameters
    ----------
    apparent : scores of the people that a model was fitted to, by model
    samples, permutations : DataFrames
        Of `bootstrap_models`.

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``; the optimism-corrected rows of a model follow the apparent ones.
    """
    rows = []
    for model, scores in apparent.items():
        found = area(scores)
        counts = {"n_negative": round(found.n_negative), "n_positive": round(found.n_positive)}
        identity = {"model": model, "estimate": "apparent", "note": APPARENT} | counts
        low, high = area_interval(found)
        of_auc = {"value": found.auc, "ci_low": low, "ci_high": high, "ci_method": NEWCOMBE}
        null = permutations.loc[permutations["model"] == model, "auc"].to_numpy(float)
        rows.append(identity | {"metric": "auc"} | of_auc | null_distribution(found.auc, null))
        error = brier_score(scores)
        rows.append(identity | {"metric": "brier"} | error)
        own = samples[samples["model"] == model]
        identity |= {"estimate": "optimism_corrected", "note": None, "n_samples": len(own)}
        values = {"auc": found.auc, "brier": error["value"]}
        rows += [identity | row for row in correct_optimism(values, own)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"n_permutations": "Int64", "n_samples": "Int64"}
    )
