"""What the models of `fit_models` are worth: apparent and honest figures side by side.

An apparent AUC on some 80 people is not a forecast for new patients: with as
many columns it lies far above one half even where there is nothing to find.
"""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_models import compare_models
from workflow_scripts.statistics.curves import (
    calibration_curve,
    calibration_line,
    decision_curve,
    draw_patients,
    roc_curve,
)
from workflow_scripts.statistics.delong import area, area_interval, resampled_interval
from workflow_scripts.statistics.metrics import wilson

METRICS = ["model", "estimate", "metric", "value", "ci_low", "ci_high", "ci_method", "optimism"]
METRICS += ["null_mean", "null_low", "null_high", "p", "n_permutations"]
METRICS += ["n_negative", "n_positive", "n_repeats", "note"]
APPARENT = "scored on the people it was fitted to; not a forecast for new patients"


def as_arrays(rows: pd.DataFrame, classes: list[str]) -> tuple[np.ndarray, ...]:
    """Predictions of one model and estimate as arrays, ordered by participant id.

    Returns
    -------
    truth : bool array, (N,)
    probability, fold, predicted : arrays, (R, N)
        R repeats, one for apparent predictions; predicted is bool.
    """
    unknown = sorted(set(rows["label"].astype(str)) - set(classes))
    if unknown:
        raise InputError(
            f"models_predictions.tsv: label holds {unknown}, models.classes are {classes}; "
            "make the predictions again"
        )
    rows = rows.fillna({"repeat": 0, "fold": 0})
    wide = rows.pivot(index="repeat", columns="participant_id")
    return (
        (wide["label"].iloc[0] == classes[1]).to_numpy(),
        wide["probability"].to_numpy(float),
        wide["fold"].to_numpy(int),
        (wide["predicted"] == classes[1]).to_numpy(),
    )


def decisions(truth, predicted) -> dict[str, tuple[float, float, float]]:
    """Accuracy, sensitivity and specificity, means over the repeats, with Wilson limits.

    The limits are those of as many patients as there are, not of the repeats.
    """
    right = (predicted == truth).mean(0)
    return {
        name: (right[who].mean(), *wilson(right[who].sum(), who.sum()))
        for name, who in (
            ("accuracy", np.ones(len(truth), bool)),
            ("sensitivity", truth),
            ("specificity", ~truth),
        )
    }


def auc_limits(auc, truth, probability, fold) -> tuple[float, float, str]:
    """95 % limits and their method: DeLong's for one model, over the test folds for many."""
    if len(np.unique(fold)) == 1:
        return area_interval(auc)
    return resampled_interval(auc, truth, probability, fold)


def evaluate(truth, probability, fold, predicted, drawn) -> list[dict]:
    """Metrics of one model: metric, value, ci_low, ci_high, ci_method."""
    auc = area(truth, probability, fold)
    found = {"auc": (auc.auc, *auc_limits(auc, truth, probability, fold))}
    for name, values in decisions(truth, predicted).items():
        found[name] = (*values, "Wilson, patients")
    error = ((probability - truth) ** 2).mean(0)
    limits = np.percentile(drawn @ error / len(truth), [2.5, 97.5])
    found["brier"] = (error.mean(), *limits, "patient bootstrap")
    for name, values in calibration_line(truth, probability).items():
        found[name] = (*values, "clustered by patient")
    fields = ["value", "ci_low", "ci_high", "ci_method"]
    return [
        {"metric": name} | dict(zip(fields, values, strict=True)) for name, values in found.items()
    ]


