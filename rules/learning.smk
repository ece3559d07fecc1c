TRAINED = "studies/{study}/models/trial-{trial}_strategy-{strategy}_repeat-{repeat}"


rule cache_volumes:
    input:
        population=population_file,
        brains=normalized_brains,
        template_mask=rules.make_templates.output.mask,
    output:
        volumes="studies/{study}/volumes.npy",
        index="studies/{study}/volumes.tsv",
        dictionary="studies/{study}/volumes.json",
        mask="studies/{study}/volumes_mask.nii.gz",
    log:
        "logs/cache_volumes/{study}.log",
    benchmark:
        "benchmarks/cache_volumes/{study}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(30, sessions=0.1),
    params:
        downsample=learning("downsample"),
        code=code("learning/cache_volumes.py"),
    script:
        "../workflow_scripts/learning/cache_volumes.py"


rule pretrain_encoder:
    input:
        volumes="studies/{study}/volumes.npy",
        index="studies/{study}/volumes.tsv",
        trials=trials_file,
    output:
        encoder=f"{TRAINED}_encoder.safetensors",
        description=f"{TRAINED}_encoder.json",
        history=f"{TRAINED}_desc-pretraining_history.tsv",
        history_dictionary=f"{TRAINED}_desc-pretraining_history.json",
        events=directory(f"{TRAINED}_desc-pretraining_events"),
    log:
        "logs/pretrain_encoder/{study}/trial-{trial}_strategy-{strategy}_repeat-{repeat}.log",
    benchmark:
        "benchmarks/pretrain_encoder/{study}/trial-{trial}_strategy-{strategy}_repeat-{repeat}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: learning("threads")
    resources:
        mem_mb=need(16000, doublings=1),
        runtime=1440,  # the retry goes on, and needs no more
        gpu=learning("gpus"),
    params:
        learning=learning(
            "encoder",
            "widths",
            "crop_voxels",
            "rotate_degrees",
            "batch",
            "pretraining",
            "precision",
            "deterministic",
            "compile",
        ),
        study=study("seed"),
        code=code("learning/pretrain_encoder.py"),
    script:
        "../workflow_scripts/learning/pretrain_encoder.py"


rule train_classifier:
    input:
        volumes="studies/{study}/volumes.npy",
        index="studies/{study}/volumes.tsv",
        mask="studies/{study}/volumes_mask.nii.gz",
        trials=trials_file,
        encoder=pretrained_encoder,
    output:
        model=f"{TRAINED}_model.safetensors",
        description=f"{TRAINED}_model.json",
        predictions=f"{TRAINED}_predictions.tsv",
        predictions_dictionary=f"{TRAINED}_predictions.json",
        permutations=f"{TRAINED}_permutations.tsv",
        permutations_dictionary=f"{TRAINED}_permutations.json",
        layers=f"{TRAINED}_layers.safetensors",
        history=f"{TRAINED}_desc-training_history.tsv",
        history_dictionary=f"{TRAINED}_desc-training_history.json",
    log:
        "logs/train_classifier/{study}/trial-{trial}_strategy-{strategy}_repeat-{repeat}.log",
    benchmark:
        "benchmarks/train_classifier/{study}/trial-{trial}_strategy-{strategy}_repeat-{repeat}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: learning("threads")
    resources:
        mem_mb=need(16000, doublings=1),
        runtime=240,
        gpu=learning("gpus"),
    params:
        learning=learning(
            "downsample",
            "encoder",
            "widths",
            "crop_voxels",
            "rotate_degrees",
            "batch",
            "finetuning",
            "supervised",
            "precision",
            "deterministic",
        ),
        study=study("classes", "permutations", "seed"),
        code=code("learning/train_classifier.py"),
    script:
        "../workflow_scripts/learning/train_classifier.py"


rule collect_predictions:
    input:
        predictions=trained("predictions.tsv"),
        permutations=trained("permutations.tsv"),
    output:
        predictions="studies/{study}/model-cnn_predictions.tsv",
        predictions_dictionary="studies/{study}/model-cnn_predictions.json",
        permutations="studies/{study}/model-cnn_permutations.tsv",
        permutations_dictionary="studies/{study}/model-cnn_permutations.json",
    log:
        "logs/collect_predictions/{study}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000),
        runtime=need(10),
    params:
        code=code("learning/collect_predictions.py"),
    script:
        "../workflow_scripts/learning/collect_predictions.py"


rule predict_sessions:
    input:
        models=frozen_models(),
        descriptions=model_descriptions(),
        brains=lambda wildcards: sessions(
            bids_anat("T1w.nii.gz", space=SPACE, desc="brain"), T1W
        ),
        template_mask=rules.make_templates.output.mask,
    output:
        predictions="predictions/sessions.tsv",
        dictionary="predictions/sessions.json",
    log:
        "logs/predict_sessions.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(4000),
        runtime=need(30, sessions=0.2),
    params:
        sessions=list(T1W.values()),
        code=code("learning/predict_sessions.py"),
    script:
        "../workflow_scripts/learning/predict_sessions.py"


GRADCAM = "studies/{study}/gradcam/trial-{trial}_strategy-{strategy}_repeat-{repeat}"
MEAN_GRADCAM = "studies/{study}/gradcam/strategy-{strategy}"


rule explain_predictions:
    input:
        model=f"{TRAINED}_model.safetensors",
        description=f"{TRAINED}_model.json",
        predictions=f"{TRAINED}_predictions.tsv",
        layers=f"{TRAINED}_layers.safetensors",
        volumes="studies/{study}/volumes.npy",
        index="studies/{study}/volumes.tsv",
        mask="studies/{study}/volumes_mask.nii.gz",
    output:
        maps=f"{GRADCAM}_gradcam.nii.gz",
        index=f"{GRADCAM}_gradcam.tsv",
        dictionary=f"{GRADCAM}_gradcam.json",
        sums=temp(f"{GRADCAM}_sums.safetensors"),
    log:
        "logs/explain_predictions/{study}/trial-{trial}_strategy-{strategy}_repeat-{repeat}.log",
    conda:
        "../envs/environment.yaml"
    threads: learning("threads")
    resources:
        mem_mb=need(8000),
        runtime=need(60),
    params:
        code=code("learning/explain_predictions.py"),
    script:
        "../workflow_scripts/learning/explain_predictions.py"


rule average_gradcam:
    input:
        maps=trained("gradcam.nii.gz", "gradcam"),
        index=trained("gradcam.tsv", "gradcam"),
        sums=trained("sums.safetensors", "gradcam"),
        mask="studies/{study}/volumes_mask.nii.gz",
        white_matter=rules.make_templates.output.wm,
    output:
        maps=f"{MEAN_GRADCAM}_desc-mean_gradcam.nii.gz",
        index=f"{MEAN_GRADCAM}_desc-mean_gradcam.tsv",
        dictionary=f"{MEAN_GRADCAM}_desc-mean_gradcam.json",
        layers=f"{MEAN_GRADCAM}_desc-permuted_gradcam.safetensors",
        regions=f"{MEAN_GRADCAM}_regions.tsv",
        regions_dictionary=f"{MEAN_GRADCAM}_regions.json",
    log:
        "logs/average_gradcam/{study}/strategy-{strategy}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(4000),
        runtime=need(60),
    params:
        study=study("classes"),
        gradcam=learning("gradcam"),
        code=code("learning/average_gradcam.py"),
    script:
        "../workflow_scripts/learning/average_gradcam.py"
