rule build_phantom:
    """Phantom that all heads are warped from."""
    output:
        phantom="demo/phantom.nii.gz",
    log:
        "logs/build_phantom.log",
    resources:
        mem_mb=need(5000),
    script:
        "../workflow_scripts/demo/build_phantom.py"


rule simulate_t1w:
    """T1w of a simulated session, with its truth."""
    input:
        phantom=rules.build_phantom.output.phantom,
    output:
        **tables(volumes=f"{TRUTH}_desc-tissues_volumes.tsv"),
        t1w=f"{DEMO_BIDS}/{{folder}}/anat/{{prefix}}_T1w.nii.gz",
        gm=f"{TRUTH}_label-GM_probseg.nii.gz",
        wm=f"{TRUTH}_label-WM_probseg.nii.gz",
        csf=f"{TRUTH}_label-CSF_probseg.nii.gz",
        lesion=f"{TRUTH}_label-lesion_probseg.nii.gz",
        brain=f"{TRUTH}_desc-brain_mask.nii.gz",
        field=f"{TRUTH}_from-{SPACE}_to-T1w_mode-image_xfm.nii.gz",
    log:
        "logs/simulate_t1w/{folder}/{prefix}.log",
    params:
        subject=truth_of("session", "seed", "scan_seed", "head", "t1w"),
    script:
        "../workflow_scripts/demo/simulate_t1w.py"


rule simulate_flair:
    """FLAIR of a simulated session."""
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
        lesion=rules.simulate_t1w.output.lesion,
    output:
        flair=f"{DEMO_BIDS}/{{folder}}/anat/{{prefix}}_FLAIR.nii.gz",
        to_t1w=f"{TRUTH}_from-FLAIR_to-T1w_mode-point_xfm.txt",
    log:
        "logs/simulate_flair/{folder}/{prefix}.log",
    params:
        subject=truth_of("scan_seed", "borders", "flair"),
    script:
        "../workflow_scripts/demo/simulate_flair.py"


rule simulate_r1map:
    """R1 map of a simulated session."""
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
        lesion=rules.simulate_t1w.output.lesion,
    output:
        r1map=f"{DEMO_BIDS}/{{folder}}/anat/{{prefix}}_R1map.nii.gz",
    log:
        "logs/simulate_r1map/{folder}/{prefix}.log",
    params:
        subject=truth_of("scan_seed", "borders", "r1map"),
    script:
        "../workflow_scripts/demo/simulate_r1map.py"


rule simulate_manual_mask:
    """Mask of the thalamus of a simulated session by a rater."""
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
        t1w=rules.simulate_t1w.output.t1w,
    output:
        mask=f"{DEMO_DERIVATIVES}/{{folder}}/anat/{{prefix}}_label-Thalamus_desc-{{rater}}_mask.nii.gz",
    log:
        "logs/simulate_manual_mask/{folder}/{prefix}_desc-{rater}.log",
    wildcard_constraints:
        rater="[a-z]+",
    params:
        subject=truth_of("scan_seed"),
    script:
        "../workflow_scripts/demo/simulate_manual_mask.py"


rule simulate_lesion_mask:
    """Lesion mask of a simulated session."""
    input:
        lesion=rules.simulate_t1w.output.lesion,
    output:
        mask=f"{DEMO_BIDS}/derivatives/lesions/{{folder}}/anat/{{prefix}}_desc-lesion_mask.nii.gz",
    log:
        "logs/simulate_lesion_mask/{folder}/{prefix}.log",
    script:
        "../workflow_scripts/demo/simulate_lesion_mask.py"


rule simulate_dwi:
    """Diffusion series of a simulated head, with its truth."""
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
    output:
        **tables(truth=f"{TRUTH}_desc-alps_dwi.tsv"),
        dwi=f"{DEMO_RAW}/dwi/{{prefix}}_dir-AP_dwi.nii.gz",
        bval=f"{DEMO_RAW}/dwi/{{prefix}}_dir-AP_dwi.bval",
        bvec=f"{DEMO_RAW}/dwi/{{prefix}}_dir-AP_dwi.bvec",
        json=f"{DEMO_RAW}/dwi/{{prefix}}_dir-AP_dwi.json",
        opposite=f"{TRUTH}_dir-PA_epi.nii.gz",
        to_t1w=f"{TRUTH}_from-dwi_to-T1w_mode-point_xfm.txt",
    log:
        "logs/simulate_dwi/{folder}/{prefix}.log",
    params:
        subject=truth_of(*DWI_TRUTH),
    script:
        "../workflow_scripts/demo/simulate_dwi.py"


