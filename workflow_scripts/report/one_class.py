"""The report's part on one-class SVMs: how much lies outside, and how much by construction."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.text import label, number, tabulate

COLUMNS = ["nu", "n_trained", "trained_outside", "support_vectors", "n_negative"]
COLUMNS += ["negative_outside", "n_positive", "positive_outside"]


def percent(share) -> str:
    """A share in whole percent, n/a where missing."""
    return "n/a" if pd.isna(share) else f"{100 * share:.0f} %"


def published_result() -> str:
    """What Inglese et al. 2022 found with a one-class SVM, as text."""
    row = read_table(resource("published/inglese2022_one_class.tsv")).iloc[0]
    return (
        f"{row['outside']} of {row['n_negative']} + {row['n_positive']} outside, {row['times']} "
        f"times, after training on {row['n_train']}; nu is not printed"
    )


def one_class_section(name: str, study: dict, read: Callable) -> dict | None:
    """What the template shows of a study's one-class SVMs; None without any.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    models = []
    for model, settings in study["models"].items():
        if settings["kind"] != "one_class_svm":
            continue
        path = f"studies/{name}/models/model-{model}_desc-nu_shares"
        table, dictionary = read(path, "split", *COLUMNS)
        overall = table[table["split"].astype(str) == "all"]
        lines = [
            {
                "nu": number(row.nu),
                "own": row.nu == settings["nu"],
                "trained": percent(row.trained_outside),
                "expected": percent(row.support_vectors),
                "negative": percent(row.negative_outside),
                "positive": percent(row.positive_outside),
            }
            for row in overall.itertuples()
        ]
        first = overall.iloc[0]
        models.append(
            {
                "name": label(model),
                "n": number(first["n_trained"]),
                "lines": lines,
                "all": tabulate(table, dictionary),
                "file": f"{path}.tsv",
            }
        )
    if not models:
        return None
    published = published_result() if "published" in study["evaluation"] else None
    return {"models": models, "published": published}
