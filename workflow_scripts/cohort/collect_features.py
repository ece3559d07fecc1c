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


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        read = read_sidecar
        if snakemake.input.collected:  # noqa: F821
            read = json.loads(Path(snakemake.input.collected).read_text()).__getitem__  # noqa: F821
        table = collect(snakemake.params.sessions, read)  # noqa: F821
        write_table(table, snakemake.output.table, columns=resource("columns/cohort.tsv"))  # noqa: F821
