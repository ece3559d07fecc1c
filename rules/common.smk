import gc
import os
import shutil
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

# A third of the time of building the graph of a thousand sessions; on again when jobs start.
gc.disable()

# Jobs import the package from the clone that this Snakefile belongs to, so that
# the code that runs is the code whose fingerprint is recorded. ITK's results
# depend on the number of threads in the last digits.
sys.path.insert(0, workflow.basedir)
os.environ |= {
    "PYTHONPATH": workflow.basedir,
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "NIPYPE_NO_ET": "1",  # no look-up of newer versions on the network
}

from snakemake.exceptions import WorkflowError
from snakemake.io import is_flagged

from workflow_scripts.audit.record_run import record_run
from workflow_scripts.cohort.cohort import (
    complete,
    frozen_population,
    keep_apart,
    load_cohort,
    make_cohort,
)
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.disk import estimate_bytes
from workflow_scripts.cohort.index import natural_order, write_index
from workflow_scripts.cohort.status import Step, report_status
from workflow_scripts.common.bids import (
    RAW,
    VESSEL_WALL,
    bids,
    metadata_files,
    session_prefix,
)
from workflow_scripts.common.fingerprint import shared_fingerprint
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort, simulation

STARTED = datetime.now(UTC)
code = partial(shared_fingerprint, fresh=workflow.is_main_process)
SPACE = "MNI152NLin2009aSym"
INDEX = "cohort/index.tsv"


def read_cohort():
    """Check the configuration and the cohort, and where results go."""
    checked = check_config(config)
    output_dir = Path(checked["output_dir"]).absolute()
    make_absolute(checked["diffusion"], "alps_rois")
    make_absolute(checked, "frozen_models")
    only = checked["participants"]
    if only:
        checked["studies"] = {}
    # Another run's jobs read its index; Snakemake will refuse this one, or it is a dry run.
    busy = workflow.is_main_process and locked(output_dir)
    kept = None if only or busy else output_dir / INDEX
    if checked["bids_dir"]:
        bids_dir = Path(checked["bids_dir"]).absolute()
        keep_apart(bids_dir.resolve(), output_dir.resolve())
        make_absolute(checked, "exclusions")
        make_absolute(checked["vessel_wall"], "derivatives")
        cohort = load_cohort(checked, bids_dir, kept, workflow.is_main_process)
        return checked, cohort, bids_dir, output_dir
    bids_dir = Path("demo/bids")
    checked["exclusions"] = str(bids_dir / "exclusions.tsv")
    participants, scans, exclusions = plan_cohort(checked["demo"])
    index = [scan | {"path": str(bids_dir / scan["path"])} for scan in scans]
    index = complete(index, participants, checked["scans"])
    if kept:
        write_index(index, kept)
    cohort = make_cohort(checked, participants, index, exclusions)
    return checked, cohort, bids_dir, output_dir


def locked(output_dir):
    """Is a run working in the output folder?"""
    return any((output_dir / ".snakemake/locks").glob("*.lock"))


def make_absolute(section, key):
    """Make a path of the configuration hold in the output folder too."""
    if section[key]:
        section[key] = str(Path(section[key]).absolute())


def population(name):
    """Participants of a study, from its kept split where there is one."""
    kept = OUTPUT_DIR / split_file(name, "population")
    return frozen_population(kept, CONFIG["studies"][name], name, COHORT)


def split_file(name, table):
    return f"studies/{name}/split-{CONFIG['studies'][name]['split']}_{table}.tsv"


try:
    CONFIG, COHORT, BIDS_DIR, OUTPUT_DIR = read_cohort()
    POPULATIONS = {name: population(name) for name in CONFIG["studies"]}
except InputError as error:
    raise WorkflowError(str(error))


workdir: OUTPUT_DIR


ANATOMICAL, DIFFUSION = CONFIG["anatomical"], CONFIG["diffusion"]
# Memory in MB of a step on the template's grid, beside that for the scan.
ON_TEMPLATE = {2: 1000, 1: 4000}[ANATOMICAL["template_resolution"]]
NONLINEAR = ANATOMICAL["registration"] in ("syn", "fsl_fnirt")
bids_anat = partial(bids, "{folder}/anat", "{prefix}")
bids_dwi = partial(bids, "{folder}/dwi", "{prefix}")
bids_figures = partial(bids, "{folder}/figures", "{prefix}")

