"""The volumes of a study's input as one memory map."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table


def read_volumes(path) -> tuple[np.ndarray, pd.DataFrame]:
    """Memory map of the volumes and the table of who they are.

    Returns
    -------
    volumes : (n, channels, x, y, z) float16, not read until used
    index : columns row, participant_id, session_id, label
    """
    return np.load(path, mmap_mode="r"), read_table(Path(path).with_suffix(".tsv"))


def rows_of(index: pd.DataFrame, scans: pd.DataFrame) -> np.ndarray:
    """Rows of the memory map that hold these scans (participant_id, session_id).

    Raises
    ------
    InputError
        If a scan is not in the map.
    """
    keys = ["participant_id", "session_id"]
    found = scans[keys].merge(index, on=keys, how="left")["row"]
    if found.isna().any():
        missing = sorted(scans.loc[found.isna().to_numpy(), "participant_id"])
        raise InputError(f"volumes of the input: holds no scan of {missing}; make it again")
    return found.to_numpy(int)
