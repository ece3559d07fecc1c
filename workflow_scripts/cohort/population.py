"""Who a study can draw from, today and when its split was drawn.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from datetime import date
from pathlib import Path

from workflow_scripts.cohort.config import NETWORKS, models_of
from workflow_scripts.cohort.dictionaries import spelled
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.inner import inner_split
from workflow_scripts.common.job import InputError, listing
from workflow_scripts.common.labels import class_of, label_column
from workflow_scripts.common.rows import read_rows


def label_of(row: dict, study: dict) -> str | None:
    """Class of a session, or another text of the label column; None where it has none.

    Raises
    ------
    ValueError
        If a value that a threshold applies to is no number.
    """
    label = study["label"]
    return class_of(row[label_column(label)], label, study["classes"])


def days_apart(row: dict, study: dict) -> int | None:
    """Days between a session's label and its scan; None where one of the dates is missing.

    Raises
    ------
    ValueError
        With the column and its text, if that is no date.
    """
    days = []
    for column in (study["within_days"]["date"], study["within_days"]["scan"]):
        if row[column] is None:
            return None
        try:
            days.append(date.fromisoformat(row[column][:10]).toordinal())
        except ValueError:
            raise ValueError(column, row[column]) from None
    return abs(days[0] - days[1])


def in_time(row: dict, study: dict) -> bool:
    """Whether a session's label is near enough to its scan; yes where a study does not ask."""
    if "within_days" not in study:
        return True
    days = days_apart(row, study)
    return days is not None and days <= study["within_days"]["days"]


def check_labels(clinical: list[dict], name: str, study: dict) -> None:
    """Check the labels of all sessions, and their dates where a study needs them.

    Raises
    ------
    InputError
        If a label is none of the classes and not left out on purpose, or a number or date is none.
    """
    known, problems = {*study["classes"], *study["other_labels"], None}, {}
    for row in clinical:
        who = session_prefix(row["participant_id"], row["session_id"])
        try:
            found = label_of(row, study)
        except ValueError:
            column = study["label"]["column"]
            problems[row["participant_id"], row[column]] = (
                f"{who}: {column} is {row[column]!r}, which studies.{name}.label compares with "
                f"{study['label']['at_least']:g}; write a number or n/a"
            )
            continue
        if found not in known:
            problems[row["participant_id"], found] = (
                f"{who}: {study['label']} is {found!r}, which is none of studies.{name}.classes "
                f"{study['classes']}; correct it, or list it in studies.{name}.other_labels"
            )
        if "within_days" in study and found is not None:
            try:
                days_apart(row, study)
            except ValueError as error:
                column, text = error.args
                problems[row["participant_id"], column] = (
                    f"{who}: {column} is {text!r}, which studies.{name}.within_days compares; "
                    "write a date as 1925-12-31, or n/a"
                )
    if problems:
        raise InputError(listing(list(problems.values())))


def population_today(cohort, study: dict) -> list[dict]:
    """Sessions that a study can draw from: with its scans and one of its classes.

    Returns
    -------
    Rows with participant_id, session_id, label, external (yes or no), and site where the
    design names its column
    """
    first, *others = [cohort.usable(suffix) for suffix in study["requires"]]
    design, external = study.get("design", {}), study.get("external")
    rows, seen = [], set()
    for prefix, scan in first.items():
        session = scan["participant_id"], scan["session_id"]
        clinical = cohort.clinical[session]
        label = label_of(clinical, study)
        if (
            study["sessions"] not in ("first", "all", scan["session_id"])
            or not all(prefix in other for other in others)
            or label not in study["classes"]
            or not in_time(clinical, study)
            or (study["sessions"] == "first" and scan["participant_id"] in seen)
        ):
            continue
        seen.add(scan["participant_id"])
        outside = bool(external) and clinical[external["column"]] in external["values"]
        row = dict(zip(("participant_id", "session_id"), session, strict=True))
        row |= {"label": label, "external": "yes" if outside else "no"}
        if "column" in design:
            row["site"] = clinical[design["column"]]
        rows.append(row)
    return rows


def frozen_population(kept: Path, study: dict, name: str, cohort) -> list[dict]:
    """Population of a study: that of its kept split, or today's where none is drawn yet.

    Raises
    ------
    InputError
        If a session of the kept split can no longer be used, or has another
        label, cohort or site now; or if today's population is too small.
    """
    today = population_today(cohort, study)
    if not kept.is_file():
        _check_class_sizes(today, study, name)
        return today
    frozen = read_rows(kept, quoted=True)
    if frozen and "external" not in frozen[0]:
        raise InputError(
            f"{kept}: was kept by version 0.6; set studies.{name}.split to {study['split'] + 1} to "
            "draw a new split, or choose another output_dir"
        )
    now = {(row["participant_id"], row["session_id"]): row for row in today}
    changed = dict.fromkeys(
        row["participant_id"]
        for row in frozen
        if now.get((row["participant_id"], row["session_id"])) != row
    )
    if changed:
        raise InputError(
            f"studies.{name}.split {study['split']} was drawn with {', '.join(changed)}, which now "
            f"have no usable {' and '.join(study['requires'])}, another label or another session; "
            f"undo that, or set studies.{name}.split to {study['split'] + 1} to draw a new split"
        )
    return frozen


