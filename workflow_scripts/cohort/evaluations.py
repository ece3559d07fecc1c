"""What the evaluations of a study read, and what they write.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from workflow_scripts.cohort.config import models_of
from workflow_scripts.common.engines import region_label

TABLE_MODELS = ("svm", "logistic")
FLAGGED = "cohort/outliers.tsv"
STUDY = "studies/{study}"
MODEL = f"{STUDY}/models/model-{{model}}"
RADIOMICS = f"{STUDY}/{{region}}_radiomics.tsv"
STABILITY = f"{STUDY}/{{region}}_desc-stability_radiomics.tsv"
# Of the logistic models fitted to everybody, where a study asks for optimism.
OF_EVERYBODY = {
    "apparent": f"{STUDY}/apparent.tsv",
    "samples": f"{STUDY}/bootstraps.tsv",
    "permutations": f"{STUDY}/apparent_permutations.tsv",
    "sample_size": f"{STUDY}/sample_size.tsv",
}
TABLES = {
    "features": f"{STUDY}/features.tsv",
    "clinical": f"{STUDY}/clinical.tsv",
    "splits": f"{STUDY}/split-{{split}}_splits.tsv",
    "flagged": FLAGGED,
    "validation": f"{STUDY}/validation_predictions.tsv",
    "metrics": f"{STUDY}/metrics.tsv",
    "population": f"{STUDY}/split-{{split}}_population.tsv",
    "trajectories": f"{STUDY}/trajectories.tsv",
    "associations": f"{STUDY}/associations.tsv",
    "longitudinal": f"{STUDY}/longitudinal.tsv",
}
# What each reads beside the predictions, keys of the study that it depends on, and how the models
# were fitted anew whose tables it reads.
READ = {
    "metrics": [],
    "thresholds": ["validation"],
    "comparisons": ["apparent", "samples"],
    "roc": ["apparent"],
    "decision_curve": ["apparent"],
    "calibration": ["apparent"],
    "calibration_figures": ["apparent"],
    "optimism": ["apparent", "samples", "permutations"],
    "missing": ["features", "clinical", "splits"],
    "sites": ["clinical"],
    "sensitivity": ["flagged"],
    "added_value": ["sample_size"],
    "reliability": ["features"],
    "associations": ["features", "clinical", "population", "volumes"],
    "trajectories": ["features", "clinical", "population", "volumes"],
    "longitudinal": ["trajectories"],
    "reclassification": [],
    "nomogram": ["features", "clinical", "splits"],
    "published_figures": ["metrics"],
    "published_directions": ["associations", "longitudinal", "engines"],
}
KEYS = {"missing": ["models", "inputs"], "sensitivity": ["models", "design"]}
# Whose settings an evaluation has that is not asked for by its own name.
ASKED_BY = {"trajectories": "longitudinal"}
REFITS = {"sensitivity": "variants", "sites": "harmonization", "added_value": "blocks"}


def input_tables(study: dict, names) -> dict[str, list[str] | dict]:
    """Columns of inputs of a checked study by name, or the region and ICC of their radiomics."""
    inputs = {name: study["inputs"][name] for name in names}
    return {name: one.get("columns") or one["radiomics"] for name, one in inputs.items()}


def table_inputs(study: dict, *missing: str) -> dict[str, list[str] | dict]:
    """`input_tables` of a study's table models, or of those that treat missing values in a way."""
    models = models_of(study, *TABLE_MODELS).values()
    read = [one["inputs"] for one in models if not missing or one["missing"] in missing]
    return input_tables(study, [name for names in read for name in names])


def radiomics_read(name: str, study: dict) -> list[str]:
    """Tables of the regions whose radiomics the table models of a study read."""
    return [RADIOMICS.format(study=name, region=label) for label in _regions_read(study)]


def radiomics_shown(name: str, study: dict) -> list[str]:
    """Tables of `radiomics_read`, and how stable the features in each of them are."""
    stability = [STABILITY.format(study=name, region=label) for label in _regions_read(study)]
    return radiomics_read(name, study) + stability


def _regions_read(study: dict) -> list[str]:
    """Regions, as file names have them, whose radiomics the table models of a study read."""
    read = [one["region"] for one in table_inputs(study).values() if isinstance(one, dict)]
    return list(dict.fromkeys(map(region_label, read)))


def inputs_of(evaluation: str, name: str, study: dict) -> dict:
    """Tables that an evaluation reads: lists by what they hold, empty ones among them.

    Parameters
    ----------
    evaluation : key of `READ`
    name, study : key and checked configuration of the study
    """
    everybody = OF_EVERYBODY if "optimism" in study["evaluation"] else {}
    known, place = TABLES | everybody, {"study": name, "split": study["split"]}
    found = {
        content: [known[content].format(**place)]
        if content in READ[evaluation] and content in known
        else []
        for content in TABLES | OF_EVERYBODY
    }
    return found | {
        "fitted": fitted_models(evaluation, name, study),
        "predictions": f"{STUDY}/predictions.tsv".format(**place) if study["models"] else [],
        "refits": [
            f"{MODEL}_{REFITS[evaluation]}.tsv".format(study=name, model=model)
            for model in refitted(evaluation, study)
        ],
    }


def fitted_models(evaluation: str, name: str, study: dict) -> list[str]:
    """File of the fitted model that an evaluation reads."""
    if evaluation != "nomogram":
        return []
    return [_file_of_fitted(name, study, study["evaluation"]["nomogram"]["model"])]


def fitted_logistic(studies: dict) -> list[str]:
    """Files of the logistic models and stacks of all studies, fitted in every split."""
    return [
        _file_of_fitted(name, study, model)
        for name, study in studies.items()
        for kind in ("logistic", "stack")
        for model in models_of(study, kind)
    ]


def _file_of_fitted(name: str, study: dict, model: str) -> str:
    kind = "stack" if study["models"][model]["kind"] == "stack" else "models"
    return f"{MODEL}_{kind}.json".format(study=name, model=model)


def refitted(evaluation: str, study: dict) -> list[str]:
    """Models whose refits an evaluation reads."""
    fitted = models_of(study, *TABLE_MODELS)
    match evaluation:
        case "sensitivity":
            return list(fitted)
        case "sites":
            return [model for model, settings in fitted.items() if settings["harmonize"]]
        case "added_value":
            return [study["evaluation"]["added_value"]["model"]]
    return []


def settings_of(evaluation: str, name: str, study: dict) -> dict:
    """An evaluation's own settings, what else it depends on, and its key, for messages."""
    asked = ASKED_BY.get(evaluation, evaluation)
    return {
        "classes": study.get("design", study)["classes"],
        "key": f"studies.{name}.evaluation.{asked}",
        asked: study["evaluation"].get(asked),
        **{key: study[key] for key in ("bootstraps", "seed", *KEYS.get(evaluation, []))},
    }


def tables_of(evaluation: str) -> list[str]:
    """Names of the tables that an evaluation writes, where not one of its own name alone."""
    return {
        "permutation": ["permutation_test"],
        "calibration": ["calibration", "calibration_figures"],
        "optimism": ["optimism", "coefficients", "instability", "sample_size"],
        "repeated_measures": ["strategies"],
        "gradcam": [],  # a table of each model
        "longitudinal": ["trajectories", "longitudinal"],
        "groups": ["groups", "groups_pairwise"],
        "published": [],  # of all studies
    }.get(evaluation, [evaluation])
