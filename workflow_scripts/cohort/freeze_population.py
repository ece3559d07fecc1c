"""Keep today's population of a study, for its split, when the check of its scans has passed."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table


def main(source, out, params):
    """Write the population."""
    write_table(pd.DataFrame(params.population), out.table, resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake, inputs_read=False):
        main(snakemake.input, snakemake.output, snakemake.params)
