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


rule permute_features:
    """A table model fitted anew to the labels of permutations."""
    input:
        **CASES,
    output:
        **tables(permutations=f"{MODEL}_permutations.tsv"),
    log:
        "logs/permute_features/{study}/model-{model}.log",
    threads: 2
    resources:
        runtime=need(120),
    params:
        **CASES_PARAMS,
        settings=model(),
        permutations=study("permutations"),
    script:
        "../workflow_scripts/baselines/permute_features.py"


rule bootstrap_models:
    """Logistic models fitted to everybody, to bootstrap samples and to permuted columns."""
    input:
        **CASES,
    output:
        **tables(predictions="studies/{study}/apparent.tsv"),
        **tables(coefficients="studies/{study}/coefficients.tsv"),
        **tables(samples="studies/{study}/bootstraps.tsv"),
        **tables(permutations="studies/{study}/apparent_permutations.tsv"),
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
