"""What makes the output folder a BIDS derivative: its description, and the data dictionaries
and spaces that the tables and images of all sessions share (BIDS inheritance)."""

import json
import shutil
from pathlib import Path

from workflow_scripts import __version__
from workflow_scripts.common.bids import entities_of
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_descriptions, write_dictionary

DESCRIPTION = {
    "Name": "neuroimmune-mri derivatives",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "neuroimmune-mri", "Version": __version__}],
}


SPACES = {
    "MNI152NLin2009aSym": "MNI152NLin2009aSym, as packaged in nilearn",
    "T1w": "The T1w of the session, desc-preproc_T1w",
}


def write_json(content: dict, path) -> None:
    """Write an object as JSON."""
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def main(source, out, params):
    """Write the description, what validators pass over, and what sessions share."""
    sources = [{"URL": link} for link in params.links.values()]
    datasets = {"SourceDatasets": sources, "DatasetLinks": params.links}
    write_json(DESCRIPTION | datasets, out.description)
    shutil.copyfile(resource("bidsignore"), out.ignored)
    for path in out.spaces:
        content = {"SpatialReference": SPACES[entities_of(Path(path).name)["space"]]}
        stripped = {"SkullStripped": True} if "desc-brain" in path else {}
        write_json(content | stripped, path)
    for paths, columns in (
        (out.diffusion, resource("columns/diffusion.tsv")),
        (out.vessel_wall, resource("columns/vessel_wall.tsv")),
    ):
        for path in paths:
            write_dictionary(read_descriptions(columns), Path(path))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
