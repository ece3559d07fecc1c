"""Keep today's population of a study, for its split."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table

if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        population = pd.DataFrame(snakemake.params.population)  # noqa: F821
        write_table(population, snakemake.output.table, columns=resource("columns/cohort.tsv"))  # noqa: F821
