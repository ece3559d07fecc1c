import gc
import os
import sys
from datetime import UTC, datetime
from functools import partial

# A third of the time of building the graph of a thousand sessions; on again when jobs start.
gc.disable()

# Jobs import the package of this clone, so that the code that runs is the code whose fingerprint
# is recorded. ITK's results depend on the number of threads in the last digits.
sys.path.insert(0, workflow.basedir)
os.environ |= {
    "PYTHONPATH": workflow.basedir,
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "NIPYPE_NO_ET": "1",  # no look-up of newer versions on the network
}

from snakemake.exceptions import WorkflowError

from workflow_scripts.audit.plan import tell_plan
from workflow_scripts.audit.record_run import record_run
from workflow_scripts.cohort.disk import announce
from workflow_scripts.cohort.engines import of_engine
from workflow_scripts.cohort.first_look import first_look
from workflow_scripts.cohort.index import natural_order
from workflow_scripts.cohort.startup import INDEX, SPLIT, start
from workflow_scripts.cohort.standing import is_temp, jobs_behind, standing
from workflow_scripts.cohort.status import report_status, steps_of_session
from workflow_scripts.cohort.wiring import Wiring, paths
from workflow_scripts.common.bids import beside, bids, of_contrast, session_prefix, sessions, tables
from workflow_scripts.common.fingerprint import keep_parsed, shared_fingerprint
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort

STARTED = datetime.now(UTC)
code = partial(shared_fingerprint, fresh=workflow.is_main_process)
SPACE = "MNI152NLin2009aSym"


try:
    STARTING = start(config, plan_cohort, workflow.is_main_process, workflow.configfiles)
except InputError as error:
    raise WorkflowError(str(error))
for told in STARTING.told:
    print(told, file=sys.stderr)

CONFIG, COHORT, STUDIES = STARTING.config, STARTING.cohort, STARTING.config["studies"]
BIDS_DIR, OUTPUT_DIR, POPULATIONS = STARTING.bids_dir, STARTING.output_dir, STARTING.populations


workdir: OUTPUT_DIR


ANATOMICAL, DIFFUSION = CONFIG["anatomical"], CONFIG["diffusion"]
OF_BRAIN = ANATOMICAL["body_part"] == "brain"
bids_anat = partial(bids, "{folder}/anat", "{prefix}")
of_contrast = partial(of_contrast, scans=CONFIG["scans"])
bids_dwi = partial(bids, "{folder}/dwi", "{prefix}")
bids_figures = partial(bids, "{folder}/figures", "{prefix}")

SCANS, CONTRASTS, PLACES = STARTING.scans, STARTING.contrasts, STARTING.places
DWI, EPI, VESSELS = SCANS["dwi"], SCANS["epi"], SCANS["vesselwall"]
T1W, VWI = COHORT.usable("T1w"), COHORT.usable("VWI")
LESION_MASKS, DRAWN_ELSEWHERE = STARTING.lesions, STARTING.drawn_elsewhere
CORRECTIONS = STARTING.corrections
SEGMENTATION = STARTING.segmentation
ALL_SCANS = sorted(
    row["path"] for scans in SCANS.values() for rows in scans.values() for row in rows
)
HAVE = {"T1w": T1W, "dwi": DWI, "vesselwall": VESSELS}
HAVE["lesions"] = {prefix: row for prefix, row in LESION_MASKS.items() if prefix in T1W}
MEASURED = sorted({*T1W, *DWI, *VESSELS}, key=lambda prefix: natural_order([prefix]))


# Lists as long as the cohort are given to rules as functions: Snakemake 9.27 hashes a list
# that stands in a rule once for each of its files.
SHARED = Wiring(STARTING, len(MEASURED))
need, raw_bytes, those_there = SHARED.need, SHARED.raw_bytes, SHARED.those_there
study, model, evaluation = SHARED.study, SHARED.model, SHARED.evaluation
design_classes, of_split = SHARED.design_classes, SHARED.of_split


def steps(prefix):
    """Rules that a session's scans go through, by suffix, whether it has them or not."""
    register_dwi = "register_dwi_to_t1w" if prefix in T1W else "register_dwi_to_mni"
    return {
        "T1w": ["prepare_t1w", "register_to_mni", "segment_brain"][: 3 if OF_BRAIN else 1],
        "dwi": ["prepare_dwi", "fit_tensor", register_dwi, "measure_alps"],
        "vesselwall": ["measure_vessel_wall"],
        "lesions": ["align_lesions"] * (prefix in DRAWN_ELSEWHERE) + ["measure_lesions"],
    }


