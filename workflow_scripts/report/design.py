"""The report's part on a study's design: who trains and who is tested in which split."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.splits import SCAN, USED
from workflow_scripts.report.population import described
from workflow_scripts.report.text import number, tabulate

WORDS = {"random_trials": "trial", "folds": "fold", "leave_site_out": "site"}
SIDES = ["split", "role", "variable", "level", "mean", "sd", "percent", "standardized_difference"]
DOES = {
    "train": "train",
    "validation": "are kept apart for validation",
    "test": "are tested",
    "external": "are external, scored by the models alone",
}


def word(study: dict) -> str:
    """What a split of a study is called: trial, fold, site or split."""
    return WORDS.get(study.get("design", {}).get("kind"), "split")


def opening(design: dict, splits: int, people: str) -> str:
    """Beginning of the sentence on a design."""
    several = "s" if splits > 1 else ""
    match design["kind"]:
        case "random_trials":
            return f"{splits} random trial{several} of {people}"
        case "folds":
            times = design["repeats"]
            again = f", repeated {times} times with other folds" if times > 1 else ""
            return f"{design['folds']}-fold cross-validation of {people}{again}"
        case "holdout":
            return f"One random test side of {people}"
        case "leave_site_out":
            return f"{splits} sites ({design['column']}) of {people}, each tested by the others"
    return f"{splits} split{several} of {people} as a table of the user's says"


def counted(participants: int, sessions: int) -> str:
    """Number of participants, and of sessions where there are more."""
    text = f"{participants} participant{'s' if participants != 1 else ''}"
    return text if sessions == participants else f"{text} ({sessions} sessions)"


def sides(splits: pd.DataFrame, classes: list[str]) -> dict[str, str]:
    """Participants of each class by role, as text, from the lowest to the highest split."""
    counts = splits.groupby(["role", "split", "label"])["participant_id"].nunique()
    counts = counts.unstack("label", fill_value=0).reindex(columns=classes, fill_value=0)
    found = {}
    for role in USED:
        if role in counts.index:
            ends = [(counts.loc[role, c].min(), counts.loc[role, c].max(), c) for c in classes]
            found[role] = " and ".join(
                f"{low} {name}" if low == high else f"{low} to {high} {name}"
                for low, high, name in ends
            )
    return found


def split_names(kind: str, splits: pd.DataFrame, people: pd.DataFrame) -> dict[str, str]:
    """Printed name of each split of a kind of design by its number: sites have theirs."""
    names = {str(split): str(split) for split in splits["split"].unique()}
    if kind != "leave_site_out":
        return names
    tested = splits[splits["role"] == "test"].merge(people[[*SCAN, "site"]], on=SCAN)
    return names | {str(split): rows["site"].iloc[0] for split, rows in tested.groupby("split")}


def balance_part(study: dict, read: Callable, names: dict[str, str]) -> dict | None:
    """Sides of the splits, None where Table 1 has no column; the widest difference of a test side.

    Differences are those of test to training sides.
    """
    if not study["table1"]:
        return None
    table, dictionary = read("sides", *SIDES)
    table = described(table.assign(split=table["split"].astype(str).map(names)))
    lines, widest = {}, ""
    for row in table.itertuples():
        line = {word(study): row.split, "variable": row.name}
        line = lines.setdefault((row.split, row.name), line)
        line[row.role] = row.text
        if row.role == "test":
            line["standardized_difference"] = row.standardized_difference
    shown = pd.DataFrame(lines.values())
    sizes = shown["standardized_difference"].abs()
    if sizes.notna().any():
        row = shown.loc[sizes.idxmax()]
        difference = number(row["standardized_difference"])
        widest = f"{row['variable']} in {word(study)} {row[word(study)]}, {difference} SD"
    made = tabulate(shown, dictionary)
    for cell, column in zip(made["head"], shown.columns, strict=True):
        cell["text"] = column in (word(study), "variable")
    return {"all": made, "widest": widest}


def design_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a study's design.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    design, of_split = study["design"], f"split-{study['split']}"
    splits, _ = read(f"{of_split}_splits", "split", *SCAN, "label", "role")
    people, _ = read(f"{of_split}_population", *SCAN, "label")
    inside = splits[splits["role"] != "external"]
    number = splits["split"].nunique()
    who = counted(inside["participant_id"].nunique(), len(inside.drop_duplicates(SCAN)))
    does = [f"{text} {DOES[role]}" for role, text in sides(splits, design["classes"]).items()]
    each = f"for each {word(study)} " if number > 1 else ""
    twice = design.get("repeat_minority", False)
    names = split_names(design["kind"], splits, people)
    return {
        "classes": design["classes"],
        "sentence": f"{opening(design, number, who)}; {each}{', '.join(does)}"
        + ("; those of the smaller training class count twice." if twice else "."),
        "splits": number,
        "over": f"over the {word(study)}s" if number > 1 else "on the test side",
        "names": names,
        "balance": balance_part(study, read, names),
    }
