"""A learner on the scores that other models of a study give, and on columns of tables.

It is fitted to out-of-fold scores: those that the models of the other inner folds gave to the
people of the training side, so that no score comes from a model that has seen the person.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline

from workflow_scripts.baselines.cases import Cases, build_cases
from workflow_scripts.baselines.frozen_stack import described
from workflow_scripts.baselines.learners import learner_of
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.screening import Screening
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.metrics import auc, scan_weights
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN, SCORED, LeakageError, read_splits
from workflow_scripts.common.tables import read_table, write_table

SMALLEST = 1e-3  # probability whose log odds are still told apart
LEARNED = ["model", "split", "candidate", "kind", "chosen", "auc_inner", "auc"]


class Side(NamedTuple):
    """What is known of a split's scans: rows of the cases, terms (n, F) and, inside, the fold."""

    rows: np.ndarray
    x: np.ndarray
    fold: np.ndarray | None = None


def out_of_fold(predictions: pd.DataFrame, inner: pd.DataFrame) -> pd.DataFrame:
    """Predictions of inner splits as those of the training side of the split that they are of.

    Parameters
    ----------
    predictions : of a model in all inner splits
    inner : table of the inner splits

    Raises
    ------
    LeakageError
        If somebody was scored in an inner split who is not held out there.
    """
    scored = predictions[predictions["role"] == "test"]
    held_out = inner.loc[inner["role"] == "test", ["of_split", "split", *SCAN]]
    found = scored.merge(held_out, on=["split", *SCAN], how="left")
    if found["of_split"].isna().any():
        strangers = sorted(set(found.loc[found["of_split"].isna(), "participant_id"]))
        raise LeakageError(
            f"scores of inner splits: of {', '.join(strangers)}, who are not held out there; "
            "train the models of the inner splits again"
        )
    return found.assign(split=found["of_split"].astype(int), role="train")[PREDICTIONS]


def logit_of(probability: pd.Series) -> pd.Series:
    """Log odds of probabilities, at most those of `SMALLEST` from 0 and 1."""
    return logit(probability.clip(SMALLEST, 1 - SMALLEST))


def log_odds(predictions: pd.DataFrame) -> pd.Series:
    """Log odds of the mean probability over repeats, by role, split, participant and session."""
    scans = predictions.fillna({"session_id": ""})
    mean = scans.groupby(["role", "split", *SCAN])["probability"].mean()
    return logit_of(mean)


def sides_of(
    cases: Cases, inputs: list[str], members: list[pd.DataFrame], place: int, fold: pd.Series
) -> tuple[Side, Side]:
    """Training side and scored scans of a split (by its place), with their terms.

    Parameters
    ----------
    members : log odds of each member, see `log_odds`
    fold : inner fold by split, participant and session

    Raises
    ------
    InputError
        If a member has not scored a scan that the split has.
    """
    tables = cases.terms(inputs).to_numpy(float) if inputs else np.empty((len(cases.y), 0))
    scans = cases.scans.fillna({"session_id": ""})[SCAN]
    split, found = cases.splits[place], []
    for roles in (["train"], SCORED):
        rows = np.flatnonzero(np.isin(cases.role[place], roles))
        keys = [
            (role, split, *scan)
            for role, scan in zip(
                cases.role[place, rows], scans.iloc[rows].itertuples(index=False), strict=True
            )
        ]
        scores = [member.reindex(keys).to_numpy() for member in members]
        missing = np.isnan(scores).any(axis=0)
        if missing.any():
            raise InputError(
                f"of: {', '.join(scans['participant_id'].iloc[rows[missing]])} have no score of "
                f"every model in split {split}; run the models again"
            )
        x = np.column_stack([*scores, tables[rows]])
        own = fold.reindex([key[1:] for key in keys]).to_numpy() if roles == ["train"] else None
        found.append(Side(rows, x, own))
    return found[0], found[1]