def _check_class_sizes(population: list[dict], study: dict, name: str) -> None:
    scans, where = " and ".join(study["requires"]), f"studies.{name}"
    inside: dict[str, set] = {label: set() for label in study["classes"]}
    for row in population:
        if row["external"] == "no":
            inside[row["label"]].add(row["participant_id"])
    if not population and study["sessions"] not in ("first", "all"):
        raise InputError(
            f"{where}.sessions: {study['sessions']} is a session of nobody with a usable {scans} "
            "and one of the classes; correct it"
        )
    empty = [label for label, people in inside.items() if not people]
    if empty:
        raise InputError(
            f"{where}.classes: no participant of class {', '.join(empty)} has a usable "
            f"{scans}; correct the classes or add participants"
        )
    problems = list(_external_problems(population, study, where))
    design = study.get("design", {"kind": None})
    validated = bool(design.get("validation"))
    for label in design.get("classes", []):
        n = len(inside[label])
        if design["kind"] == "random_trials":
            needed = design["train"][label] + design["test"][label]
            if n < needed:
                problems.append(
                    f"{where}.design: class {label} has {n} participants with a usable {scans}, a "
                    f"trial needs {needed} ({design['train'][label]} to train and "
                    f"{design['test'][label]} to test); lower the numbers or add participants"
                )
        elif n < 3 + validated:
            problems.append(
                f"{where}.design: class {label} has {n} participants with a usable {scans}, "
                f"{3 + validated} are needed to {'validate, ' * validated}test one and train on "
                "two; add participants or choose other classes"
            )
    if problems:
        raise InputError("\n  ".join(problems))


def _external_problems(population: list[dict], study: dict, where: str):
    if "external" not in study:
        return
    both = {row["participant_id"] for row in population if row["external"] == "yes"} & {
        row["participant_id"] for row in population if row["external"] == "no"
    }
    if both:
        yield (
            f"{where}.external: {', '.join(sorted(both))} have sessions inside and outside; "
            f"{study['external']['column']} must be the same in all sessions of a participant"
        )
    if not any(row["external"] == "yes" for row in population):
        yield (
            f"{where}.external: no session with a usable {' and '.join(study['requires'])} has "
            f"{study['external']['column']} in {study['external']['values']}; correct it"
        )


def screened(cohort, study: dict) -> dict[str, dict[str, str | None]]:
    """Labels of every participant's sessions, "" where there is none by name.

    A class too far in time from the scan is none.
    """
    found: dict[str, dict] = {}
    for row in cohort.clinical.values():
        label = label_of(row, study)
        if label in study["classes"] and not in_time(row, study):
            days = study["within_days"]["days"]
            label = f"more than {days:g} days from the scan, or one of them without a date"
        found.setdefault(row["participant_id"], {})[row["session_id"] or ""] = label
    return found


def clinical_of_population(
    cohort, population: list[dict], columns: list[str], site: str | None = None
) -> list[dict]:
    """A study's sessions with these columns of the participants' tables, as text.

    ``site`` is the column with the site, which stands there as session_site too.
    """
    names = {column: column for column in columns} | ({"session_site": site} if site else {})
    return [
        {key: row[key] for key in ("participant_id", "session_id")}
        | {
            name: cohort.clinical[row["participant_id"], row["session_id"]][column]
            for name, column in names.items()
        }
        for row in population
    ]


def number_of_splits(population: list[dict], design: dict) -> int:
    """Number of splits that a design draws of a population."""
    match design["kind"]:
        case "random_trials":
            return design["trials"]
        case "folds":
            return design["folds"] * design["repeats"]
        case "leave_site_out":
            inside = [row for row in population if row["external"] == "no"]
            return len({row["site"] for row in inside if row["label"] in design["classes"]})
        case "given":
            rows = read_rows(Path(design["table"]))
            if rows and "split" not in rows[0]:
                raise InputError(f"{design['table']}: lacks the column split; add it")
            return len({spelled(row["split"]) for row in rows})
        case _:
            return 1


def session_prefixes(population: list[dict]) -> list[str]:
    """Prefixes of the sessions of a population."""
    return [session_prefix(row["participant_id"], row["session_id"]) for row in population]


def trainings(study: dict, population: list[dict], *models: str, inner: bool = False) -> list[dict]:
    """Model, split and repeat of the networks of a study, or of those named; or in inner splits."""
    drawn = number_of_splits(population, study["design"])
    folds = range(1, study["inner_folds"] + 1)
    return [
        {"model": name, "split": number, "repeat": repeat}
        for name, settings in models_of(study, *NETWORKS).items()
        if name in (models or study["models"])
        for split in range(1, (settings["splits"] or drawn) + 1)
        for number in ([inner_split(split, fold) for fold in folds] if inner else [split])
        for repeat in range(1, settings["repeats"] + 1)
    ]
