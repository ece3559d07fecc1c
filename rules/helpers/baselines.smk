from workflow_scripts.cohort.config import models_of

MODEL = "studies/{study}/models/model-{model}"
TABLE_MODELS = ("svm", "logistic")


def table_inputs(wildcards):
    """Columns of the inputs that a study's table models read, by name."""
    chosen = STUDIES[wildcards.study]
    return {
        name: chosen["inputs"][name]["columns"]
        for settings in models_of(chosen, *TABLE_MODELS).values()
        for name in settings["inputs"]
    }


CASES = {
    "features": "studies/{study}/features.tsv",
    "clinical": rules.collect_clinical.output.table,
    "splits": of_split("splits"),
}
CASES_PARAMS = {
    "inputs": table_inputs,
    "classes": design_classes,
    "seed": study("seed"),
    "key": "studies.{study}",
}
