"""What the Snakefile knows of the cohort before any job runs."""

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.cohort.ages import add_note, bearers, note_ages
from workflow_scripts.cohort.check_values import check_values
from workflow_scripts.cohort.clinical import (
    SESSION,
    add_scanners,
    named_columns,
    read_clinical,
    write_clinical,
)
from workflow_scripts.cohort.dictionaries import descriptions
from workflow_scripts.cohort.frozen import frozen_columns
from workflow_scripts.cohort.index import (
    index_lesions,
    index_scans,
    index_vessels,
    with_gaps,
    write_index,
)
from workflow_scripts.cohort.participants import (
    check_exclusions,
    exclusion_reason,
    read_exclusions,
    read_participants,
)
from workflow_scripts.cohort.population import check_labels
from workflow_scripts.cohort.segmentation import segmentations
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.files import FETCH, why_unreadable
from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows

CLINICAL = "clinical.tsv"
CLOCKS_APART_S = 60  # of the machines that write scans and results


@dataclass(frozen=True)
class Cohort:
    """Participants, index rows and exclusions of a dataset.

    Attributes
    ----------
    clinical : rows of the participants' tables by participant and session
    """

    participants: list[dict]
    index: list[dict]
    exclusions: list[dict]
    clinical: dict[tuple, dict]

    def scans(self, suffix: str) -> dict[str, list[dict]]:
        """Index rows of the scans that are there and not excluded, by session prefix."""
        found: dict[str, list[dict]] = {}
        for row in self.index:
            if row["suffix"] != suffix or not row["path"]:
                continue
            session = row["participant_id"], row["session_id"]
            if not exclusion_reason(self.exclusions, *session, suffix, row["path"]):
                found.setdefault(session_prefix(*session), []).append(row)
        return found

    @property
    def sessions(self) -> set[str]:
        """Prefixes of the sessions that the dataset has any scan of, usable or not."""
        return {
            session_prefix(row["participant_id"], row["session_id"])
            for row in self.index
            if row["path"]
        }

    def usable(self, suffix: str) -> dict[str, dict]:
        """Like `scans`, of a suffix of which a session has one: the row itself."""
        return {prefix: rows[0] for prefix, rows in self.scans(suffix).items()}


def load_cohort(
    config: dict, bids_dir: Path, index_file: Path | None, build_index: bool, rated: Sequence = ()
) -> Cohort:
    """Read and check participants, exclusions and the index of the scans.

    Parameters
    ----------
    config : checked configuration
    bids_dir : root of the dataset
    index_file : where the index is kept for the processes of the jobs; None for
        a run of some participants alone, whose folders are read by each process
    build_index : True in the main process; the jobs' own processes read
        ``index_file``
    rated : exclusions beside those of the configuration's table, see `rated_exclusions`

    Raises
    ------
    InputError
        Saying which file and row is wrong.
    """
    only = config["participants"]
    if build_index:
        _require_folder(bids_dir)
    named = {*named_columns(config["studies"], frozen_columns(config))}
    participants = read_participants(bids_dir, only if build_index else [], named)
    names = {row["participant_id"] for row in participants}
    exclusions = read_exclusions(Path(config["exclusions"]), names) if config["exclusions"] else []
    if index_file and not build_index:
        clinical = read_rows(index_file.with_name(CLINICAL))
        exclusions += rated
        return make_cohort(config, participants, read_rows(index_file), exclusions, clinical)
    index = index_scans(bids_dir, config["scans"], only)
    if config["vessel_wall"]["derivatives"]:
        index += index_vessels(Path(config["vessel_wall"]["derivatives"]), only)
    if config["anatomical"]["lesions"]:
        index += index_lesions(Path(config["anatomical"]["lesions"]), only)
    index += segmentations(config["segmentation"], index, only)
    strangers = sorted({row["participant_id"] for row in index} - names)
    if strangers:
        raise InputError(
            f"{bids_dir}/participants.tsv: no row for {', '.join(strangers)}, "
            "which have scans; add the rows"
        )
    index = complete(index, _rows_of(only, participants), config["scans"])
    check_exclusions(_rows_of(only, exclusions), _rows_of(only, index))
    exclusions += rated
    note_ages(bids_dir, index, participants, exclusions)
    clinical = read_clinical(
        bids_dir, participants, _sessions(index), config["studies"], frozen_columns(config)
    )
    add_scanners(clinical, index, config["studies"])
    cohort = make_cohort(config, participants, index, exclusions, clinical)
    there = cohort.sessions
    scanned = [row for row in clinical if session_prefix(*(row[key] for key in SESSION)) in there]
    described, scans = descriptions(bids_dir), bearers(index, exclusions)
    for name, study in config["studies"].items():
        for session, notes in check_values(scanned, name, study, described).items():
            if session in scans:
                add_note(scans[session], *notes)
    _check_files(cohort)
    if index_file:
        keep_cohort(index, clinical, index_file)
    return cohort


