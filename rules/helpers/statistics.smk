from snakemake.iocontainers import Wildcards

from workflow_scripts.cohort.config import NETWORKS, models_of
from workflow_scripts.cohort.evaluations import READ, inputs_of, settings_of, tables_of
from workflow_scripts.cohort.population import screened


def evaluation_inputs(wildcards):
    """Input function: what an evaluation reads."""
    found = inputs_of(wildcards.evaluation, wildcards.study, STUDIES[wildcards.study])
    of_engines = {"volumes": TABLES_OF_ENGINES[:1], "engines": TABLES_OF_ENGINES}
    read = READ[wildcards.evaluation]
    return found | {name: made if name in read else [] for name, made in of_engines.items()}


def model_outputs(content, of=lambda made: STUDIES[made.study]["models"]):
    """Input function: predictions or permutations of models of a study that have them.

    of : function of the wildcards to the names of the models
    """

    def paths(wildcards):
        name, found = wildcards.study, []
        for key in of(wildcards):
            settings = STUDIES[name]["models"][key]
            output = output_of_kind(content, settings)
            if settings["kind"] in NETWORKS and output:
                found += trained_models(output, name, key)
            elif output:
                found.append(output.format(study=name, model=key, refit=content))
        return found

    return paths


def output_of_kind(content, settings):
    """Where models of a kind write predictions or permutations; None where they have none."""
    kind, linear = settings["kind"], settings.get("finetuning", {}).get("mode") == "linear"
    if kind in NETWORKS:
        has = content == "predictions" or linear
        return getattr(rules.train_classifier.output, content) if has else None
    if content == "permutations":
        return rules.refit_features.output.table if kind in TABLE_MODELS else None
    made_by = {"one_class_svm": rules.one_class_svm, "ensemble": rules.combine_models}
    made_by["stack"] = rules.stack_models
    return made_by.get(kind, rules.fit_features).output.predictions


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


def study_tables(wildcards=None):
    """All tables of all studies, by what each of them asks for."""
    found = []
    for name, settings in STUDIES.items():
        names = [*rules.describe_population.output[:4], f"{STUDY}/features.tsv"]
        names += [rules.freeze_population.output.table, *radiomics_shown(name, settings)]
        if "design" in settings:
            names.append(rules.draw_splits.output.splits)
        if settings["models"]:
            names.append(rules.collect_predictions.output.table)
        names += [f"{STUDY}/{t}.tsv" for key in settings["evaluation"] for t in tables_of(key)]
        if "published" in settings["evaluation"]:
            names += rules.compare_published.output[::2]
        shares = rules.one_class_svm.output.shares
        names += [shares.replace("{model}", m) for m in models_of(settings, "one_class_svm")]
        learners = rules.stack_models.output.learners
        names += [learners.replace("{model}", m) for m in models_of(settings, "stack")]
        found += [path.format(study=name, split=settings["split"]) for path in names]
    gradcam = [rules.average_gradcam.output.regions, rules.average_gradcam.output.agreement]
    return list(dict.fromkeys([*found, *(t for table in gradcam for t in of_gradcam(table))]))


def predicted(wildcards=None):
    """Scores of the cohort's sessions by frozen networks, and by stacks of them."""
    found = [rules.predict_sessions.output.predictions]
    return found + ([rules.score_stacks.output.predictions] if FROZEN.stacks else [])
