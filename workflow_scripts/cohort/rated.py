"""Scans that are left out because their pictures are rated so.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from pathlib import Path

from workflow_scripts.cohort.index import write_rows
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.ratings import (
    is_void,
    picture_of,
    rating_files,
    read_ratings,
    suffix_of,
)
from workflow_scripts.common.rows import read_rows

EXCLUDED = "cohort/exclusions_rated.tsv"
FIELDS = ["participant_id", "session_id", "suffix", "reason"]


def rated_exclusions(
    ratings: list[dict], exclude: list[str], output_dir: Path
) -> tuple[list[dict], list[str]]:
    """Exclusions of the scans that anybody has rated so, and sentences about them.

    Parameters
    ----------
    ratings : rows as from `read_ratings`
    exclude : ratings that exclude a scan
    output_dir : with the pictures; the rating of one that has changed since is void and
        excludes nothing, see `is_void`
    """
    asked = sorted(
        (row for row in ratings if row["rating"] in exclude),
        key=lambda row: ([part or "" for part in picture_of(row)], row["rater"]),
    )
    held, void = [], []
    for row in asked:
        (void if is_void(row, output_dir) else held).append(row)
    rows = [
        {
            "participant_id": row["participant_id"],
            "session_id": row["session_id"],
            "suffix": suffix_of(row),
            "reason": f"rated {row['rating']} by {row['rater']}"
            + (f": {row['reason']}" if row["reason"] else ""),
        }
        for row in held
    ]
    scans = {(row["participant_id"], row["session_id"], row["suffix"]) for row in rows}
    told = [f"ratings: scans excluded for their pictures: {len(scans)}"] * bool(scans)
    if void:
        told.append(
            f"ratings: {len(void)} that would exclude a scan are void, since the pictures have "
            f"changed; rate them again: {', '.join(map(_name, void))}"
        )
    return rows, told


def kept_exclusions(config: dict, output_dir: Path) -> list[dict]:
    """`rated_exclusions` as the main process of a run has kept them for the jobs."""
    return read_rows(output_dir / EXCLUDED) if config["exclude_rated"] else []


def read_rated(config: dict, output_dir: Path, keep: bool) -> tuple[list, list[dict], list[str]]:
    """Ratings, `rated_exclusions` and what is to be said of both.

    Parameters
    ----------
    config : checked configuration
    output_dir : of the run
    keep : whether the exclusions are written down for the processes of the jobs, while whose
        run pictures may change

    Raises
    ------
    InputError
        See `read_ratings`.
    """
    ratings, told = read_ratings(rating_files(config["ratings"]))
    rows, more = rated_exclusions(ratings, config["exclude_rated"], output_dir)
    if keep and config["exclude_rated"]:
        write_rows(rows, FIELDS, output_dir / EXCLUDED)
    return ratings, rows, told + more


def check_rated(ratings: list[dict], index: list[dict]) -> None:
    """Raise InputError for ratings of sessions that the dataset does not have."""
    known = {(row["participant_id"], row["session_id"]) for row in index}
    problems = [
        f"{row['place']}: the dataset has no session "
        f"{session_prefix(row['participant_id'], row['session_id'])}; correct it, or delete the "
        "line"
        for row in ratings
        if (row["participant_id"], row["session_id"]) not in known
    ]
    if problems:
        raise InputError(listing(problems))


def _name(row: dict) -> str:
    prefix = session_prefix(row["participant_id"], row["session_id"])
    return f"{prefix} {suffix_of(row)} ({row['rater']})"
