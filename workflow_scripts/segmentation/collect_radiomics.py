"""Features of a region of all sessions in one table, and how stable each is against its mask."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.stability import MASKS, icc, wide
from workflow_scripts.common.tables import write_table

COLUMNS = [*SCAN, "feature", *MASKS, "reason"]


def collect(manifest: list[dict]) -> pd.DataFrame:
    """A row per session and feature, and one per reason why something was not measured.

    Parameters
    ----------
    manifest : participant_id, session_id, sidecar of measure_radiomics, None where it was not run,
        and then its reason
    """
    rows = []
    for session in manifest:
        scan = {key: session[key] for key in SCAN}
        told = {"Features": {}, "Flags": [session["reason"]]}
        if session["sidecar"]:
            told = json.loads(Path(session["sidecar"]).read_text())
        rows += [scan | {"feature": name} | found for name, found in told["Features"].items()]
        rows += [scan | {"reason": reason} for reason in told["Flags"]]
    return pd.DataFrame(rows, columns=COLUMNS)


def stability(table: pd.DataFrame) -> pd.DataFrame:
    """ICC(A,1) of each feature over its masks, with the number of sessions that have all three."""
    of_masks = [wide(table, mask).drop(columns=SCAN) for mask in MASKS]
    names = list(of_masks[0])
    values = np.stack([found[names].to_numpy(float) for found in of_masks], axis=1)
    found, n = icc(values)
    return pd.DataFrame({"feature": names, "n": n, "icc": found})


def main(source, out, params):
    """Write the features of a cohort's or a study's sessions, and their stability in all of them.

    Which of them a model reads is decided anew in each training side, not by this table.
    """
    table, columns = collect(params.manifest), resource("columns/radiomics.tsv")
    write_table(table, out.table, columns)
    write_table(stability(table), out.stability, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
