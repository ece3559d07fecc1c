from snakemake.iocontainers import Wildcards

from workflow_scripts.cohort.config import NETWORKS, models_of
from workflow_scripts.cohort.population import screened

STUDY = "studies/{study}"
FROM_PREDICTIONS = ["metrics", "comparisons", "roc", "decision_curve"]
FROM_PREDICTIONS += ["calibration", "calibration_figures", "optimism"]
# What some of them read about models fitted to everybody; the others their predictions.
READ = {
    "metrics": [],
    "comparisons": ["predictions", "samples"],
    "optimism": ["predictions", "samples", "permutations"],
}


def model_outputs(content):
    """Input function: predictions or permutations of all models of a study that have them."""

    def paths(wildcards):
        name, found = wildcards.study, []
        for key, settings in STUDIES[name]["models"].items():
            output = output_of_kind(content, settings)
            if settings["kind"] in NETWORKS and output:
                found += trained_models(output, name, key)
            elif output:
                found.append(output.format(study=name, model=key))
        return found

    return paths


def output_of_kind(content, settings):
    """Where models of a kind write predictions or permutations; None where they have none."""
    kind, linear = settings["kind"], settings.get("finetuning", {}).get("mode") == "linear"
    if kind in NETWORKS:
        has = content == "predictions" or linear
        return getattr(rules.train_classifier.output, content) if has else None
    if content == "permutations":
        return rules.permute_features.output.permutations if kind in TABLE_MODELS else None
    made_by = rules.one_class_svm if kind == "one_class_svm" else rules.fit_features
    return made_by.output.predictions


def of_everybody(output):
    """Input function: models fitted to everybody, for the evaluations that read them."""

    def paths(wildcards):
        wanted = "optimism" in STUDIES[wildcards.study]["evaluation"]
        if not wanted or output not in READ.get(wildcards.evaluation, ["predictions"]):
            return []
        return [rules.bootstrap_models.output[output].format(study=wildcards.study)]

    return paths


def gradcam_models():
    """Study and model of every network of every study that asks for Grad-CAM, as wildcards."""
    return [
        Wildcards(fromdict={"study": name, "model": key})
        for name, settings in STUDIES.items()
        if "gradcam" in settings["evaluation"]
        for key in models_of(settings, *NETWORKS)
    ]


def of_gradcam(output):
    """An output about the mean Grad-CAM of every such network."""
    return [output.format(**made) for made in gradcam_models()]


def evaluation_tables(name):
    """Tables of an evaluation: that of its name, where it is not said otherwise."""
    made = {
        "permutation": [rules.permutation_test.output.table],
        "calibration": [f"{STUDY}/calibration.tsv", f"{STUDY}/calibration_figures.tsv"],
        "optimism": [f"{STUDY}/optimism.tsv", rules.bootstrap_models.output.coefficients],
        "repeated_measures": [rules.compare_strategies.output.table],
        "gradcam": [],  # a table of each model
        "groups": rules.compare_groups.output[:2],
        "published": rules.compare_published.output[:2],
    }
    return made.get(name, [f"{STUDY}/{name}.tsv"])


def study_tables(wildcards=None):
    """All tables of all studies, by what each of them asks for."""
    found = []
    for name, settings in STUDIES.items():
        names = [*rules.describe_population.output[:3], f"{STUDY}/features.tsv"]
        names.append(rules.freeze_population.output.table)
        if "design" in settings:
            names.append(rules.draw_splits.output.splits)
        if settings["models"]:
            names.append(rules.collect_predictions.output.table)
        names += [t for asked in settings["evaluation"] for t in evaluation_tables(asked)]
        found += [path.format(study=name, split=settings["split"]) for path in names]
    return list(dict.fromkeys(found + of_gradcam(rules.average_gradcam.output.regions)))
