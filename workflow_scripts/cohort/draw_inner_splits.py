"""Folds of each split's training side, on whose out-of-fold scores a stack of models stands."""

import numpy as np
import pandas as pd

from workflow_scripts.cohort.draw_splits import participants_of, stratified
from workflow_scripts.common.inner import inner_split
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import COLUMNS, check_splits, read_splits
from workflow_scripts.common.tables import write_table


def draw_inner_splits(
    splits: pd.DataFrame, folds: int, classes: list[str], seed: int, where: str
) -> pd.DataFrame:
    """Splits of the training sides of splits, stratified by class, by participant.

    In each, one fold of the training side is tested by models of the others; validation stays, and
    everybody else is left out, so that nobody whom the outer split tests is in any of them.

    Parameters
    ----------
    splits : checked table of splits
    folds : number of folds
    classes : [negative, positive]
    where : key of the study, for messages

    Returns
    -------
    DataFrame
        of_split, and the columns of a table of splits, with the number of `inner_split` as split

    Raises
    ------
    InputError
        If a class has too few participants in a training side.
    """
    tables = []
    for number, rows in splits.groupby("split"):
        labels = participants_of(rows[rows["role"] == "train"], classes)
        smallest = labels.value_counts().reindex(classes, fill_value=0)
        if smallest.min() < max(folds, 3):
            raise InputError(
                f"{where}.inner_folds: {folds} folds of the training side of split {number} need "
                f"{max(folds, 3)} participants of each class, class {smallest.idxmin()} has "
                f"{smallest.min()}; lower it, or change the design"
            )
        order = stratified(labels, classes, np.random.default_rng([seed, number, folds]))
        fold = pd.Series(0, index=labels.index)
        fold.iloc[order] = np.arange(len(order)) % folds
        for tested in range(folds):
            table = rows.copy()
            inside, held_out = table["role"] == "train", table["participant_id"].map(fold) == tested
            table.loc[inside & held_out, "role"] = "test"
            table.loc[~inside & (table["role"] != "validation"), "role"] = "rest"
            table["weight"] = table["weight"].where(table["role"] == "train", 0)
            table["split"] = inner_split(number, tested + 1)
            table.insert(0, "of_split", number)
            tables.append(table)
    drawn = pd.concat(tables, ignore_index=True)
    check_splits(drawn)
    return drawn[["of_split", *COLUMNS]]


def main(source, out, params, wildcards):
    """Draw the inner splits of a study."""
    study = params.study
    drawn = draw_inner_splits(
        read_splits(source.splits),
        study["inner_folds"],
        study["design"]["classes"],
        study["seed"],
        f"studies.{wildcards.study}",
    )
    write_table(drawn, out.splits, resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
