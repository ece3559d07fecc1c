"""Collect the measures of all sessions into one feature table."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.cohort.collect_sidecars import read_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table


def collect(sessions: list[dict], read=read_sidecar) -> pd.DataFrame:
    """One row per session with the ``Measures`` of its sidecars.

    Parameters
    ----------
    sessions : dictionaries with ``participant_id``, ``session_id`` and
        ``sidecars`` (paths of JSON files)
    read : function of such a path to its content
    """
    rows = []
    for session in sessions:
        row = {key: session[key] for key in ("participant_id", "session_id")}
        for path in session["sidecars"]:
            row |= read(path)["Measures"]
        rows.append(row)
    return pd.DataFrame(rows)


def main(source, out, params):
    """Write the feature table of the cohort or of a study."""
    read = read_sidecar
    if source.collected:
        read = json.loads(Path(source.collected).read_text()).__getitem__
    table = collect(params.sessions, read)
    write_table(table, out.table, columns=resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
