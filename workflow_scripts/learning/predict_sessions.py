"""Score the cohort's sessions with trained models, without the cohort that they were trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.common.device import choose_device
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.labels import class_of, label_column
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.learning.classifier import predictions
from workflow_scripts.learning.images import (
    Around,
    Grid,
    Template,
    make_grid,
    native_volume,
    normalized_volume,
    read_template,
)
from workflow_scripts.learning.models import load_classifier
from workflow_scripts.learning.training import infer

BATCH = 16


def check_grid(description: dict, template: Template, weights) -> Grid:
    """Grid that a model looks at, where the template here is the one of its training.

    Raises
    ------
    InputError
        If the model was trained on another grid.
    """
    entry = description["input"]
    grid = make_grid(entry, template)
    shape = list(grid.mask.shape)
    if shape != description["shape"] or not np.allclose(grid.mask.affine, description["affine"]):
        size = abs(description["affine"][0][0]) / entry["downsample"]
        raise InputError(
            f"{weights}: was trained on volumes {description['shape']} of a template with "
            f"{size:g} mm, these are {shape}; set anatomical.template_resolution as it was there"
        )
    return grid


def score(weights, sessions: list[dict], template: Template | None, label=None) -> pd.DataFrame:
    """Predictions of one model for the sessions that have its channels.

    People that it was trained on get none.

    Parameters
    ----------
    weights : path of the model
    sessions : as of `session_images`, and the text of the label where there is one
    template : None for a part of the body that has none
    label : as of a study, of which column the text is and what it means; None for no labels

    Returns
    -------
    DataFrame: participant_id, session_id, model, seen_in_training, label, negative, positive
    (classes of the model), score, probability, predicted

    Raises
    ------
    InputError
        If no session has what it reads, or a label is no number where one is needed.
    """
    classifier, description = load_classifier(weights)
    entry = description["input"]
    wanted, around = entry["channels"], entry.get("segmented")
    space = "T1w" if around else entry["space"]
    sides = f"{around['region']} {around['engine']}" if around else None
    if space == "MNI152" and template is None:
        raise InputError(f"{weights}: reads images in MNI152, which this part of the body has not")
    usable = [
        session
        for session in sessions
        if session[space].keys() >= set(wanted) and (not sides or sides in session["sides"])
    ]
    if not usable:
        what = f"{' and '.join(wanted)}{f' and {sides}' if sides else ''}"
        raise InputError(f"{weights}: no session has {what}, which it reads")
    grid = check_grid(description, template, weights) if space == "MNI152" else None

    def volume(session: dict) -> np.ndarray:
        paths = [session[space][name] for name in wanted]
        if grid:
            return normalized_volume(paths, session[space]["T1w"], grid)
        cut = Around(session["sides"][sides], around["margin"]) if around else None
        return native_volume(paths, entry["spacing"], entry["shape"], cut)

    device = choose_device("auto", gpus=0)
    device.place(classifier)
    logits = []
    for start in range(0, len(usable), BATCH):
        volumes = [volume(session) for session in usable[start : start + BATCH]]
        logits.append(infer(classifier, torch.from_numpy(np.stack(volumes)), device, BATCH))
    scans = pd.DataFrame(usable)[["participant_id", "session_id"]]
    seen = scans["participant_id"].isin(description["participants"])
    classes = description["classes"]
    told = scans.assign(
        model=Path(weights).name.removesuffix("_model.safetensors"),
        seen_in_training=seen.map({True: "yes", False: "no"}),
        label=[_labelled(session, label, classes) for session in usable],
        negative=classes[0],
        positive=classes[1],
    )
    scored = predictions(told, torch.cat(logits), classes).drop(columns="threshold")
    scored.loc[seen, ["score", "probability", "predicted"]] = None
    return scored


def _labelled(session: dict, label, classes: list[str]) -> str | None:
    if label is None:
        return None
    try:
        return class_of(session["label"], label, classes)
    except ValueError as error:
        raise InputError(
            f"frozen_label: {label_column(label)} of {session['participant_id']} is {error}, no "
            "number; correct it or write n/a"
        ) from error


def main(source, out, params, threads: int):
    """Score all sessions with all models."""
    torch.set_num_threads(threads)
    template = read_template(source) if source.get("template_mask") else None
    tables = [score(path, params.sessions, template, params.label) for path in source.models]
    write_table(pd.concat(tables), out.predictions, resource("columns/learning.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.threads)
