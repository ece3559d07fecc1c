import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from workflow_scripts.anatomical.make_templates import atlas_regions, region_labels
from workflow_scripts.anatomical.regions import subject_regions
from workflow_scripts.anatomical.segment_brain import (
    atropos_probabilities,
    hmrf_probabilities,
    tissue_priors,
    tissue_volumes,
)

REGIONS = pd.read_csv(ROOT / "resources/regions.tsv", sep="\t")
INDEX = dict(zip(REGIONS["region"], REGIONS["index"], strict=True))


def test_volumes_and_fractions():
    probabilities = np.zeros((10, 10, 10, 3))
    probabilities[:2, ..., 0] = 1
    probabilities[2:7, ..., 1] = 1
    probabilities[7:, ..., 2] = 0.5
    probabilities[7:, ..., 0] = 0.5
    volumes = tissue_volumes(probabilities, voxel_ml=0.008)
    assert volumes["csf_volume_ml"] == pytest.approx((200 + 150) * 0.008)
    assert volumes["gm_volume_ml"] == pytest.approx(500 * 0.008)
    assert volumes["tiv_ml"] == pytest.approx(8)
    assert volumes["wm_fraction"] == pytest.approx(0.15)


def test_priors_sum_to_one_and_lie_outside_the_brain_too():
    gm, wm = np.array([0.0, 0.6, 1.0]), np.array([0.0, 0.3, 0.0])
    np.testing.assert_allclose(sum(tissue_priors(gm, wm)), 1)
    np.testing.assert_allclose(tissue_priors(gm, wm)[0], [1, 0.1, 0], atol=1e-9)


@pytest.fixture(scope="module")
def shells():
    """Three nested shells of known tissue with noise: WM inside, GM, CSF outside."""
    grid = np.indices((40, 44, 40)) - np.array([20, 22, 20])[:, None, None, None]
    radius = np.sqrt((grid**2).sum(axis=0))
    truth = np.select([radius < 10, radius < 14, radius < 17], [3, 2, 1], 0)
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    return np.choose(truth, [0, 30, 70, 110]) + noise, truth


def test_same_brain_same_probabilities(shells):
    t1w, truth = shells
    priors = [np.where(truth == t, 0.6, 0.2) for t in (1, 2, 3)]
    mask = (truth > 0).astype(np.float32)
    one, other = (atropos_probabilities(t1w, mask, priors, (1, 1, 1), 0.2) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["atropos", "hmrf"])
def test_shells_are_recovered(shells, method):
    t1w, truth = shells
    mask = (truth > 0).astype(np.float32)
    if method == "atropos":
        priors = [np.where(truth == t, 0.6, 0.2) for t in (1, 2, 3)]
        found = atropos_probabilities(t1w, mask, priors, (0.9101561, 0.9101565, 2.9999978), 0.2)
    else:
        found = hmrf_probabilities(t1w, mask)
    labels = np.where(mask > 0, found.argmax(axis=-1) + 1, 0)
    for tissue in (1, 2, 3):
        a, b = labels == tissue, truth == tissue
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.97
    np.testing.assert_allclose(found[mask > 0].sum(axis=-1), 1, atol=1e-3)


def test_region_labels_take_the_most_probable_structure_above_the_threshold():
    regions = pd.DataFrame({"index": [7, 9], "structures": ["A,B", "C"]})
    probabilities = np.array([[60, 10, 0, 0], [0, 30, 20, 0], [0, 0, 24, 0], [10, 0, 30, 60]])
    labels = region_labels(probabilities.reshape(4, 1, 1, 4), list("ABCD"), regions)
    assert labels.ravel().tolist() == [7, 7, 0, 0]


def test_unknown_structure_is_named():
    regions = pd.DataFrame({"index": [1], "structures": ["Nucleus"]})
    with pytest.raises(KeyError, match="Nucleus"):
        region_labels(np.zeros((1, 1, 1, 1)), ["A"], regions)


def test_atlas_is_on_the_right_side_and_of_the_right_size(template):
    """Left structures lie at negative x. In MNI152, whose brain (1.9 L) is 1.2 to 1.6 times an
    adult's, the thalami (11 to 16 mL in adults) and the brainstem (20 to 30 mL) are that much
    larger."""
    image = nib.load(template[0])
    names = ",".join(REGIONS["structures"].dropna()).split(",")
    one_each = pd.DataFrame({"index": range(1, len(names) + 1), "structures": names})
    labels = atlas_regions(image, one_each)
    volume = {}
    for index, name in zip(one_each["index"], names, strict=True):
        where = np.argwhere(labels == index)
        volume[name] = len(where) * 0.008
        x = nib.affines.apply_affine(image.affine, where)[:, 0].mean()
        side = name.split("_")[0]
        assert np.sign(x) == {"Left": -1, "Right": 1}.get(side, np.sign(x)), name
    assert 11 * 1.2 < volume["Left_Thalamus"] + volume["Right_Thalamus"] < 16 * 1.6
    assert 20 * 1.2 < volume["Brain-Stem"] < 30 * 1.6


def ventricle_case():
    """A small atlas ventricle inside a larger one of the subject, and CSF elsewhere."""
    tissues = np.full((30, 30, 30), 3)
    tissues[10:20, 10:20, 10:20] = 1
    tissues[0:3] = 1
    atlas = np.zeros(tissues.shape, np.uint8)
    atlas[12:18, 12:18, 12:18] = INDEX["ventricles"]
    return atlas, tissues


def test_enlarged_ventricles_are_followed_but_other_csf_is_not():
    atlas, tissues = ventricle_case()
    found = subject_regions(atlas, tissues, INDEX, (1, 1, 1)) == INDEX["ventricles"]
    np.testing.assert_array_equal(np.argwhere(found).min(axis=0), [10, 10, 10])
    assert found.sum() == 1000


def test_growth_ends_at_the_stated_distance_in_mm():
    atlas, tissues = ventricle_case()
    found = subject_regions(atlas, tissues, INDEX, (4, 4, 4)) == INDEX["ventricles"]
    assert np.argwhere(found).min(axis=0).tolist() == [11, 11, 11]


def test_regions_follow_the_subject_tissue():
    atlas = np.zeros((3, 3, 3), np.uint8)
    atlas[0], atlas[1] = INDEX["thalamus"], INDEX["brainstem"]
    tissues = np.full((3, 3, 3), 2)
    tissues[0, 0], tissues[2, 0], tissues[2, 1] = 1, 3, 0
    found = subject_regions(atlas, tissues, INDEX, (1, 1, 1))
    assert set(found[0, 0]) == {0}
    assert set(found[0, 1]) == {INDEX["thalamus"]}
    assert set(found[1].ravel()) == {INDEX["brainstem"]}
    assert set(found[2, 0]) == {INDEX["white_matter"]}
    assert set(found[2, 1]) == {0}
    assert set(found[2, 2]) == {INDEX["grey_matter"]}
