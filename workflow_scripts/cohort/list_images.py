"""List the files of a BIDS dataset with their entities, as JSON on the standard output.

``python -m workflow_scripts.cohort.list_images ROOT [PARTICIPANT ...]``, a program of its own,
so that the process that runs for days does not hold the memory of bids2table.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from workflow_scripts.common.job import InputError


def list_images(root: Path, only: list[str] | None) -> list[dict]:
    """Entities, suffix, extension and path of each file of a dataset, without empty entities.

    Parameters
    ----------
    root : root of the BIDS dataset
    only : participants whose folders are read; None for all

    Raises
    ------
    InputError
        With what was printed, if the folder cannot be read.
    """
    command = [sys.executable, "-m", __name__, str(root), *(only or [])]
    own = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.run(command, capture_output=True, text=True, env=own)
    if process.returncode:
        raise InputError(f"{root}: cannot be read: {process.stderr.strip()[-1000:]}")
    return json.loads(process.stdout)


if __name__ == "__main__":
    import bids2table

    root, *only = sys.argv[1:]
    table = bids2table.index_dataset(root, only or None)
    rows = ({k: v for k, v in row.items() if v is not None} for row in table.to_pylist())
    json.dump([row for row in rows if "sub" in row], sys.stdout)
