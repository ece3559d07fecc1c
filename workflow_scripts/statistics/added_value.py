"""What the inputs that a model reads beyond another one's add to it."""

import numpy as np
import pandas as pd
from scipy.stats import chi2

from workflow_scripts.common.job import InputError
from workflow_scripts.common.metrics import over_splits, split_figures
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.splits import blocks_of
from workflow_scripts.statistics.compare_models import tested_pair
from workflow_scripts.statistics.curves import THRESHOLDS, benefit_of_each
from workflow_scripts.statistics.scores import Scores, draw_participants

PAIR = ("model", "base")
COLUMNS = [*PAIR, "metric", "threshold", "value", "ci_low", "ci_high", "ci_method"]
COLUMNS += ["null_mean", "null_low", "null_high", "n_permutations", "df", "p", "n", "note"]
IN_SAMPLE = "both fitted by maximum likelihood to everybody, without a penalty"
GIVEN = "the fitted models taken as given"


def figures_of(rows: pd.DataFrame, positive: str) -> pd.DataFrame:
    """What `common.metrics.split_figures` keeps of each split, of predictions of one model."""
    found = [
        {"split": split, "permutation": 0}
        | split_figures(
            (own["label"] == positive).to_numpy(),
            (own["predicted"] == positive).to_numpy(),
            own["score"].to_numpy(float),
            own["participant_id"].to_numpy(),
        )
        for split, own in rows.groupby("split")
    ]
    return pd.DataFrame(found)


def permuted_block(rows: pd.DataFrame, permuted: pd.DataFrame, positive: str) -> list[dict]:
    """AUC and balanced accuracy of a model, and of fits with its further inputs permuted.

    Parameters
    ----------
    rows : DataFrame
        Predictions of the model, of test sides.
    permuted : DataFrame
        Figures of the permutations, of `refit_features.blocks`.
    positive : name of the positive class
    """
    pooled = blocks_of(rows) is not None
    observed = over_splits(figures_of(rows, positive), ["permutation"], pooled).iloc[0]
    null, found = over_splits(permuted, ["permutation"], pooled), []
    for metric in ("auc", "balanced_accuracy"):
        values = null[metric].to_numpy(float)
        low, high = np.percentile(values, [2.5, 97.5])
        found.append(
            {
                "metric": metric,
                "value": observed[metric],
                "null_mean": values.mean(),
                "null_low": low,
                "null_high": high,
                "n_permutations": len(values),
                "p": float(permutation_p(observed[metric], values)),
                "n": rows["participant_id"].nunique(),
            }
        )
    return found


def likelihood_ratio(fits: pd.DataFrame, model: str, base: str) -> dict:
    """Likelihood-ratio test of a model against the one that it contains.

    Parameters
    ----------
    fits : DataFrame
        Of `sample_size`: model, n, n_parameters, log_likelihood (n/a where the classes are
        separated, whose likelihood has no maximum).

    Raises
    ------
    InputError
        If the two were not fitted to the same number of participants.
    """
    own, other = (fits.set_index("model").loc[name] for name in (model, base))
    if own["n"] != other["n"]:
        raise InputError(
            f"added_value: {model} was fitted to {own['n']:g} participants, {base} to "
            f"{other['n']:g}; "
            "a likelihood-ratio test needs the same; give both the same key missing"
        )
    statistic = 2 * (own["log_likelihood"] - other["log_likelihood"])
    df = int(own["n_parameters"] - other["n_parameters"])
    separated = np.isnan(statistic)
    return {
        "metric": "likelihood_ratio",
        "value": statistic,
        "df": df,
        "p": float(chi2.sf(statistic, df)),
        "n": int(own["n"]),
        "note": "n/a: the terms separate the classes" if separated else IN_SAMPLE,
    }


def benefit_difference(own: Scores, base: Scores, bootstraps: int, seed: int) -> pd.DataFrame:
    """Net benefit of a model less that of another, over the thresholds, with percentile limits.

    Participants are drawn within their class, the same for both models.
    """
    difference = benefit_of_each(own) - benefit_of_each(base)
    n = own.participants()
    drawn = draw_participants(own, bootstraps, seed) @ difference / n
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return pd.DataFrame(
        {
            "metric": "net_benefit_difference",
            "threshold": THRESHOLDS,
            "value": difference.sum(0) / n,
            "ci_low": low,
            "ci_high": high,
            "ci_method": "patient bootstrap",
            "n": round(n),
            "note": GIVEN,
        }
    )


def added_value(predictions, permuted, fits, settings: dict) -> pd.DataFrame:
    """What a model's further inputs add: permuted alone, likelihood ratio, net benefit.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`, of both models.
    permuted, fits : as of `permuted_block` and `likelihood_ratio`
    settings : classes, bootstraps, seed, and added_value (model, base)

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``.

    Raises
    ------
    InputError
        If the two models did not score the same scans.
    """
    classes, (model, base) = settings["classes"], (settings["added_value"][k] for k in PAIR)
    advice = "give both the same key missing"
    own, other = tested_pair(predictions, (model, base), classes, "added_value", advice)
    of_model = (predictions["role"] == "test") & (predictions["model"] == model)
    rows = permuted_block(predictions[of_model], permuted, classes[1])
    rows.append(likelihood_ratio(fits, model, base))
    benefit = benefit_difference(own, other, settings["bootstraps"], settings["seed"])
    table = pd.concat([pd.DataFrame(rows), benefit], ignore_index=True)
    table = table.assign(model=model, base=base).reindex(columns=COLUMNS)
    return table.astype({"n_permutations": "Int64", "df": "Int64", "n": int})
