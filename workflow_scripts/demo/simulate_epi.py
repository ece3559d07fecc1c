"""Add the reverse-phase b=0 image, simulated with the diffusion series, to the dataset."""

import json
import shutil
from pathlib import Path

from workflow_scripts.common.job import job
from workflow_scripts.demo.simulate_dwi import REVERSE, sidecar


def fieldmap_sidecar(bids_uri):
    """BIDS sidecar of the image; it is meant for the series at ``bids_uri``."""
    return sidecar(REVERSE) | {"IntendedFor": [bids_uri]}


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        out = snakemake.output  # noqa: F821
        name = snakemake.wildcards.participant  # noqa: F821
        shutil.copyfile(snakemake.input.opposite, out.epi)  # noqa: F821
        content = fieldmap_sidecar(f"bids::{name}/dwi/{name}_dir-AP_dwi.nii.gz")
        Path(out.json).write_text(json.dumps(content, indent=2) + "\n")
