include: "helpers/statistics.smk"


rule describe_population:
    """Table 1 of a study, and the flow from screened to analysed."""
    input:
        scans="cohort/scans.tsv",
        population=of_split("population"),
        clinical=rules.collect_clinical.output.table,
    output:
        **tables(table1=f"{STUDY}/table1.tsv", flow=f"{STUDY}/flow.tsv"),
    log:
        "logs/describe_population/{study}.log",
    params:
        columns=lambda wildcards: [
            column
            for column in STUDIES[wildcards.study]["table1"]
            if column != STUDIES[wildcards.study]["label"]
        ],
        classes=study("classes"),
        requires=study("requires"),
        labels=lambda wildcards: screened(COHORT, STUDIES[wildcards.study]),
    script:
        "../workflow_scripts/statistics/describe_population.py"


rule compare_classes:
    """t-tests of the tissue fractions or of the regions."""
    input:
        features=f"{STUDY}/features.tsv",
        splits=of_split("splits"),
    output:
        **tables(table=f"{STUDY}/{{measures}}.tsv"),
    log:
        "logs/compare_classes/{study}_{measures}.log",
    wildcard_constraints:
        measures="fractions|regions",
    params:
        classes=design_classes,
        design=lambda wildcards: study("design")(wildcards)["kind"],
    script:
        "../workflow_scripts/statistics/compare_classes.py"


rule collect_predictions:
    """Predictions of all models of a study in one table."""
    input:
        model_outputs("predictions"),
    output:
        **tables(table=f"{STUDY}/predictions.tsv"),
    log:
        "logs/collect_predictions/{study}.log",
    script:
        "../workflow_scripts/statistics/collect_predictions.py"


EVALUATED = {"classes": design_classes, "bootstraps": study("bootstraps"), "seed": study("seed")}


rule evaluate_classifiers:
    """Metrics of the models per split and over the splits."""
    input:
        predictions=rules.collect_predictions.output.table,
    output:
        **tables(table=f"{STUDY}/metrics.tsv"),
    log:
        "logs/evaluate_classifiers/{study}.log",
    params:
        **EVALUATED,
    script:
        "../workflow_scripts/statistics/evaluate_classifiers.py"


rule permutation_test:
    """Models against permutations of the labels."""
    input:
        metrics=rules.evaluate_classifiers.output.table,
        permutations=model_outputs("permutations"),
        splits=of_split("splits"),
    output:
        **tables(table=f"{STUDY}/permutation_test.tsv"),
    log:
        "logs/permutation_test/{study}.log",
    script:
        "../workflow_scripts/statistics/permutation_test.py"


WITH_APPARENT = {
    "predictions": rules.collect_predictions.output.table,
    "apparent": if_optimism(rules.bootstrap_models.output.predictions),
}


rule compare_models:
    """Differences in AUC between the models."""
    input:
        **WITH_APPARENT,
        samples=if_optimism(rules.bootstrap_models.output.samples),
    output:
        **tables(table=f"{STUDY}/comparisons.tsv"),
    log:
        "logs/compare_models/{study}.log",
    params:
        classes=design_classes,
    script:
        "../workflow_scripts/statistics/compare_models.py"


rule trace_curves:
    """ROC or decision curves of the models."""
    input:
        **WITH_APPARENT,
    output:
        **tables(table=f"{STUDY}/{{curve}}.tsv"),
    log:
        "logs/trace_curves/{study}_{curve}.log",
    wildcard_constraints:
        curve="roc|decision_curve",
    params:
        **EVALUATED,
    script:
        "../workflow_scripts/statistics/trace_curves.py"


rule calibrate_models:
    """Calibration of the models that give probabilities."""
    input:
        **WITH_APPARENT,
    output:
        **tables(table=f"{STUDY}/calibration.tsv", figures=f"{STUDY}/calibration_figures.tsv"),
    log:
        "logs/calibrate_models/{study}.log",
    params:
        **EVALUATED,
    script:
        "../workflow_scripts/statistics/calibrate_models.py"


rule correct_optimism:
    """Apparent figures of logistic models, less their optimism."""
    input:
        apparent=rules.bootstrap_models.output.predictions,
        samples=rules.bootstrap_models.output.samples,
        permutations=rules.bootstrap_models.output.permutations,
    output:
        **tables(table=f"{STUDY}/optimism.tsv"),
    log:
        "logs/correct_optimism/{study}.log",
    params:
        **EVALUATED,
    script:
        "../workflow_scripts/statistics/correct_optimism.py"


rule compare_strategies:
    """Analysis of variance of models over the splits."""
    input:
        metrics=rules.evaluate_classifiers.output.table,
    output:
        **tables(table=f"{STUDY}/strategies.tsv"),
    log:
        "logs/compare_strategies/{study}.log",
    params:
        models=lambda wildcards: evaluation("repeated_measures")(wildcards)["models"],
    script:
        "../workflow_scripts/statistics/compare_strategies.py"


rule compare_published:
    """Published tables recomputed."""
    output:
        **tables(
            table="published/inglese2022.tsv",
            strategies="published/inglese2022_strategies.tsv",
        ),
    log:
        "logs/compare_published.log",
    script:
        "../workflow_scripts/statistics/compare_published.py"


rule compare_groups:
    """Kruskal-Wallis over the classes, and Dunn's test between each two."""
    input:
        features=f"{STUDY}/features.tsv",
        population=of_split("population"),
    output:
        **tables(groups=f"{STUDY}/groups.tsv", pairwise=f"{STUDY}/groups_pairwise.tsv"),
    log:
        "logs/compare_groups/{study}.log",
    params:
        classes=study("classes"),
        groups=evaluation("groups"),
        bootstraps=study("bootstraps"),
        seed=study("seed"),
        key="studies.{study}",
    script:
        "../workflow_scripts/statistics/compare_groups.py"


rule correlate_features:
    """Partial correlations of features with clinical columns."""
    input:
        features=f"{STUDY}/features.tsv",
        population=of_split("population"),
        clinical=rules.collect_clinical.output.table,
    output:
        **tables(table=f"{STUDY}/correlations.tsv"),
    log:
        "logs/correlate_features/{study}.log",
    params:
        correlations=evaluation("correlations"),
        key="studies.{study}",
    script:
        "../workflow_scripts/statistics/correlate_features.py"
