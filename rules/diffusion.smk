TENSOR_MAPS = {
    "fa": bids_dwi("dwimap.nii.gz", model="tensor", param="FA"),
    "md": bids_dwi("dwimap.nii.gz", model="tensor", param="MD"),
    "ad": bids_dwi("dwimap.nii.gz", model="tensor", param="AD"),
    "rd": bids_dwi("dwimap.nii.gz", model="tensor", param="RD"),
    "mode": bids_dwi("dwimap.nii.gz", model="tensor", param="mode"),
    "tensor": bids_dwi("dwimap.nii.gz", model="tensor", param="tensor"),
}


rule prepare_dwi:
    input:
        dwi=lambda wildcards: paths(DWI, wildcards.prefix),
        gradients=gradient_files,
        epi=lambda wildcards: paths(EPI, wildcards.prefix),
        metadata=inherited_metadata,
        t1w=dwi_t1w,
    output:
        dwi=temp(bids_dwi("dwi.nii.gz", desc="preproc")),
        bval=bids_dwi("dwi.bval", desc="preproc"),
        bvec=bids_dwi("dwi.bvec", desc="preproc"),
        b0=bids_dwi("dwiref.nii.gz"),
        mask=bids_dwi("mask.nii.gz", desc="brain"),
        motion=bids_dwi("timeseries.tsv", desc="motion"),
        sidecar=bids_dwi("dwi.json", desc="preproc"),
    log:
        "logs/prepare_dwi/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/prepare_dwi/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, dwi=60),
        runtime=need(30, dwi=2),
    params:
        raw_bytes=lambda wildcards, input: [raw_bytes(path) for path in input.dwi],
        settings={
            key: DIFFUSION[key]
            for key in (
                "denoise",
                "gibbs",
                "motion",
                "reverse_phase",
                "t1w_distortion",
            )
        },
        code=code("diffusion/prepare_dwi.py"),
    script:
        "../workflow_scripts/diffusion/prepare_dwi.py"


rule fit_tensor:
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
    benchmark:
        "benchmarks/fit_tensor/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, dwi=60),
        runtime=need(20),
    params:
        bval=DIFFUSION["bval"],
        code=code("diffusion/fit_tensor.py"),
    script:
        "../workflow_scripts/diffusion/fit_tensor.py"


rule register_dwi_to_t1w:
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
    benchmark:
        "benchmarks/register_dwi_to_t1w/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, T1w=150),
        runtime=need(20),
    params:
        code=code("diffusion/register_dwi_to_t1w.py"),
    script:
        "../workflow_scripts/diffusion/register_dwi_to_t1w.py"


rule register_dwi_to_mni:
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
    benchmark:
        "benchmarks/register_dwi_to_mni/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, dwi=20),
        runtime=need(60),
    params:
        nonlinear=NONLINEAR,
        code=code("diffusion/register_dwi_to_mni.py"),
    script:
        "../workflow_scripts/diffusion/register_dwi_to_mni.py"


rule measure_alps:
    input:
        tensor=rules.fit_tensor.output.tensor,
        mask=rules.prepare_dwi.output.mask,
        transforms=dwi_transforms,
        template_mask=rules.make_templates.output.mask,
        rois=DIFFUSION["alps_rois"] or [],
    output:
        rois=bids_dwi("rois.tsv", desc="alps"),
        colour=bids_dwi("dwimap.nii.gz", space=SPACE, desc="color"),
        sidecar=bids_dwi("alps.json"),
    log:
        "logs/measure_alps/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/measure_alps/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE, dwi=20),
        runtime=need(10),
    params:
        min_voxels=DIFFUSION["min_voxels"],
        min_fa=DIFFUSION["min_fa"],
        code=code("diffusion/measure_alps.py"),
    script:
        "../workflow_scripts/diffusion/measure_alps.py"


rule draw_dwi_qc:
    input:
        colour=rules.measure_alps.output.colour,
        measured=rules.measure_alps.output.rois,
        motion=rules.prepare_dwi.output.motion,
        outliers=rules.fit_tensor.output.outliers,
        prepared=rules.prepare_dwi.output.sidecar,
        alps=rules.measure_alps.output.sidecar,
        template_mask=rules.make_templates.output.mask,
        rois=DIFFUSION["alps_rois"] or [],
    output:
        picture=bids_figures("dwi.webp", desc="qc"),
    log:
        "logs/draw_dwi_qc/{folder}/{prefix}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(ON_TEMPLATE),
        runtime=need(5),
    params:
        code=code("report/draw_dwi_qc.py"),
    script:
        "../workflow_scripts/report/draw_dwi_qc.py"
