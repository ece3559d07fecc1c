"""Items of reporting checklists, and whether this report has what they ask for."""

import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table

COLUMNS = ["study", "checklist", "item", "section", "asks", "status", "where", "note"]
HERE, ABSENT, AUTHOR = "in the report", "not in this run", "for the author"
NETWORKS = ("contrastive", "cnn")


def found_in(study: dict, section: dict) -> set[str]:
    """What a study's part of the report has, by the names in the checklist's column ``needs``.

    Parameters
    ----------
    study : its configuration
    section : as from `study.study_section`; a part that it lacks is None
    """
    found = {name for name, part in section.items() if part}
    classifiers = section["classifiers"] or {}
    found |= {name for name, part in classifiers.items() if part}
    metrics, fitted = classifiers.get("metrics") or {}, section["fitted"] or {}
    kinds = {settings["kind"] for settings in study["models"].values()}
    tests = {
        "always": True,
        "external": metrics.get("external"),
        "permutation": any(line["tests"] for line in metrics.get("lines", [])),
        "acquisition": section["acquisition"] and section["acquisition"]["known"],
        "sites": study.get("design", {}).get("kind") == "leave_site_out",
        "models": bool(kinds),
        "networks": bool(kinds & set(NETWORKS)),
        "table_models": bool(kinds & {"svm", "logistic"}),
        "equations": fitted.get("equations"),
        "misclassified": fitted.get("misclassified"),
    }
    return found - tests.keys() | {name for name, there in tests.items() if there}


def checklist_table(studies: dict[str, dict], sections: list[dict]) -> pd.DataFrame:
    """Every item of the checklists for every study.

    Parameters
    ----------
    studies : configuration by name
    sections : of each, in the same order

    Returns
    -------
    DataFrame
        `COLUMNS`; status is in the report, not in this run, or for the author; where is a place
        in the page (#...) or a file, n/a unless the item is in the report.
    """
    items = read_table(resource("report/checklist.tsv")).astype({"item": str})
    tables = []
    for (name, study), section in zip(studies.items(), sections, strict=True):
        found = found_in(study, section)
        table = items.assign(study=name)
        here = table["needs"].isin(found)
        table["status"] = here.map({True: HERE, False: ABSENT})
        table["status"] = table["status"].mask(table["needs"] == "author", AUTHOR)
        for column in ("where", "note"):
            table[column] = table[column].str.replace("{study}", name)
        table["where"] = table["where"].where(here)
        tables.append(table)
    empty = pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else empty


def checklist_section(table: pd.DataFrame) -> list[dict]:
    """What the template shows: per study and checklist its lines and how many have what status."""
    items = read_table(resource("report/checklist.tsv"))
    sources = dict(zip(items["checklist"], items["doi"], strict=True))
    parts = []
    for (study, checklist), rows in table.groupby(["study", "checklist"], sort=False):
        shown = rows.astype(object).where(rows.notna(), "")
        parts.append(
            {
                "study": study,
                "checklist": checklist,
                "doi": sources[checklist],
                "counts": [
                    (status, int((rows["status"] == status).sum()))
                    for status in (HERE, ABSENT, AUTHOR)
                ],
                "lines": shown.to_dict("records"),
            }
        )
    return parts
