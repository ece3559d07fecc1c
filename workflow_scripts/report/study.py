"""The report's section of one study: who took part, and a part per key of its evaluation."""

import textwrap
from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.splits import SCAN
from workflow_scripts.report.acquisition import acquisition_section
from workflow_scripts.report.associations import associations_section, longitudinal_section
from workflow_scripts.report.checks import checks_section
from workflow_scripts.report.classifiers import classifiers_section
from workflow_scripts.report.correlations import correlations_section
from workflow_scripts.report.design import design_section, word
from workflow_scripts.report.fitted import fitted_section
from workflow_scripts.report.fractions import fractions_section, regions_section
from workflow_scripts.report.gradcam import gradcam_section
from workflow_scripts.report.groups import groups_section
from workflow_scripts.report.one_class import one_class_section
from workflow_scripts.report.published import published_section
from workflow_scripts.report.published_directions import directions_section
from workflow_scripts.report.radiomics import radiomics_section
from workflow_scripts.report.repeated_measures import repeated_measures_section
from workflow_scripts.report.stacking import (
    nomogram_section,
    reclassification_section,
    stacking_section,
)
from workflow_scripts.report.text import label, load, number, p_value, require, tabulate

SECTIONS = {
    "fractions": fractions_section,
    "regions": regions_section,
    "repeated_measures": repeated_measures_section,
    "published": published_section,
    "reclassification": reclassification_section,
    "nomogram": nomogram_section,
    "groups": groups_section,
    "correlations": correlations_section,
    "associations": associations_section,
    "longitudinal": longitudinal_section,
    "published_directions": directions_section,
}
LINE = 15
REASON_CHARACTERS = 46


def flow_layout(flow: pd.DataFrame) -> dict:
    """Boxes of the flow figure: screened and analysed left, reasons right.

    Returns
    -------
    dict
        ``height`` of the drawing and ``boxes`` with side (left, right), y,
        height and lines of text.
    """
    boxes, y = [], 10
    for row in flow.itertuples():
        reason = "" if pd.isna(row.reason) else f": {row.reason}"
        sessions = "" if pd.isna(row.sessions) else f" ({row.sessions} sessions)"
        lines = textwrap.wrap(f"{row.stage}{reason}", REASON_CHARACTERS)
        lines.append(f"n = {row.n}{sessions}")
        side = "left" if row.stage in ("screened", "analysed") else "right"
        height = LINE * len(lines) + 16
        boxes.append({"side": side, "y": y, "height": height, "lines": lines})
        y += height + 14
    return {"height": y, "boxes": boxes}


def reader(name: str, tables: dict[str, object]) -> Callable:
    """Function that reads a table: name and required columns to table and dictionary.

    A name with a folder is relative to the output folder, others to the study's.

    Parameters
    ----------
    name : key of the study
    tables : path of each table that the report was given, by the path relative
        to the output folder

    Raises
    ------
    InputError
        (the function) If the table was not given, is missing or lacks a column.
    """

    def read(table: str, *columns: str) -> tuple[pd.DataFrame, dict]:
        wanted = f"{table}.tsv" if "/" in table else f"studies/{name}/{table}.tsv"
        path = next((p for key, p in tables.items() if f"/{key}".endswith(f"/{wanted}")), None)
        if path is None:
            raise InputError(f"{wanted}: was not given to the report; add it to its inputs")
        content, dictionary = load(path)
        require(content, path, list(columns))
        return content, dictionary

    return read


def first_table(table: pd.DataFrame, dictionary: dict) -> dict:
    """Table 1 for the template: the classes' names as headings, a test once per variable."""
    places = [name for name in table.columns if name.startswith("class_")]
    names = dict(zip(places, table.loc[0, places], strict=True))
    shown = table.iloc[1:].copy()
    repeated = shown["variable"].duplicated()
    shown["variable"] = shown["variable"].map(label)
    shown.loc[repeated, ["p", "test", "missing"]] = None
    blank = {"level": number, "missing": number, "test": str, "p": p_value}
    made = tabulate(
        shown,
        dictionary,
        {
            column: lambda value, show=show: "" if pd.isna(value) else show(value)
            for column, show in (blank | dict.fromkeys(places, str)).items()
        },
    )
    for cell, column in zip(made["head"], shown.columns, strict=True):
        cell["label"] = names.get(column, cell["label"])
        cell["text"] = column not in ("overall", *places)
    return made


def population_counts(study: dict, read: Callable) -> dict:
    """Numbers of analysed sessions and of external participants."""
    people, _ = read(f"split-{study['split']}_population", *SCAN, "label")
    outside = people[people["external"] == "yes"] if "external" in people else people[:0]
    return {
        "sessions": len(people),
        "several": len(people) > people["participant_id"].nunique(),
        "external": outside["participant_id"].nunique(),
    }


def study_section(
    name: str, study: dict, tables: dict[str, object], pictures=(), compared=None, models=()
) -> dict:
    """Everything that the template shows of a study.

    Parameters
    ----------
    name : key of the study
    study : its configuration; the parts design and classifiers follow its design and models, the
        others its evaluation, and are None without; ``files`` has the tables of each part
    tables : path of each table that the report was given, by the path relative
        to the output folder
    pictures : paths of the Grad-CAM pictures of all studies
    compared : path of the demo's comparison of Grad-CAM with the truth, or None
    models : paths of the logistic models of all studies

    Raises
    ------
    InputError
        If a table that a part needs was not given, is missing or lacks a column.
    """
    read, asked = reader(name, tables), study["evaluation"]
    flow, _ = read("flow", "stage", "reason", "n", "sessions")
    table1 = read("table1", "variable", "level", "overall", "class_1", "class_2", "p", "test")
    stages = flow.groupby("stage")["n"].sum()
    design = design_section(name, study, read) if "design" in study else None
    files: dict[str, list[str]] = {}

    def made(part: str, section: Callable, *more):
        """A part, whose tables are noted down."""

        def reading(table: str, *columns: str) -> tuple[pd.DataFrame, dict]:
            content, dictionary = read(table, *columns)
            files[part] = list(dict.fromkeys([*files.get(part, []), content.attrs["path"]]))
            return content, dictionary

        return section(name, study, reading, *more)

    classified = made("classifiers", classifiers_section, design) if study["models"] else None
    return {
        "name": name,
        "classes": study["classes"],
        "label": study["label"],
        "word": word(study),
        "screened": int(stages["screened"]),
        "analysed": int(stages["analysed"]),
        **population_counts(study, read),
        "flow": flow_layout(flow),
        "table1": first_table(*table1),
        "acquisition": acquisition_section(study, read),
        "design": design,
        "classifiers": classified,
        **{
            part: made(part, section) if part in asked else None
            for part, section in SECTIONS.items()
        },
        "stacking": made("stacking", stacking_section),
        "one_class": made("one_class", one_class_section),
        "radiomics": made("radiomics", radiomics_section, models),
        "fitted": made("fitted", fitted_section, models),
        "checks": made("checks", checks_section),
        "gradcam": made("gradcam", gradcam_section, pictures, compared)
        if "gradcam" in asked
        else None,
        "files": files,
    }
