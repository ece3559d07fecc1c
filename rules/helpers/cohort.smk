from workflow_scripts.cohort.clinical import columns_of_study, phenotype_tables
from workflow_scripts.cohort.population import clinical_of_population
from workflow_scripts.cohort.rated import EXCLUDED

CLINICAL_TABLES = [f"{BIDS_DIR}/participants.tsv", *map(str, phenotype_tables(BIDS_DIR))]
DICTIONARIES = [beside(path, ".json") for path in CLINICAL_TABLES if CONFIG["bids_dir"]]
CLINICAL_TABLES += those_there(DICTIONARIES)
# Of images whose own sidecars do not say in what space they are.
SPACE_SIDECARS = [f"space-{SPACE}_desc-brain_T1w.json"] if OF_BRAIN else []
SPACE_SIDECARS += [
    of_contrast(f"space-{space}_desc-{{desc}}_{{suffix}}.json", name)
    for space in (("T1w", SPACE) if OF_BRAIN else ("T1w",))
    for name in CONTRASTS
]
# Tables of sessions, which share a data dictionary.
DIFFUSION_TABLES = ["motion_timeseries", "outliers_slices", "gradients_check", "alps_rois"]
VESSEL_WALL_TABLES = [f"vesselwall_{name}" for name in ("sections", "segments", "contours")]
VESSEL_WALL_TABLES += ["automatic_contours"]


def scope_sessions(wildcards):
    """Sessions of a feature table, as dictionaries: all, or a study's population."""
    if wildcards.scope == "cohort":
        scans = {p: rows[0] for p, rows in (DWI | VESSELS).items()} | T1W
        return [feature_row(scans[prefix]) for prefix in MEASURED]
    name = wildcards.scope.removeprefix("studies/")
    return [feature_row(row, STUDIES[name]["scans"]) for row in POPULATIONS[name]]


def scope_radiomics(wildcards):
    """What is measured of a region in the sessions of such a table."""
    of_study = wildcards.scope.removeprefix("studies/")
    rows = T1W.values() if wildcards.scope == "cohort" else POPULATIONS[of_study]
    return radiomics(rows, wildcards.region)


def feature_row(row, *suffixes):
    prefix = session_prefix(row["participant_id"], row["session_id"])
    keys = {key: row[key] for key in ("participant_id", "session_id")}
    return keys | {"sidecars": sidecars(prefix, *suffixes)}


def study_sidecars(wildcards):
    """Sidecars of a study's population; none for the cohort, whose are collected in one file."""
    if wildcards.scope == "cohort":
        return []
    return [path for row in scope_sessions(wildcards) for path in row["sidecars"]]


def of_cohort(path):
    return lambda wildcards: path if wildcards.scope == "cohort" else []
