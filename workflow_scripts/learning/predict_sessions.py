"""Score the cohort's sessions with trained models, without the cohort that they were trained on."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.learning.cache_volumes import box_affine, brain_box, brain_volume
from workflow_scripts.learning.classifier import predictions
from workflow_scripts.learning.device import choose_device
from workflow_scripts.learning.models import load_classifier
from workflow_scripts.learning.training import infer

BATCH = 16


def check_grid(description: dict, mask: nib.Nifti1Image, weights) -> tuple[slice, slice, slice]:
    """Box of voxels that a model looks at, where the template here is the one of its training.

    Parameters
    ----------
    description : of the model
    mask : the template's brain mask here

    Raises
    ------
    InputError
        If the model was trained on another grid.
    """
    downsample = description["downsample"]
    box = brain_box(np.asanyarray(mask.dataobj) > 0, downsample)
    affine = box_affine(mask.affine, box, downsample)
    shape = [(part.stop - part.start) // downsample for part in box]
    if shape != description["shape"] or not np.allclose(affine, description["affine"]):
        size = abs(description["affine"][0][0]) / downsample
        raise InputError(
            f"{weights}: was trained on volumes {description['shape']} of a template with "
            f"{size:g} mm, these are {shape}; set anatomical.template_resolution as it was there"
        )
    return box


def score(weights, brains: list, scans: pd.DataFrame, mask: nib.Nifti1Image) -> pd.DataFrame:
    """Predictions of one model for normalized brains.

    Returns
    -------
    DataFrame: participant_id, session_id, model, seen_in_training, score, probability, predicted
    """
    classifier, description = load_classifier(weights)
    box = check_grid(description, mask, weights)
    inside = np.asanyarray(mask.dataobj) > 0
    device = choose_device("auto", gpus=0)
    device.place(classifier)
    logits = []
    for start in range(0, len(brains), BATCH):
        volumes = [
            brain_volume(path, inside, box, description["downsample"])
            for path in brains[start : start + BATCH]
        ]
        logits.append(infer(classifier, torch.from_numpy(np.stack(volumes)), device, BATCH))
    seen = scans["participant_id"].isin(description["participants"])
    told = scans.assign(
        model=Path(weights).name.removesuffix("_model.safetensors"),
        seen_in_training=seen.map({True: "yes", False: "no"}),
    )
    return predictions(told, torch.cat(logits), description["classes"])


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        torch.set_num_threads(snakemake.threads)  # noqa: F821
        scans = pd.DataFrame(snakemake.params.sessions)[["participant_id", "session_id"]]  # noqa: F821
        mask = nib.load(source.template_mask)
        tables = [score(path, list(source.brains), scans, mask) for path in source.models]
        write_table(pd.concat(tables), out.predictions, resource("columns/learning.tsv"))
