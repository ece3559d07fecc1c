"""Notes about the ages of participants, who should be adults like the templates.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import re
from pathlib import Path

from workflow_scripts.cohort.dictionaries import described_column, read_described, read_dictionary
from workflow_scripts.cohort.participants import exclusion_reason
from workflow_scripts.common.files import is_there
from workflow_scripts.common.job import InputError
from workflow_scripts.common.values import NUMBER, folded

# The template's 152 people were 18.5 to 43.5 years old (Fonov et al. 2011,
# 10.1016/j.neuroimage.2010.07.033).
ADULT, OLDEST = 18, 115
PER_YEAR = {"mo": 12, "w": 52.18, "d": 365.25}
AGE = re.compile(r"[0-9]+(\.[0-9]*)?\+?")  # 89+ stands for all who are older


def note_ages(
    bids_dir: Path, index: list[dict], participants: list[dict], exclusions: list[dict]
) -> None:
    """Add a note to the T1w, or else the first scan, of each session of a child.

    Parameters
    ----------
    index : rows of all scans, in the order of the sessions; their ``note`` is changed
    participants : rows of participants.tsv; where it has no age, that of sub-*_sessions.tsv counts
    exclusions : scans left out, which nothing is said of
    """
    ages = {row["participant_id"]: _age(row) for row in participants}
    units = _units(read_dictionary(bids_dir / "participants.json"))
    later: dict[str, dict] = {}
    for (participant, session), row in bearers(index, exclusions).items():
        age, per_year = ages.get(participant), units
        if age is None and session:
            if participant not in later:
                later[participant] = _ages_of_sessions(bids_dir, participant)
            age, per_year = later[participant].get(session, (None, 1))
        if (
            age
            and AGE.fullmatch(age)
            and (note := age_note(float(age.removesuffix("+")) / per_year))
        ):
            add_note(row, note)


def bearers(index: list[dict], exclusions: list[dict]) -> dict[tuple, dict]:
    """By session the row at which notes about it stand: of its T1w, or else its first scan."""
    found: dict[tuple, dict] = {}
    for row in index:
        keys = row["participant_id"], row["session_id"]
        if row["path"] and not exclusion_reason(exclusions, *keys, row["suffix"], row["path"]):
            if row["suffix"] == "T1w":
                found[keys] = row
            found.setdefault(keys, row)
    return found


def add_note(row: dict, *notes: str) -> None:
    """Add notes to a row of the index."""
    row["note"] = "; ".join(dict.fromkeys(filter(None, [row.get("note"), *notes])))


def age_note(years: float) -> str | None:
    """What is to be known of an age."""
    if years > OLDEST:
        return f"age {years:g} years: a code for a missing value, or the year of birth?"
    if years < ADULT:
        return (
            f"age {years:.3g} years: templates, atlases and networks are those of adults, so look "
            "at registration and volumes before they are believed"
        )
    return None


def _age(row: dict) -> str | None:
    """The age of a row, whose column may have other capitals."""
    column = next((name for name in ("age", *row) if name in row and folded(name) == "age"), None)
    return row.get(column)


def _units(dictionary: dict) -> float:
    """How many of the units that a dictionary gives for the age make a year."""
    entry = described_column(dictionary, "age")
    units = next((entry[key] for key in entry if key.casefold() in ("unit", "units")), "")
    units = folded(str(units))
    return next((number for unit, number in PER_YEAR.items() if units.startswith(unit)), 1)


def _ages_of_sessions(bids_dir: Path, participant: str) -> dict[str, tuple[str, float]]:
    """Age, as it stands there, and its units by session; what no study reads may be anything."""
    table = bids_dir / participant / f"{participant}_sessions.tsv"
    try:
        above = read_dictionary(bids_dir / "sessions.json")
        rows = read_described(table, {"session_id", "age"}, above) if is_there(table) else []
        units = _units(above | read_dictionary(table.with_suffix(".json")))
    except InputError:
        return {}
    return {
        row["session_id"]: (row["age"], units)
        for row in rows
        if row.get("session_id") and NUMBER.fullmatch(row.get("age") or "")
    }
