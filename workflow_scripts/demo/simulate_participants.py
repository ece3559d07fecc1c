"""Write the tables and descriptions of the simulated BIDS dataset."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_descriptions, write_dictionary, write_table
from workflow_scripts.demo.plan import cohort_of, plan_cohort

README = """# Simulated cohort

Nothing here is of a person. {bodies}, {about} The truth each
image was made from lies in `../truth`.
"""
# What bodies are made of, by the body part of the cohort.
BODIES = {
    "brain": """Heads are random deformations of the MNI152 template (ICBM 2009a
symmetric, as shipped with nilearn)""",
    "pelvis": "Pelves are closed shapes that vary from\nperson to person",
}
SIMULATION = {"brain": "from the MNI152 template", "pelvis": "by closed shapes"}


def dataset_description(body_part: str) -> dict:
    """Content of dataset_description.json of the simulated dataset."""
    simulation = f"Simulation {SIMULATION[body_part]}"
    return {
        "Name": "Simulated cohort with known truth",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [{"Name": "workflow_scripts/demo", "Description": simulation}],
    }


def derivatives_description(name: str, body_part: str) -> dict:
    """Content of dataset_description.json of what is drawn on the simulated images."""
    return dataset_description(body_part) | {
        "Name": name,
        "DatasetType": "derivative",
        "SourceDatasets": [{"URL": "../.."}],
    }


def participants_table(rows: list[dict]) -> pd.DataFrame:
    """Table of the participants; whole numbers stay whole beside missing ones."""
    return pd.DataFrame(rows).convert_dtypes()


def write_sessions(rows: list[dict], root: Path, columns: Path) -> None:
    """Write the sessions.tsv of each participant, and their dictionary into the root."""
    for name, part in pd.DataFrame(rows).groupby("participant_id"):
        path = root / name / f"{name}_sessions.tsv"
        write_table(part.drop(columns="participant_id"), path, columns, dictionary=False)
    described, names = read_descriptions(columns), [n for n in rows[0] if n != "participant_id"]
    write_dictionary({name: described[name] for name in names}, root / "sessions.tsv")


def main(source, out, params):
    """Write participants, sessions, exclusions, sidecars and the descriptions of the dataset."""
    plan, cohort = plan_cohort(params.demo), cohort_of(params.demo)
    root, part = Path(out.description).parent, cohort.BODY_PART
    write_table(participants_table(plan.participants), out.participants, cohort.COLUMNS)
    fields = ["participant_id", "session_id", "suffix", "reason"]
    exclusions = pd.DataFrame(plan.exclusions, columns=fields)
    write_table(exclusions, out.exclusions, resource("columns/demo.tsv"))
    if plan.sessions:
        write_sessions(plan.sessions, root, cohort.COLUMNS)
    files = {root / path: content for path, content in plan.sidecars.items()} | {
        Path(out.description): dataset_description(part),
        Path(out.derivatives): derivatives_description(cohort.ABOUT_DERIVATIVES, part),
    }
    for path, content in files.items():
        path.write_text(json.dumps(content, indent=2) + "\n")
    Path(out.readme).write_text(README.format(bodies=BODIES[part], about=cohort.ABOUT))
    Path(out.ignored).write_text("exclusions.*\n")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
