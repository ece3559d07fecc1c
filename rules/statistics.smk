rule describe_population:
    """Table 1 of a study, the flow from screened to analysed, and the sides of its splits."""
    input:
        scans="cohort/scans.tsv",
        population=of_split("population"),
        splits=lambda w: of_split("splits")(w) if "design" in STUDIES[w.study] else [],
        clinical=rules.collect_clinical.output.table,
    output:
        **tables(**{name: f"{STUDY}/{name}.tsv" for name in ("table1", "flow", "sides")}),
    log:
        "logs/describe_population/{study}.log",
    params:
        study=study("label", "classes", "requires", "table1", "sessions"),
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


rule combine_models:
    """Several models of a study together."""
    input:
        members=model_outputs("predictions", lambda made: model("of")(made)),
    output:
        **tables(predictions=f"{MODEL}_desc-ensemble_predictions.tsv"),
    log:
        "logs/combine_models/{study}/model-{model}.log",
    params:
        settings=model(),
        classes=design_classes,
    script:
        "../workflow_scripts/statistics/combine_models.py"


rule collect_predictions:
    """Predictions of all models of a study in one table; those for validation apart."""
    input:
        model_outputs("predictions"),
    output:
        **tables(table=f"{STUDY}/predictions.tsv"),
        **tables(validation=f"{STUDY}/validation_predictions.tsv"),
    log:
        "logs/collect_predictions/{study}.log",
    script:
        "../workflow_scripts/statistics/collect_predictions.py"


rule evaluate_classifiers:
    """An evaluation of a study's models, from their predictions."""
    input:
        unpack(evaluation_inputs),
    output:
        **tables(table=f"{STUDY}/{{evaluation}}.tsv"),
    log:
        "logs/evaluate_classifiers/{study}_{evaluation}.log",
    wildcard_constraints:
        evaluation="|".join(READ),
    params:
        asked=lambda made: settings_of(made.evaluation, made.study, STUDIES[made.study]),
    script:
        "../workflow_scripts/statistics/evaluate_classifiers.py"


rule evaluate_frozen:
    """Figures of frozen models on sessions with labels."""
    input:
        predictions=predicted,
    output:
        **tables(table="predictions/metrics.tsv"),
    log:
        "logs/evaluate_frozen.log",
    script:
        "../workflow_scripts/statistics/evaluate_frozen.py"


rule permutation_test:
    """Models against permutations of the labels."""
    input:
        metrics=f"{STUDY}/metrics.tsv",
        permutations=model_outputs("permutations"),
        predictions=rules.collect_predictions.output.table,
    output:
        **tables(table=f"{STUDY}/permutation_test.tsv"),
    log:
        "logs/permutation_test/{study}.log",
    params:
        permutations=study("permutations"),
        seed=study("seed"),
        classes=design_classes,
    script:
        "../workflow_scripts/statistics/permutation_test.py"


rule compare_strategies:
    """Analysis of variance of models over the splits."""
    input:
        metrics=f"{STUDY}/metrics.tsv",
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
        **tables(table="published/inglese2022.tsv"),
        **tables(strategies="published/inglese2022_strategies.tsv"),
    log:
        "logs/compare_published.log",
    script:
        "../workflow_scripts/statistics/compare_published.py"


rule compare_groups:
    """Kruskal-Wallis over the classes, and Dunn's test between each two."""
    input:
        features=f"{STUDY}/features.tsv",
        population=of_split("population"),
        clinical=rules.collect_clinical.output.table,
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
