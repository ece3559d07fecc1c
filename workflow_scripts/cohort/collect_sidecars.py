"""Put the sidecars of all sessions into one file, which the steps of the cohort read."""

import json
from pathlib import Path

from workflow_scripts.common.job import InputError, job


def read_sidecar(path: str) -> dict:
    """Content of a sidecar.

    Raises
    ------
    InputError
        If it is not there or no JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remake it") from error


def main(source, out, params):
    """Write the content of all sidecars, by path."""
    collected = {path: read_sidecar(path) for path in source}
    Path(out[0]).write_text(json.dumps(collected) + "\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
