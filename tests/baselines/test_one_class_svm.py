from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.baselines.cohorts import CLASSES, TRIALS, scans_of
from workflow_scripts.baselines.one_class_svm import (
    NUS,
    block_labels,
    image_features,
    main,
    outside_shares,
    predict,
)
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.common.job import InputError
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table

DESIGN = TRIALS | {"trials": 3, "train": {"healthy": 9, "ill": 4}}


def cohort(**sizes):
    """Scans, their splits, and two image features: healthy as in training, ill far away."""
    people = scans_of(14, 8, **sizes)
    rng = np.random.default_rng(0)
    ill = (people["label"] == "ill").to_numpy()
    x = rng.normal(size=(len(people), 2)) * 0.01
    x[~ill] = np.tile([[0.0, 0.0], [1.0, 0.0]], (len(people), 1))[: (~ill).sum()]
    x[ill] += 10
    return people[SCAN], draw_splits(people, DESIGN, 1, "s"), x


def test_blocks_cover_the_mask_and_drop_slivers():
    mask = np.zeros((10, 8, 4), bool)
    mask[:4, :4] = True  # one whole block
    mask[4:6, :4] = True  # half a block: kept
    mask[0, 4] = True  # 4 of 64 voxels: dropped
    labels = block_labels(mask, 4)
    assert len(labels) == mask.sum()
    np.testing.assert_array_equal(np.bincount(labels[labels >= 0]), [64, 32])
    assert (labels == -1).sum() == 4


def test_features_are_block_means_of_every_channel_free_of_scanner_units():
    mask = np.ones((8, 4, 4), bool)
    labels = block_labels(mask, 4)
    data = np.zeros(mask.shape)
    data[4:] = 1
    np.testing.assert_allclose(image_features(data[None], mask, labels), [-1, 1])
    both = np.stack([30 + 200 * data, -data]).astype(np.float32)
    np.testing.assert_allclose(image_features(both, mask, labels), [-1, 1, 1, -1], atol=1e-6)


@pytest.mark.parametrize("value", [0, np.nan])
def test_channel_that_is_constant_or_not_finite_is_refused(value):
    mask = np.ones((8, 4, 4), bool)
    volume = np.random.default_rng(0).normal(size=(2, 8, 4, 4))
    volume[1] = value
    with pytest.raises(InputError, match="not finite or constant inside the mask"):
        image_features(volume, mask, block_labels(mask, 4))


def test_far_images_are_outside_and_images_like_the_training_ones_inside(tmp_path):
    scans, splits, x = cohort()
    predictions = predict(x, scans, splits, CLASSES, nu=0.1, model="one")
    assert list(predictions.columns) == PREDICTIONS and (predictions["model"] == "one").all()
    far = predictions["label"] == "ill"
    assert (predictions.loc[far, "predicted"] == "ill").all()
    assert predictions.loc[far, "score"].min() > predictions.loc[~far, "score"].max()
    assert predictions.loc[~far, "score"].max() < 1e-6
    assert len(predictions) == 3 * 6 and predictions["probability"].isna().all()
    write_table(predictions, tmp_path / "p.tsv", resource("columns/baselines.tsv"))


def test_only_negatives_that_train_are_fitted():
    scans, splits, x = cohort()
    once = predict(x, scans, splits, CLASSES, nu=0.3, model="one")
    first = splits[splits["split"] == 1]
    trained = (first["role"] == "train") & (first["label"] == "healthy")
    others = first.loc[~trained & (first["role"] != "test"), "participant_id"]
    x[scans["participant_id"].isin(others)] = 77
    again = predict(x, scans, splits, CLASSES, nu=0.3, model="one")
    rows = once["split"] == 1
    pd.testing.assert_frame_equal(once[rows], again[rows])


def test_rows_follow_the_scans_not_the_order_of_the_splits():
    scans, splits, _ = cohort(sessions=2)
    x = np.random.default_rng(3).normal(size=(len(scans), 4))
    forward = predict(x, scans, splits, CLASSES, nu=0.5, model="one")
    backward = predict(x[::-1], scans[::-1], splits, CLASSES, nu=0.5, model="one")
    pd.testing.assert_frame_equal(forward, backward)
    assert len(forward) == 3 * 6 * 2 and set(forward["session_id"]) == {"ses-1", "ses-2"}


