"""Ties of the methods text on metrics and comparisons of models, see test_methods_text."""

from functools import cache

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tests.report.code import S, calls, text_of, uses
from tests.statistics.predicted import CLASSES, of_folds, table
from workflow_scripts.statistics.compare_models import compare_predictions
from workflow_scripts.statistics.split_metrics import evaluate


def drawn(kind: str) -> pd.DataFrame:
    """Predictions of 20 + 20 people by a model that says something, or always the same."""
    rng = np.random.default_rng(1)
    truth = np.arange(40) >= 20
    p = stats.norm.cdf(truth - 0.5 + rng.normal(size=40))
    if kind == "external":
        return pd.concat([table(truth, p, split, role="external") for split in (1, 2, 3)])
    if kind in ("one side", "separated"):
        return table(truth, p if kind == "one side" else 0.2 + 0.6 * truth, 1)
    parts, constant_score = [], kind == "constant trials"
    for split in range(1, 5):
        ids = np.concatenate([rng.choice(20, 8, False), 20 + rng.choice(20, 8, False)])
        parts.append(
            table(truth[ids], np.full(16, 0.7) if constant_score else p[ids], split, ids=ids)
        )
    return pd.concat(parts, ignore_index=True)


@cache
def overall(kind: str) -> pd.DataFrame:
    """Metrics over the splits by name, of one model."""
    rows = drawn(kind) if kind != "folds" else of_folds(apparent=False).query("model == 'mri'")
    found = evaluate(rows.reset_index(drop=True), CLASSES, 50, 1)
    chosen = (found["split"] == "all") & (found["estimate"] != "external_averaged")
    return found[chosen].set_index("metric")


def method(kind: str, metric: str) -> str:
    return overall(kind).at[metric, "ci_method"]


def is_wilson(kind: str) -> bool:
    """Whether the limits of sensitivity are Wilson's around its mean, for the people tested."""
    found, people = overall(kind).loc["sensitivity"], 20
    if kind == "constant trials":
        rows = drawn(kind)
        people = rows.loc[rows["label"] == CLASSES[1], "participant_id"].nunique()
    wanted = proportion_confint(found["value"] * people, people, method="wilson")
    return np.allclose([found["ci_low"], found["ci_high"]], wanted)


def scans_count_as_one() -> bool:
    """One person's scan, given twice over, changes nothing."""
    rows = drawn("one side")
    again = pd.concat([rows.assign(session_id="ses-1"), rows[:1].assign(session_id="ses-2")])
    values = [evaluate(r, CLASSES, 20, 1)["value"].to_numpy(float) for r in (rows, again)]
    return np.allclose(*values, equal_nan=True)


def resampled(kind: str) -> bool:
    """Whether two models are compared by the corrected resampled t-test."""
    if kind == "folds":
        return bool(
            compare_predictions(of_folds(apparent=False), CLASSES)["resampled_p"].notna().all()
        )
    rows = drawn(kind)
    other = rows.assign(model="n", score=rows["score"] ** 2)
    return bool(compare_predictions(pd.concat([rows, other]), CLASSES)["resampled_p"].notna().any())


METRICS = {
    # Metrics
    "Scans of a participant count together as one": scans_count_as_one,
    "Figures are those of the test side": lambda: (
        overall("one side").at["accuracy", "value"]
        == (drawn("one side")["label"] == drawn("one side")["predicted"]).mean()
    ),
    "from a bootstrap over test patients": lambda: (
        method("trials", "sensitivity") == "patient bootstrap"
    ),
    "its limits coincide or no trial has both predictions": lambda: (
        is_wilson("constant trials")
        and method("constant trials", "sensitivity") == "Wilson, patients"
    ),
    "Accuracies take that interval as well": lambda: (
        method("constant trials", "accuracy") == "Wilson, patients"
    ),
    "those of as many independent participants as were": lambda: (
        "patients" in method("constant trials", "specificity")
    ),
    "Where the test sides divide the participants": lambda: calls(
        S + "split_metrics", "blocks_of", "evaluate"
    ),
    "A participant counts once": lambda: is_wilson("folds") and overall("folds")["n"].eq(40).all(),
    "all pairs of the same": lambda: uses(S + "split_metrics", "area"),
    "as were tested are Wilson's": lambda: is_wilson("one side"),
    "of balanced accuracy those of Zou and Donner": lambda: (
        method("one side", "balanced_accuracy") == "Zou-Donner from Wilson, patients"
    ),
    "DeLong's on the logit scale": lambda: method("one side", "auc") == "DeLong, logit scale",
    "where the classes are separated": lambda: method("separated", "auc") == "Newcombe method 5",
    "from the corrected resampled t": lambda: method("folds", "auc") == "corrected resampled t",
    "those of Newcombe 2006": lambda: (
        method("constant trials", "auc") == "Newcombe method 5, patients"
    ),
    "Each table's column names the method": lambda: uses(S + "split_metrics", "ci_method"),
    "the interval of their AUC is DeLong's": lambda: (
        method("external", "auc") == "DeLong, logit scale"
    ),
    "by Holm's method over the models": lambda: (
        "groupby('metric')['p'].transform(corrected, 'holm')"
        in text_of(S + "permutation_test", "main")
    ),
    # Comparisons of models
    "Differences in AUC on the scans that both models scored": lambda: calls(
        S + "compare_models", "scored_by_both", "compare_predictions"
    ),
    "s with the corrected resampled t-test": lambda: resampled("folds") and not resampled("trials"),
    "DeLong's test": lambda: uses(S + "compare_models", "compare_areas"),
    "over the pairs of models": lambda: uses(S + "compare_models", "p_holm", "holm"),
    "both models refitted to each bootstrap sample": lambda: uses(
        S + "compare_models", "compare_corrected"
    ),
}
