rule prepare_dwi:
    """Denoising, motion, eddy currents and distortion of the diffusion series of a session."""
    input:
        dwi=lambda wildcards: paths(DWI, wildcards.prefix),
        gradients=SHARED.gradients_of,
        epi=lambda wildcards: paths(EPI, wildcards.prefix),
        metadata=lambda w: metadata_of(paths(DWI, w.prefix) + paths(EPI, w.prefix)),
        t1w=dwi_t1w,
        preprocessed=lambda wildcards: SHARED.given.of_dwi(wildcards.prefix),
    output:
        dwi=bids_dwi("dwi.nii.gz", desc="preproc"),
        bval=bids_dwi("dwi.bval", desc="preproc"),
        bvec=bids_dwi("dwi.bvec", desc="preproc"),
        b0=bids_dwi("dwiref.nii.gz"),
        mask=bids_dwi("mask.nii.gz", desc="brain"),
        motion=bids_dwi("timeseries.tsv", desc="motion"),
        sidecar=bids_dwi("dwi.json", desc="preproc"),
    log:
        "logs/prepare_dwi/{folder}/{prefix}.log",
    resources:
        mem_mb=need(1000, dwi=60),
        runtime=need(30, dwi=2),
    params:
        raw_bytes=lambda wildcards, input: [raw_bytes(path) for path in input.dwi],
        settings={key: DIFFUSION[key] for key in DWI_PREPARATION},
    script:
        "../workflow_scripts/diffusion/prepare_dwi.py"


rule fit_tensor:
    """Tensor and its maps."""
    input:
        dwi=rules.prepare_dwi.output.dwi,
        bval=rules.prepare_dwi.output.bval,
        bvec=rules.prepare_dwi.output.bvec,
        mask=rules.prepare_dwi.output.mask,
    output:
        **TENSOR_MAPS,
        outliers=bids_dwi("slices.tsv", desc="outliers"),
        gradient_check=bids_dwi("check.tsv", desc="gradients"),
        sidecar=bids_dwi("dwimap.json", model="tensor"),
    log:
        "logs/fit_tensor/{folder}/{prefix}.log",
    resources:
        mem_mb=need(1000, dwi=60),
    params:
        bval=DIFFUSION["bval"],
    script:
        "../workflow_scripts/diffusion/fit_tensor.py"


rule register_dwi_to_t1w:
    """Rigid registration of a diffusion series to its T1w."""
    input:
        b0=rules.prepare_dwi.output.b0,
        mask=rules.prepare_dwi.output.mask,
        t1w=rules.prepare_t1w.output.t1w,
        t1w_mask=rules.prepare_t1w.output.mask,
    output:
        transform=DWI_TO_T1W,
        sidecar=bids_dwi("xfm.json", from_="dwi", to="T1w"),
    log:
        "logs/register_dwi_to_t1w/{folder}/{prefix}.log",
    resources:
        mem_mb=need(1000, T1w=150),
    script:
        "../workflow_scripts/diffusion/register_dwi_to_t1w.py"


rule register_dwi_to_mni:
    """Registration of a diffusion series without a T1w to MNI152."""
    input:
        b0=rules.prepare_dwi.output.b0,
        mask=rules.prepare_dwi.output.mask,
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        transforms=DWI_TO_MNI,
        sidecar=bids_dwi("xfm.json", from_="dwi", to=SPACE),
    log:
        "logs/register_dwi_to_mni/{folder}/{prefix}.log",
    resources:
        mem_mb=need(ON_TEMPLATE, dwi=20),
        runtime=need(60),
    params:
        nonlinear=NONLINEAR,
    script:
        "../workflow_scripts/diffusion/register_dwi_to_mni.py"


rule measure_alps:
    """DTI-ALPS in the axes of MNI152."""
    input:
        tensor=rules.fit_tensor.output.tensor,
        dwi=rules.prepare_dwi.output.dwi,
        bval=rules.prepare_dwi.output.bval,
        bvec=rules.prepare_dwi.output.bvec,
        mask=rules.prepare_dwi.output.mask,
        transforms=dwi_transforms,
        template_mask=rules.make_templates.output.mask,
        rois=STARTING.alps_files,
    output:
        rois=bids_dwi("rois.tsv", desc="alps"),
        colour=bids_dwi("dwimap.nii.gz", space=SPACE, desc="color"),
        sidecar=bids_dwi("alps.json"),
    log:
        "logs/measure_alps/{folder}/{prefix}.log",
    resources:
        mem_mb=need(ON_TEMPLATE, dwi=20),
    params:
        min_voxels=DIFFUSION["min_voxels"],
        min_fa=DIFFUSION["min_fa"],
        bval=DIFFUSION["bval"],
        t1w=lambda wildcards: wildcards.prefix in T1W,
    script:
        "../workflow_scripts/diffusion/measure_alps.py"


rule draw_dwi_qc:
    """Picture for the quality control of a diffusion series."""
    input:
        colour=rules.measure_alps.output.colour,
        measured=rules.measure_alps.output.rois,
        motion=rules.prepare_dwi.output.motion,
        outliers=rules.fit_tensor.output.outliers,
        prepared=rules.prepare_dwi.output.sidecar,
        alps=rules.measure_alps.output.sidecar,
        template_mask=rules.make_templates.output.mask,
        rois=STARTING.alps_files,
    output:
        picture=bids_figures("dwi.webp", desc="qc"),
    log:
        "logs/draw_dwi_qc/{folder}/{prefix}.log",
    resources:
        mem_mb=need(ON_TEMPLATE),
    script:
        "../workflow_scripts/report/draw_dwi_qc.py"


rule draw_viewer:
    """A page to go through a session's T1w, and what was made of it, in three planes."""
    input:
        unpack(alps_shown),
        unpack(SHARED.explained(TRANSFORMS)),
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        tissues=of_brain([rules.segment_brain.output.tissues]),
        regions=of_brain([rules.segment_brain.output.regions]),
        sides=lambda wildcards: segmented("sides", [wildcards.prefix]),
    output:
        page=bids_figures("T1w.html", desc="viewer"),
    log:
        "logs/draw_viewer/{folder}/{prefix}.log",
    resources:
        mem_mb=need(500, T1w=50),
    params:
        brain=OF_BRAIN,
    script:
        "../workflow_scripts/report/draw_viewer.py"
