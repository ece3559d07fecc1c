rule make_templates:
    """Template brain, mask, tissue maps and atlas on the grid of the registration."""
    output:
        t1w=f"{TEMPLATE}_T1w.nii.gz",
        mask=f"{TEMPLATE}_desc-brain_mask.nii.gz",
        gm=f"{TEMPLATE}_label-GM_probseg.nii.gz",
        wm=f"{TEMPLATE}_label-WM_probseg.nii.gz",
        regions=f"{TEMPLATE}_atlas-HarvardOxford_desc-regions_dseg.nii.gz",
        atlas=f"{TEMPLATE}_atlas-HarvardOxford_probseg.nii.gz",
        atlas_names=f"{TEMPLATE}_atlas-HarvardOxford_probseg.csv",
    log:
        "logs/make_templates.log",
    resources:
        mem_mb=need(4000),
    params:
        resolution=ANATOMICAL["template_resolution"],
    script:
        "../workflow_scripts/anatomical/make_templates.py"


rule prepare_t1w:
    """Bias correction and brain mask of a T1w."""
    input:
        t1w=lambda wildcards: T1W[wildcards.prefix]["path"],
        template=of_brain(rules.make_templates.output.t1w),
        template_mask=of_brain(rules.make_templates.output.mask),
        preprocessed=SHARED.preprocessed("T1w"),
        correction=lambda wildcards: CORRECTIONS.get(wildcards.prefix, {}).get("mask", []),
    output:
        t1w=bids_anat("T1w.nii.gz", desc="preproc"),
        mask=bids_anat("mask.nii.gz", desc="brain" if OF_BRAIN else "body"),
        automatic=temp(BEFORE),
        sidecar=bids_anat("T1w.json", desc="preproc"),
    log:
        "logs/prepare_t1w/{folder}/{prefix}.log",
    resources:
        mem_mb=need(1500, T1w=150),
        runtime=need(15, T1w=1),
    params:
        raw_bytes=lambda wildcards: raw_bytes(T1W[wildcards.prefix]["path"]),
        brain_extraction=ANATOMICAL["brain_extraction"],
        body_part=ANATOMICAL["body_part"],
        correction=lambda wildcards: CORRECTIONS.get(wildcards.prefix, {}).get("told"),
    script:
        "../workflow_scripts/anatomical/prepare_t1w.py"


rule register_to_mni:
    """Registration of a T1w to MNI152."""
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        lesions=lesion_mask,
        preprocessed=SHARED.preprocessed("transforms"),
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        transforms=TRANSFORMS,
        t1w=bids_anat("T1w.nii.gz", space=SPACE, desc="preproc"),
        brain=bids_anat("T1w.nii.gz", space=SPACE, desc="brain"),
        sidecar=bids_anat("T1w.json", space=SPACE, desc="preproc"),
    log:
        "logs/register_to_mni/{folder}/{prefix}.log",
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=100),
        runtime=need(30, T1w=2),
    params:
        registration=ANATOMICAL["registration"],
    script:
        "../workflow_scripts/anatomical/register_to_mni.py"


rule label_brain:
    """Labels of a brain by a network whose weights the user has."""
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        lesions=lesion_mask,
        layers=lambda wildcards: f"{SEGMENTATION.networks[wildcards.network]}/model.json",
        weights=lambda wildcards: f"{SEGMENTATION.networks[wildcards.network]}/model.safetensors",
    output:
        labels=bids_anat("dseg.nii.gz", desc="{network}"),
        probabilities=[
            temp(bids_anat("probseg.nii.gz", label=name, desc="{network}")) for name in TISSUES
        ],
        sidecar=bids_anat("dseg.json", desc="{network}"),
    log:
        "logs/label_brain/{folder}/{prefix}_{network}.log",
    threads: 2
    resources:
        mem_mb=need(4000, T1w=150),
        runtime=need(30),
    script:
        "../workflow_scripts/anatomical/label_brain.py"


