from workflow_scripts.cohort.config import models_of
from workflow_scripts.cohort.evaluations import FLAGGED, MODEL, STUDY, TABLE_MODELS


def table_inputs(wildcards, *missing):
    """Columns of the inputs that a study's table models, or those of a way, read, by name."""
    chosen = STUDIES[wildcards.study]
    return {
        name: chosen["inputs"][name]["columns"]
        for settings in models_of(chosen, *TABLE_MODELS).values()
        if not missing or settings["missing"] in missing
        for name in settings["inputs"]
    }


CASES = {
    "features": "studies/{study}/features.tsv",
    "clinical": rules.collect_clinical.output.table,
    "splits": of_split("splits"),
}
CASES_PARAMS = {
    "inputs": table_inputs,
    "together": lambda wildcards: list(table_inputs(wildcards, "complete_cases")),
    "classes": design_classes,
    "seed": study("seed"),
    "key": "studies.{study}",
}


def stack_inputs(wildcards):
    """Columns of the inputs that a stack reads beside scores, by name."""
    chosen = STUDIES[wildcards.study]
    return {name: chosen["inputs"][name]["columns"] for name in model("inputs")(wildcards)}


def stacked(wildcards):
    """Input function: predictions of the members of a stack, also of its training side."""
    name, found = wildcards.study, []
    for member in model("of")(wildcards):
        if STUDIES[name]["models"][member]["kind"] == "stack":
            made = rules.stack_models.output
            found += [
                path.format(study=name, model=member) for path in (made.predictions, made.training)
            ]
        else:
            path = rules.train_classifier.output.predictions
            found += [*trained_models(path, name, member), *inner_models(path, name, member)]
    return found
