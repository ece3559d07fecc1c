"""dataset_description.json, which makes the output folder a BIDS derivative."""

import json
from pathlib import Path

from workflow_scripts import __version__
from workflow_scripts.common.job import job

DESCRIPTION = {
    "Name": "neuroimmune-mri derivatives",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "neuroimmune-mri", "Version": __version__}],
}

if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        Path(snakemake.output[0]).write_text(json.dumps(DESCRIPTION, indent=2) + "\n")  # noqa: F821
