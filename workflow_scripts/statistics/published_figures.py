"""Figures that a publication gives in its text, beside those of this run."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table

COLUMNS = ["input", "model", "estimate", "metric", "printed", "value", "ci_low", "ci_high"]
COLUMNS += ["printed_in_interval", "source"]


def beside_published(metrics: pd.DataFrame, settings: dict, key: str) -> pd.DataFrame:
    """Printed figures with this run's over all splits.

    Parameters
    ----------
    metrics : DataFrame
        metrics.tsv of the study.
    settings : ``of`` (publication of ``resources/published/figures.tsv``), ``models`` (the study's
        model for each of its inputs)
    key : of the settings, for messages

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``, a row per printed figure; value and interval are missing where the
        study has no such model or no such people.

    Raises
    ------
    InputError
        If an input is none of the publication's, or a model none of the study's.
    """
    printed = read_table(resource("published/figures.tsv"))
    printed = printed[printed["publication"] == settings["of"]]
    if unknown := sorted(set(settings["models"]) - set(printed["input"])):
        raise InputError(
            f"{key}.models: {', '.join(unknown)} is none of {settings['of']}'s inputs "
            f"({', '.join(printed['input'].unique())}); correct it"
        )
    if unknown := sorted(set(settings["models"].values()) - set(metrics["model"])):
        raise InputError(f"{key}.models: {', '.join(unknown)} is no model of the study; correct it")
    overall = metrics[metrics["split"].astype(str) == "all"]
    overall = overall[["model", "estimate", "metric", "value", "ci_low", "ci_high"]]
    table = printed.assign(model=printed["input"].map(settings["models"]))
    table = table.merge(overall, how="left", on=["model", "estimate", "metric"])
    inside = table["printed"].between(table["ci_low"], table["ci_high"])
    told = inside.map({True: "yes", False: "no"})
    return table.assign(printed_in_interval=told.where(table["value"].notna()))[COLUMNS]
