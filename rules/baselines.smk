rule draw_trials:
    input:
        population="studies/{study}/split-{split}_population.tsv",
    output:
        trials="studies/{study}/split-{split}_trials.tsv",
        dictionary="studies/{study}/split-{split}_trials.json",
    log:
        "logs/draw_trials/{study}_split-{split}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("classes", "design", "seed"),
        code=code("baselines/draw_trials.py"),
    script:
        "../workflow_scripts/baselines/draw_trials.py"


rule classify_features:
    input:
        features="studies/{study}/features.tsv",
        trials=trials_file,
    output:
        predictions="studies/{study}/model-features_predictions.tsv",
        predictions_dictionary="studies/{study}/model-features_predictions.json",
        permutations="studies/{study}/model-features_permutations.tsv",
        permutations_dictionary="studies/{study}/model-features_permutations.json",
    log:
        "logs/classify_features/{study}.log",
    benchmark:
        "benchmarks/classify_features/{study}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=need(1000),
        runtime=need(60),
    params:
        study=study("classes", "features", "permutations", "seed"),
        code=code("baselines/classify_features.py"),
    script:
        "../workflow_scripts/baselines/classify_features.py"


rule one_class_svm:
    input:
        population=population_file,
        brains=normalized_brains,
    output:
        predictions="studies/{study}/model-oneclasssvm_predictions.tsv",
        predictions_dictionary="studies/{study}/model-oneclasssvm_predictions.json",
        trials="studies/{study}/model-oneclasssvm_trials.tsv",
        trials_dictionary="studies/{study}/model-oneclasssvm_trials.json",
    log:
        "logs/one_class_svm/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(30),
    params:
        study=study("classes", "design", "one_class_svm", "seed"),
        code=code("baselines/one_class_svm.py"),
    script:
        "../workflow_scripts/baselines/one_class_svm.py"


rule draw_folds:
    input:
        population="studies/{study}/split-{split}_population.tsv",
    output:
        folds="studies/{study}/split-{split}_folds.tsv",
        dictionary="studies/{study}/split-{split}_folds.json",
    log:
        "logs/draw_folds/{study}_split-{split}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("models", "seed"),
        code=code("baselines/draw_folds.py"),
    script:
        "../workflow_scripts/baselines/draw_folds.py"


rule fit_models:
    input:
        features="studies/{study}/features.tsv",
        participants="cohort/participants.tsv",
        folds=lambda wildcards: split_file(wildcards.study, "folds"),
    output:
        predictions="studies/{study}/models_predictions.tsv",
        predictions_dictionary="studies/{study}/models_predictions.json",
        coefficients="studies/{study}/models_coefficients.tsv",
        coefficients_dictionary="studies/{study}/models_coefficients.json",
        bootstraps="studies/{study}/models_bootstraps.tsv",
        bootstraps_dictionary="studies/{study}/models_bootstraps.json",
        permutations="studies/{study}/models_permutations.tsv",
        permutations_dictionary="studies/{study}/models_permutations.json",
    log:
        "logs/fit_models/{study}.log",
    benchmark:
        "benchmarks/fit_models/{study}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=need(1000),
        runtime=need(120),
    params:
        study=study("models", "seed"),
        code=code("baselines/fit_models.py"),
    script:
        "../workflow_scripts/baselines/fit_models.py"
