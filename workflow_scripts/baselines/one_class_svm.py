"""One-class support vector machine on normalized brain images."""

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

from workflow_scripts.baselines.draw_trials import draw_trials
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

BLOCK_MM = 8


def block_labels(mask: np.ndarray, size: int) -> np.ndarray:
    """Number the cubes of ``size`` voxels per axis that lie at least half inside the mask.

    Parameters
    ----------
    mask : bool array, (X, Y, Z)
    size : int

    Returns
    -------
    int array, (V,)
        For each of the V mask voxels its block 0..B-1, or -1 where the block is
        mostly outside (or cut by the edge of the grid).
    """
    blocks = tuple(-(-length // size) for length in mask.shape)
    index = np.ravel_multi_index(tuple(axis // size for axis in np.nonzero(mask)), blocks)
    kept = np.flatnonzero(np.bincount(index) >= size**3 / 2)
    number = np.full(np.prod(blocks), -1)
    number[kept] = np.arange(len(kept))
    return number[index]


def image_features(path, mask: np.ndarray, affine: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Standardize a brain image inside the mask and average it over blocks.

    The image is scaled to zero mean and unit variance over all mask voxels,
    which removes the scanner's arbitrary units; blocks of 8 mm keep the number
    of features near that of a coarse morphometric map (about 3000) and blur the
    residual misregistration.

    Parameters
    ----------
    path : image on the grid of the mask
    mask : bool array, (X, Y, Z)
    affine : (4, 4), mm
    labels : int array, (V,), from `block_labels`

    Returns
    -------
    float array, (B,)

    Raises
    ------
    InputError
        If the image lies on another grid, is not finite or constant in the mask.
    """
    image = nib.load(path)
    if image.shape != mask.shape or not np.allclose(image.affine, affine, atol=1e-3):
        raise InputError(
            f"{path}: not on the grid of the template's brain mask, shape {mask.shape}; "
            "normalize the scan to MNI152NLin2009aSym"
        )
    values = np.asarray(image.dataobj, dtype=np.float64)[mask]
    if not np.isfinite(values).all() or values.std() == 0:
        raise InputError(
            f"{path}: not finite or constant inside the brain mask; check its registration"
        )
    values = (values - values.mean()) / values.std()
    inside = labels >= 0
    sums = np.bincount(labels[inside], weights=values[inside])
    return sums / np.bincount(labels[inside])


def draw_repeats(population, classes, design, repeats, seed, study) -> pd.DataFrame:
    """The study's trials, with no positive participant in training.

    Same draws as `draw_trials`: repeat k has the test side and the negative
    training side of trial k.
    """
    negative = {classes[0]: design["train"][classes[0]]}
    return draw_trials(
        population,
        classes,
        {"trials": repeats, "train": negative, "test": design["test"], "repeat_minority": False},
        seed,
        study,
    )


def predict(x: np.ndarray, scans: pd.DataFrame, repeats, classes, nu: float) -> pd.DataFrame:
    """Fit on the training side of every repeat and score its test side.

    Parameters
    ----------
    x : float array, (R, B)
        Image features, rows as in ``scans``.
    scans : DataFrame, (R,)
        Columns participant_id, session_id.
    repeats : DataFrame
        Trials as written by `draw_trials`.
    classes : [negative, positive]
        Inside is the negative class, outside the positive one.
    nu : float
        Upper bound of the share of training images left outside, 0 < nu <= 1.

    Returns
    -------
    DataFrame
        Columns trial, model, participant_id, session_id, label, score, predicted;
        the score is minus the decision function, higher means further outside.

    Notes
    -----
    Radial kernel with ``gamma = 1 / (B * var(x_train))``. Schölkopf et al. 2001,
    10.1162/089976601750264965. Inglese et al. 2022 found every image inside.
    """
    row = pd.Series(np.arange(len(scans)), index=pd.MultiIndex.from_frame(scans))
    tables = []
    for trial, table in repeats.groupby("trial"):
        rows = row[pd.MultiIndex.from_frame(table[["participant_id", "session_id"]])].to_numpy()
        train = rows[(table["role"] == "train").to_numpy()]
        test = (table["role"] == "test").to_numpy()
        fitted = OneClassSVM(kernel="rbf", gamma="scale", nu=nu, tol=1e-8).fit(x[train])
        outside = -fitted.decision_function(x[rows[test]])
        tables.append(
            table.loc[test, ["participant_id", "session_id", "label"]].assign(
                trial=trial,
                model="one_class_svm",
                score=outside,
                predicted=np.where(outside > 0, classes[1], classes[0]),
            )
        )
    columns = ["trial", "model", "participant_id", "session_id", "label", "score", "predicted"]
    return pd.concat(tables, ignore_index=True)[columns]


if "snakemake" in globals():
    with job(snakemake), threadpool_limits(1):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        columns = resource("columns/baselines.tsv")
        population = read_table(snakemake.input.population)  # noqa: F821
        population["session_id"] = population["session_id"].fillna("n/a")
        brains = snakemake.input.brains  # noqa: F821
        resolution = round(float(nib.load(brains[0]).header.get_zooms()[0]))
        template = load_mni152_brain_mask(resolution=resolution)
        mask = template.get_fdata() > 0
        labels = block_labels(mask, BLOCK_MM // resolution)
        x = np.stack([image_features(path, mask, template.affine, labels) for path in brains])
        repeats = draw_repeats(
            population,
            study["classes"],
            study["design"],
            study["one_class_svm"]["repeats"],
            study["seed"],
            snakemake.wildcards.study,  # noqa: F821
        )
        scans = population[["participant_id", "session_id"]]
        predictions = predict(x, scans, repeats, study["classes"], study["one_class_svm"]["nu"])
        write_table(repeats, snakemake.output.trials, columns)  # noqa: F821
        write_table(predictions, snakemake.output.predictions, columns)  # noqa: F821