rule segment_brain:
    """Tissue maps, regions and their volumes."""
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        transforms=rules.register_to_mni.output.transforms,
        template=rules.make_templates.output.t1w,
        gm_prior=rules.make_templates.output.gm,
        wm_prior=rules.make_templates.output.wm,
        regions=rules.make_templates.output.regions,
        lesions=lesion_mask,
        preprocessed=SHARED.preprocessed("tissues"),
        network=if_network("labels"),
        network_tissues=if_network("probabilities"),
    output:
        probabilities=[bids_anat("probseg.nii.gz", label=name) for name in TISSUES],
        tissues=bids_anat("dseg.nii.gz"),
        regions=bids_anat("dseg.nii.gz", desc="regions"),
        sidecar=bids_anat("dseg.json"),
    log:
        "logs/segment_brain/{folder}/{prefix}.log",
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=150),
        runtime=need(30, T1w=2),
    params:
        tissue_segmentation=ANATOMICAL["tissue_segmentation"],
        prior_weight=ANATOMICAL["prior_weight"],
    script:
        "../workflow_scripts/anatomical/segment_brain.py"


rule align_lesions:
    """Bring a mask of lesions drawn on another contrast to its T1w."""
    input:
        lesions=lambda wildcards: LESION_MASKS[wildcards.prefix]["mask"],
        scan=lambda wildcards: LESION_MASKS[wildcards.prefix]["scan"],
        t1w=rules.prepare_t1w.output.t1w,
    output:
        lesions=bids_anat("probseg.nii.gz", space="T1w", label="lesion"),
        sidecar=bids_anat("probseg.json", space="T1w", label="lesion"),
    log:
        "logs/align_lesions/{folder}/{prefix}.log",
    resources:
        mem_mb=need(1500, T1w=200),
    script:
        "../workflow_scripts/anatomical/align_lesions.py"


rule measure_lesions:
    """Volumes of the lesions of a session."""
    input:
        lesions=lesion_mask,
        regions=rules.segment_brain.output.regions,
        tissues=rules.segment_brain.output.sidecar,
    output:
        sidecar=bids_anat("lesions.json"),
    log:
        "logs/measure_lesions/{folder}/{prefix}.log",
    script:
        "../workflow_scripts/anatomical/measure_lesions.py"


rule align_contrast:
    """Bring another contrast to its T1w, and that of a brain to MNI152."""
    input:
        scan=SHARED.contrast_scan,
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        transforms=of_brain(rules.register_to_mni.output.transforms),
        template=of_brain(rules.make_templates.output.t1w),
    output:
        **NORMALIZED,
        aligned=bids_anat("{suffix}.nii.gz", space="T1w", desc="{desc}"),
        sidecar=bids_anat("{suffix}.json", desc="{desc}"),
    log:
        "logs/align_contrast/{folder}/{prefix}_desc-{desc}_{suffix}.log",
    wildcard_constraints:
        suffix="(?!T1w)[A-Za-z0-9]+" if CONTRASTS else "-",
        desc="[A-Za-z0-9]+",
    resources:
        mem_mb=need(ON_TEMPLATE, T1w=200),
    params:
        raw_bytes=lambda wildcards, input: raw_bytes(input.scan),
        body_part=ANATOMICAL["body_part"],
    script:
        "../workflow_scripts/anatomical/align_contrast.py"


if OF_BRAIN:

    rule draw_qc:
        """Picture for the quality control of a T1w."""
        input:
            t1w=rules.prepare_t1w.output.t1w,
            mask=rules.prepare_t1w.output.mask,
            before=lambda wildcards: sessions(BEFORE, CORRECTIONS.keys() & {wildcards.prefix}),
            tissues=rules.segment_brain.output.tissues,
            regions=rules.segment_brain.output.regions,
            normalized=rules.register_to_mni.output.t1w,
            template_mask=rules.make_templates.output.mask,
            template_wm=rules.make_templates.output.wm,
        output:
            picture=bids_figures("T1w.webp", desc="qc"),
        log:
            "logs/draw_qc/{folder}/{prefix}.log",
        resources:
            mem_mb=need(ON_TEMPLATE, T1w=50),
        script:
            "../workflow_scripts/report/draw_qc.py"

else:

    rule draw_scans:
        """Slices of all contrasts of a session, with the outline of a region."""
        input:
            scans=lambda wildcards: contrasts_of(wildcards.prefix),
            sides=lambda w: SEGMENTATION.shown(rules.segment_region.output.sides, w.prefix),
        output:
            picture=bids_figures("T1w.webp", desc="qc"),
        log:
            "logs/draw_scans/{folder}/{prefix}.log",
        script:
            "../workflow_scripts/report/draw_scans.py"
