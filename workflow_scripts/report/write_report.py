"""Write the report: an HTML file with all tables, and pictures inside or beside it."""

import json
import os
from functools import partial
from pathlib import Path
from urllib.parse import quote

import jinja2
import pandas as pd
import yaml

from workflow_scripts.common.job import job
from workflow_scripts.common.record import checksum
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.report import pages
from workflow_scripts.report.checklist import checklist_section, checklist_table
from workflow_scripts.report.methods import Methods
from workflow_scripts.report.qc import picture, qc_section
from workflow_scripts.report.ratings import (
    groups_of_sessions,
    identity,
    ratings_by_picture,
    ratings_section,
)
from workflow_scripts.report.references import References
from workflow_scripts.report.segmentation import segmentation_section
from workflow_scripts.report.sessions import SESSION, read_sidecars
from workflow_scripts.report.study import study_section
from workflow_scripts.report.text import label, load, number, require, tabulate
from workflow_scripts.report.truth import truth_section

# Parts of a study in the order of the page, each a template of its name, with their titles.
PARTS = [
    ("fractions", "Tissue fractions"),
    ("regions", "Regions"),
    ("classifiers", "Classifiers"),
    ("stacking", "Stacked models"),
    ("reclassification", "Reclassification"),
    ("nomogram", "Nomogram"),
    ("one_class", "One-class SVM"),
    ("radiomics", "Radiomics"),
    ("fitted", "Single models and cases"),
    ("checks", "Checks"),
    ("repeated_measures", "Repeated measures"),
    ("gradcam", "Grad-CAM"),
    ("published", "Published"),
    ("groups", "Comparison"),
    ("correlations", "Correlations"),
    ("associations", "Associations"),
    ("longitudinal", "Change over time"),
    ("published_directions", "Published directions"),
]


def templates(root=".", single_file: bool = True) -> jinja2.Environment:
    """The report's templates, which escape what they are given and fail on what is missing.

    Parameters
    ----------
    root : output folder, in whose folder ``report`` the page lies
    single_file : whether pictures stand inside the page, not beside it
    """

    environment = pages.templates()
    environment.filters |= {"label": label, "number": number, "link": partial(link, root)}
    environment.filters["picture"] = lambda path: picture(
        path, None if single_file else link(root, path)
    )
    environment.globals["parts"] = PARTS
    return environment


def link(root, path: str | None) -> str | None:
    """Link from the page to a file of the output folder; None where it lies elsewhere."""
    inside = os.path.relpath(path, root) if path else ".."
    return None if inside.startswith("..") else f"../{quote(inside)}"


def scan_section(path) -> dict:
    """Counts by modality and status, every scan that is not AVAILABLE, and the notes of others."""
    status, dictionary = load(path)
    scan = [*SESSION, "suffix"]
    status = require(status, path, [*scan, "status", "reason", "note"])
    names = ["AVAILABLE", "MISSING", "EXCLUDED", "INVALID"]
    counts = pd.crosstab(status["suffix"], status["status"])
    counts = counts.reindex(columns=names, fill_value=0).rename_axis(columns=None).reset_index()
    counts.attrs = status.attrs
    others = status[status["status"] != "AVAILABLE"].sort_values(["status", *SESSION])
    return {
        "participants": status["participant_id"].nunique(),
        "counts": tabulate(counts, dictionary),
        "others": tabulate(others.drop(columns="note"), dictionary),
        "notes": tabulate(status.dropna(subset="note")[[*scan, "note"]], dictionary),
        "bad": {name: int((status["status"] == name).sum()) for name in names[1:]},
    }


def shown_tables(source) -> list[str]:
    """Tables that the numbers of the report come from."""
    lists = [source.studies, source.ratings, source.recovered, source.gradcam_truth]
    lists.append(source.segmentation)
    paths = {source.scans, source.features, source.outliers, *(p for paths in lists for p in paths)}
    return sorted(path for path in map(str, paths) if path.endswith(".tsv"))


def quality_section(source, config: dict, sidecars: dict) -> dict:
    """The section on quality control with the ratings of its pictures, see `render`."""
    tables = {str(path): path for path in source.studies}
    section = qc_section(
        source.features,
        source.outliers,
        source.pictures,
        sidecars,
        config["report"]["qc_subjects"],
        groups_of_sessions(config["studies"], tables, source.sites),
        ratings_by_picture(source.ratings),
        source.viewers,
    )
    rated = ratings_section(source.ratings, config["exclude_rated"])
    return section | {"identity": identity(config), "rated": rated}


def study_sections(source, config: dict) -> list[dict]:
    """Sections of all studies, see `render`."""
    tables = {str(path): path for path in [source.scans, *source.studies]}
    compared = next(iter(source.gradcam_truth), None)
    return [
        study_section(name, study, tables, source.gradcam, compared, source.models)
        for name, study in config["studies"].items()
    ]


def render(source, config: dict) -> tuple[str, pd.DataFrame, str]:
    """The report as HTML, the table of the checklists, and the references as BibTeX.

    Parameters
    ----------
    source : object or namedlist with the paths ``scans``, ``features``,
        ``outliers`` and ``sidecars``, and the lists ``studies`` (tables of all studies),
        ``pictures``, ``ratings`` (tables of ratings and of raters' agreement, or empty), ``sites``
        (clinical tables of studies with sites), ``gradcam`` (pictures), ``gradcam_truth`` and
        ``recovered`` (empty, or the tables of a simulated cohort), ``models`` (fitted logistic
        models), ``segmentation`` (tables of engines, or empty) and ``engine_pictures``
    config : checked configuration

    Raises
    ------
    InputError
        If a file that a panel needs is missing or cannot be used.
    """
    sidecars = read_sidecars(source.sidecars)
    methods = Methods(sidecars, config)
    images = methods.images()
    designs = {name: methods.study(study) for name, study in config["studies"].items()}
    references = References(
        [text for part in [*images.values(), *designs.values()] for _, text in part]
    )
    environment = templates(Path(source.scans).parents[1], config["report"]["single_file"])
    studies = study_sections(source, config)
    checklist = checklist_table(config["studies"], studies)
    page = environment.get_template("report.html.j2").render(
        title=config["report"]["title"],
        single_file=config["report"]["single_file"],
        simulated=not config["bids_dir"],
        scans=scan_section(source.scans),
        script=pages.script_of(resource("report/report.js").read_text(encoding="utf-8")),
        qc=quality_section(source, config, sidecars),
        segmentation=segmentation_section(source.segmentation, source.engine_pictures),
        studies=studies,
        checklists=checklist_section(checklist),
        truth=truth_section(*source.recovered, source.features) if source.recovered else None,
        methods=references.cited(images),
        study_methods=references.cited(designs),
        references=references.listed(),
        software=methods.software(),
        origin=[(path, checksum(path)["sha256"]) for path in shown_tables(source)],
        # Through JSON, so that what two keys share is spelled out twice.
        configuration=yaml.safe_dump(
            json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True
        ),
    )
    return page, checklist, references.bibtex(methods.named)


def main(source, out, params):
    """Write the report of the cohort, the checklists as a table, and the references."""
    page, checklist, references = render(source, params.config)
    Path(out.report).write_text(page, encoding="utf-8")
    Path(out.references).write_text(references, encoding="utf-8")
    write_table(checklist, out.checklist, resource("columns/report.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
