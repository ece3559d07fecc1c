"""The cohort's tables: scan status, and participants with their phenotype."""

from pathlib import Path

import pandas as pd

from workflow_scripts.cohort.index import read_rows
from workflow_scripts.cohort.participants import read_participants
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


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        preflight = read_table(snakemake.input.preflight)  # noqa: F821
        problems = preflight["problem"].astype(object).where(preflight["problem"].notna(), None)
        exclusions = snakemake.input.get("exclusions")  # noqa: F821
        status = scan_status(
            read_rows(snakemake.input.index),  # noqa: F821
            dict(zip(preflight["path"], problems, strict=True)),
            read_rows(exclusions) if exclusions else [],
        )
        write_table(status, snakemake.output.scans, columns=resource("columns/cohort.tsv"))  # noqa: F821
        participants = pd.DataFrame(
            read_participants(Path(snakemake.input.participants).parent)  # noqa: F821
        )
        participants.to_csv(snakemake.output.participants, sep="\t", index=False, na_rep="n/a")  # noqa: F821
