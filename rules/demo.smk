# The simulated dataset, which lies in the output folder.
DEMO_BIDS = "demo/bids"
TRUTH = "demo/truth/{participant}/{participant}"
DEMO_RAW = f"{DEMO_BIDS}/{{participant}}"
DEMO_VESSELS = f"{DEMO_BIDS}/derivatives/vessels"
LEFT_MCA = f"{DEMO_VESSELS}/{{participant}}/anat/{{participant}}_hemi-L_label-MCA"
RIGHT_MCA = f"{DEMO_VESSELS}/{{participant}}/anat/{{participant}}_hemi-R_label-MCA"
VESSEL_TRUTH = [
    "participant_id",
    "seed",
    "nwi_left",
    "nwi_right",
    "lumen_radius_left_mm",
    "lumen_radius_right_mm",
]


rule simulate_participants:
    output:
        participants=f"{DEMO_BIDS}/participants.tsv",
        dictionary=f"{DEMO_BIDS}/participants.json",
        exclusions=f"{DEMO_BIDS}/exclusions.tsv",
        exclusions_dictionary=f"{DEMO_BIDS}/exclusions.json",
        description=f"{DEMO_BIDS}/dataset_description.json",
        readme=f"{DEMO_BIDS}/README",
        vessels_description=f"{DEMO_VESSELS}/dataset_description.json",
    log:
        "logs/simulate_participants.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        demo=CONFIG["demo"],
        code=code("demo/simulate_participants.py"),
    script:
        "../workflow_scripts/demo/simulate_participants.py"


rule build_phantom:
    output:
        phantom="demo/phantom.nii.gz",
    log:
        "logs/build_phantom.log",
    benchmark:
        "benchmarks/build_phantom.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(4000),
        runtime=need(10),
    params:
        code=code("demo/build_phantom.py"),
    script:
        "../workflow_scripts/demo/build_phantom.py"


rule simulate_t1w:
    input:
        phantom=rules.build_phantom.output.phantom,
    output:
        t1w=f"{DEMO_BIDS}/{{participant}}/anat/{{participant}}_T1w.nii.gz",
        gm=f"{TRUTH}_label-GM_probseg.nii.gz",
        wm=f"{TRUTH}_label-WM_probseg.nii.gz",
        csf=f"{TRUTH}_label-CSF_probseg.nii.gz",
        lesion=f"{TRUTH}_label-lesion_probseg.nii.gz",
        brain=f"{TRUTH}_desc-brain_mask.nii.gz",
        field=f"{TRUTH}_from-{SPACE}_to-T1w_mode-image_xfm.nii.gz",
        volumes=f"{TRUTH}_desc-tissues_volumes.tsv",
        dictionary=f"{TRUTH}_desc-tissues_volumes.json",
    log:
        "logs/simulate_t1w/{participant}.log",
    benchmark:
        "benchmarks/simulate_t1w/{participant}.tsv"
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"],
            wildcards.participant,
            ["participant_id", "seed", "age", "sex", "severity"],
        ),
        code=code("demo/simulate_t1w.py"),
    script:
        "../workflow_scripts/demo/simulate_t1w.py"


rule simulate_flair:
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
        lesion=rules.simulate_t1w.output.lesion,
    output:
        flair=f"{DEMO_BIDS}/{{participant}}/anat/{{participant}}_FLAIR.nii.gz",
        to_t1w=f"{TRUTH}_from-FLAIR_to-T1w_mode-point_xfm.txt",
    log:
        "logs/simulate_flair/{participant}.log",
    benchmark:
        "benchmarks/simulate_flair/{participant}.tsv"
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"], wildcards.participant, ["seed"]
        ),
        code=code("demo/simulate_flair.py"),
    script:
        "../workflow_scripts/demo/simulate_flair.py"


rule simulate_dwi:
    input:
        phantom=rules.build_phantom.output.phantom,
        field=rules.simulate_t1w.output.field,
    output:
        dwi=f"{DEMO_RAW}/dwi/{{participant}}_dir-AP_dwi.nii.gz",
        bval=f"{DEMO_RAW}/dwi/{{participant}}_dir-AP_dwi.bval",
        bvec=f"{DEMO_RAW}/dwi/{{participant}}_dir-AP_dwi.bvec",
        json=f"{DEMO_RAW}/dwi/{{participant}}_dir-AP_dwi.json",
        opposite=f"{TRUTH}_dir-PA_epi.nii.gz",
        to_t1w=f"{TRUTH}_from-dwi_to-T1w_mode-point_xfm.txt",
        truth=f"{TRUTH}_desc-alps_dwi.tsv",
        dictionary=f"{TRUTH}_desc-alps_dwi.json",
    log:
        "logs/simulate_dwi/{participant}.log",
    benchmark:
        "benchmarks/simulate_dwi/{participant}.tsv"
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"],
            wildcards.participant,
            [
                "participant_id",
                "seed",
                "alps_left",
                "alps_right",
                "tilt_degrees",
                "tilt_axis",
            ],
        ),
        code=code("demo/simulate_dwi.py"),
    script:
        "../workflow_scripts/demo/simulate_dwi.py"


