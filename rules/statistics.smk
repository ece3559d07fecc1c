rule describe_population:
    input:
        participants="cohort/participants.tsv",
        status="cohort/status.tsv",
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
        mem_mb=500,
        runtime=5,
    params:
        study=study("label", "classes", "table1"),
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
        mem_mb=500,
        runtime=5,
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
        mem_mb=500,
        runtime=5,
    params:
        study=study("classes"),
        code=code("statistics/compare_regions.py"),
    script:
        "../workflow_scripts/statistics/compare_regions.py"


rule evaluate_classifiers:
    input:
        predictions=expand(
            "studies/{{study}}/model-{model}_predictions.tsv",
            model=["features", "oneclasssvm"],
        ),
        permutations="studies/{study}/model-features_permutations.tsv",
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
        mem_mb=500,
        runtime=10,
    params:
        study=study("classes", "bootstraps", "seed"),
        code=code("statistics/evaluate_classifiers.py"),
    script:
        "../workflow_scripts/statistics/evaluate_classifiers.py"
