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
    found = evaluate(rows.reset_index(drop=True), CLASSES)
    chosen = (found["split"] == "all") & (found["estimate"] != "external_averaged")
    return found[chosen].set_index("metric")


def means_over(kind: str) -> bool:
    """Whether the figures over the splits are the means of those of the splits."""
    found = evaluate(drawn(kind), CLASSES)
    means = found[found["split"] != "all"].groupby("metric")["value"].mean()
    return np.allclose(overall(kind)["value"], means[overall(kind).index])


def is_wilson(kind: str) -> bool:
    """Whether the limits of sensitivity are Wilson's around its mean, for the people tested."""
    found, people = overall(kind).loc["sensitivity"], 20
    if "trials" in kind:
        rows = drawn(kind)
        people = rows.loc[rows["label"] == CLASSES[1], "participant_id"].nunique()
    wanted = proportion_confint(found["value"] * people, people, method="wilson")
    return np.allclose([found["ci_low"], found["ci_high"]], wanted)


def scans_count_as_one() -> bool:
    """One person's scan, given twice over, changes nothing."""
    rows = drawn("one side")
    again = pd.concat([rows.assign(session_id="ses-1"), rows[:1].assign(session_id="ses-2")])
    values = [evaluate(r, CLASSES)["value"].to_numpy(float) for r in (rows, again)]
    return np.allclose(*values, equal_nan=True)


def resampled(kind: str) -> bool:
    """Whether two models are compared by the corrected resampled t-test."""
    if kind == "folds":
        return bool(
            compare_predictions(of_folds(apparent=False), CLASSES, 9, 1)["resampled_p"]
            .notna()
            .all()
        )
    rows = drawn(kind)
    other = rows.assign(model="n", score=rows["score"] ** 2)
    return bool(
        compare_predictions(pd.concat([rows, other]), CLASSES, 9, 1)["resampled_p"].notna().any()
    )


METRICS = {
    # Metrics
    "Scans of a participant count together as one": scans_count_as_one,
    "Figures are those of the test side": lambda: (
        overall("one side").at["accuracy", "value"]
        == (drawn("one side")["label"] == drawn("one side")["predicted"]).mean()
    ),
    "Figures are means over the trials": lambda: means_over("trials"),
    "else the means over the splits stand": lambda: means_over("trials"),
    "Where the test sides divide the participants": lambda: calls(
        S + "split_metrics", "blocks_of", "evaluate"
    ),
    "A participant counts once": lambda: is_wilson("folds") and overall("folds")["n"].eq(40).all(),
    "all pairs of the same": lambda: uses(S + "split_metrics", "area"),
    "95 % intervals are Wilson's": lambda: is_wilson("one side"),
    "those of Zou and Donner 2008": lambda: calls(
        S + "split_metrics", "balanced_accuracy_interval", "evaluate_scores"
    ),
    "of the AUC those of Newcombe 2006": lambda: calls(
        S + "delong", "auc_interval", "area_interval"
    ),
    "as its variance between them is worth": lambda: calls(
        S + "split_metrics", "worth", "proportion"
    ),
    "of the AUC DeLong's variance": lambda: calls(S + "delong", "covariance", "area_interval"),
    "at most those tested": lambda: is_wilson("constant trials") and is_wilson("folds"),
    "The fitted models are taken as given": lambda: not uses(S + "split_metrics", "train"),
    "count once, by the mean over them": lambda: (
        overall("external").loc[:, "n"].eq(40).all() and is_wilson("external")
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
    "of which the participants were drawn within their class": lambda: calls(
        S + "paired_bootstrap", "draw_participants", "compare_balanced_accuracy"
    ),
    "over the pairs of models": lambda: uses(S + "compare_models", "p_holm", "holm"),
    "both models refitted to each bootstrap sample": lambda: uses(
        S + "compare_models", "compare_corrected"
    ),
}
