"""Brain masks that somebody has corrected, which stand in for what the workflow finds.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import os
from datetime import date
from pathlib import Path

from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.record import checksum
from workflow_scripts.common.rows import read_rows, row_lines

TABLE = "corrections.tsv"
COLUMNS = ["participant_id", "session_id", "rater", "date", "reason", "scan_sha256"]
MASK = "desc-brain_mask.nii.gz"
DESCRIPTION = '{"Name": "corrections", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}'


def read_corrections(
    folder: str, sessions: set[str], t1w: dict[str, dict], check: bool
) -> dict[str, dict]:
    """Corrected masks by session prefix: ``mask``, its path, and ``told``, what is known of it.

    That is the row of the table and the mask's size in bytes, so that a mask replaced by an older
    file is seen too, and no path, so that a folder that moves changes nothing. Those of sessions
    whose T1w is missing or excluded are passed over.

    Parameters
    ----------
    folder : with `TABLE` and the masks, named as the workflow names them
    sessions : prefixes of all sessions of the dataset
    t1w : index row of each usable T1w, by session prefix
    check : whether the folder is looked through for masks that the table does not name

    Raises
    ------
    InputError
        If the table lacks a column or a value, names no session of the dataset or one twice, a
        mask is not there, or one has no row.
    """
    root = Path(folder)
    table = root / TABLE
    if not table.is_file():
        raise InputError(f"corrections: {root} has no {TABLE}; its columns: {', '.join(COLUMNS)}")
    if not (root / "dataset_description.json").is_file():
        raise InputError(
            f"corrections: {root} has no dataset_description.json, by which its files are recorded "
            f"wherever they lie; write one: {DESCRIPTION}"
        )
    found, named = {}, set()
    for number, row in zip(row_lines(table), read_rows(table), strict=True):
        if lacking := [name for name in COLUMNS if name != "session_id" and not row.get(name)]:
            raise InputError(f"{table} line {number}: lacks {', '.join(lacking)}; fill it in")
        prefix = session_prefix(row["participant_id"], row.get("session_id"))
        if prefix not in sessions:
            raise InputError(f"{table} line {number}: the dataset has no session {prefix}")
        if prefix in named:
            raise InputError(f"{table} line {number}: {prefix} stands twice; keep one of them")
        named.add(prefix)
        path = mask_of(root, prefix)
        if not path.is_file():
            raise InputError(f"{table} line {number}: {path} is not there; put it there")
        if prefix in t1w:
            told = {key: row.get(key) for key in COLUMNS} | {"bytes": os.path.getsize(path)}
            found[prefix] = {"mask": str(path), "told": told}
    if check:
        _check_named(root, named, t1w)
    return found


def mask_of(root: Path, prefix: str) -> Path:
    """Where the corrected mask of a session lies."""
    return root / prefix.replace("_ses-", "/ses-") / "anat" / f"{prefix}_{MASK}"


def _check_named(root: Path, named: set[str], t1w: dict[str, dict]) -> None:
    """Every mask of the folder must have a row, which is written out for who lacks it."""
    masks = {path.name.removesuffix(f"_{MASK}") for path in root.glob(f"sub-*/**/*_{MASK}")}
    if strangers := sorted(masks - named):
        rows = []
        for prefix in strangers:
            session = prefix.split("_", 1)
            scan = t1w.get(prefix, {}).get("path")
            digest = checksum(scan)["sha256"] if scan and os.path.isfile(scan) else "(of its T1w)"
            fields = [session[0], session[1] if len(session) > 1 else "n/a"]
            rows.append("\t".join([*fields, "(who)", f"{date.today()}", "(why)", digest]))
        header = "\t".join(COLUMNS)
        raise InputError(
            f"{root / TABLE}: no line for {listing(strangers)}; who corrected them, and why? Add\n"
            + "\n".join([header, *rows])
        )
