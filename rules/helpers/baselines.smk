from workflow_scripts.cohort.evaluations import FLAGGED, MODEL, STUDY, TABLE_MODELS, radiomics_shown
from workflow_scripts.cohort.evaluations import input_tables, radiomics_read, table_inputs

CASES = {
    "features": "studies/{study}/features.tsv",
    "clinical": rules.collect_clinical.output.table,
    "splits": of_split("splits"),
    "radiomics": lambda made: radiomics_read(made.study, STUDIES[made.study]),
}
CASES_PARAMS = {
    "inputs": lambda made: table_inputs(STUDIES[made.study]),
    "together": lambda made: list(table_inputs(STUDIES[made.study], "complete_cases")),
    "classes": design_classes,
    "seed": study("seed"),
    "key": "studies.{study}",
}


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
