rule simulate_pelvis_t1w:
    """T1w of a simulated pelvis, with its truth."""
    output:
        **tables(volumes=f"{TRUTH}_desc-joints_volumes.tsv"),
        t1w=f"{DEMO_RAW}/anat/{{prefix}}_T1w.nii.gz",
        joints=f"{TRUTH}_label-SacroiliacJoints_dseg.nii.gz",
        signs=f"{TRUTH}_desc-signs_dseg.nii.gz",
    log:
        "logs/simulate_pelvis_t1w/{folder}/{prefix}.log",
    params:
        subject=truth_of("session", "seed", "pelvis", "signs", "position", "t1w"),
    script:
        "../workflow_scripts/demo/simulate_pelvis_t1w.py"


rule simulate_pelvis_stir:
    """STIR of a simulated pelvis."""
    output:
        stir=f"{DEMO_RAW}/anat/{{prefix}}_acq-stir_T2w.nii.gz",
        to_t1w=f"{TRUTH}_from-STIR_to-T1w_mode-point_xfm.txt",
    log:
        "logs/simulate_pelvis_stir/{folder}/{prefix}.log",
    params:
        subject=truth_of("seed", "pelvis", "signs", "position", "stir"),
    script:
        "../workflow_scripts/demo/simulate_pelvis_stir.py"


rule simulate_joint_mask:
    """Mask of the sacroiliac joints of a simulated pelvis by a rater."""
    input:
        t1w=rules.simulate_pelvis_t1w.output.t1w,
    output:
        mask=f"{DEMO_DERIVATIVES}/{{folder}}/anat/{{prefix}}_label-SacroiliacJoints_desc-{{rater}}_mask.nii.gz",
    log:
        "logs/simulate_joint_mask/{folder}/{prefix}_desc-{rater}.log",
    wildcard_constraints:
        rater="[a-z]+",
    params:
        subject=truth_of("seed", "pelvis", "signs"),
    script:
        "../workflow_scripts/demo/simulate_joint_mask.py"
