rule preflight:
    input:
        scans=lambda wildcards: ALL_SCANS,
        gradients=all_gradients,
    output:
        table=update("cohort/preflight.tsv"),
        dictionary="cohort/preflight.json",
    log:
        "logs/preflight.log",
    priority: 100
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(30, sessions=0.2),
    params:
        raw_bytes=lambda wildcards, input: [raw_bytes(path) for path in input],
        slabs=[row["path"] for row in VWI.values()],
        code=code("cohort/preflight.py"),
    script:
        "../workflow_scripts/cohort/preflight.py"


rule tabulate_cohort:
    input:
        index=INDEX,
        preflight="cohort/preflight.tsv",
        participants=str(BIDS_DIR / "participants.tsv"),
        phenotype=sorted(map(str, (BIDS_DIR / "phenotype").glob("*.tsv"))),
        exclusions=CONFIG["exclusions"] or [],
    output:
        scans="cohort/scans.tsv",
        scans_dictionary="cohort/scans.json",
        participants="cohort/participants.tsv",
    log:
        "logs/tabulate_cohort.log",
    priority: 100
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, sessions=0.2),
        runtime=need(5),
    params:
        code=code("cohort/tabulate_cohort.py"),
    script:
        "../workflow_scripts/cohort/tabulate_cohort.py"


rule check_cohort:
    input:
        scans="cohort/scans.tsv",
        preflight="cohort/preflight.tsv",
    output:
        "cohort/check.txt",
    log:
        "logs/check_cohort.log",
    priority: 100
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        resolution=ANATOMICAL["template_resolution"],
        nonlinear=NONLINEAR,
        code=code("cohort/check_cohort.py"),
    script:
        "../workflow_scripts/cohort/check_cohort.py"


rule describe_dataset:
    output:
        description="dataset_description.json",
        diffusion=[
            "desc-motion_timeseries.json",
            "desc-outliers_slices.json",
            "desc-gradients_check.json",
            "desc-alps_rois.json",
        ],
        vessel_wall=[
            "desc-vesselwall_sections.json",
            "desc-vesselwall_segments.json",
            "desc-vesselwall_contours.json",
            "desc-automatic_contours.json",
        ],
    log:
        "logs/describe_dataset.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        code=code("cohort/describe_dataset.py"),
    script:
        "../workflow_scripts/cohort/describe_dataset.py"


rule collect_sidecars:
    input:
        all_sidecars,
    output:
        "cohort/sidecars.json",
    log:
        "logs/collect_sidecars.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, sessions=0.5),
        runtime=need(10, sessions=0.01),
    params:
        code=code("cohort/collect_sidecars.py"),
    script:
        "../workflow_scripts/cohort/collect_sidecars.py"


rule collect_features:
    input:
        check=lambda wildcards: (
            "cohort/check.txt" if wildcards.scope == "cohort" else []
        ),
        collected=lambda wildcards: (
            "cohort/sidecars.json" if wildcards.scope == "cohort" else []
        ),
        sidecars=study_sidecars,
    output:
        table="{scope}/features.tsv",
        dictionary="{scope}/features.json",
    log:
        "logs/collect_features/{scope}.log",
    wildcard_constraints:
        scope="cohort|studies/[A-Za-z0-9_]+",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, sessions=0.5),
        runtime=need(10, sessions=0.01),
    params:
        sessions=scope_sessions,
        code=code("cohort/collect_features.py"),
    script:
        "../workflow_scripts/cohort/collect_features.py"


rule freeze_population:
    # No input: a kept split never changes because the cohort grew.
    output:
        table="studies/{study}/split-{split}_population.tsv",
        dictionary="studies/{study}/split-{split}_population.json",
    log:
        "logs/freeze_population/{study}_split-{split}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        population=lambda wildcards: POPULATIONS[wildcards.study],
    script:
        "../workflow_scripts/cohort/freeze_population.py"