T1W = COHORT.usable("T1w")
FLAIR = {prefix: row for prefix, row in COHORT.usable("FLAIR").items() if prefix in T1W}
SCANS = {
    suffix: COHORT.scans(suffix)
    for suffix in ("T1w", "FLAIR", "dwi", "epi", "vesselwall", "VWI")
}
DWI, EPI, VESSELS = SCANS["dwi"], SCANS["epi"], SCANS["vesselwall"]
VWI = COHORT.usable("VWI")
ALL_SCANS = sorted(
    row["path"] for scans in SCANS.values() for rows in scans.values() for row in rows
)
MEASURED = sorted({*T1W, *DWI, *VESSELS}, key=lambda prefix: natural_order([prefix]))

TRANSFORMS = [bids_anat("xfm.mat", from_="T1w", to=SPACE, mode="image")]
DWI_TO_T1W = bids_dwi("xfm.mat", from_="dwi", to="T1w", mode="image")
DWI_TO_MNI = [bids_dwi("xfm.mat", from_="dwi", to=SPACE, mode="image")]
if NONLINEAR:
    TRANSFORMS += [
        bids_anat("xfm.nii.gz", from_="T1w", to=SPACE, mode="image"),
        bids_anat("xfm.nii.gz", from_=SPACE, to="T1w", mode="image"),
    ]
    DWI_TO_MNI += [bids_dwi("xfm.nii.gz", from_="dwi", to=SPACE, mode="image")]


# Lists as long as the cohort are given to rules as functions: Snakemake 9.27 hashes a list
# that stands in a rule once for each of its files.
def sessions(paths, prefixes):
    """Fill {folder} and {prefix} of paths for each session."""
    return [
        path.format(folder=prefix.replace("_", "/"), prefix=prefix)
        for prefix in prefixes
        for path in ([paths] if isinstance(paths, str) else paths)
    ]


def simulated(rule, output, participants):
    """An output of a rule of the simulation, of each of the participants."""
    pattern = getattr(rules, rule).output[output]
    return [pattern.format(participant=name) for name in participants]


def raw_bytes(path):
    """Size of a raw scan, so that one replaced by an older file is seen too."""
    return os.path.getsize(path) if CONFIG["bids_dir"] else None


def need(least, sessions=0, doublings=None, **per_mb):
    """Resource function: an amount that grows with the data and doubles with each retry.

    ``sessions`` is added for each session of the cohort, and so much per MB of a session's raw
    scans as stands under their suffix. After ``doublings`` retries it stays, if given.
    """

    def amount(wildcards, attempt):
        size = least + sessions * len(MEASURED)
        for suffix, each in per_mb.items():
            for path in paths(SCANS[suffix], wildcards.prefix):
                if os.path.exists(path):
                    size += each * os.path.getsize(path) / 1e6
        retries = attempt - 1 if doublings is None else min(attempt - 1, doublings)
        return round(size * 2**retries)

    return amount


def announcement():
    """What a run is about to work on, and the disk that it will take."""
    raw = sum(os.path.getsize(path) for path in ALL_SCANS if os.path.exists(path))
    size = estimate_bytes(raw, len(T1W), ANATOMICAL["template_resolution"], NONLINEAR)
    free = shutil.disk_usage(".").free
    return (
        f"{len(MEASURED)} sessions: {len(T1W)} with a T1w, {len(DWI)} with diffusion series, "
        f"{len(VESSELS)} with vessel walls; results take about {size / 1e9:.2g} GB in all, "
        f"{free / 1e9:.2g} GB are free in {OUTPUT_DIR}"
    )


def sidecars(prefix, suffixes=("T1w", "dwi", "vesselwall")):
    """The files whose measures make a session's row of a feature table."""
    names = []
    if "T1w" in suffixes and prefix in T1W:
        names += [
            bids_anat("T1w.json", desc="preproc"),
            bids_anat("T1w.json", space=SPACE, desc="preproc"),
            bids_anat("dseg.json"),
        ]
    if "dwi" in suffixes and prefix in DWI:
        names += [
            bids_dwi("dwi.json", desc="preproc"),
            bids_dwi("dwimap.json", model="tensor"),
            bids_dwi("xfm.json", from_="dwi", to="T1w" if prefix in T1W else SPACE),
            bids_dwi("alps.json"),
        ]
    if "vesselwall" in suffixes and prefix in VESSELS:
        names += [bids_anat("vesselwall.json")]
    return sessions(names, [prefix])