def correct_optimism(apparent: dict[str, float], samples: pd.DataFrame) -> list[dict]:
    """AUC and Brier score less the optimism that refitting bootstrap samples shows.

    Optimism is the mean, over the samples, of a model's value in its own sample
    minus its value in the original participants. The limits are those of the
    values in the samples, shifted by the optimism; missing where these do not vary.

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
        limits = np.clip(np.percentile(inside, [2.5, 97.5]) - optimism, 0, 1)
        rows.append(
            {
                "metric": metric,
                "value": apparent[metric] - optimism,
                "ci_low": limits[0] if np.ptp(inside) > 1e-9 else np.nan,
                "ci_high": limits[1] if np.ptp(inside) > 1e-9 else np.nan,
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


def tabulate_metrics(arrays: dict, samples, permutations, drawn) -> pd.DataFrame:
    """Metrics of every model and estimate.

    Parameters
    ----------
    arrays : dict
        (model, estimate) to the arrays of `as_arrays`.
    samples : DataFrame
        models_bootstraps.tsv.
    permutations : DataFrame
        models_permutations.tsv.
    drawn : int array, (B, N)
        Bootstrap samples of the patients.

    Returns
    -------
    DataFrame
        Columns ``METRICS``; the optimism-corrected rows follow the apparent ones.
    """
    rows = []
    for (model, estimate), (truth, probability, fold, predicted) in arrays.items():
        counts = {"n_negative": int((~truth).sum()), "n_positive": int(truth.sum())}
        identity = {"model": model, "estimate": estimate} | counts
        repeats = len(probability) if estimate == "cross_validated" else None
        found = evaluate(truth, probability, fold, predicted, drawn)
        null = permutations[
            (permutations["model"] == model) & (permutations["estimate"] == estimate)
        ]
        found[0] |= null_distribution(found[0]["value"], null["auc"].to_numpy(float))
        note = APPARENT if estimate == "apparent" else None
        rows += [identity | {"n_repeats": repeats, "note": note} | row for row in found]
        if estimate == "apparent":
            values = {row["metric"]: row["value"] for row in found}
            mine = samples[samples["model"] == model]
            identity["estimate"] = "optimism_corrected"
            rows += [
                identity | {"n_repeats": len(mine)} | row for row in correct_optimism(values, mine)
            ]
    return pd.DataFrame(rows, columns=METRICS).astype(
        {"n_permutations": "Int64", "n_repeats": "Int64"}
    )


def tabulate_curves(arrays: dict, drawn) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """ROC, calibration and decision curves of every model and estimate.

    In the decision curves ``model`` is also ``all`` and ``none``, once per estimate.
    """
    roc, calibration, decision = [], [], []
    for (model, estimate), (truth, probability, fold, _) in arrays.items():
        identity = {"model": model, "estimate": estimate}
        roc.append(roc_curve(truth, probability, fold, drawn).assign(**identity))
        calibration.append(calibration_curve(truth, probability).assign(**identity))
        table = decision_curve(truth, probability, drawn).assign(estimate=estimate)
        table["model"] = table.pop("strategy").replace("model", model)
        decision.append(table)
    tables = [pd.concat(parts, ignore_index=True) for parts in (roc, calibration, decision)]
    tables[2] = tables[2].drop_duplicates(["estimate", "model", "threshold"])
    return tuple(
        table[["model", "estimate", *table.columns.drop(["model", "estimate"])]] for table in tables
    )


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study, out = snakemake.params.study, snakemake.output  # noqa: F821
        described, classes = resource("columns/statistics.tsv"), study["models"]["classes"]
        predictions = read_table(snakemake.input.predictions)  # noqa: F821
        arrays = {
            key: as_arrays(rows, classes)
            for key, rows in predictions.groupby(["model", "estimate"], sort=False)
        }
        truth = next(iter(arrays.values()))[0]
        drawn = draw_patients(truth, study["bootstraps"], study["seed"])
        samples = read_table(snakemake.input.bootstraps)  # noqa: F821
        permutations = read_table(snakemake.input.permutations)  # noqa: F821
        metrics = tabulate_metrics(arrays, samples, permutations, drawn)
        write_table(metrics, out.metrics, described)
        write_table(compare_models(arrays, samples), out.comparisons, described)
        roc, calibration, decision = tabulate_curves(arrays, drawn)
        write_table(roc, out.roc, described)
        write_table(calibration, out.calibration, described)
        write_table(decision, out.decision_curve, described)
