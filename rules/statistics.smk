rule describe_population:
    input:
        participants="cohort/participants.tsv",
        scans="cohort/scans.tsv",
        population=population_file,
    output:
        table1="studies/{study}/table1.tsv",
        table1_dictionary="studies/{study}/table1.json",
        flow="studies/{study}/flow.tsv",
        flow_dictionary="studies/{study}/flow.json",
    log:
        "logs/describe_population/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("label", "classes", "table1", "requires"),
        code=code("statistics/describe_population.py"),
    script:
        "../workflow_scripts/statistics/describe_population.py"


rule compare_fractions:
    input:
        features="studies/{study}/features.tsv",
        trials=trials_file,
    output:
        table="studies/{study}/fractions.tsv",
        dictionary="studies/{study}/fractions.json",
    log:
        "logs/compare_fractions/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("classes"),
        code=code("statistics/compare_fractions.py"),
    script:
        "../workflow_scripts/statistics/compare_fractions.py"


rule compare_regions:
    input:
        features="studies/{study}/features.tsv",
        trials=trials_file,
    output:
        table="studies/{study}/regions.tsv",
        dictionary="studies/{study}/regions.json",
    log:
        "logs/compare_regions/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("classes"),
        code=code("statistics/compare_regions.py"),
    script:
        "../workflow_scripts/statistics/compare_regions.py"


rule evaluate_classifiers:
    input:
        predictions=trial_tables("predictions"),
        permutations=trial_tables("permutations"),
    output:
        metrics="studies/{study}/metrics.tsv",
        metrics_dictionary="studies/{study}/metrics.json",
        permutation_test="studies/{study}/permutation_test.tsv",
        permutation_test_dictionary="studies/{study}/permutation_test.json",
    log:
        "logs/evaluate_classifiers/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(10),
    params:
        study=study("classes", "bootstraps", "seed"),
        code=code("statistics/evaluate_classifiers.py"),
    script:
        "../workflow_scripts/statistics/evaluate_classifiers.py"


rule compare_strategies:
    input:
        metrics=rules.evaluate_classifiers.output.metrics,
    output:
        table="studies/{study}/strategies.tsv",
        dictionary="studies/{study}/strategies.json",
    log:
        "logs/compare_strategies/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        code=code("statistics/compare_strategies.py"),
    script:
        "../workflow_scripts/statistics/compare_strategies.py"


rule compare_published:
    output:
        table="published/inglese2022.tsv",
        dictionary="published/inglese2022.json",
        strategies="published/inglese2022_strategies.tsv",
        strategies_dictionary="published/inglese2022_strategies.json",
    log:
        "logs/compare_published.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        code=code("statistics/compare_published.py"),
    script:
        "../workflow_scripts/statistics/compare_published.py"


rule compare_groups:
    input:
        features="studies/{study}/features.tsv",
        population=population_file,
    output:
        groups="studies/{study}/groups.tsv",
        groups_dictionary="studies/{study}/groups.json",
        pairwise="studies/{study}/groups_pairwise.tsv",
        pairwise_dictionary="studies/{study}/groups_pairwise.json",
    log:
        "logs/compare_groups/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(10),
    params:
        study=study("classes", "comparison", "bootstraps", "seed"),
        code=code("statistics/compare_groups.py"),
    script:
        "../workflow_scripts/statistics/compare_groups.py"


rule correlate_features:
    input:
        features="studies/{study}/features.tsv",
        population=population_file,
        participants="cohort/participants.tsv",
    output:
        table="studies/{study}/correlations.tsv",
        dictionary="studies/{study}/correlations.json",
    log:
        "logs/correlate_features/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        study=study("correlations"),
        code=code("statistics/correlate_features.py"),
    script:
        "../workflow_scripts/statistics/correlate_features.py"


rule evaluate_models:
    input:
        predictions="studies/{study}/models_predictions.tsv",
        bootstraps="studies/{study}/models_bootstraps.tsv",
        permutations="studies/{study}/models_permutations.tsv",
    output:
        metrics="studies/{study}/models_metrics.tsv",
        metrics_dictionary="studies/{study}/models_metrics.json",
        comparisons="studies/{study}/models_comparisons.tsv",
        comparisons_dictionary="studies/{study}/models_comparisons.json",
        roc="studies/{study}/models_roc.tsv",
        roc_dictionary="studies/{study}/models_roc.json",
        calibration="studies/{study}/models_calibration.tsv",
        calibration_dictionary="studies/{study}/models_calibration.json",
        decision_curve="studies/{study}/models_decision_curve.tsv",
        decision_curve_dictionary="studies/{study}/models_decision_curve.json",
    log:
        "logs/evaluate_models/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(10),
    params:
        study=study("models", "bootstraps", "seed"),
        code=code("statistics/evaluate_models.py"),
    script:
        "../workflow_scripts/statistics/evaluate_models.py"
