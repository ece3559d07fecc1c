"""One-class support vector machine on the images of an input."""

import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN, SCORED, read_splits
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


def image_features(volume: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Standardize an image inside the mask and average it over blocks.

    Each channel is scaled to zero mean and unit variance over all mask voxels,
    which removes the scanner's arbitrary units; blocks of 8 mm keep the number
    of features near that of a coarse morphometric map (about 3000) and blur the
    residual misregistration.

    Parameters
    ----------
    volume : (channels, X, Y, Z)
    mask : bool array, (X, Y, Z)
    labels : int array, (V,), from `block_labels`

    Returns
    -------
    float array, (channels * B,)

    Raises
    ------
    InputError
        If a channel is not finite or constant in the mask.
    """
    features, inside = [], labels >= 0
    for channel in volume:
        values = channel[mask].astype(np.float64)
        if not np.isfinite(values).all() or values.std() == 0:
            raise InputError("not finite or constant inside the mask; check its registration")
        values = (values - values.mean()) / values.std()
        sums = np.bincount(labels[inside], weights=values[inside])
        features.append(sums / np.bincount(labels[inside]))
    return np.concatenate(features)


def predict(
    x: np.ndarray, scans: pd.DataFrame, splits: pd.DataFrame, classes, nu: float, model: str
) -> pd.DataFrame:
    """Fit on the negative training scans of every split and score its scored scans.

    Parameters
    ----------
    x : float array, (R, B)
        Image features, rows as in ``scans``.
    scans : DataFrame, (R,)
        Columns participant_id, session_id.
    splits : checked splits
    classes : [negative, positive]
        Inside is the negative class, outside the positive one.
    nu : float
        Upper bound of the share of training images left outside, 0 < nu <= 1.
    model : its name

    Returns
    -------
    DataFrame
        Columns ``PREDICTIONS``; the score is minus the decision function, higher means further
        outside.

    Notes
    -----
    Radial kernel with ``gamma = 1 / (B * var(x_train))``. Schölkopf et al. 2001,
    10.1162/089976601750264965. Inglese et al. 2022 found every image inside.
    """
    places = scans.fillna("n/a").assign(row=np.arange(len(scans)))
    splits = splits.assign(session_id=splits["session_id"].fillna("n/a")).merge(places, on=SCAN)
    tables = []
    for _, table in splits.groupby("split", sort=False):
        trained = (table["role"] == "train") & (table["label"] == classes[0])
        scored = table[table["role"].isin(SCORED)]
        fitted = OneClassSVM(kernel="rbf", gamma="scale", nu=nu, tol=1e-8)
        fitted.fit(x[table.loc[trained, "row"]])
        outside = -fitted.decision_function(x[scored["row"]])
        tables.append(
            scored.assign(
                model=model,
                repeat=1,
                score=outside,
                threshold=0.0,
                probability=np.nan,
                predicted=np.where(outside > 0, classes[1], classes[0]),
            )
        )
    return pd.concat(tables, ignore_index=True)[PREDICTIONS].replace({"session_id": {"n/a": None}})


def main(source, out, params, wildcards):
    """Write the predictions of all splits."""
    volumes, index = np.load(source.volumes, mmap_mode="r"), read_table(source.index)
    image = nib.load(source.mask)
    mask = np.asanyarray(image.dataobj) > 0
    size = max(1, round(BLOCK_MM / float(image.header.get_zooms()[0])))
    labels = block_labels(mask, size)
    features = []
    for volume, scan in zip(volumes, index.itertuples(), strict=True):
        try:
            features.append(image_features(volume, mask, labels))
        except InputError as error:
            raise InputError(f"{source.volumes}, {scan.participant_id}: {error}") from error
    made = predict(
        np.stack(features),
        index[SCAN],
        read_splits(source.splits),
        params.classes,
        params.settings["nu"],
        wildcards.model,
    )
    write_table(made, out.predictions, resource("columns/baselines.tsv"))


if "snakemake" in globals():
    with job(snakemake), threadpool_limits(1):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
