"""Differences in AUC between the models of a study."""

from itertools import combinations

import numpy as np
import pandas as pd

from workflow_scripts.statistics.delong import area, compare_areas, fold_areas, resampled_test

COMPARISONS = ["estimate", "model_a", "model_b", "auc_a", "auc_b", "auc_difference", "se"]
COMPARISONS += ["ci_low", "ci_high", "z", "p", "resampled_low", "resampled_high", "resampled_p"]
COMPARISONS += ["n_negative", "n_positive", "note"]
NESTED = "not valid: one model holds the other's columns and both were fitted to these people"
SAME = "not valid: both models were fitted to these people"
GIVEN = "p takes the fitted models as given and is too small; resampled_p is nearer"


def compare_models(arrays: dict, samples: pd.DataFrame) -> pd.DataFrame:
    """Difference in AUC between each two models, on the same patients.

    Apparent and cross-validated AUCs are compared by DeLong's test. On apparent
    predictions it is printed because papers print it, and marked as not valid:
    fitting has used the outcome that the test takes as new (Demler et al. 2012,
    10.1002/sim.5328). On cross-validated ones it ignores that another training
    sample gives other models; the corrected resampled t-test beside it allows for
    that, roughly. The optimism-corrected difference has limits from refitting
    both models to each bootstrap sample.

    Parameters
    ----------
    arrays : dict
        (model, estimate) to the arrays of `as_arrays`.
    samples : DataFrame
        models_bootstraps.tsv.
    """
    rows = []
    models = list(dict.fromkeys(model for model, _ in arrays))
    wide = samples.pivot(index="bootstrap", columns="model")
    inside, original = wide["auc_bootstrap"], wide["auc_original"]
    areas = {key: area(*values[:3]) for key, values in arrays.items()}
    truth = next(iter(arrays.values()))[0]
    counts = {"n_negative": int((~truth).sum()), "n_positive": int(truth.sum())}
    for a, b in combinations(models, 2):
        nested = NESTED if "combined" in (a, b) else SAME
        pair = {"model_a": a, "model_b": b} | counts
        for estimate, note in (("apparent", nested), ("cross_validated", GIVEN)):
            one, two = areas[a, estimate], areas[b, estimate]
            row = pair | {"estimate": estimate, "auc_a": one.auc, "auc_b": two.auc, "note": note}
            row |= compare_areas(one, two)
            if estimate == "cross_validated":
                fold = arrays[a, estimate][2]
                by_fold = [fold_areas(*arrays[name, estimate][:3]) for name in (a, b)]
                row |= resampled_test(two.auc - one.auc, by_fold[1] - by_fold[0], fold)
            rows.append(row)
        optimism = (inside - original).mean()
        difference = inside[b] - inside[a]
        low, high = np.percentile(difference, [2.5, 97.5]) - (optimism[b] - optimism[a])
        varies = np.ptp(difference) > 1e-9
        row = {
            "auc_a": areas[a, "apparent"].auc - optimism[a],
            "auc_b": areas[b, "apparent"].auc - optimism[b],
            "ci_low": low if varies else np.nan,
            "ci_high": high if varies else np.nan,
        }
        row["auc_difference"] = row["auc_b"] - row["auc_a"]
        rows.append(pair | {"estimate": "optimism_corrected"} | row)
    table = pd.DataFrame(rows, columns=COMPARISONS)
    order = ["apparent", "optimism_corrected", "cross_validated"]
    return table.sort_values("estimate", key=lambda names: names.map(order.index), kind="stable")
