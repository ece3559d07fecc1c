"""The report's parts on stacked models: what was chosen, what choosing costs, a nomogram."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots_classifiers
from workflow_scripts.report.text import interval, label, number, tabulate

COLUMNS = ["split", "candidate", "kind", "chosen", "auc_inner", "auc"]
METRICS = {
    "nri_events": "NRI, events",
    "nri_nonevents": "NRI, non-events",
    "nri": "NRI, both",
    "idi_events": "IDI, events",
    "idi_nonevents": "IDI, non-events",
    "idi": "IDI, both",
}


def stacking_section(name: str, study: dict, read: Callable) -> dict | None:
    """Learners of each stack, honest and optimistic AUC; None without any.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    stacks = []
    for model, settings in study["models"].items():
        if settings["kind"] != "stack":
            continue
        path = f"studies/{name}/models/model-{model}_desc-stack_learners"
        table, dictionary = read(path, *COLUMNS)
        best = table.groupby("split")["auc"].max().mean()
        honest = table.loc[table["chosen"] == "yes", "auc"].mean()
        stacks.append(
            {
                "name": label(model),
                "honest": number(round(honest, 3)),
                "optimistic": number(round(best, 3)),
                "excess": number(round(best - honest, 3)),
                "lines": [_line(candidate, rows) for candidate, rows in _in_order(table)],
                "all": tabulate(table, dictionary),
                "file": f"{path}.tsv",
            }
        )
    return {"stacks": stacks, "folds": study["inner_folds"]} if stacks else None


def _in_order(table: pd.DataFrame):
    """Members, then learners, each with its rows."""
    for kind in ("member", "learner"):
        yield from table[table["kind"] == kind].groupby("candidate", sort=False)


def _line(candidate: str, rows: pd.DataFrame) -> dict:
    times = int((rows["chosen"] == "yes").sum())
    return {
        "candidate": label(candidate),
        "kind": rows["kind"].iloc[0],
        "inner": number(round(rows["auc_inner"].mean(), 3)),
        "auc": number(round(rows["auc"].mean(), 3)),
        "times": times,
        "of": len(rows),
        "chosen": times > 0,
    }


def reclassification_section(name: str, study: dict, read: Callable) -> dict:
    """NRI and IDI of a model against another."""
    table, dictionary = read("reclassification", "metric", "value", "ci_low", "ci_high", "n")
    asked = study["evaluation"]["reclassification"]
    return {
        "model": label(asked["model"]),
        "base": label(asked["base"]),
        "lines": [
            {
                "metric": METRICS[row.metric],
                "value": interval(row.value, row.ci_low, row.ci_high, decimals=2),
                "n": int(row.n),
            }
            for row in table.itertuples()
        ],
        "all": tabulate(table, dictionary),
    }


def nomogram_section(name: str, study: dict, read: Callable) -> dict:
    """A logistic model as a picture that a probability can be read from."""
    table, dictionary = read("nomogram", "split", "term", "value", "points")
    model = study["evaluation"]["nomogram"]["model"]
    return {
        "model": label(model),
        "split": int(table["split"].iloc[0]),
        "members": [label(one) for one in study["models"][model].get("of", [])],
        "figure": plots_classifiers.nomogram(table, f"{name}-nomogram"),
        "all": tabulate(table, dictionary),
    }
