"""Write the tables and descriptions of the simulated BIDS dataset."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.plan import plan_cohort

README = """# Simulated cohort

Nothing here is of a person. Heads are random deformations of the MNI152 template (ICBM 2009a
symmetric, as shipped with nilearn), with classes, seed and planted effect of the key `demo` of
the configuration; their diffusion tensors are planted in template axes, and their vessels are
bent tubes. The truth each image was made from lies in `../truth`.
"""


def dataset_description() -> dict:
    """Content of dataset_description.json of the simulated dataset."""
    return {
        "Name": "Simulated cohort with known truth",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [
            {"Name": "workflow_scripts/demo", "Description": "Simulation from the MNI152 template"}
        ],
    }


def vessels_description() -> dict:
    """Content of dataset_description.json of the simulated vessel-wall segmentations."""
    return dataset_description() | {
        "Name": "Simulated segmentations of vessel walls",
        "DatasetType": "derivative",
        "SourceDatasets": [{"URL": "../.."}],
    }


def participants_table(rows: list[dict]) -> pd.DataFrame:
    """Table of the participants; whole numbers stay whole beside missing ones."""
    return pd.DataFrame(rows).convert_dtypes()


def main(source, out, params):
    """Write the participants, the exclusions and the descriptions of the dataset."""
    participants, _, exclusions = plan_cohort(params.demo)
    columns = resource("columns/demo.tsv")
    write_table(participants_table(participants), out.participants, columns)
    fields = ["participant_id", "session_id", "suffix", "reason"]
    write_table(pd.DataFrame(exclusions, columns=fields), out.exclusions, columns)
    descriptions = {
        out.description: dataset_description(),
        out.vessels_description: vessels_description(),
    }
    for path, content in descriptions.items():
        Path(path).write_text(json.dumps(content, indent=2) + "\n")
    Path(out.readme).write_text(README)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
