"""What the Snakefile knows of the cohort before any job runs."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.cohort.index import (
    index_scans,
    index_vessels,
    read_rows,
    with_gaps,
    write_index,
)
from workflow_scripts.cohort.participants import (
    check_exclusions,
    check_labels,
    exclusion_reason,
    read_exclusions,
    read_participants,
)
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError

CLOCKS_APART_S = 60  # of the machines that write scans and results


@dataclass(frozen=True)
class Cohort:
    """Participants, index rows and exclusions of a dataset."""

    participants: list[dict]
    index: list[dict]
    exclusions: list[dict]

    def scans(self, suffix: str) -> dict[str, list[dict]]:
        """Index rows of the scans that are there and not excluded, by session prefix."""
        found: dict[str, list[dict]] = {}
        for row in self.index:
            if row["suffix"] != suffix or not row["path"]:
                continue
            session = row["participant_id"], row["session_id"]
            if not exclusion_reason(self.exclusions, *session, suffix):
                found.setdefault(session_prefix(*session), []).append(row)
        return found

    def usable(self, suffix: str) -> dict[str, dict]:
        """Like `scans`, of a suffix of which a session has one: the row itself."""
        return {prefix: rows[0] for prefix, rows in self.scans(suffix).items()}

    def population(self, study: dict) -> list[dict]:
        """Participants that a study can draw from: with its scans and one of its classes."""
        first, *others = [self.usable(suffix) for suffix in study["requires"]]
        sessions: dict[str, str | None] = {}
        for prefix, row in first.items():
            wanted = study["session"] in ("first", row["session_id"])
            if wanted and all(prefix in other for other in others):
                sessions.setdefault(row["participant_id"], row["session_id"])
        labels = {row["participant_id"]: row[study["label"]] for row in self.participants}
        return [
            {"participant_id": name, "session_id": session, "label": labels[name]}
            for name, session in sessions.items()
            if labels[name] in study["classes"]
        ]


def load_cohort(config: dict, bids_dir: Path, index_file: Path | None, build_index: bool) -> Cohort:
    """Read and check participants, exclusions and the index of the scans.

    Parameters
    ----------
    config : checked configuration
    bids_dir : root of the dataset
    index_file : where the index is kept for the processes of the jobs; None for
        a run of some participants alone, whose folders are read by each process
    build_index : True in the main process; the jobs' own processes read
        ``index_file``

    Raises
    ------
    InputError
        Saying which file and row is wrong.
    """
    only = config["participants"]
    participants = read_participants(bids_dir, only if build_index else [])
    names = {row["participant_id"] for row in participants}
    exclusions = read_exclusions(Path(config["exclusions"]), names) if config["exclusions"] else []
    if index_file and not build_index:
        return make_cohort(config, participants, read_rows(index_file), exclusions)
    index = index_scans(bids_dir, config["scans"], only)
    if config["vessel_wall"]["derivatives"]:
        index += index_vessels(Path(config["vessel_wall"]["derivatives"]), only)
    strangers = sorted({row["participant_id"] for row in index} - names)
    if strangers:
        raise InputError(
            f"{bids_dir}/participants.tsv: no row for {', '.join(strangers)}, "
            "which have scans; add the rows"
        )
    index = complete(index, _rows_of(only, participants), config["scans"])
    cohort = make_cohort(config, participants, index, exclusions)
    check_exclusions(cohort.exclusions, cohort.index)
    _check_files(cohort)
    if index_file:
        write_index(index, index_file)
    return cohort


def _check_files(cohort: Cohort) -> None:
    """Links must lead to files, and no file come from the future: its results would be older."""
    paths = [
        row["path"]
        for suffix in sorted({row["suffix"] for row in cohort.index})
        for rows in cohort.scans(suffix).values()
        for row in rows
    ]
    broken, future, latest = [], [], time.time() + CLOCKS_APART_S
    for path in paths:
        try:
            if os.stat(path).st_mtime > latest:
                future.append(path)
        except OSError:
            broken.append(path)
    if broken:
        raise InputError(
            "links to files that are not there; fetch the files or exclude the scans:\n  "
            + "\n  ".join(broken)
        )
    if future:
        raise InputError(
            "files with a time stamp in the future; set the clock right or 'touch' them:\n  "
            + "\n  ".join(future)
        )


def make_cohort(
    config: dict, participants: list[dict], index: list[dict], exclusions: list[dict]
) -> Cohort:
    """Check the studies' labels, and put a cohort together of the participants asked for."""
    for name, study in config["studies"].items():
        check_labels(participants, name, study)
    only = config["participants"]
    unknown = sorted(set(only or []) - {row["participant_id"] for row in participants})
    if unknown:
        raise InputError(
            f"participants: {', '.join(unknown)} is not in participants.tsv; correct the id"
        )
    return Cohort(*(_rows_of(only, rows) for rows in (participants, index, exclusions)))


def _rows_of(only: list[str] | None, rows: list[dict]) -> list[dict]:
    """Rows of the participants asked for; all where nobody is."""
    return [row for row in rows if row["participant_id"] in only] if only else rows


def complete(index: list[dict], participants: list[dict], suffixes) -> list[dict]:
    """Index with the gaps of every session, and of participants without any file."""
    rows = [row for row in index if row["path"]]
    sessions = {(row["participant_id"], row["session_id"]) for row in index}
    present = {participant for participant, _ in sessions}
    sessions |= {
        (row["participant_id"], None)
        for row in participants
        if row["participant_id"] not in present
    }
    return with_gaps(rows, sessions, suffixes)


def frozen_population(kept: Path, study: dict, name: str, cohort: Cohort) -> list[dict]:
    """Population of a study: that of its kept split, or today's where none is drawn yet.

    Raises
    ------
    InputError
        If a participant of the kept split can no longer be used, or has another
        label or session now.
    """
    today = cohort.population(study)
    if not kept.is_file():
        _check_class_sizes(today, study, name)
        return today
    frozen = read_rows(kept)
    now = {row["participant_id"]: row for row in today}
    changed = [row["participant_id"] for row in frozen if now.get(row["participant_id"]) != row]
    if changed:
        raise InputError(
            f"studies.{name}.split {study['split']} was drawn with {', '.join(changed)}, which now "
            f"have no usable {' and '.join(study['requires'])}, another label or another session; "
            f"undo that, or set studies.{name}.split to {study['split'] + 1} to draw a new split"
        )
    return frozen


def _check_class_sizes(population: list[dict], study: dict, name: str) -> None:
    labels = [row["label"] for row in population]
    scans = " and ".join(study["requires"])
    empty = [label for label in study["classes"] if label not in labels]
    if empty:
        raise InputError(
            f"studies.{name}.classes: no participant of class {', '.join(empty)} has a usable "
            f"{scans}; correct the classes or add participants"
        )
    if "design" not in study:
        return
    design = study["design"]
    problems = [
        f"studies.{name}.design: class {label} has {labels.count(label)} participants with a "
        f"usable {scans}, a trial needs {needed} ({design['train'][label]} to train and "
        f"{design['test'][label]} to test); lower the numbers or add participants"
        for label in study["classes"]
        if labels.count(label) < (needed := design["train"][label] + design["test"][label])
    ]
    if problems:
        raise InputError("\n  ".join(problems))


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
