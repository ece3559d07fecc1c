import os
import shutil
import sys
from functools import partial
from pathlib import Path

# Jobs import the package from the clone that this Snakefile belongs to, so that
# the code that runs is the code whose fingerprint is recorded. ITK's results
# depend on the number of threads in the last digits.
sys.path.insert(0, workflow.basedir)
os.environ |= {
    "PYTHONPATH": workflow.basedir,
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}

from snakemake.exceptions import WorkflowError

from workflow_scripts.cohort.cohort import (
    complete,
    keep_apart,
    frozen_population,
    load_cohort,
    make_cohort,
)
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.disk import estimate_bytes
from workflow_scripts.cohort.index import write_index
from workflow_scripts.common.bids import bids, session_prefix
from workflow_scripts.common.fingerprint import fingerprint as code
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort, simulation

SPACE = "MNI152NLin2009aSym"
INDEX = "cohort/index.tsv"


def read_cohort():
    """Check the configuration and the cohort, and go to the output folder."""
    checked = check_config(config)
    output_dir = Path(checked["output_dir"]).absolute()
    if checked["bids_dir"]:
        bids_dir = Path(checked["bids_dir"]).absolute()
        keep_apart(bids_dir.resolve(), output_dir.resolve())
        if checked["exclusions"]:
            checked["exclusions"] = str(Path(checked["exclusions"]).absolute())
        cohort = load_cohort(
            checked, bids_dir, output_dir / INDEX, workflow.is_main_process
        )
        return checked, cohort, bids_dir, output_dir
    bids_dir = Path("demo/bids")
    checked["exclusions"] = str(bids_dir / "exclusions.tsv")
    participants, scans, exclusions = plan_cohort(checked["demo"])
    index = [scan | {"path": str(bids_dir / scan["path"])} for scan in scans]
    index = complete(index, participants, checked["scans"])
    write_index(index, output_dir / INDEX)
    cohort = make_cohort(checked, participants, index, exclusions)
    return checked, cohort, bids_dir, output_dir


try:
    CONFIG, COHORT, BIDS_DIR, OUTPUT_DIR = read_cohort()
except InputError as error:
    raise WorkflowError(str(error))


workdir: OUTPUT_DIR


wildcard_constraints:
    folder="sub-[A-Za-z0-9]+(/ses-[A-Za-z0-9]+)?",
    prefix="sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    participant="sub-[A-Za-z0-9]+",
    study="[A-Za-z0-9_]+",


ANATOMICAL = CONFIG["anatomical"]
NONLINEAR = ANATOMICAL["registration"] in ("syn", "fsl_fnirt")
bids_anat = partial(bids, "{folder}/anat", "{prefix}")
T1W = COHORT.usable("T1w")
FLAIR = {prefix: row for prefix, row in COHORT.usable("FLAIR").items() if prefix in T1W}


def sessions(paths, prefixes):
    """Fill {folder} and {prefix} of paths for each session."""
    return [
        path.format(folder=prefix.replace("_", "/"), prefix=prefix)
        for prefix in prefixes
        for path in ([paths] if isinstance(paths, str) else paths)
    ]


def raw_bytes(path):
    """Size of a raw scan, so that one replaced by an older file is seen too."""
    return os.path.getsize(path) if CONFIG["bids_dir"] else None


def all_scans():
    return sorted(
        row["path"]
        for suffix in CONFIG["scans"]
        for row in COHORT.usable(suffix).values()
    )


def announcement():
    """What a run is about to work on, and the disk that it will take."""
    raw = sum(os.path.getsize(path) for path in all_scans() if os.path.exists(path))
    size = estimate_bytes(raw, len(T1W), ANATOMICAL["template_resolution"], NONLINEAR)
    free = shutil.disk_usage(".").free
    return (
        f"{len(T1W)} sessions with a T1w; results take about {size / 1e9:.2g} GB in all, "
        f"{free / 1e9:.2g} GB are free in {OUTPUT_DIR}"
    )


def sidecars(prefix):
    """The files whose measures make a session's row of a feature table."""
    names = [
        bids_anat("T1w.json", desc="preproc"),
        bids_anat("T1w.json", space=SPACE, desc="preproc"),
        bids_anat("dseg.json"),
    ]
    return sessions(names, [prefix])


def preprocessed_files():
    flair = bids_anat("FLAIR.json", space="T1w", desc="preproc")
    return sessions(bids_anat("dseg.json"), T1W) + sessions(flair, FLAIR)


def study(*keys):
    """Params function: these keys of a study's configuration, and no others."""
    return lambda wildcards: {
        key: CONFIG["studies"][wildcards.study][key] for key in keys
    }


def split_file(name, table):
    return f"studies/{name}/split-{CONFIG['studies'][name]['split']}_{table}.tsv"


def population_file(wildcards):
    return split_file(wildcards.study, "population")


def trials_file(wildcards):
    return split_file(wildcards.study, "trials")


def population(name):
    """Participants of a study, from its kept split where there is one."""
    kept = OUTPUT_DIR / split_file(name, "population")
    try:
        return frozen_population(kept, CONFIG["studies"][name], name, COHORT)
    except InputError as error:
        raise WorkflowError(str(error))


POPULATIONS = {name: population(name) for name in CONFIG["studies"]}


def normalized_brains(wildcards):
    prefixes = [
        session_prefix(row["participant_id"], row["session_id"])
        for row in POPULATIONS[wildcards.study]
    ]
    return sessions(bids_anat("T1w.nii.gz", space=SPACE, desc="brain"), prefixes)


def scope_sessions(wildcards):
    """Sessions of a feature table, as dictionaries: all, or a study's population."""
    if wildcards.scope == "cohort":
        rows = T1W.values()
    else:
        rows = POPULATIONS[wildcards.scope.removeprefix("studies/")]
    return [
        {
            "participant_id": row["participant_id"],
            "session_id": row["session_id"],
            "sidecars": sidecars(
                session_prefix(row["participant_id"], row["session_id"])
            ),
        }
        for row in rows
    ]


def study_tables():
    names = ["table1", "flow", "fractions", "regions", "metrics", "permutation_test"]
    return [
        f"studies/{study}/{name}.tsv" for study in CONFIG["studies"] for name in names
    ]


def simulated_subject(wildcards):
    return simulation(CONFIG["demo"], wildcards.participant)
