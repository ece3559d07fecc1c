import os
import sys
from functools import partial
from pathlib import Path

# Jobs import the package from the clone that this Snakefile belongs to, so that
# the code that runs is the code whose fingerprint is recorded.
sys.path.insert(0, workflow.basedir)
os.environ["PYTHONPATH"] = workflow.basedir
# ITK's results depend on the number of threads in the last digits.
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"

from snakemake.exceptions import WorkflowError

from workflow_scripts.cohort.cohort import (
    complete,
    frozen_population,
    load_cohort,
    make_cohort,
)
from workflow_scripts.cohort.config import check_config
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


bids_anat = partial(bids, "{folder}/anat", "{prefix}")
T1W = COHORT.usable("T1w")
FLAIR = {p: row for p, row in COHORT.usable("FLAIR").items() if p in T1W}


def sessions(paths, prefixes):
    """Fill {folder} and {prefix} of paths for each session."""
    return [
        path.format(folder=prefix.replace("_", "/"), prefix=prefix)
        for prefix in prefixes
        for path in ([paths] if isinstance(paths, str) else paths)
    ]


def study(*keys):
    """Params function: these keys of a study's configuration, and no others."""
    return lambda wildcards: {key: CONFIG["studies"][wildcards.study][key] for key in keys}
