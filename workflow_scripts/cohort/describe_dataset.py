"""What makes the output folder a BIDS derivative: its description, and the data dictionaries
that the tables of all sessions share (BIDS inheritance)."""

import json
from pathlib import Path

from workflow_scripts import __version__
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_descriptions, write_dictionary

DESCRIPTION = {
    "Name": "neuroimmune-mri derivatives",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "neuroimmune-mri", "Version": __version__}],
}


def main(source, out, params):
    """Write the description and the shared data dictionaries."""
    Path(out.description).write_text(json.dumps(DESCRIPTION, indent=2) + "\n")
    for paths, columns in (
        (out.diffusion, resource("columns/diffusion.tsv")),
        (out.vessel_wall, resource("columns/vessel_wall.tsv")),
    ):
        for path in paths:
            write_dictionary(read_descriptions(columns), Path(path))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
