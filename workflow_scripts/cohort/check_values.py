"""Are the columns that a study reads what their dictionaries and the other rows say they are?

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

from workflow_scripts.cohort.clinical import columns_by_key
from workflow_scripts.cohort.dictionaries import declared_problem, is_level
from workflow_scripts.cohort.population import label_of
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.people import CONFOUNDS
from workflow_scripts.common.values import (
    code_problem,
    far_values,
    levels_problem,
    name_problem,
    time_problem,
    value_problem,
)

# Columns that become terms of a model.
TERMS = (".columns", "groups.adjust", "correlations.covariates", "associations.covariates")
# Keys of dates, and of dates or years.
DATES, TIME = "within_days", "evaluation.longitudinal.time"


def check_values(clinical: list[dict], name: str, study: dict, described) -> dict[tuple, list[str]]:
    """Check the columns that a study reads, in the sessions of its classes.

    Parameters
    ----------
    clinical : rows of sessions
    described : function of a column: what the data dictionaries say of it, see `descriptions`

    Returns
    -------
    By participant and session what is to be known of their values, which lie far from all others

    Raises
    ------
    InputError
        Naming each column of numbers with other texts or codes of missing values in it, with
        names in several spellings, with another word than n/a where values are missing, with
        values that contradict its dictionary, with times that are neither dates nor years, or with
        more texts than a model can code; and in whose rows. Or naming a value of external
        participants that nobody has.
    """
    external = study.get("external")
    if external and (problem := _external_problem(clinical, **external)):
        raise InputError(f"studies.{name}.external.values: {problem}")
    rows = [row for row in clinical if label_of(row, study) in study["classes"]]
    prefixes = [session_prefix(row["participant_id"], row["session_id"]) for row in rows]
    problems, notes = [], {}
    for key, columns in columns_by_key(study).items():
        for column in columns if key != DATES else ():
            texts = [row[column] for row in rows]
            values = list(zip(prefixes, texts, strict=True))
            found = _problem(key, column, values, study, described(column))
            if found:
                problems.append(f"studies.{name}.{key}: {found}")
                continue
            for place, note in far_values(column, texts):
                session = rows[place]["participant_id"], rows[place]["session_id"]
                notes.setdefault(session, []).append(note)
    if problems:
        raise InputError(listing(problems))
    return notes


def _external_problem(clinical: list[dict], column: str, values: list[str]) -> str | None:
    """Which value of external participants nobody has, who would be taken for insiders."""
    found = {row[column] for row in clinical} - {None}
    if unknown := sorted(set(values) - found):
        return (
            f"{', '.join(map(repr, unknown))} is the {column} of nobody with a scan (found: "
            f"{', '.join(map(repr, sorted(found)))}); correct it, or take it out"
        )
    return None


def _problem(key: str, column: str, values: list[tuple], study: dict, entries: list[dict]):
    """What is wrong with a column, by the key that names it."""
    if key == TIME:
        return time_problem(column, values)
    label = key == "label"
    names = key == "site" or key.endswith(".column") or (label and isinstance(study["label"], str))
    found = None
    if not label:
        found = name_problem(column, values) if names else value_problem(column, values)
    if not names:
        found = found or code_problem(
            column, values, lambda value: any(is_level(entry, value) for entry in entries)
        )
    found = found or declared_problem(column, values, entries)
    if key.endswith(TERMS):
        of_models = key.startswith("inputs.") and key != f"inputs.{CONFOUNDS}.columns"
        found = found or levels_problem(column, values, may_be_constant=not of_models)
    return found
