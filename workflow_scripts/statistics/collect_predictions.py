"""Predictions of all models of a study in one table, those of sides for validation in another."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table


def main(source, out, params):
    """Write the predictions of all models, one after the other."""
    table = pd.concat([read_table(path)[PREDICTIONS] for path in source], ignore_index=True)
    validating = table["role"] == "validation"
    for rows, path in ((table[~validating], out.table), (table[validating], out.validation)):
        write_table(rows, path, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
