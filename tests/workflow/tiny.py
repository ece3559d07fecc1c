"""The demo in small: six heads, every rule, and no table worth its numbers."""

import yaml

from tests.conftest import ROOT

# By class and rank (demo/lupus.py): one without scans, one excluded, one without diffusion, one
# without vessels, one with centre lines.
SUBJECTS = {"non-NPSLE": 4, "NPSLE": 2, "control": 2}
PLANNED, HEADS = 8, 6
LABEL = {"label": {"column": "moca", "at_least": 25}, "classes": ["low", "high"]}  # three of each
NETWORK = {
    "inputs": ["brain"],
    "splits": 1,
    "encoder": "strided",
    "widths": [4, 8],
    "augmentation": "crop",
    "crop_voxels": 1,
    "batch": 4,
    "threads": 1,
}
CROP = {
    "kind": "contrastive",
    "pretraining": {"epochs": 2, "warmup_epochs": 1},
    "finetuning": {"epochs": 2},
}


def tiny_demo(output_dir) -> dict:
    """Configuration of the demo with few heads, quick steps and networks that learn nothing."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["output_dir"] = str(output_dir)
    config["demo"]["subjects"] = dict(SUBJECTS)
    config["anatomical"] |= {
        "registration": "affine",
        "tissue_segmentation": "hmrf",
    }
    config["diffusion"] |= {"motion": "none", "reverse_phase": "none", "t1w_distortion": False}
    contrastive = config["studies"]["npsle_contrastive"]
    contrastive |= LABEL | {"other_labels": [], "permutations": 10, "bootstraps": 50}
    contrastive["inputs"]["brain"]["downsample"] = 4
    contrastive["design"] = {
        "kind": "random_trials",
        "trials": 2,
        "train": {"low": 2, "high": 2},
        "test": {"low": 1, "high": 1},
        "repeat_minority": False,
    }
    kept = ("svm", "logistic", "majority", "one_class_svm")
    contrastive["models"] = {name: contrastive["models"][name] for name in kept} | {
        "crop": NETWORK | CROP,
        "supervised": NETWORK | {"kind": "cnn", "epochs": 2},
    }
    contrastive["evaluation"]["repeated_measures"] = {"models": ["svm", "logistic"]}
    multimodal = config["studies"]["npsle_multimodal"]
    multimodal |= LABEL | {"permutations": 5, "bootstraps": 50, "requires": ["T1w"]}
    multimodal["scans"] = ["T1w", "dwi", "vesselwall"]
    multimodal["inputs"] = {
        "clinical": {"columns": ["age"]},
        "mri": {"columns": ["gm_fraction", "tiv_ml"]},
    }
    multimodal["design"] = {"kind": "folds", "folds": 3}
    multimodal["evaluation"]["optimism"] = {"samples": 5}
    multimodal["evaluation"]["correlations"] = {"features": ["alps", "nwi"], "clinical": ["moca"]}
    return config
