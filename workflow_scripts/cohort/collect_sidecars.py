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


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        collected = {path: read_sidecar(path) for path in snakemake.input}  # noqa: F821
        Path(snakemake.output[0]).write_text(json.dumps(collected) + "\n")  # noqa: F821