rule simulate_epi:
    """Image of reverse phase encoding."""
    input:
        opposite=rules.simulate_dwi.output.opposite,
    output:
        epi=f"{DEMO_RAW}/fmap/{{prefix}}_dir-PA_epi.nii.gz",
        json=f"{DEMO_RAW}/fmap/{{prefix}}_dir-PA_epi.json",
    log:
        "logs/simulate_epi/{folder}/{prefix}.log",
    script:
        "../workflow_scripts/demo/simulate_epi.py"


rule simulate_vessel_wall:
    """Masks of simulated vessels."""
    output:
        **tables(truth=f"{TRUTH}_desc-{{kind}}_vessels.tsv"),
        lumen_L=f"{LEFT_MCA}_desc-lumen_{{kind}}.nii.gz",
        outerwall_L=f"{LEFT_MCA}_desc-outerwall_{{kind}}.nii.gz",
        lumen_R=f"{RIGHT_MCA}_desc-lumen_{{kind}}.nii.gz",
        outerwall_R=f"{RIGHT_MCA}_desc-outerwall_{{kind}}.nii.gz",
    log:
        "logs/simulate_vessel_wall/{folder}/{prefix}_{kind}.log",
    wildcard_constraints:
        kind="probseg|mask",
    params:
        subject=truth_of(*VESSEL_TRUTH),
    script:
        "../workflow_scripts/demo/simulate_vessel_wall.py"


rule simulate_vessel_contours:
    """Contours of simulated vessels."""
    output:
        **tables(
            L=f"{LEFT_MCA}_desc-vesselwall_contours.tsv",
            R=f"{RIGHT_MCA}_desc-vesselwall_contours.tsv",
            truth=f"{TRUTH}_desc-contours_vessels.tsv",
        ),
    log:
        "logs/simulate_vessel_contours/{folder}/{prefix}.log",
    params:
        subject=truth_of(*VESSEL_TRUTH),
    script:
        "../workflow_scripts/demo/simulate_vessel_contours.py"


rule simulate_vessel_image:
    """Vessel-wall image and centre lines of simulated vessels."""
    output:
        **tables(
            L=f"{LEFT_MCA}_desc-centerline_points.tsv",
            R=f"{RIGHT_MCA}_desc-centerline_points.tsv",
            truth=f"{TRUTH}_desc-points_vessels.tsv",
        ),
        image=f"{DEMO_RAW}/anat/{{prefix}}_acq-vwi_T1w.nii.gz",
    log:
        "logs/simulate_vessel_image/{folder}/{prefix}.log",
    params:
        subject=truth_of(*VESSEL_TRUTH),
    script:
        "../workflow_scripts/demo/simulate_vessel_image.py"


rule compare_gradcam_with_truth:
    """Mean Grad-CAM against the planted effect."""
    input:
        maps=lambda wildcards: of_gradcam(rules.average_gradcam.output.maps),
        attributions=lambda wildcards: of_gradcam(rules.average_gradcam.output.attributions),
        index=lambda wildcards: of_gradcam(rules.average_gradcam.output.index),
        layers=lambda wildcards: of_gradcam(rules.average_gradcam.output.layers),
        masks=lambda wildcards: [input_of_model("mask.nii.gz")(made) for made in gradcam_models()],
        phantom=rules.build_phantom.output.phantom,
        lesions=lambda wildcards: sessions(rules.simulate_t1w.output.lesion, AFFECTED),
        fields=lambda wildcards: sessions(rules.simulate_t1w.output.field, AFFECTED),
    output:
        **tables(table="demo/gradcam.tsv"),
    log:
        "logs/compare_gradcam_with_truth.log",
    params:
        planted=planted(CONFIG["demo"]),
        thresholds=lambda wildcards: {
            made.study: evaluation("gradcam")(made)["thresholds"] for made in gradcam_models()
        },
    script:
        "../workflow_scripts/demo/compare_gradcam_with_truth.py"
