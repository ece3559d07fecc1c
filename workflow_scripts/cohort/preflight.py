"""Open every scan of the cohort and say what is wrong with it, before anything runs."""

from pathlib import Path

import pandas as pd

from workflow_scripts.cohort.acquisition import ACQUISITION, acquisition
from workflow_scripts.cohort.session_checks import compare_scans
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.scans import SCAN_FIELDS, check_scan, stamp
from workflow_scripts.common.tables import read_table, write_table

COLUMNS = [*SCAN_FIELDS, *ACQUISITION, "conflict", "note", "code"]


def check_scans(
    paths: list[str],
    known: pd.DataFrame,
    code: str,
    slabs=(),
    reverse=(),
    masks=(),
    label_images=(),
    body_part="brain",
) -> pd.DataFrame:
    """Check scans, reusing rows of ``known`` that hold still; in the table go their BIDS URIs.

    A row holds while the file and its gradient table have their size and time stamp, and the
    checks have the fingerprint ``code``. ``slabs`` are those that may show a piece of the head,
    ``reverse`` those that may be one image of reverse phase encoding, ``masks`` those of lesions
    and of regions, see `startup.Start.masks`, ``label_images`` those of other programs. What is
    compared between scans is compared anew, see `compare_scans`, and metadata are read anew.
    ``body_part`` is what the scans show.
    """
    rows = {row["path"]: row for row in known.to_dict("records")}
    uris = {bids_uri(path): path for path in paths}

    def unchanged(uri: str, path: str) -> bool:
        row = rows.get(uri)
        if row is None or row["code"] != code or not Path(path).is_file():
            return False
        return stamp(Path(path)).items() <= row.items()

    for uri, path in uris.items():
        if not unchanged(uri, path):
            row = check_scan(path, path in slabs, path in reverse, path in label_images, body_part)
            rows[uri] = row | {"path": uri, "code": code}
    table = pd.DataFrame([rows[uri] for uri in sorted(uris)], columns=[*SCAN_FIELDS, "code"])
    table = table.astype({"shell": float, "directions": "Int64"})
    taken = pd.DataFrame([acquisition(uris[uri]) for uri in table["path"]], index=table.index)
    compared = compare_scans(table, uris, reverse, masks, body_part)
    return pd.concat([compared, taken], axis=1).reindex(columns=COLUMNS)


def main(source, out, params):
    """Check the scans, those that changed since the last time."""
    table = Path(out.table)
    known = read_table(table) if table.is_file() else pd.DataFrame(columns=COLUMNS)
    checked = check_scans(
        list(source.scans),
        known,
        params.code,
        params.slabs,
        params.epi,
        params.masks,
        {*params.label_images},
        params.body_part,
    )
    write_table(checked, table, columns=resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake, inputs_read=False):
        main(snakemake.input, snakemake.output, snakemake.params)
