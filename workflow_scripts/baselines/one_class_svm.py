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
# Beside that of the model, to show how much of what lies outside is their doing.
NUS = (0.05, 0.1, 0.25, 0.5)
ON_THE_RIM = 1e-6  # of the offset, within which a training image counts as inside
SHARES = ["model", "split", "nu", "n_trained", "trained_outside", "support_vectors"]
SHARES += ["n_negative", "negative_outside", "n_positive", "positive_outside"]


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


def fit_outside(x: np.ndarray, nu: float) -> OneClassSVM:
    """One-class SVM of training images (n, B), radial kernel with ``gamma = 1 / (B * var(x))``."""
    return OneClassSVM(kernel="rbf", gamma="scale", nu=nu, tol=1e-8).fit(x)


def sides(scans: pd.DataFrame, splits: pd.DataFrame, classes):
    """Per split its number, the rows of the negative training scans, and the scored scans.

    Parameters
    ----------
    scans : DataFrame, (R,)
        Columns participant_id, session_id.
    splits : checked splits
    classes : [negative, positive]

    Yields
    ------
    split, (n,) int array, and DataFrame of the splits' columns with ``row``
    """
    places = scans.fillna("n/a").assign(row=np.arange(len(scans)))
    splits = splits.assign(session_id=splits["session_id"].fillna("n/a")).merge(places, on=SCAN)
    for split, table in splits.groupby("split", sort=False):
        trained = (table["role"] == "train") & (table["label"] == classes[0])
        yield split, table.loc[trained, "row"].to_numpy(), table[table["role"].isin(SCORED)]


def predict(
    x: np.ndarray, scans: pd.DataFrame, splits: pd.DataFrame, classes, nu: float, model: str
) -> pd.DataFrame:
    """Fit on the negative training scans of every split and score its scored scans.

    Parameters
    ----------
    x : float array, (R, B)
        Image features, rows as in ``scans``.
    scans, splits, classes : as in `sides`
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
    Schölkopf et al. 2001, 10.1162/089976601750264965. Inglese et al. 2022 found every image inside.
    """
    tables = []
    for _, trained, scored in sides(scans, splits, classes):
        outside = -fit_outside(x[trained], nu).decision_function(x[scored["row"]])
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


def outside_shares(
    x: np.ndarray, scans: pd.DataFrame, splits: pd.DataFrame, classes, nu: float, model: str
) -> pd.DataFrame:
    """How much lies outside at several nu, on the training side and on the test side.

    nu is at least the share of training images outside and at most that of support vectors. A
    training image that is none would lie inside had it been left out, so a new image of the
    negative class lies outside about as often as training images are support vectors: so much
    is outside by construction, whatever the images show. With many images of few features that is
    nu, with few of many far more (Schölkopf et al. 2001).

    Parameters
    ----------
    As of `predict`

    Returns
    -------
    DataFrame
        Columns `SHARES`, a row for each split and nu of `NUS` and the model's; then, with split
        ``all``, the means over the splits.
    """
    rows = []
    for split, trained, scored in sides(scans, splits, classes):
        tested = scored[scored["role"] == "test"]
        for each in sorted({*NUS, nu}):
            fitted = fit_outside(x[trained], each)
            rim = ON_THE_RIM * abs(float(fitted.offset_[0]))
            row = {"model": model, "split": str(split), "nu": each, "n_trained": len(trained)}
            row["trained_outside"] = (fitted.decision_function(x[trained]) < -rim).mean()
            row["support_vectors"] = len(fitted.support_) / len(trained)
            for side, name in zip(("negative", "positive"), classes, strict=True):
                places = tested.loc[tested["label"] == name, "row"]
                row[f"n_{side}"] = len(places)
                if len(places):
                    row[f"{side}_outside"] = (fitted.decision_function(x[places]) < 0).mean()
            rows.append(row)
    table = pd.DataFrame(rows, columns=SHARES)
    means = table.drop(columns="split").groupby(["model", "nu"], as_index=False).mean()
    return pd.concat([table, means.assign(split="all")], ignore_index=True)[SHARES]


def main(source, out, params, wildcards):
    """Write the predictions of all splits, and the shares outside at several nu."""
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
    studied = np.stack(features), index[SCAN], read_splits(source.splits), params.classes
    nu, columns = params.settings["nu"], resource("columns/baselines.tsv")
    write_table(predict(*studied, nu, wildcards.model), out.predictions, columns)
    write_table(outside_shares(*studied, nu, wildcards.model).round(4), out.shares, columns)


if "snakemake" in globals():
    with job(snakemake), threadpool_limits(1):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