def auc_error(value: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982, 10.1148/radiology.143.1.7063747)."""
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value)
    spread += (positives - 1) * (q1 - value**2) + (negatives - 1) * (q2 - value**2)
    return float(np.sqrt(max(spread, 0) / (positives * negatives)))


def chosen_of(aucs: dict[str, float], y: np.ndarray, person: np.ndarray) -> str:
    """The first learner whose AUC over the inner folds is within a standard error of the highest.

    Learners stand from the simplest on, so that a difference that few people make by chance does
    not choose a more flexible one (Hastie, Tibshirani and Friedman 2009, section 7.10).

    Parameters
    ----------
    aucs : by learner
    y, person : positive class and participant of the training rows
    """
    weight = scan_weights(person)
    highest = max(aucs.values())
    error = auc_error(highest, round(weight[y].sum()), round(weight[~y].sum()))
    return next(name for name, value in aucs.items() if value >= highest - error - 1e-9)


def learn(
    settings: dict, train: Side, y: np.ndarray, person: np.ndarray, times: np.ndarray, members: int
):
    """Learners fitted to the whole training side, and what each gives over the inner folds.

    Parameters
    ----------
    settings : of the stack; ``screening`` is of the terms after those of the members
    y, person, times : of the training rows: positive class, participant, times used
    members : number of their terms

    Returns
    -------
    fitted : dict of all learners, fitted to the whole side
    inner : dict of float arrays, (n,): what each gave the rows of a fold, fitted to the others
    aucs : dict of their AUC
    used : int array: rows that they were fitted to, each as often as it counts
    """
    used = np.repeat(np.arange(len(y)), times)
    screened = tuple(range(members, train.x.shape[1])) if settings["screening"] else ()
    folds = PredefinedSplit(pd.factorize(train.fold[used], sort=True)[0])
    first = np.unique(used, return_index=True)[1]
    fitted, inner, aucs = {}, {}, {}
    for name in settings["learners"]:
        model = learner_of(name, y[used], train.fold[used])
        if screened:
            model = make_pipeline(Screening(settings["screening"], screened), model)
        given = cross_val_predict(
            model, train.x[used], y[used], cv=folds, method="predict_proba", n_jobs=1
        )[:, 1]
        inner[name] = given[first]
        aucs[name] = auc(y, inner[name], scan_weights(person))
        fitted[name] = model.fit(train.x[used], y[used])
    return fitted, inner, aucs, used


def stack(
    cases: Cases,
    settings: dict,
    members: dict[str, pd.DataFrame],
    fold: pd.Series,
    model: str,
    classes: list[str],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict]:
    """Stack models in every split.

    Parameters
    ----------
    members : log odds by model, see `log_odds`
    fold : see `sides_of`

    Returns
    -------
    predictions
        `PREDICTIONS`: of the scored scans by the chosen learner.
    training
        The same of the training side, role train: what the chosen learner, fitted to the other
        inner folds, gave to each. Another stack can stand on them.
    learned
        `LEARNED`: AUC of every learner over the inner folds and on the test side, and of every
        member on the test side. The best of the latter is what choosing by the test side would
        have claimed.
    frozen
        What scores new people, see `frozen_stack`.
    """
    given, inside, learned, frozen = [], [], [], []
    terms = [*members, *(cases.terms(settings["inputs"]) if settings["inputs"] else ())]
    for place, split in enumerate(cases.splits):
        train, scored = sides_of(cases, settings["inputs"], [*members.values()], place, fold)
        y, person = cases.y[train.rows], cases.person[train.rows]
        times = cases.weight[place, train.rows].astype(int)
        fitted, inner, aucs, used = learn(settings, train, y, person, times, len(members))
        best = chosen_of(aucs, y, person)
        people = cases.scans["participant_id"].iloc[train.rows]
        learner = described(best, fitted[best], train.x[used], y[used], train.fold[used])
        frozen.append({"split": int(split), "participants": sorted(set(people)), **learner})
        told = {name: one.predict_proba(scored.x)[:, 1] for name, one in fitted.items()}
        for tables, side, probability in (
            (given, scored, told[best]),
            (inside, train, inner[best]),
        ):
            tables.append(
                cases.scans.iloc[side.rows].assign(
                    model=model,
                    split=split,
                    repeat=1,
                    role=cases.role[place, side.rows],
                    score=probability,
                    threshold=0.5,
                    probability=probability,
                    predicted=np.where(probability > 0.5, classes[1], classes[0]),
                )
            )
        tested = cases.role[place, scored.rows] == "test"
        truth = cases.y[scored.rows][tested]
        weight = scan_weights(cases.person[scored.rows][tested])
        columns = {name: (told[name], "learner") for name in settings["learners"]}
        columns |= {name: (scored.x[:, i], "member") for i, name in enumerate(members)}
        for name, (score, kind) in columns.items():
            learned.append(
                {
                    "model": model,
                    "split": split,
                    "candidate": name,
                    "kind": kind,
                    "chosen": "yes" if kind == "learner" and name == best else "no",
                    "auc_inner": aucs[name] if kind == "learner" else np.nan,
                    "auc": auc(truth, score[tested], weight),
                }
            )
    return (
        pd.concat(given, ignore_index=True)[PREDICTIONS],
        pd.concat(inside, ignore_index=True)[PREDICTIONS],
        pd.DataFrame(learned)[LEARNED],
        {
            "model": model,
            "classes": classes,
            "of": [*members],
            "inputs": {name: cases.coding[name] for name in settings["inputs"]},
            "measured": sorted(cases.measured),
            "terms": terms,
            "splits": frozen,
        },
    )


def main(source, out, params, wildcards):
    """Write the predictions of a stack, its scores of the training side, its learners, itself."""
    inner, settings = read_splits(source.inner), params.settings
    cases = build_cases(
        read_splits(source.splits),
        read_table(source.features),
        read_table(source.clinical),
        {name: params.inputs[name] for name in settings["inputs"]},
        params.classes,
        params.key,
    )
    scored = pd.concat([read_table(path) for path in source.members], ignore_index=True)
    drawn = inner["split"].unique()
    members = {}
    for name in settings["of"]:
        rows = scored[scored["model"] == name]
        of_inner = rows["split"].isin(drawn)
        # a stack tells of its own training side what networks are trained anew for
        own = out_of_fold(rows[of_inner], inner) if of_inner.any() else rows[:0]
        members[name] = log_odds(pd.concat([rows[~of_inner], own], ignore_index=True))
    held_out = inner[inner["role"] == "test"].fillna({"session_id": ""})
    fold = held_out.set_index(["of_split", *SCAN])["split"]
    with one_thread():
        *made, frozen = stack(cases, settings, members, fold, wildcards.model, params.classes)
    for table, path in zip(made, (out.predictions, out.training, out.learners), strict=True):
        write_table(table, path, resource("columns/baselines.tsv"))
    Path(out.stack).write_text(json.dumps(frozen, indent=1) + "\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
