# Without the places that a study has on this machine: moved, it is not remade.
SHOWN_CONFIG = {key: value for key, value in CONFIG.items() if key != "output_dir"}
SHOWN_CONFIG["exclusions"] = config.get("exclusions")
SHOWN_CONFIG["diffusion"] = DIFFUSION | {"alps_rois": config.get("diffusion", {}).get("alps_rois")}
SHOWN_CONFIG["vessel_wall"] = config.get("vessel_wall", {})


def truth_tables():
    """What was recovered of the simulated cohort's truth."""
    if CONFIG["bids_dir"]:
        return []
    truth = rules.compare_with_truth.output
    return [truth.recovered, truth.summary]


def gradcam_truth_tables():
    """Grad-CAM of the simulated cohort against the truth, where a study has it."""
    simulated = not CONFIG["bids_dir"] and gradcam_models()
    return [rules.compare_gradcam_with_truth.output.table] if simulated else []


def report_dictionaries(wildcards):
    """Data dictionaries of the tables that the report shows."""
    shown = ["cohort/scans.tsv", "cohort/features.tsv", "cohort/outliers.tsv"]
    shown += truth_tables() + gradcam_truth_tables() + study_tables()
    return [beside(path, ".json") for path in shown]
