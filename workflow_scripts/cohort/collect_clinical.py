"""Put what the participants' tables say of a study's sessions into one table."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.tables import MISSING


def main(source, out, params):
    """Write the values as they stand in the tables."""
    pd.DataFrame(params.rows).to_csv(
        out.table, sep="\t", index=False, na_rep=MISSING, lineterminator="\n"
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
