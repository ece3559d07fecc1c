# The simulated dataset lies in the output folder whatever bids_dir is, so that
# no rule here can ever make, or remake, a file of a user's own dataset.
DEMO_BIDS = "demo/bids"
TRUTH = "demo/truth/{participant}/{participant}"


rule simulate_participants:
    output:
        participants=f"{DEMO_BIDS}/participants.tsv",
        dictionary=f"{DEMO_BIDS}/participants.json",
        exclusions=f"{DEMO_BIDS}/exclusions.tsv",
        exclusions_dictionary=f"{DEMO_BIDS}/exclusions.json",
        description=f"{DEMO_BIDS}/dataset_description.json",
        readme=f"{DEMO_BIDS}/README",
    log:
        "logs/simulate_participants.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
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
        mem_mb=4000,
        runtime=10,
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
        mem_mb=2000,
        runtime=10,
    params:
        subject=simulated_subject,
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
        mem_mb=2000,
        runtime=10,
    params:
        subject=simulated_subject,
        code=code("demo/simulate_flair.py"),
    script:
        "../workflow_scripts/demo/simulate_flair.py"


rule compare_with_truth:
    input:
        volumes=[
            rules.simulate_t1w.output.volumes.format(participant=name) for name in T1W
        ],
        true_masks=[
            rules.simulate_t1w.output.brain.format(participant=name) for name in T1W
        ],
        masks=sessions(bids_anat("mask.nii.gz", desc="brain"), T1W),
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
        mem_mb=2000,
        runtime=10,
    params:
        code=code("demo/compare_with_truth.py"),
    script:
        "../workflow_scripts/demo/compare_with_truth.py"
