"""Status of every scan of the cohort."""

import pandas as pd

from workflow_scripts.cohort.index import read_rows
from workflow_scripts.cohort.status import state_of_scan
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

NOT_SEEN = "not seen by the preflight; run the workflow again"


def scan_status(
    index: list[dict], problems: dict[str, str | None], exclusions: list[dict]
) -> pd.DataFrame:
    """Status of every scan that the index expects.

    Parameters
    ----------
    index : rows with participant_id, session_id, suffix, path
    problems : BIDS URI -> what the preflight found wrong, None for a good scan
    exclusions : rows with participant_id, session_id, suffix, reason

    Returns
    -------
    The index, with BIDS URIs, ``status`` (MISSING, EXCLUDED, INVALID or AVAILABLE) and
    ``reason``.
    """
    rows = []
    for scan in index:
        uri = bids_uri(scan["path"])
        status, reason = state_of_scan(scan, problems.get(uri, NOT_SEEN), exclusions)
        rows.append(scan | {"path": uri, "status": status, "reason": reason})
    columns = ["participant_id", "session_id", "suffix", "status", "reason", "path"]
    return pd.DataFrame(rows, columns=columns)


def main(source, out, params):
    """Write the status of all scans."""
    preflight = read_table(source.preflight)
    problems = preflight["problem"].astype(object).where(preflight["problem"].notna(), None)
    exclusions = source.get("exclusions")
    status = scan_status(
        read_rows(source.index),
        dict(zip(preflight["path"], problems, strict=True)),
        read_rows(exclusions) if exclusions else [],
    )
    write_table(status, out.scans, columns=resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
