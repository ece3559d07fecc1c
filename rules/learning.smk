rule cache_volumes:
    """Images of an input of a study as one memory map."""
    input:
        **(of_template("mask", "regions", "gm", "wm") if OF_BRAIN else {}),
        population=of_split("population"),
        images=image_paths,
        brains=brains,
        sides=regions_around,
    output:
        **tables(index=f"{INPUT}_volumes.tsv"),
        volumes=f"{INPUT}_volumes.npy",
        mask=f"{INPUT}_mask.nii.gz",
    log:
        "logs/cache_volumes/{study}_{input}.log",
    resources:
        runtime=need(30, sessions=0.1),
    params:
        entry=input_entry,
    script:
        "../workflow_scripts/learning/cache_volumes.py"


rule pretrain_encoder:
    """Contrastive training of an encoder on the training side of a split."""
    input:
        **VOLUMES,
        splits=SHARED.splits_of_training,
    output:
        **tables(history=f"{TRAINED}_desc-pretraining_history.tsv"),
        encoder=f"{TRAINED}_encoder.safetensors",
        description=f"{TRAINED}_encoder.json",
    log:
        f"logs/pretrain_encoder/{TRAINING_LOG}",
    threads: model("threads")
    resources:
        mem_mb=need(16000, doublings=1),
        runtime=1440,  # the retry goes on, and needs no more
        gpu=model("gpus"),
    params:
        settings=model(),
        seed=study("seed"),
    script:
        "../workflow_scripts/learning/pretrain_encoder.py"


rule train_classifier:
    """Classifier of a split, its predictions and, of a linear layer, its permutations."""
    input:
        **VOLUMES,
        splits=SHARED.splits_of_training,
        encoder=pretrained_encoder,
    output:
        **tables(predictions=f"{TRAINED}_predictions.tsv"),
        **tables(permutations=f"{TRAINED}_permutations.tsv"),
        **tables(history=f"{TRAINED}_desc-training_history.tsv"),
        model=f"{TRAINED}_model.safetensors",
        description=f"{TRAINED}_model.json",
        layers=f"{TRAINED}_layers.safetensors",
    log:
        f"logs/train_classifier/{TRAINING_LOG}",
    threads: model("threads")
    resources:
        mem_mb=need(16000, doublings=1),
        runtime=240,
        gpu=model("gpus"),
    params:
        settings=model(),
        entry=SHARED.input_of_training,
        classes=design_classes,
        permutations=study("permutations"),
        seed=study("seed"),
    script:
        "../workflow_scripts/learning/train_classifier.py"


rule predict_sessions:
    """Scores of the cohort's sessions by trained networks."""
    input:
        **(of_template("mask", "regions", "gm", "wm") if OF_BRAIN else {}),
        models=FROZEN.models,
        descriptions=[beside(path, ".json") for path in FROZEN.models],
        images=lambda wildcards: image_files(sessions_to_score()),
    output:
        **tables(predictions="predictions/sessions.tsv"),
    log:
        "logs/predict_sessions.log",
    resources:
        mem_mb=need(4000),
        runtime=need(30, sessions=0.2),
    params:
        sessions=lambda wildcards: sessions_to_score(),
        label=CONFIG["frozen_label"],
    script:
        "../workflow_scripts/learning/predict_sessions.py"


rule explain_predictions:
    """Grad-CAM and integrated gradients of the test scans of a training."""
    input:
        **{
            name: getattr(rules.train_classifier.output, name)
            for name in ("model", "description", "predictions", "layers")
        },
        **VOLUMES,
    output:
        **tables(index=f"{SINGLE_GRADCAM}_gradcam.tsv"),
        maps=f"{SINGLE_GRADCAM}_gradcam.nii.gz",
        logits=f"{SINGLE_GRADCAM}_desc-logit_gradcam.nii.gz",
        attributions=f"{SINGLE_GRADCAM}_desc-integrated_gradients.nii.gz",
        sums=temp(f"{SINGLE_GRADCAM}_sums.safetensors"),
    log:
        f"logs/explain_predictions/{TRAINING_LOG}",
    threads: model("threads")
    resources:
        mem_mb=need(8000),
        runtime=need(60),
    script:
        "../workflow_scripts/learning/explain_predictions.py"


rule average_gradcam:
    """Mean Grad-CAM of a model, and the regions that it hits."""
    input:
        **{
            name: trained(getattr(rules.explain_predictions.output, name))
            for name in (*MEANS, "index", "sums")
        },
        mask=input_of_model("mask.nii.gz"),
        white_matter=rules.make_templates.output.wm,
        atlas=rules.make_templates.output.atlas,
        atlas_names=rules.make_templates.output.atlas_names,
    output:
        **tables(index=f"{GRADCAM}_desc-mean_gradcam.tsv", regions=f"{GRADCAM}_regions.tsv"),
        **tables(agreement=f"{GRADCAM}_agreement.tsv", sessions=OF_SESSIONS[1]),
        cams=OF_SESSIONS[0],
        maps=f"{GRADCAM}_desc-mean_gradcam.nii.gz",
        logits=f"{GRADCAM}_desc-logit_gradcam.nii.gz",
        attributions=f"{GRADCAM}_desc-integrated_gradients.nii.gz",
        layers=f"{GRADCAM}_desc-permuted_gradcam.safetensors",
    log:
        "logs/average_gradcam/{study}/model-{model}.log",
    resources:
        mem_mb=need(4000),
        runtime=need(60),
    params:
        classes=design_classes,
        gradcam=evaluation("gradcam"),
    script:
        "../workflow_scripts/learning/average_gradcam.py"
