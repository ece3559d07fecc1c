"""Add the reverse-phase b=0 image, simulated with the diffusion series, to the dataset."""

import json
import shutil
from pathlib import Path

from workflow_scripts.common.job import job
from workflow_scripts.demo.echo_planar import REVERSE, sidecar


def fieldmap_sidecar(bids_uri):
    """BIDS sidecar of the image; it is meant for the series at ``bids_uri``."""
    return sidecar(REVERSE) | {"IntendedFor": [bids_uri]}


def main(source, out, wildcards):
    """Copy the reverse-phase image of a participant, and write its sidecar."""
    shutil.copyfile(source.opposite, out.epi)
    series = f"{wildcards.folder}/dwi/{wildcards.prefix}_dir-AP_dwi.nii.gz"
    content = fieldmap_sidecar(f"bids::{series}")
    Path(out.json).write_text(json.dumps(content, indent=2) + "\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.wildcards)
