rule fit_features:
    """A table model fitted in every split, and its predictions."""
    input:
        **CASES,
    output:
        **tables(predictions=f"{MODEL}_predictions.tsv"),
        models=f"{MODEL}_models.json",
    log:
        "logs/fit_features/{study}/model-{model}.log",
    params:
        **CASES_PARAMS,
        settings=model(),
    script:
        "../workflow_scripts/baselines/fit_features.py"


rule refit_features:
    """A table model fitted anew: to permuted labels or inputs, or in another way."""
    input:
        **CASES,
        flagged=lambda made: FLAGGED if made.refit == "variants" else [],
    output:
        **tables(table=f"{MODEL}_{{refit}}.tsv"),
    log:
        "logs/refit_features/{study}/model-{model}_{refit}.log",
    wildcard_constraints:
        refit="permutations|blocks|variants|harmonization",
    threads: 2
    resources:
        runtime=need(120),
    params:
        **CASES_PARAMS,
        settings=model(),
        permutations=study("permutations"),
        added_value=lambda made: evaluation("added_value")(made) if made.refit == "blocks" else None,
    script:
        "../workflow_scripts/baselines/refit_features.py"


rule bootstrap_models:
    """Logistic models fitted to everybody, to bootstrap samples and to permuted columns."""
    input:
        **CASES,
    output:
        **tables(
            predictions="studies/{study}/apparent.tsv",
            coefficients="studies/{study}/coefficients.tsv",
            samples="studies/{study}/bootstraps.tsv",
            permutations="studies/{study}/apparent_permutations.tsv",
            instability="studies/{study}/instability.tsv",
            sample_size="studies/{study}/sample_size.tsv",
        ),
    log:
        "logs/bootstrap_models/{study}.log",
    threads: 2
    resources:
        runtime=need(120),
    params:
        **CASES_PARAMS,
        models=lambda wildcards: models_of(STUDIES[wildcards.study], "logistic"),
        samples=lambda wildcards: evaluation("optimism")(wildcards)["samples"],
        permutations=study("permutations"),
    script:
        "../workflow_scripts/baselines/bootstrap_models.py"


rule stack_models:
    """A learner on out-of-fold scores of other models, in every split."""
    input:
        **CASES,
        inner=of_split("inner_splits"),
        members=stacked,
    output:
        **tables(predictions=f"{MODEL}_desc-stack_predictions.tsv"),
        **tables(training=f"{MODEL}_desc-training_predictions.tsv"),
        **tables(learners=f"{MODEL}_desc-stack_learners.tsv"),
        stack=f"{MODEL}_stack.json",
    log:
        "logs/stack_models/{study}/model-{model}.log",
    params:
        settings=model(),
        inputs=lambda made: input_tables(STUDIES[made.study], model("inputs")(made)),
        classes=design_classes,
        key="studies.{study}",
    script:
        "../workflow_scripts/baselines/stack_models.py"


rule score_stacks:
    """Scores of the cohort's sessions by trained stacks of networks."""
    input:
        networks=rules.predict_sessions.output.predictions,
        stacks=list(FROZEN.stacks),
        features=["cohort/features.tsv"] if FROZEN.columns(measured=True) else [],
    output:
        **tables(predictions="predictions/stacks.tsv"),
    log:
        "logs/score_stacks.log",
    params:
        sessions=lambda wildcards: FROZEN.values(),
    script:
        "../workflow_scripts/baselines/score_stacks.py"


rule one_class_svm:
    """One-class SVM on the images of an input."""
    input:
        **VOLUMES,
        splits=of_split("splits"),
    output:
        **tables(predictions=f"{MODEL}_desc-images_predictions.tsv"),
        **tables(shares=f"{MODEL}_desc-nu_shares.tsv"),
    log:
        "logs/one_class_svm/{study}/model-{model}.log",
    params:
        settings=model(),
        classes=design_classes,
    script:
        "../workflow_scripts/baselines/one_class_svm.py"