def all_sidecars(wildcards=None):
    return [path for prefix in MEASURED for path in sidecars(prefix)]


def aligned_flairs():
    return sessions(bids_anat("FLAIR.json", space="T1w", desc="preproc"), FLAIR)


def preprocessed_files(wildcards=None):
    """What is made of each session; and the check of the cohort, if the run is about it all."""
    check = [] if CONFIG["participants"] else ["cohort/check.txt"]
    return check + all_sidecars() + aligned_flairs()


def everything(wildcards):
    """All that a run makes; the report stands for what it needs."""
    if CONFIG["participants"]:
        return preprocessed_files() + qc_pictures()
    return ["dataset_description.json", "report/index.html", *aligned_flairs()]


def steps(prefix):
    """Steps that a session's scans go through, whether it has them or not."""
    to_t1w = prefix in T1W
    names = {
        "T1w": ["prepare_t1w", "register_to_mni", "segment_brain"],
        "FLAIR": ["align_flair"],
        "dwi": [
            "prepare_dwi",
            "fit_tensor",
            "register_dwi_to_t1w" if to_t1w else "register_dwi_to_mni",
            "measure_alps",
        ],
        "vesselwall": ["measure_vessel_wall"],
    }
    return [
        Step(
            name,
            suffix,
            getattr(rules, name).output.sidecar,
            getattr(rules, name).log[0],
        )
        for suffix, rules_of_scan in names.items()
        for name in rules_of_scan
    ]


def status():
    """Short table of where the sessions stand; ``cohort/status.tsv`` has them one by one."""
    kept = None if CONFIG["participants"] else OUTPUT_DIR / "cohort/status.tsv"
    return report_status(COHORT, steps, OUTPUT_DIR, kept)


# Folders whose files are recorded as BIDS URIs.
PLACES = {
    RAW: CONFIG["bids_dir"] and str(BIDS_DIR),
    VESSEL_WALL: CONFIG["vessel_wall"]["derivatives"],
}
PLACES = {uri: folder for uri, folder in PLACES.items() if folder}


def sessions_with_scans():
    """Sessions that the dataset has any scan of, usable or not."""
    return {
        session_prefix(row["participant_id"], row["session_id"])
        for row in COHORT.index
        if row["path"]
    }


VERIFYING = {"audit", "freeze"}


def closing(succeeded):
    """Keep the records of a run that has ended; what is printed then."""
    asked = set(workflow.dag_settings.targets)
    told = sorted(asked & VERIFYING) if succeeded else []
    lines = [(OUTPUT_DIR / f"logs/{name}.log").read_text() for name in told]
    if not asked or asked - VERIFYING:
        temporary = {
            made.name: [is_flagged(path, "temp") for path in made.output]
            for made in workflow.rules
        }
        lines.append(status())
        lines.append(
            record_run(
                OUTPUT_DIR,
                CONFIG,
                PLACES,
                temporary,
                None if CONFIG["participants"] else sessions_with_scans(),
                STARTED,
                succeeded,
            )
        )
    return "\n".join(filter(None, lines))


def qc_pictures(wildcards=None):
    """Pictures for quality control, of each session those of its scans."""
    pictures = {"T1w": T1W, "dwi": DWI, "vesselwall": VESSELS}
    return [
        path
        for suffix, prefixes in pictures.items()
        for path in sessions(bids_figures(f"{suffix}.webp", desc="qc"), prefixes)
    ]


def paths(scans, prefix):
    """Files of a session; none where it has no such scan."""
    return [row["path"] for row in scans.get(prefix, [])]


def beside(path, extension):
    """The file of the same name with another extension."""
    return os.path.splitext(path.removesuffix(".gz"))[0] + extension


def those_there(files):
    """Files of the dataset that are there; of the simulated one all, which rules make."""
    return [path for path in files if not CONFIG["bids_dir"] or os.path.exists(path)]


def gradient_tables(images):
    return [beside(path, end) for path in images for end in (".bval", ".bvec")]


def gradient_files(wildcards):
    return gradient_tables(paths(DWI, wildcards.prefix))


def all_gradients(wildcards):
    """Gradient tables that are there; where one lacks, preflight says so."""
    return those_there(
        gradient_tables(path for prefix in DWI for path in paths(DWI, prefix))
    )


