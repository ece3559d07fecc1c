rule preflight:
    """Open every scan and say what is wrong with it."""
    input:
        scans=lambda wildcards: ALL_SCANS,
        gradients=SHARED.all_gradients,
        metadata=lambda wildcards: metadata_of(ALL_SCANS),
    output:
        **tables(table="cohort/preflight.tsv") | {"table": update("cohort/preflight.tsv")},
    log:
        "logs/preflight.log",
    priority: 100
    resources:
        runtime=need(30, sessions=0.2),
    params:
        raw_bytes=lambda wildcards, input: [raw_bytes(path) for path in input],
        slabs=[row["path"] for row in VWI.values()],
        epi=lambda wildcards: [row["path"] for rows in EPI.values() for row in rows],
        masks=lambda wildcards: STARTING.masks,
        label_images=lambda wildcards: SEGMENTATION.label_images(),
        body_part=ANATOMICAL["body_part"],
    script:
        "../workflow_scripts/cohort/preflight.py"


rule tabulate_cohort:
    """Status of every scan."""
    input:
        index=INDEX,
        preflight="cohort/preflight.tsv",
        exclusions=CONFIG["exclusions"] or [],
        rated=EXCLUDED if CONFIG["exclude_rated"] else [],
    output:
        **tables(scans="cohort/scans.tsv"),
    log:
        "logs/tabulate_cohort.log",
    priority: 100
    resources:
        mem_mb=need(1000, sessions=0.2),
    script:
        "../workflow_scripts/cohort/tabulate_cohort.py"


rule check_cohort:
    """Stop the group steps while the cohort holds scans that cannot be used."""
    input:
        scans="cohort/scans.tsv",
        preflight="cohort/preflight.tsv",
    output:
        "cohort/check.txt",
    log:
        "logs/check_cohort.log",
    priority: 100
    params:
        resolution=ANATOMICAL["template_resolution"],
        nonlinear=NONLINEAR,
    script:
        "../workflow_scripts/cohort/check_cohort.py"


rule describe_dataset:
    """Description of the derivatives, and the dictionaries that tables of sessions share."""
    output:
        description="dataset_description.json",
        ignored=".bidsignore",
        spaces=SPACE_SIDECARS,
        diffusion=expand("desc-{name}.json", name=DIFFUSION_TABLES),
        vessel_wall=expand("desc-{name}.json", name=VESSEL_WALL_TABLES),
    log:
        "logs/describe_dataset.log",
    params:
        links={
            uri.split(":")[1]: os.path.relpath(path, OUTPUT_DIR)
            for uri, path in (PLACES or {"bids:raw:": OUTPUT_DIR / BIDS_DIR}).items()
        },
    script:
        "../workflow_scripts/cohort/describe_dataset.py"


rule collect_sidecars:
    """Sidecars of all sessions in one file."""
    input:
        all_sidecars,
    output:
        "cohort/sidecars.json",
    log:
        "logs/collect_sidecars.log",
    resources:
        mem_mb=need(1000, sessions=0.5),
        runtime=need(10, sessions=0.01),
    script:
        "../workflow_scripts/cohort/collect_sidecars.py"


rule collect_features:
    """Measures of the sessions of the cohort or of a study."""
    input:
        check=of_cohort("cohort/check.txt"),
        collected=of_cohort("cohort/sidecars.json"),
        sidecars=study_sidecars,
    output:
        **tables(table="{scope}/features.tsv"),
    log:
        "logs/collect_features/{scope}.log",
    wildcard_constraints:
        scope="cohort|studies/[A-Za-z0-9_]+",
    resources:
        mem_mb=need(1000, sessions=0.5),
        runtime=need(10, sessions=0.01),
    params:
        sessions=scope_sessions,
    script:
        "../workflow_scripts/cohort/collect_features.py"


rule collect_radiomics:
    """Radiomics of a region of the sessions of the cohort or of a study, and their stability."""
    input:
        lambda made: [row["sidecar"] for row in scope_radiomics(made) if row["sidecar"]],
    output:
        **tables(table="{scope}/{region}_radiomics.tsv"),
        **tables(stability="{scope}/{region}_desc-stability_radiomics.tsv"),
    log:
        "logs/collect_radiomics/{scope}_label-{region}.log",
    wildcard_constraints:
        scope="cohort|studies/[A-Za-z0-9_]+",
    resources:
        mem_mb=need(1000, sessions=0.5),
    params:
        manifest=lambda wildcards: scope_radiomics(wildcards),
    script:
        "../workflow_scripts/segmentation/collect_radiomics.py"


rule collect_clinical:
    """What the participants' tables say of a study's sessions, which is a parameter."""
    input:
        tables=ancient(sorted(CLINICAL_TABLES)),
    output:
        table="studies/{study}/clinical.tsv",
    log:
        "logs/collect_clinical/{study}.log",
    params:
        rows=lambda wildcards: clinical_of_population(
            COHORT,
            POPULATIONS[wildcards.study],
            columns_of_study(STUDIES[wildcards.study]),
            STUDIES[wildcards.study].get("site"),
        ),
    script:
        "../workflow_scripts/cohort/collect_clinical.py"


rule freeze_population:
    """A study's population on the day its split is drawn; a kept one never changes."""
    input:
        ancient("cohort/check.txt"),
    output:
        **tables(table=f"{SPLIT}_population.tsv"),
    log:
        "logs/freeze_population/{study}_split-{split}.log",
    params:
        population=lambda wildcards: POPULATIONS[wildcards.study],
    script:
        "../workflow_scripts/cohort/freeze_population.py"


rule draw_splits:
    """Who trains, validates and is tested in which split."""
    input:
        population=rules.freeze_population.output.table,
    output:
        **tables(splits=f"{SPLIT}_splits.tsv"),
    log:
        "logs/draw_splits/{study}_split-{split}.log",
    params:
        study=study("design", "seed"),
    script:
        "../workflow_scripts/cohort/draw_splits.py"


rule draw_inner_splits:
    """Folds of the training side of each split."""
    input:
        splits=rules.draw_splits.output.splits,
    output:
        **tables(splits=f"{SPLIT}_inner_splits.tsv"),
    log:
        "logs/draw_inner_splits/{study}_split-{split}.log",
    params:
        study=study("design", "seed", "inner_folds"),
    script:
        "../workflow_scripts/cohort/draw_inner_splits.py"
