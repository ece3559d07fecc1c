TISSUES = ["CSF", "GM", "WM"]
TEMPLATE = f"templates/tpl-{SPACE}"

PROBSEGS = [bids_anat("probseg.nii.gz", label=tissue) for tissue in TISSUES]


rule make_templates:
    output:
        t1w=f"{TEMPLATE}_T1w.nii.gz",
        mask=f"{TEMPLATE}_desc-brain_mask.nii.gz",
        gm=f"{TEMPLATE}_label-GM_probseg.nii.gz",
        wm=f"{TEMPLATE}_label-WM_probseg.nii.gz",
        regions=f"{TEMPLATE}_atlas-HarvardOxford_desc-regions_dseg.nii.gz",
    log:
        "logs/make_templates.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(4000),
        runtime=need(10),
    params:
        resolution=ANATOMICAL["template_resolution"],
        code=code("anatomical/make_templates.py"),
    script:
        "../workflow_scripts/anatomical/make_templates.py"


rule prepare_t1w:
    input:
        t1w=lambda wildcards: T1W[wildcards.prefix]["path"],
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        t1w=bids_anat("T1w.nii.gz", desc="preproc"),
        mask=bids_anat("mask.nii.gz", desc="brain"),
        sidecar=bids_anat("T1w.json", desc="preproc"),
    log:
        "logs/prepare_t1w/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/prepare_t1w/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1500, T1w=150),
        runtime=need(15, T1w=1),
    params:
        raw_bytes=lambda wildcards: raw_bytes(T1W[wildcards.prefix]["path"]),
        brain_extraction=ANATOMICAL["brain_extraction"],
        code=code("anatomical/prepare_t1w.py"),
    script:
        "../workflow_scripts/anatomical/prepare_t1w.py"


rule register_to_mni:
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        transforms=TRANSFORMS,
        t1w=bids_anat("T1w.nii.gz", space=SPACE, desc="preproc"),
        brain=bids_anat("T1w.nii.gz", space=SPACE, desc="brain"),
        sidecar=bids_anat("T1w.json", space=SPACE, desc="preproc"),
    log:
        "logs/register_to_mni/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/register_to_mni/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=100),
        runtime=need(30, T1w=2),
    params:
        registration=ANATOMICAL["registration"],
        code=code("anatomical/register_to_mni.py"),
    script:
        "../workflow_scripts/anatomical/register_to_mni.py"


rule segment_brain:
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        transforms=rules.register_to_mni.output.transforms,
        template=rules.make_templates.output.t1w,
        gm_prior=rules.make_templates.output.gm,
        wm_prior=rules.make_templates.output.wm,
        regions=rules.make_templates.output.regions,
    output:
        probabilities=PROBSEGS,
        tissues=bids_anat("dseg.nii.gz"),
        regions=bids_anat("dseg.nii.gz", desc="regions"),
        regions_mni=bids_anat("dseg.nii.gz", space=SPACE, desc="regions"),
        sidecar=bids_anat("dseg.json"),
    log:
        "logs/segment_brain/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/segment_brain/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=150),
        runtime=need(30, T1w=2),
    params:
        tissue_segmentation=ANATOMICAL["tissue_segmentation"],
        prior_weight=ANATOMICAL["prior_weight"],
        code=code("anatomical/segment_brain.py"),
    script:
        "../workflow_scripts/anatomical/segment_brain.py"


rule align_flair:
    input:
        flair=lambda wildcards: FLAIR[wildcards.prefix]["path"],
        t1w=rules.prepare_t1w.output.t1w,
        transforms=rules.register_to_mni.output.transforms,
        template=rules.make_templates.output.t1w,
    output:
        flair=bids_anat("FLAIR.nii.gz", space="T1w", desc="preproc"),
        normalized=bids_anat("FLAIR.nii.gz", space=SPACE, desc="preproc"),
        sidecar=bids_anat("FLAIR.json", space="T1w", desc="preproc"),
    log:
        "logs/align_flair/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/align_flair/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=100, FLAIR=100),
        runtime=need(20),
    params:
        raw_bytes=lambda wildcards: raw_bytes(FLAIR[wildcards.prefix]["path"]),
        code=code("anatomical/align_flair.py"),
    script:
        "../workflow_scripts/anatomical/align_flair.py"


rule draw_qc:
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        tissues=rules.segment_brain.output.tissues,
        regions=rules.segment_brain.output.regions,
        normalized=rules.register_to_mni.output.t1w,
        template_mask=rules.make_templates.output.mask,
        template_wm=rules.make_templates.output.wm,
    output:
        picture=bids_figures("T1w.webp", desc="qc"),
    log:
        "logs/draw_qc/{folder}/{prefix}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=50),
        runtime=need(5),
    params:
        code=code("report/draw_qc.py"),
    script:
        "../workflow_scripts/report/draw_qc.py"
