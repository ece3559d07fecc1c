"""What the simulated cohorts have in common: the shape of a plan, and how numbers are dealt.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """Who is in a simulated cohort, and which files there are.

    Attributes
    ----------
    participants : rows of participants.tsv, by participant_id
    scans : participant_id, session_id (None without sessions), suffix and path relative to the
        BIDS folder, one row per file
    exclusions : participant_id, session_id, suffix (None: all) and reason
    sessions : rows of the participants' sessions.tsv, with participant_id
    masks : rows as those of ``scans``, of the lesion masks in derivatives/lesions
    sidecars : metadata by the path of their JSON file, of all scans or of none
    body_part : that the scans show
    """

    participants: list[dict]
    scans: list[dict]
    exclusions: list[dict]
    sessions: list[dict]
    masks: list[dict]
    sidecars: dict[str, dict]
    body_part: str = "brain"

    @property
    def sessions_files(self) -> list[str]:
        """The sessions.tsv of participants, and their dictionary."""
        names = dict.fromkeys(row["participant_id"] for row in self.sessions)
        tables = [f"{name}/{name}_sessions.tsv" for name in names]
        return [*tables, "sessions.json"] if tables else []


def class_of(seed: int, number: int, classes: list[str]) -> tuple[int, int]:
    """Class of a participant number and the rank within that class.

    Numbers are dealt in rounds: each round of ``len(classes)`` numbers holds every class once,
    in an order drawn from the seed and the round alone.

    Returns
    -------
    index into ``classes``, and rank (1, 2, ...)
    """
    turn, place = divmod(number - 1, len(classes))
    order = np.random.default_rng([seed, 0, turn]).permutation(len(classes))
    return int(order[place]), turn + 1


def dealt(demo: dict) -> list[tuple[int, tuple[int, int]]]:
    """Number of each participant, with its `class_of`.

    Each class takes the first of the numbers dealt to it, so numbers have gaps where the classes
    differ in size, and raising any count adds participants without changing an existing one.
    """
    classes = list(demo["subjects"])
    numbers = range(1, len(classes) * max(demo["subjects"].values()) + 1)
    places = ((number, class_of(demo["seed"], number, classes)) for number in numbers)
    return [
        (number, (index, rank))
        for number, (index, rank) in places
        if rank <= demo["subjects"][classes[index]]
    ]
