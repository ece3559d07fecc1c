from workflow_scripts.cohort.config import shown_config
from workflow_scripts.cohort.evaluations import fitted_logistic
from workflow_scripts.common.ratings import others_now, rating_files

RATINGS = rating_files(CONFIG["ratings"])
WITH_SITES = [name for name, settings in STUDIES.items() if "site" in settings]


def truth_tables():
    """A simulated cohort's truth: what was recovered, its summary, and Grad-CAM if any."""
    if CONFIG["bids_dir"] or not true_and_found()["masks"]:
        return []
    recovered = rules.compare_with_truth.output
    gradcam = [rules.compare_gradcam_with_truth.output.table] if gradcam_models() else []
    return [recovered.recovered, recovered.summary, *gradcam]


def report_dictionaries(wildcards):
    """Data dictionaries of the tables that the report shows."""
    shown = ["cohort/scans.tsv", "cohort/features.tsv", "cohort/outliers.tsv"]
    shown += truth_tables() + study_tables() + TABLES_OF_ENGINES
    shown += rules.collect_ratings.output[:2] if RATINGS else []
    return [beside(path, ".json") for path in shown]