def inherited_metadata(wildcards):
    """JSON files that apply to the diffusion images of a session."""
    images = paths(DWI, wildcards.prefix) + paths(EPI, wildcards.prefix)
    if not CONFIG["bids_dir"]:
        return [beside(path, ".json") for path in images]
    found = [str(file) for path in images for file in metadata_files(Path(path))]
    return those_there(dict.fromkeys(found))


def dwi_t1w(wildcards):
    """T1w and brain mask that undistort a session's diffusion series, where it has a T1w."""
    wanted = DIFFUSION["t1w_distortion"] and wildcards.prefix in T1W
    names = [
        bids_anat("T1w.nii.gz", desc="preproc"),
        bids_anat("mask.nii.gz", desc="brain"),
    ]
    return sessions(names, [wildcards.prefix]) if wanted else []


def dwi_transforms(wildcards):
    """Transforms that a point of MNI152 goes through on its way to the diffusion series."""
    if wildcards.prefix in T1W:
        steps = [*TRANSFORMS[1:2], TRANSFORMS[0], DWI_TO_T1W]
    else:
        steps = DWI_TO_MNI[::-1]
    return sessions(steps, [wildcards.prefix])


def centre_lines(wildcards):
    return [path for path in paths(VESSELS, wildcards.prefix) if "_points." in path]


def vessel_wall_image(wildcards):
    """The image on which centre lines were drawn.

    An InputFunctionException would hide the reason, so a session without one
    gets a path that says it.
    """
    row = VWI.get(wildcards.prefix)
    return (
        row["path"] if row else f"vessel-wall image (scans.VWI) of {wildcards.prefix}"
    )


def vessel_wall_files(wildcards):
    """Masks and contours of a session, and the contours proposed along its centre lines."""
    lines = centre_lines(wildcards)
    drawn = [path for path in paths(VESSELS, wildcards.prefix) if path not in lines]
    proposed = bids_anat("contours.tsv", desc="automatic")
    return drawn + (sessions(proposed, [wildcards.prefix]) if lines else [])


def vessel_wall_pictures(wildcards):
    """What the contours are drawn on: the vessel-wall image, or the masks."""
    if wildcards.prefix in VWI:
        return [VWI[wildcards.prefix]["path"]]
    return [path for path in paths(VESSELS, wildcards.prefix) if ".nii" in path]


def study(*keys):
    """Params function: these keys of a study's configuration, and no others."""
    return lambda wildcards: {
        key: CONFIG["studies"][wildcards.study][key] for key in keys
    }


def population_file(wildcards):
    return split_file(wildcards.study, "population")


def trials_file(wildcards):
    return split_file(wildcards.study, "trials")


def learning(*keys):
    """Params function: one key of a study's section learning, or several as a dictionary."""

    def read(wildcards):
        settings = CONFIG["studies"][wildcards.study]["learning"]
        return settings[keys[0]] if len(keys) == 1 else {k: settings[k] for k in keys}

    return read


def pretrained_encoder(wildcards):
    """The encoder that a classifier stands on, weights first; none for the supervised baseline."""
    if wildcards.strategy == "supervised":
        return []
    path = "studies/{study}/models/trial-{trial}_strategy-{strategy}_repeat-{repeat}"
    endings = ("encoder.safetensors", "encoder.json")
    return [f"{path}_{ending}".format(**wildcards) for ending in endings]


def trainings(name):
    """Trial, strategy and repeat of all classifiers of a study."""
    settings = CONFIG["studies"][name]["learning"]
    trials = settings["trials"] or CONFIG["studies"][name]["design"]["trials"]
    return [
        {"trial": trial, "strategy": strategy, "repeat": repeat}
        for strategy in [*settings["strategies"], "supervised"]
        for trial in range(1, trials + 1)
        for repeat in range(1, settings["repeats"] + 1)
    ]


def trained(ending, folder="models"):
    """Input function: a file of every training of a study, or of one strategy."""
    return lambda wildcards: [
        f"studies/{wildcards.study}/{folder}/trial-{t['trial']}_strategy-{t['strategy']}"
        f"_repeat-{t['repeat']}_{ending}"
        for t in trainings(wildcards.study)
        if wildcards.get("strategy", t["strategy"]) == t["strategy"]
    ]


def learning_studies():
    """Settings of the networks of the studies that have any."""
    studies = CONFIG["studies"].items()
    return {name: study["learning"] for name, study in studies if "learning" in study}


