"""Compare region volumes, as a share of the intracranial volume, between the classes."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_fractions import compare_measures

REGIONS = [
    "white_matter",
    "grey_matter",
    "subcortical_grey_matter",
    "ventricles",
    "brainstem",
    "thalamus",
]


def region_fractions(features: pd.DataFrame) -> pd.DataFrame:
    """Region volumes divided by the total intracranial volume.

    Parameters
    ----------
    features : DataFrame
        Columns participant_id, session_id, tiv_ml and ``<region>_volume_ml``, mL.

    Returns
    -------
    DataFrame
        participant_id, session_id and ``<region>_fraction`` (no unit).
    """
    fractions = features[["participant_id", "session_id"]].copy()
    for region in REGIONS:
        fractions[f"{region}_fraction"] = features[f"{region}_volume_ml"] / features["tiv_ml"]
    return fractions


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        table = compare_measures(
            region_fractions(read_table(snakemake.input.features)),  # noqa: F821
            read_table(snakemake.input.trials),  # noqa: F821
            [f"{region}_fraction" for region in REGIONS],
            snakemake.params.study["classes"],  # noqa: F821
            per_trial=False,
        )
        write_table(table, snakemake.output.table, resource("columns/statistics.tsv"))  # noqa: F821
