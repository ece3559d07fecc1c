"""Stop the group steps while the cohort holds scans that cannot be used."""

from pathlib import Path

import pandas as pd

from workflow_scripts.cohort.disk import estimate_bytes
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.tables import read_table


def check_status(status: pd.DataFrame) -> str:
    """Summary of the scan status.

    Raises
    ------
    InputError
        Naming every INVALID scan, and the lines that would exclude them.
    """
    invalid = status[status["status"] == "INVALID"].astype(object).fillna("n/a")
    if len(invalid):
        problems = [f"  {row.path}: {row.reason}" for row in invalid.itertuples()]
        lines = [
            f"  {row.participant_id}\t{row.session_id}\t{_excluded(row, status)}\t{row.reason}"
            for row in invalid.itertuples()
        ]
        raise InputError(
            "\n".join(
                [
                    f"{len(invalid)} scans cannot be used:",
                    *problems,
                    "Repair them, or add these lines (tab-separated) to the exclusions TSV:",
                    *lines,
                ]
            )
        )
    counts = status.groupby(["suffix", "status"]).size()
    lines = [f"{suffix}\t{state}\t{n}" for (suffix, state), n in counts.items()]
    return "\n".join([*lines, *notes_of(status)]) + "\n"


def _excluded(row, status: pd.DataFrame) -> str:
    """What an exclusion names: the suffix, or the file where other series can be used."""
    others = status[(status["suffix"] == row.suffix) & (status["status"] == "AVAILABLE")]
    sessions = others[["participant_id", "session_id"]].fillna("n/a").itertuples(index=False)
    others_there = (row.participant_id, row.session_id) in map(tuple, sessions)
    of_many = row.suffix in ("dwi", "epi") and others_there
    return row.path.rpartition("/")[2] if of_many else row.suffix


def notes_of(status: pd.DataFrame) -> list[str]:
    """A line for each scan of which there is something to be known."""
    noted = status.dropna(subset="note") if "note" in status else status[:0]
    return [f"note\t{row.path}\t{row.note}" for row in noted.itertuples()]


def main(source, out, params):
    """Write the summary, with an estimate of the disk that the results take."""
    status = read_table(source.scans)
    summary = check_status(status)
    usable = (status["suffix"] == "T1w") & (status["status"] == "AVAILABLE")
    size = estimate_bytes(
        int(read_table(source.preflight)["size_bytes"].sum()),
        int(usable.sum()),
        params.resolution,
        params.nonlinear,
    )
    Path(out[0]).write_text(summary + f"estimated disk\t{size / 1e9:.2g} GB\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
