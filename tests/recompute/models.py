"""Figures of a study's models, from their predictions."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pingouin
from dcurves import dca
from scipy import optimize, special, stats
from sklearn import linear_model
from sklearn import metrics as judge
from statsmodels.stats.anova import AnovaRM

from tests.recompute.study import Figure, Study

SCORES = {
    "balanced accuracy": judge.balanced_accuracy_score,
    "sensitivity": judge.recall_score,
    "specificity": lambda *a, **k: judge.recall_score(*a, **k, pos_label=0),
    "accuracy": judge.accuracy_score,
    "precision": lambda *a, **k: judge.precision_score(*a, **k, zero_division=np.nan),
}
THRESHOLDS = [0.2, 0.4]


def parts_of(rows: pd.DataFrame) -> tuple[list[pd.DataFrame], bool]:
    """What a figure is the mean of: repeats of folds, or else splits; trainings apart.

    Folds (True) test everybody once before the next repeat begins.
    """
    repeats, seen, everybody = [[]], set(), set(rows["participant_id"])
    for split, side in rows.groupby("split"):
        if seen == everybody:
            repeats, seen = [*repeats, []], set()
        repeats[-1].append(split)
        seen |= set(side["participant_id"])
    tested = rows.drop_duplicates(["split", "participant_id"])
    folds = seen == everybody and len(tested) == len(repeats) * len(everybody)
    splits = repeats if folds else [[split] for split in rows["split"].unique()]
    parts = [rows[rows["split"].isin(some)] for some in splits]
    return [own for part in parts for _, own in part.groupby("repeat")], folds


def scored(rows: pd.DataFrame, metric: str) -> float:
    """Mean of a metric over the parts that define it."""
    return np.nanmean(
        [
            SCORES[metric](part["truth"], part["called"], sample_weight=part["weight"])
            for part in parts_of(rows)[0]
        ]
    )


def auc_of(rows: pd.DataFrame) -> float:
    """Mean AUC of the splits; of folds by the pairs that they have."""
    sides = [side for _, side in rows.groupby(["split", "repeat"]) if side["truth"].nunique() == 2]
    areas = [
        judge.roc_auc_score(side["truth"], side["score"], sample_weight=side["weight"])
        for side in sides
    ]
    pairs = [side.groupby("truth")["weight"].sum().prod() for side in sides]
    return np.average(areas, weights=pairs if parts_of(rows)[1] else None)


def metrics(study: Study) -> Iterator[Figure]:
    tested = study.tested()
    for row in study.entries("Metrics "):
        if row["Model"] and row.get("Scored", "test") == "test":
            rows = tested[row["Model"]]
            yield Figure(f"AUC, {row['Model']}", row["AUC"], (auc_of(rows),))
            for metric in SCORES:
                yield Figure(f"{metric}, {row['Model']}", row[metric], (scored(rows, metric),))


def counts(study: Study) -> Iterator[Figure]:
    tested = study.tested()
    for row in study.rows("Scans by true class"):
        rows = tested.get(row[0], pd.DataFrame())
        if len(rows) and row[1] != "external":
            matrix = judge.confusion_matrix(rows["truth"], rows["called"], labels=[0, 1])
            for cell, count in zip(
                row[-4:], matrix.ravel() / rows["repeat"].nunique(), strict=True
            ):
                yield Figure(f"scans of a class called so, {row[0]}", cell, (count,))


def comparisons(study: Study) -> Iterator[Figure]:
    tested, keys = study.tested(), ["split", "participant_id", "session_id"]
    for row in study.entries("Differences in AUC"):
        two = [tested[name] for name in row["Models"].split(" against ")]
        both = set.intersection(*({*map(tuple, rows[keys].astype(str).values)} for rows in two))
        kept = [[tuple(key) in both for key in rows[keys].astype(str).values] for rows in two]
        second, first = (auc_of(rows[which]) for rows, which in zip(two, kept, strict=True))
        yield Figure(f"difference in AUC, {row['Models']}", row["Test"], (second - first,))


def calibration(study: Study) -> Iterator[Figure]:
    """Everybody counts once: rows of a person share a weight of one."""
    tested = study.tested()
    for row in study.entries("Calibration "):
        if row["estimate"] != "test":
            continue
        rows = tested[row["model"]]
        weight = rows["weight"] / rows.groupby("participant_id")["weight"].transform("sum")
        truth, p = rows["truth"].to_numpy(), rows["probability"].to_numpy()
        brier = judge.brier_score_loss(truth, p, sample_weight=weight)
        yield Figure(f"Brier score, {row['model']}", row["Brier score"], (brier,))
        odds = special.logit(np.clip(p, 1e-9, 1 - 1e-9))
        if not row["calibration slope"].startswith("n/a"):
            line = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000)
            slope = line.fit(odds[:, None], truth, sample_weight=weight).coef_.item()
            name = f"calibration slope, {row['model']}"
            yield Figure(name, row["calibration slope"], (slope,))
        intercept = optimize.brentq(
            lambda a, o=odds, t=truth, w=weight: np.sum(w * (t - special.expit(o + a))), -30, 30
        )
        name = f"calibration intercept, {row['model']}"
        yield Figure(name, row["calibration intercept"], (intercept,))


def net_benefit(study: Study) -> Iterator[Figure]:
    """From decision_curve.tsv, since the report draws it; of folds, one scan a person."""
    if not any(study.folder.glob("decision_curve.tsv")):
        return
    curve = study.read("decision_curve").query("estimate == 'test'")
    for model, rows in study.tested().items():
        own = curve[curve["model"] == rows["model"].iloc[0]]
        parts, folds = parts_of(rows)
        for threshold in THRESHOLDS if folds and len(own) and rows["weight"].eq(1).all() else ():
            found = [
                dca(
                    data=part[["truth", "probability"]].reset_index(drop=True),
                    outcome="truth", modelnames=["probability"], thresholds=[threshold],
                ).set_index("model").at["probability", "net_benefit"]
                for part in parts
            ]  # fmt: skip
            [stands] = own.loc[np.isclose(own["threshold"], threshold), "net_benefit"]
            name = f"net benefit at {threshold} (its table), {model}"
            yield Figure(name, f"{stands:.9f}", (np.mean(found),))


def strategies(study: Study) -> Iterator[Figure]:
    """Univariate F and p over the splits, sphericity assumed and by Greenhouse and Geisser."""
    models = list(dict.fromkeys(row["Model"] for row in study.entries("Mean, standard deviation")))
    tested = study.tested()
    printed = {(r["Metric"], r["Test"]): r for r in study.entries("Repeated-measures analysis")}
    for metric in ("accuracy", "balanced accuracy", "AUC") if printed else ():
        values = pd.DataFrame(
            {
                name: {
                    split: auc_of(side) if metric == "AUC" else scored(side, metric)
                    for split, side in tested[name].groupby("split")
                }
                for name in models
            }
        ).dropna()
        row = printed[metric, "univariate, sphericity assumed"]
        if row["F"] == "n/a":
            continue
        long = values.rename_axis("split").reset_index().melt("split", var_name="model")
        [test] = (
            AnovaRM(long, "value", "split", ["model"]).fit().anova_table.itertuples(index=False)
        )
        ratio, *degrees, p = test
        yield Figure(f"F of the models over the splits, {metric}", row["F"], (ratio,))
        yield Figure(f"p of the models over the splits, {metric}", row["p"], (p,))
        epsilon = pingouin.epsilon(values, correction="gg")
        p = stats.f.sf(ratio, *(epsilon * df for df in degrees))
        row = printed[metric, "univariate, Greenhouse-Geisser"]
        yield Figure(f"p by Greenhouse and Geisser, {metric}", row["p"], (p,))


FIGURES = [metrics, counts, comparisons, calibration, net_benefit, strategies]
