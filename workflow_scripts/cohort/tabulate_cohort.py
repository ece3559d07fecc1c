"""Status of every scan of the cohort."""

import pandas as pd

from workflow_scripts.cohort.acquisition import ACQUISITION
from workflow_scripts.cohort.status import problem_of, state_of_scan
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.tables import write_table

TAKEN = ["voxel_size_mm", *ACQUISITION]
NOT_SEEN = "not seen by the preflight; run the workflow again"


def scan_status(
    index: list[dict],
    problems: dict[str, str | None],
    exclusions: list[dict],
    notes: dict[str, str | None] | None = None,
    taken: dict[str, dict] | None = None,
) -> pd.DataFrame:
    """Status of every scan that the index expects.

    Parameters
    ----------
    index : rows with participant_id, session_id, suffix, path, and a note if there is any
    problems : BIDS URI -> what the preflight found wrong, None for a good scan
    exclusions : rows with participant_id, session_id, suffix, reason
    notes : BIDS URI -> what the preflight has to say about scans that can be used
    taken : BIDS URI -> how the scan was taken, a value for each of `TAKEN`

    Returns
    -------
    The index, with BIDS URIs, ``status`` (MISSING, EXCLUDED, INVALID or AVAILABLE),
    ``reason``, ``note`` and `TAKEN`.
    """
    rows = []
    for scan in index:
        uri = bids_uri(scan["path"])
        status, reason = state_of_scan(scan, problems.get(uri, NOT_SEEN), exclusions)
        said = [scan.get("note"), (notes or {}).get(uri)] if status == "AVAILABLE" else []
        note = "; ".join(filter(None, said)) or None
        row = {"path": uri, "status": status, "reason": reason, "note": note}
        rows.append(scan | row | (taken or {}).get(uri, {}))
    columns = ["participant_id", "session_id", "suffix", "status", "reason", "note", "path"]
    columns += TAKEN
    return pd.DataFrame(rows, columns=columns)


def main(source, out, params):
    """Write the status of all scans."""
    preflight = read_rows(source.preflight, quoted=True)
    exclusions = [source.get(name) for name in ("exclusions", "rated")]
    status = scan_status(
        read_rows(source.index),
        {row["path"]: problem_of(row) for row in preflight},
        [row for path in exclusions if path for row in read_rows(path)],
        {row["path"]: row.get("note") for row in preflight},
        {row["path"]: {name: row.get(name) for name in TAKEN} for row in preflight},
    )
    write_table(status, out.scans, columns=resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
