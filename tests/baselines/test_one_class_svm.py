import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.baselines.draw_trials import draw_trials
from workflow_scripts.baselines.one_class_svm import (
    block_labels,
    draw_repeats,
    image_features,
    predict,
)
from workflow_scripts.common.job import InputError

CLASSES = ["healthy", "ill"]
DESIGN = {
    "trials": 3,
    "train": {"healthy": 9, "ill": 4},
    "test": {"healthy": 3, "ill": 3},
    "repeat_minority": True,
}
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def population(healthy=14, ill=8):
    label = ["healthy"] * healthy + ["ill"] * ill
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02d}" for i in range(len(label))],
            "session_id": "n/a",
            "label": label,
        }
    )


def save(tmp_path, data, affine=AFFINE):
    path = tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return path


def test_blocks_cover_the_mask_and_drop_slivers():
    mask = np.zeros((10, 8, 4), bool)
    mask[:4, :4] = True  # one whole block
    mask[4:6, :4] = True  # half a block: kept
    mask[0, 4] = True  # 4 of 64 voxels: dropped
    labels = block_labels(mask, 4)
    assert len(labels) == mask.sum()
    np.testing.assert_array_equal(np.bincount(labels[labels >= 0]), [64, 32])
    assert (labels == -1).sum() == 4


def test_features_are_block_means_free_of_scanner_units(tmp_path):
    mask = np.ones((8, 4, 4), bool)
    labels = block_labels(mask, 4)
    data = np.zeros(mask.shape)
    data[4:] = 1
    plain = image_features(save(tmp_path, data), mask, AFFINE, labels)
    np.testing.assert_allclose(plain, [-1, 1])
    scaled = image_features(save(tmp_path, 30 + 200 * data), mask, AFFINE, labels)
    np.testing.assert_allclose(scaled, [-1, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("data", "affine"),
    [
        (np.random.default_rng(0).normal(size=(9, 4, 4)), AFFINE),
        (np.random.default_rng(0).normal(size=(8, 4, 4)), np.diag([1.0, 1, 1, 1])),
        (np.zeros((8, 4, 4)), AFFINE),
        (np.full((8, 4, 4), np.nan), AFFINE),
    ],
)
def test_unusable_image_is_named(tmp_path, data, affine):
    mask = np.ones((8, 4, 4), bool)
    with pytest.raises(InputError, match=r"brain\.nii\.gz"):
        image_features(save(tmp_path, data, affine), mask, AFFINE, block_labels(mask, 4))


def test_repeats_train_on_negatives_only_and_share_the_trials_draws():
    repeats = draw_repeats(population(), CLASSES, DESIGN, 10, seed=1, study="s")
    train = repeats[repeats["role"] == "train"]
    assert (train["label"] == "healthy").all()
    assert (train.groupby("trial").size() == 9).all()
    assert (repeats[repeats["role"] == "test"].groupby(["trial", "label"]).size() == 3).all()
    assert repeats["trial"].nunique() == 10
    trials = draw_trials(population(), CLASSES, DESIGN, seed=1, study="s")
    for table in (trials, repeats):
        table["side"] = table["role"].where(table["role"] == "test", "other")
    first = repeats[repeats["trial"] <= 3]
    assert (first["side"].to_numpy() == trials["side"].to_numpy()).all()


def test_far_images_are_outside_and_images_like_the_training_ones_inside():
    rng = np.random.default_rng(0)
    people = population()
    ill = (people["label"] == "ill").to_numpy()
    x = rng.normal(size=(len(people), 2)) * 0.01
    x[~ill] = np.tile([[0.0, 0.0], [1.0, 0.0]], (7, 1))
    x[ill] += 10
    repeats = draw_repeats(people, CLASSES, DESIGN, 5, seed=1, study="s")
    scans = people[["participant_id", "session_id"]]
    predictions = predict(x, scans, repeats, CLASSES, nu=0.1)
    assert (predictions["model"] == "one_class_svm").all()
    far = predictions["label"] == "ill"
    assert (predictions.loc[far, "predicted"] == "ill").all()
    assert predictions.loc[far, "score"].min() > predictions.loc[~far, "score"].max()
    assert predictions.loc[~far, "score"].max() < 1e-6
    assert len(predictions) == 5 * 6


def test_rows_follow_the_scans_not_the_order_of_the_trials():
    rng = np.random.default_rng(3)
    people = population()
    x = rng.normal(size=(len(people), 4))
    repeats = draw_repeats(people, CLASSES, DESIGN, 3, seed=1, study="s")
    scans = people[["participant_id", "session_id"]]
    forward = predict(x, scans, repeats, CLASSES, nu=0.5)
    backward = predict(x[::-1], scans[::-1], repeats, CLASSES, nu=0.5)
    pd.testing.assert_frame_equal(forward, backward)
