"""The output folder as a Provenance Run Crate: which job made which file of which.

https://w3id.org/ro/wfrun/provenance/0.5
"""

import json

from rocrate.model.contextentity import ContextEntity
from rocrate.model.data_entity import DataEntity
from rocrate.rocrate import ROCrate

from workflow_scripts.audit.records import files_of

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
FORMATS = {
    ".nii.gz": "application/gzip",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".html": "text/html",
    ".webp": "image/webp",
}


def file_id(path: str, kind: str) -> str:
    """Identifier of a file: its path in the crate, or a URI if it is not there."""
    if path.startswith("/"):
        return f"file://{path}"
    return f"bids::{path}" if kind == "temporary" and not path.startswith("bids:") else path


def describe_crate(title: str, jobs: dict, rows: list[dict], run: dict, workflow: str) -> dict:
    """JSON-LD of the crate.

    Parameters
    ----------
    title : of the study
    jobs : records by job
    rows : of the manifest
    run : record of the last run
    workflow : path in the crate of the Snakefile
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(CONTEXT)
    root = crate.root_dataset
    crate.name = title
    crate.description = f"{len(rows)} files made by {len(jobs)} jobs of neuroimmune-mri"
    root["datePublished"] = run["ended"]
    root["license"] = "not stated; the terms of the cohort's data apply"
    profiles = []
    for url, name in PROFILES.items():
        told = {"@type": "CreativeWork", "name": name, "version": url.rsplit("/", 1)[1]}
        profiles.append(crate.add(ContextEntity(crate, url, told)))
    root["conformsTo"] = profiles

    kinds = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
    main = crate.add(DataEntity(crate, workflow, {"@type": kinds, "name": "neuroimmune-mri"}))
    main["version"] = run["software"]["neuroimmune-mri"]
    language = {
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "url": "https://snakemake.github.io",
    }
    main["programmingLanguage"] = crate.add(ContextEntity(crate, "#snakemake-language", language))
    crate.mainEntity = main

    files = {}
    for row in rows:
        told = {"@type": "File", "contentSize": str(row["bytes"]), "sha256": row["sha256"]}
        kinds = [kind for ending, kind in FORMATS.items() if row["path"].endswith(ending)]
        told |= {"encodingFormat": kinds[0]} if kinds else {}
        entity = DataEntity(crate, file_id(row["path"], row["kind"]), told)
        files[row["path"]] = crate.add(entity)
    steps, actions = {}, {}
    for name in dict.fromkeys(record["rule"] for record in jobs.values()):
        told = {"@type": "SoftwareApplication", "name": name, "softwareVersion": main["version"]}
        tool = crate.add(ContextEntity(crate, f"#{name}", told))
        step = {"@type": "HowToStep", "position": str(len(steps)), "name": name}
        steps[name] = crate.add(ContextEntity(crate, f"#step-{name}", step))
        steps[name]["workExample"] = tool
        main.append_to("hasPart", tool)
        main.append_to("step", steps[name])
        actions[name] = []
    for record in jobs.values():
        action = crate.add(ContextEntity(crate, f"#{record['job']}", describe_job(record)))
        action["instrument"] = crate.get(f"#{record['rule']}")
        for key, entries in (("object", record["inputs"]), ("result", record["outputs"])):
            named = [file["path"] for file in files_of(entries)]
            action[key] = as_value([files[path] for path in named if path in files])
        actions[record["rule"]].append(action)

    told = {"startTime": run["started"], "endTime": run["ended"]}
    whole = crate.add(ContextEntity(crate, f"#run-{run['run']}", {"@type": "CreateAction", **told}))
    whole["name"] = " ".join(run["command"])
    whole["instrument"] = main
    whole["object"] = [files[row["path"]] for row in rows if row["kind"] == "input"]
    whole["result"] = [files[row["path"]] for row in rows if row["kind"] == "result"]
    root["mentions"] = [whole, *(action for made in actions.values() for action in made)]
    engine = {
        "@type": "SoftwareApplication",
        "name": "Snakemake",
        "url": "https://snakemake.github.io",
    }
    engine["softwareVersion"] = run["software"]["packages"]["snakemake"]
    organize = crate.add(ContextEntity(crate, "#organize", {"@type": "OrganizeAction", **told}))
    organize["name"] = "Snakemake"
    organize["instrument"] = crate.add(ContextEntity(crate, "#snakemake", engine))
    organize["result"] = whole
    for name, made in actions.items():
        control = {"@type": "ControlAction", "name": f"jobs of {name}"}
        control = crate.add(ContextEntity(crate, f"#control-{name}", control))
        control["instrument"], control["object"] = steps[name], as_value(made)
        organize.append_to("object", control)
    return crate.metadata.generate()


def as_value(entities: list):
    """The one entity of a list of one, as RO-Crate wants it; other lists as they are."""
    return entities[0] if len(entities) == 1 else entities


def describe_job(record: dict) -> dict:
    """What the crate says of a job beside its files."""
    used = f"{record['cpu_seconds']} CPU s, {record['max_rss_mb']} MB, {record['threads']} threads"
    return {
        "@type": "CreateAction",
        "name": record["job"],
        "description": f"{used}; parameters: {json.dumps(record['params'])}",
        "startTime": record["started"],
        "endTime": record["ended"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