def sidecars(prefix, suffixes=tuple(HAVE)):
    """The files whose measures make a session's row of a feature table."""
    names = [
        getattr(rules, name).output.sidecar
        for suffix, names in steps(prefix).items()
        if suffix in suffixes and prefix in HAVE[suffix]
        for name in names
    ]
    chosen = SEGMENTATION.chosen(prefix) if "T1w" in suffixes and prefix in T1W else []
    names += [of_engine(rules.segment_region.output.sidecar, *made) for made in chosen]
    return sessions(names, [prefix])


def all_sidecars(wildcards=None):
    return [path for prefix in MEASURED for path in sidecars(prefix)]


def preprocessed_files(wildcards=None):
    """What is made of each session; and the check of the cohort, if the run is about it all."""
    check = [] if CONFIG["participants"] else ["cohort/check.txt"]
    measured = SEGMENTATION.radiomics_files(T1W, rules.measure_radiomics.output.sidecar)
    return check + all_sidecars() + aligned_contrasts() + segmented("sidecar") + measured


def qc_pictures(wildcards=None):
    """Pictures for quality control, of each session those of its scans."""
    return [
        path
        for suffix, prefixes in HAVE.items()
        if suffix != "lesions"
        for path in sessions(bids_figures(f"{suffix}.webp", desc="qc"), prefixes)
    ]


def viewers(wildcards=None):
    """Pages to go through the T1w of each session."""
    shown = T1W if CONFIG["report"]["viewer"] else []
    return sessions(rules.draw_viewer.output.page, shown)


def everything(wildcards):
    """All that a run makes; the report stands for what it needs."""
    if CONFIG["participants"]:
        return preprocessed_files() + qc_pictures() + engine_pictures() + viewers()
    frozen = SEGMENTATION.for_new_patients(rules.train_unet.output.model)
    made = rules.collect_radiomics.output
    found = expand([made.table, made.stability], scope="cohort", region=SEGMENTATION.measured)
    return [".bidsignore", "report/index.html", *aligned_contrasts(), *frozen, *found]


def announcement():
    """What a run is about to work on, and the disk that it will take."""
    counts, resolution = map(len, (MEASURED, T1W, DWI, VESSELS)), ANATOMICAL["template_resolution"]
    return announce(counts, ALL_SCANS, resolution, NONLINEAR, OUTPUT_DIR)


def steps_of(prefix):
    """Steps of the status table."""
    files = lambda name: (getattr(rules, name).output.sidecar, getattr(rules, name).log[0])
    aligned = [(n, [of_contrast(p, n) for p in files("align_contrast")]) for n in CONTRASTS]
    return steps_of_session(steps(prefix), files, aligned, SEGMENTATION.all_of(prefix))


def jobs_beside_steps():
    """Those that make pictures and what stands in the report, as from `jobs_behind`."""
    asked = [] if CONFIG["participants"] else everything(None)[:2]
    asked += qc_pictures() + viewers() + engine_pictures()
    asked += SEGMENTATION.radiomics_files(T1W, rules.measure_radiomics.output.sidecar)
    return jobs_behind(asked, list(workflow.rules))


VERIFYING = {"audit", "freeze"}


def closing(succeeded):
    """Keep the records of a run that has ended; what is printed then."""
    asked = set(workflow.dag_settings.targets)
    told = sorted(asked & VERIFYING) if succeeded else []
    lines = [(OUTPUT_DIR / f"logs/{name}.log").read_text() for name in told]
    if not asked or asked - VERIFYING:
        temporary = {made.name: [*map(is_temp, made.output)] for made in workflow.rules}
        kept, there = OUTPUT_DIR / "cohort/status.tsv", COHORT.sessions
        if CONFIG["participants"]:
            from workflow_scripts.report.flag_outliers import flags_of_run

            kept = there = None
            lines.append(flags_of_run(OUTPUT_DIR, all_sidecars()))
        lines.append(report_status(COHORT, steps_of, OUTPUT_DIR, kept, ANATOMICAL["body_part"]))
        lines.append(record_run(OUTPUT_DIR, CONFIG, PLACES, temporary, there, STARTED, succeeded))
        jobs = [] if succeeded else jobs_beside_steps()
        lines.append(first_look(OUTPUT_DIR, STUDIES, jobs, STARTED) if kept else None)
    return "\n".join(filter(None, lines))