rule simulate_epi:
    input:
        opposite=rules.simulate_dwi.output.opposite,
    output:
        epi=f"{DEMO_RAW}/fmap/{{participant}}_dir-PA_epi.nii.gz",
        json=f"{DEMO_RAW}/fmap/{{participant}}_dir-PA_epi.json",
    log:
        "logs/simulate_epi/{participant}.log",
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        code=code("demo/simulate_epi.py"),
    script:
        "../workflow_scripts/demo/simulate_epi.py"


rule simulate_vessel_wall:
    output:
        lumen_L=f"{LEFT_MCA}_desc-lumen_{{kind}}.nii.gz",
        outerwall_L=f"{LEFT_MCA}_desc-outerwall_{{kind}}.nii.gz",
        lumen_R=f"{RIGHT_MCA}_desc-lumen_{{kind}}.nii.gz",
        outerwall_R=f"{RIGHT_MCA}_desc-outerwall_{{kind}}.nii.gz",
        truth=f"{TRUTH}_desc-{{kind}}_vessels.tsv",
        dictionary=f"{TRUTH}_desc-{{kind}}_vessels.json",
    log:
        "logs/simulate_vessel_wall/{participant}_{kind}.log",
    wildcard_constraints:
        kind="probseg|mask",
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"], wildcards.participant, VESSEL_TRUTH
        ),
        code=code("demo/simulate_vessel_wall.py"),
    script:
        "../workflow_scripts/demo/simulate_vessel_wall.py"


rule simulate_vessel_contours:
    output:
        L=f"{LEFT_MCA}_desc-vesselwall_contours.tsv",
        dictionary_L=f"{LEFT_MCA}_desc-vesselwall_contours.json",
        R=f"{RIGHT_MCA}_desc-vesselwall_contours.tsv",
        dictionary_R=f"{RIGHT_MCA}_desc-vesselwall_contours.json",
        truth=f"{TRUTH}_desc-contours_vessels.tsv",
        dictionary=f"{TRUTH}_desc-contours_vessels.json",
    log:
        "logs/simulate_vessel_contours/{participant}.log",
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"], wildcards.participant, VESSEL_TRUTH
        ),
        code=code("demo/simulate_vessel_contours.py"),
    script:
        "../workflow_scripts/demo/simulate_vessel_contours.py"


rule simulate_vessel_image:
    output:
        image=f"{DEMO_RAW}/anat/{{participant}}_acq-vwi_T1w.nii.gz",
        L=f"{LEFT_MCA}_desc-centerline_points.tsv",
        dictionary_L=f"{LEFT_MCA}_desc-centerline_points.json",
        R=f"{RIGHT_MCA}_desc-centerline_points.tsv",
        dictionary_R=f"{RIGHT_MCA}_desc-centerline_points.json",
        truth=f"{TRUTH}_desc-points_vessels.tsv",
        dictionary=f"{TRUTH}_desc-points_vessels.json",
    log:
        "logs/simulate_vessel_image/{participant}.log",
    priority: 200
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(5),
    params:
        subject=lambda wildcards: simulation(
            CONFIG["demo"], wildcards.participant, VESSEL_TRUTH
        ),
        code=code("demo/simulate_vessel_image.py"),
    script:
        "../workflow_scripts/demo/simulate_vessel_image.py"


rule compare_with_truth:
    input:
        volumes=lambda wildcards: simulated("simulate_t1w", "volumes", T1W),
        true_masks=lambda wildcards: simulated("simulate_t1w", "brain", T1W),
        masks=lambda wildcards: sessions(bids_anat("mask.nii.gz", desc="brain"), T1W),
        alps=lambda wildcards: simulated("simulate_dwi", "truth", DWI),
        vessels=lambda wildcards: [
            rules.simulate_vessel_wall.output.truth.format(
                participant=name, kind=simulation(CONFIG["demo"], name)["vessels"]
            )
            for name in COHORT.usable("vesselwall")
        ],
        features="cohort/features.tsv",
    output:
        recovered="demo/recovered.tsv",
        dictionary="demo/recovered.json",
        summary="demo/recovered_summary.tsv",
        summary_dictionary="demo/recovered_summary.json",
    log:
        "logs/compare_with_truth.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        code=code("demo/compare_with_truth.py"),
    script:
        "../workflow_scripts/demo/compare_with_truth.py"


rule compare_gradcam_with_truth:
    input:
        maps=gradcam_files("desc-mean_gradcam.nii.gz"),
        index=gradcam_files("desc-mean_gradcam.tsv"),
        layers=gradcam_files("desc-permuted_gradcam.safetensors"),
        masks=[f"studies/{name}/volumes_mask.nii.gz" for name in learning_studies()],
        participants=rules.simulate_participants.output.participants,
        phantom=rules.build_phantom.output.phantom,
        lesions=lambda wildcards: simulated("simulate_t1w", "lesion", T1W),
        fields=lambda wildcards: simulated("simulate_t1w", "field", T1W),
    output:
        table="demo/gradcam.tsv",
        dictionary="demo/gradcam.json",
    log:
        "logs/compare_gradcam_with_truth.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(20),
    params:
        thresholds={
            name: settings["gradcam"]["thresholds"]
            for name, settings in learning_studies().items()
        },
        code=code("demo/compare_gradcam_with_truth.py"),
    script:
        "../workflow_scripts/demo/compare_gradcam_with_truth.py"