def simulated_cohort(
    config: dict, plan, bids_dir: Path, index_file: Path | None, rated: Sequence = ()
) -> Cohort:
    """Cohort of the simulation, from its plan: participants, sessions, scans and exclusions."""
    participants, exclusions = plan.participants, [*plan.exclusions, *rated]
    scans = [*plan.scans, *plan.masks]
    index = [scan | {"path": str(bids_dir / scan["path"]), "note": None} for scan in scans]
    index += segmentations(config["segmentation"], index)
    index = complete(index, participants, config["scans"])
    tables = [*participants, *plan.sessions]
    columns = dict.fromkeys(column for row in tables for column in row)
    as_written = [
        {key: None if row.get(key) is None else str(row[key]) for key in columns} for row in tables
    ]
    clinical = read_clinical(
        None, as_written, _sessions(index), config["studies"], frozen_columns(config)
    )
    add_scanners(clinical, [], config["studies"])  # sidecars are simulated when the run begins
    if index_file:
        keep_cohort(index, clinical, index_file)
    return make_cohort(config, participants, index, exclusions, clinical)


def keep_cohort(index: list[dict], clinical: list[dict], index_file: Path) -> None:
    """Keep what the processes of the jobs read."""
    write_index(index, index_file)
    write_clinical(clinical, index_file.with_name(CLINICAL))


def _sessions(index: list[dict]) -> list[tuple]:
    """Participant and session of the index, each once, in its order."""
    return list(dict.fromkeys((row["participant_id"], row["session_id"]) for row in index))


def _require_folder(bids_dir: Path) -> None:
    """There must be a dataset in the folder, whatever is wrong with it."""
    try:
        empty = not os.listdir(bids_dir)
    except OSError as error:
        raise InputError(f"bids_dir {why_unreadable(bids_dir, error)}") from error
    if empty:
        raise InputError(f"bids_dir {bids_dir}: is empty; {FETCH}, or mount its disk")


def _check_files(cohort: Cohort) -> None:
    """Scans must be readable, and none come from the future: its results would be older."""
    paths = [
        row["path"]
        for suffix in sorted({row["suffix"] for row in cohort.index})
        for rows in cohort.scans(suffix).values()
        for row in rows
    ]
    unreadable, future, latest = [], [], time.time() + CLOCKS_APART_S
    for path in paths:
        try:
            if os.stat(path).st_mtime > latest:
                future.append(path)
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, "permission denied")
        except OSError as error:
            unreadable.append(why_unreadable(path, error))
    if unreadable:
        raise InputError(
            "links to files that are not there, or scans that cannot be read; make them readable "
            "or exclude them:\n  " + "\n  ".join(unreadable)
        )
    if future:
        raise InputError(
            "files with a time stamp in the future; set the clock right or 'touch' them:\n  "
            + "\n  ".join(future)
        )


def make_cohort(
    config: dict,
    participants: list[dict],
    index: list[dict],
    exclusions: list[dict],
    clinical: list[dict],
) -> Cohort:
    """Check the studies' labels, and put a cohort together of the participants asked for."""
    for name, study in config["studies"].items():
        check_labels(clinical, name, study)
    only = config["participants"]
    unknown = sorted(set(only or []) - {row["participant_id"] for row in participants})
    if unknown:
        raise InputError(
            f"participants: {', '.join(unknown)} is not in participants.tsv; correct the id"
        )
    by_session = {(row["participant_id"], row["session_id"]): row for row in clinical}
    tables = (_rows_of(only, rows) for rows in (participants, index, exclusions))
    return Cohort(*tables, by_session)


def _rows_of(only: list[str] | None, rows: list[dict]) -> list[dict]:
    """Rows of the participants asked for; all where nobody is."""
    return [row for row in rows if row["participant_id"] in only] if only else rows


def complete(index: list[dict], participants: list[dict], suffixes) -> list[dict]:
    """Index with the gaps of every session, and of participants without any file."""
    rows = [row for row in index if row["path"] or row.get("note")]
    sessions = {(row["participant_id"], row["session_id"]) for row in index}
    present = {participant for participant, _ in sessions}
    sessions |= {
        (row["participant_id"], None)
        for row in participants
        if row["participant_id"] not in present
    }
    return with_gaps(rows, sessions, suffixes)


def keep_apart(bids_dir: Path, output_dir: Path) -> None:
    """Raise InputError if results would be written among the raw data."""
    if output_dir == bids_dir or (
        bids_dir in output_dir.parents
        and output_dir.relative_to(bids_dir).parts[0] != "derivatives"
    ):
        raise InputError(
            f"output_dir {output_dir} lies among the raw data of bids_dir {bids_dir}; "
            "choose a folder outside, or one in derivatives/"
        )
