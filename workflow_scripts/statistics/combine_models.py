"""Several models of a study together, in each split."""

from functools import reduce

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table

KEYS = ["split", "repeat", *SCAN, "label", "role"]


def combine(members: list[pd.DataFrame], by: str, classes: list[str]) -> pd.DataFrame:
    """Predictions of an ensemble, of the scans that all members scored in the same split.

    Parameters
    ----------
    members : of each model its predictions in all splits
    by : ``mean`` (of the probabilities; positive above 0.5) or ``majority`` (of the predictions;
        the score is the share of members that call the scan positive, without a probability)
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        `KEYS`, score, threshold, probability, predicted

    Raises
    ------
    InputError
        If no scan was scored by all of them.
    """
    value = "probability" if by == "mean" else "vote"
    votes = [
        table.assign(vote=(table["predicted"] == classes[1]).astype(float))[[*KEYS, value]].rename(
            columns={value: number}
        )
        for number, table in enumerate(members)
    ]
    together = reduce(lambda one, other: one.merge(other, on=KEYS), votes)
    if together.empty:
        raise InputError("of: no scan was scored by all of these models in the same split")
    score = together[list(range(len(members)))].mean(axis=1)
    return together[KEYS].assign(
        score=score,
        threshold=0.5,
        probability=score if by == "mean" else np.nan,
        predicted=np.where(score > 0.5, classes[1], classes[0]),
    )


def main(source, out, params, wildcards):
    """Write the predictions of an ensemble."""
    tables = pd.concat([read_table(path) for path in source.members], ignore_index=True)
    members = [tables[tables["model"] == name] for name in params.settings["of"]]
    together = combine(members, params.settings["by"], params.classes)
    made = together.assign(model=wildcards.model)[PREDICTIONS]
    write_table(made, out.predictions, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