def test_external_images_are_scored_by_every_split_and_not_fitted():
    people = scans_of(16, 10, external=2)
    splits = draw_splits(people, DESIGN, 1, "s")
    x = np.random.default_rng(4).normal(size=(len(people), 3))
    once = predict(x, people[SCAN], splits, CLASSES, nu=0.5, model="one")
    assert once.value_counts("role").to_dict() == {"test": 18, "external": 12}
    x[(people["external"] == "yes").to_numpy()] = 50
    again = predict(x, people[SCAN], splits, CLASSES, nu=0.5, model="one")
    inside = once["role"] == "test"
    pd.testing.assert_frame_equal(once[inside], again[inside])


@pytest.mark.parametrize("features", [2, 300])
def test_so_much_is_outside_by_construction_whatever_the_images_show(features):
    """Both classes alike, so that everything outside is the doing of nu and of the features."""
    people = scans_of(900, 702)
    design = DESIGN | {"trials": 2, "train": {"healthy": 200, "ill": 2}}
    design["test"] = {"healthy": 700, "ill": 700}
    x = np.random.default_rng(6).normal(size=(len(people), features))
    splits = draw_splits(people, design, 1, "s")
    table = outside_shares(x, people[SCAN], splits, CLASSES, nu=0.4, model="one")
    assert sorted(table["nu"].unique()) == sorted({*NUS, 0.4})
    assert (table["trained_outside"] <= table["nu"] + 1e-9).all()
    assert (table["support_vectors"] >= table["nu"] - 1e-9).all()
    means = table[table["split"] == "all"].set_index("nu")
    for outside in (means["negative_outside"], means["positive_outside"]):
        assert (abs(outside - means["support_vectors"]) < 0.06).all()
    if features == 2:  # many images of few features: nu itself
        assert (abs(means["negative_outside"] - means.index) < 0.06).all()
    else:
        assert means.at[0.05, "negative_outside"] > 0.3
        assert means.at[0.5, "negative_outside"] > 0.6


def write_images(folder, volumes, scans, splits):
    np.save(folder / "volumes.npy", volumes)
    image = nib.Nifti1Image(np.ones(volumes.shape[2:], np.uint8), np.diag([4.0, 4, 4, 1]))
    nib.save(image, folder / "mask.nii.gz")
    for name, table in (("index", scans), ("splits", splits)):
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    return SimpleNamespace(
        volumes=folder / "volumes.npy",
        index=folder / "index.tsv",
        mask=folder / "mask.nii.gz",
        splits=folder / "splits.tsv",
    )


def test_goes_through_files_and_names_the_unusable_image(tmp_path):
    scans, splits, _ = cohort()
    volumes = np.random.default_rng(5).normal(size=(len(scans), 2, 4, 4, 4)).astype(np.float32)
    source = write_images(tmp_path, volumes, scans, splits)
    out = SimpleNamespace(predictions=tmp_path / "p.tsv", shares=tmp_path / "shares.tsv")
    params = SimpleNamespace(classes=CLASSES, settings={"nu": 0.5})
    main(source, out, params, SimpleNamespace(model="one"))
    mask = np.ones((4, 4, 4), bool)
    x = np.stack([image_features(v, mask, block_labels(mask, 2)) for v in volumes])
    expected = predict(x, scans, splits, CLASSES, nu=0.5, model="one")
    pd.testing.assert_series_equal(read_table(out.predictions)["score"], expected["score"])
    shares = read_table(out.shares)
    own = shares[(shares["nu"] == 0.5) & (shares["split"] != "all")]
    called = expected.assign(outside=expected["predicted"] == "ill").groupby(["split", "label"])
    called = called["outside"].mean().unstack()
    np.testing.assert_allclose(own["negative_outside"], called["healthy"], atol=1e-4)
    np.testing.assert_allclose(own["positive_outside"], called["ill"], atol=1e-4)
    volumes[3, 1] = 1
    source = write_images(tmp_path, volumes, scans, splits)
    with pytest.raises(InputError, match=r"volumes\.npy, sub-h03: not finite or constant"):
        main(source, out, params, SimpleNamespace(model="one"))