def gradcam_files(ending):
    """A file of the mean Grad-CAM of every strategy of every study."""
    return [
        f"studies/{name}/gradcam/strategy-{strategy}_{ending}"
        for name, settings in learning_studies().items()
        for strategy in [*settings["strategies"], "supervised"]
    ]


def trial_tables(content):
    """Input function: predictions or permutations of all classifiers of the random trials."""
    models = {"predictions": ["features", "oneclasssvm"], "permutations": ["features"]}

    def paths(wildcards):
        learned = "learning" in CONFIG["studies"][wildcards.study]
        return [
            f"studies/{wildcards.study}/model-{model}_{content}.tsv"
            for model in models[content] + ["cnn"] * learned
        ]

    return paths


def frozen_models():
    """Trained classifiers that sessions are scored with."""
    folder = Path(
        CONFIG["frozen_models"] or "(configuration: frozen_models is not set)"
    )
    found = sorted(str(path) for path in folder.glob("*_model.safetensors"))
    return found or [f"{folder}/no *_model.safetensors there"]


def model_descriptions():
    return [beside(path, ".json") for path in frozen_models()]


def normalized_brains(wildcards):
    prefixes = [
        session_prefix(row["participant_id"], row["session_id"])
        for row in POPULATIONS[wildcards.study]
    ]
    return sessions(bids_anat("T1w.nii.gz", space=SPACE, desc="brain"), prefixes)


def scope_sessions(wildcards):
    """Sessions of a feature table, as dictionaries: all, or a study's population."""
    if wildcards.scope == "cohort":
        scans = {p: rows[0] for p, rows in (DWI | VESSELS).items()} | T1W
        return [feature_row(scans[prefix]) for prefix in MEASURED]
    name = wildcards.scope.removeprefix("studies/")
    suffixes = CONFIG["studies"][name]["scans"]
    return [feature_row(row, suffixes) for row in POPULATIONS[name]]


def study_sidecars(wildcards):
    """Sidecars of a study's population; none for the cohort, whose are collected in one file."""
    if wildcards.scope == "cohort":
        return []
    return [path for row in scope_sessions(wildcards) for path in row["sidecars"]]


def feature_row(row, *suffixes):
    prefix = session_prefix(row["participant_id"], row["session_id"])
    keys = {key: row[key] for key in ("participant_id", "session_id")}
    return keys | {"sidecars": sidecars(prefix, *suffixes)}


def study_tables(wildcards=None):
    """All tables of all studies, by what each of them asks for."""
    blocks = {
        "design": ["fractions", "regions", "metrics", "permutation_test"]
        + ["model-features_predictions", "model-oneclasssvm_predictions"],
        "learning": ["model-cnn_predictions", "strategies"],
        "comparison": ["groups", "groups_pairwise"],
        "correlations": ["correlations"],
        "models": [
            f"models_{name}"
            for name in ("metrics", "comparisons", "roc", "calibration")
            + ("decision_curve", "coefficients", "predictions")
        ],
    }
    tables = []
    for name, settings in CONFIG["studies"].items():
        names = ["table1", "flow", "features"]
        names += [t for block in blocks if block in settings for t in blocks[block]]
        tables += [f"studies/{name}/{table}.tsv" for table in names]
        tables.append(split_file(name, "population"))
        if "design" in settings:
            tables.append(split_file(name, "trials"))
    if any("published" in settings for settings in CONFIG["studies"].values()):
        tables += [
            rules.compare_published.output.table,
            rules.compare_published.output.strategies,
        ]
    return tables + gradcam_files("regions.tsv")


def truth_tables():
    """What was recovered of the simulated cohort's truth; none for a real one."""
    if CONFIG["bids_dir"]:
        return []
    truth = rules.compare_with_truth.output
    return [truth.recovered, truth.summary]


def gradcam_truth_tables():
    """Grad-CAM of the simulated cohort against the truth, where a study has it."""
    simulated = not CONFIG["bids_dir"] and gradcam_files("")
    return [rules.compare_gradcam_with_truth.output.table] if simulated else []


def report_dictionaries(wildcards):
    """Data dictionaries of the tables that the report shows."""
    tables = ["cohort/scans.tsv", "cohort/features.tsv", "cohort/outliers.tsv"]
    tables += truth_tables() + gradcam_truth_tables() + study_tables()
    return [beside(path, ".json") for path in tables]
