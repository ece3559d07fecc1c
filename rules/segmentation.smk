rule segment_region:
    """A region of a session by an engine, left and right."""
    input:
        unpack(lambda wildcards: SEGMENTATION.inputs(wildcards, rules)),
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        transforms=of_brain(rules.register_to_mni.output.transforms),
        template=of_brain(rules.make_templates.output.t1w),
    output:
        sides=bids_anat("dseg.nii.gz", label="{region}", desc="{engine}"),
        probabilities=temp(bids_anat("probseg.nii.gz", label="{region}", desc="{engine}")),
        sidecar=bids_anat("dseg.json", label="{region}", desc="{engine}"),
    log:
        "logs/segment_region/{folder}/{prefix}_label-{region}_desc-{engine}.log",
    threads: SEGMENTATION.asked("threads", lambda wildcards, attempt: 1)
    resources:
        mem_mb=SEGMENTATION.asked("mem_mb", need(ON_TEMPLATE, T1w=150)),
        runtime=SEGMENTATION.asked("runtime", need(30)),
    params:
        settings=lambda wildcards: SEGMENTATION.settings(wildcards.region, wildcards.engine),
    script:
        "../workflow_scripts/segmentation/segment_region.py"


rule train_unet:
    """A network that segments a region, trained on masks outside of a fold."""
    input:
        unpack(lambda wildcards: SEGMENTATION.training(wildcards, rules)),
        regions=of_brain(rules.make_templates.output.regions),
        splits=splits_of_network,
    output:
        model="segmentation/{region}_{engine}_fold-{fold}_model.safetensors",
        description="segmentation/{region}_{engine}_fold-{fold}_model.json",
    log:
        "logs/train_unet/{region}_{engine}_fold-{fold}.log",
    threads: lambda wildcards: SEGMENTATION.settings(wildcards.region, wildcards.engine)["threads"]
    resources:
        mem_mb=need(6000, doublings=1),
        runtime=1440,
        gpu=lambda wildcards: SEGMENTATION.settings(wildcards.region, wildcards.engine)["gpus"],
    params:
        settings=lambda wildcards: SEGMENTATION.settings(wildcards.region, wildcards.engine),
    script:
        "../workflow_scripts/segmentation/train_unet.py"


rule compare_segmentations:
    """Volumes of all engines, and their agreement with what was drawn by hand."""
    input:
        sidecars=lambda wildcards: segmented("sidecar"),
        sides=lambda wildcards: segmented("sides", SEGMENTATION.drawn()),
    output:
        **tables(**{name: f"segmentation/{name}.tsv" for name in ENGINE_TABLES}),
    log:
        "logs/compare_segmentations.log",
    resources:
        mem_mb=need(2000, sessions=0.5),
    params:
        manifest=lambda wildcards: SEGMENTATION.manifest(T1W, rules.segment_region.output),
    script:
        "../workflow_scripts/segmentation/compare_segmentations.py"


rule draw_segmentation:
    """Contours of all engines of a region on a T1w."""
    input:
        t1w=rules.prepare_t1w.output.t1w,
        sides=lambda w: segmented("sides", [w.prefix], w.region),
    output:
        picture=bids_figures("T1w.webp", label="{region}", desc="engines"),
    log:
        "logs/draw_segmentation/{folder}/{prefix}_label-{region}.log",
    params:
        raters=lambda wildcards: SEGMENTATION.raters(wildcards.region),
    script:
        "../workflow_scripts/report/draw_segmentation.py"


rule measure_radiomics:
    """Features of a region by mirp, of its mask and of that eroded and dilated."""
    input:
        unpack(lambda wildcards: SEGMENTATION.radiomics_inputs(wildcards, rules)),
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
    output:
        sidecar=bids_anat("radiomics.json", label="{region}"),
    log:
        "logs/measure_radiomics/{folder}/{prefix}_label-{region}.log",
    resources:
        mem_mb=need(2000),
        runtime=need(60),
    params:
        settings=lambda wildcards: SEGMENTATION.radiomics(wildcards.region),
    script:
        "../workflow_scripts/segmentation/measure_radiomics.py"
