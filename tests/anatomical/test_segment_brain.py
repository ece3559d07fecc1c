import ants
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_gm_template,
    load_mni152_wm_template,
)
from scipy import ndimage

from tests.conftest import ROOT
from workflow_scripts.anatomical.regions import (
    network_regions,
    reach_of_middle_ventricles,
    subject_regions,
)
from workflow_scripts.anatomical.segment_brain import (
    atropos_probabilities,
    coarse_probabilities,
    hmrf_probabilities,
    tissue_priors,
    tissue_volumes,
)
from workflow_scripts.common.atlas import atlas_regions, middle_ventricles, region_labels

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


def framed(t1w, truth, spacing=(1, 1, 1)):
    """Brain and mask as ANTs images, and priors."""
    images = (ants.from_numpy(one.astype(np.float32), spacing=spacing) for one in (t1w, truth > 0))
    return *images, [np.where(truth == t, 0.6, 0.2) for t in (1, 2, 3)]


def test_same_brain_same_probabilities(shells):
    brain = framed(*shells)
    one, other = (atropos_probabilities(*brain, 0.2) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_coarse_probabilities_keep_volumes_and_fill_the_mask(shells):
    """Radii of 10, 14 and 17 voxels of 2 mm, segmented at 3 mm."""
    t1w, truth = shells
    brain, mask, _ = framed(t1w, truth, (2, 2, 2))

    def priors(onto):
        parts = [brain.new_image_like((truth == t).astype(np.float32)) for t in (1, 2, 3)]
        return [ants.resample_image_to_target(part, onto, "linear").numpy() for part in parts]

    found = coarse_probabilities(brain, mask, priors, 0.2)
    assert not found[truth == 0].any()
    np.testing.assert_allclose(found[truth > 0].sum(axis=-1), 1, atol=1e-3)
    sizes = np.array([(truth == t).sum() for t in (1, 2, 3)])
    np.testing.assert_allclose(found.sum(axis=(0, 1, 2)), sizes, rtol=0.1)


@pytest.mark.parametrize("method", ["atropos", "hmrf"])
def test_shells_are_recovered(shells, method):
    t1w, truth = shells
    mask = (truth > 0).astype(np.float32)
    if method == "atropos":
        brain = framed(t1w, truth, (0.9101561, 0.9101565, 2.9999978))
        found = atropos_probabilities(*brain, 0.2)
    else:
        found = hmrf_probabilities(t1w, mask)
    labels = np.where(mask > 0, found.argmax(axis=-1) + 1, 0)
    for tissue in (1, 2, 3):
        a, b = labels == tissue, truth == tissue
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.97
    np.testing.assert_allclose(found[mask > 0].sum(axis=-1), 1, atol=1e-3)


def test_region_labels_take_the_most_probable_structure_above_the_threshold():
    regions = pd.DataFrame({"index": [7, 9], "structures": ["A,B", "C"], "threshold": [25, 50]})
    probabilities = np.array(
        [
            [60, 10, 0, 0],
            [0, 30, 20, 0],
            [24, 0, 0, 0],
            [10, 0, 30, 60],
            [0, 0, 49, 0],
            [0, 0, 50, 0],
        ]
    )
    labels = region_labels(probabilities.reshape(6, 1, 1, 4), list("ABCD"), regions)
    assert labels.ravel().tolist() == [7, 7, 0, 0, 0, 9]


def test_unknown_structure_is_named():
    regions = pd.DataFrame({"index": [1], "structures": ["Nucleus"], "threshold": [25]})
    with pytest.raises(KeyError, match="Nucleus"):
        region_labels(np.zeros((1, 1, 1, 1)), ["A"], regions)


def test_atlas_is_on_the_right_side_and_of_the_right_size(template):
    """Left structures lie at negative x. In MNI152, whose brain (1.9 L) is 1.2 to 1.6 times an
    adult's, the thalami (11 to 16 mL in adults) and the brainstem (20 to 30 mL) are that much
    larger."""
    image = nib.load(template[0])
    names = ",".join(REGIONS["structures"].dropna()).split(",")
    one_each = pd.DataFrame({"index": range(1, len(names) + 1), "structures": names})
    one_each["threshold"] = np.where(one_each["structures"] == "Brain-Stem", 50, 25)
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


SHADES = np.array([0, 20, 60, 100])


def regions_of(atlas, tissues, t1w=None, middle=0):
    t1w = SHADES[tissues] if t1w is None else t1w
    middle = np.broadcast_to(middle, atlas.shape)
    return subject_regions(atlas, middle, tissues, t1w, INDEX, (1, 1, 1))


def ventricle_case():
    """Ventricles 40 mm wide where the atlas has 8, within white matter, a cortex and outer CSF."""
    shape = (80, 80, 80)
    off = np.abs(np.indices(shape) - 39.5).max(axis=0)
    tissues = np.select([off < 20, off < 33, off < 36, off < 39], [1, 3, 2, 1], 0)
    atlas = np.where(off < 4, INDEX["ventricles"], 0).astype(np.uint8)
    return atlas, tissues, off < 20


def test_ventricles_are_followed_however_wide_they_are():
    atlas, tissues, ventricles = ventricle_case()
    found = regions_of(atlas, tissues) == INDEX["ventricles"]
    np.testing.assert_array_equal(found, ventricles)


def test_ventricles_end_at_the_neck_to_the_outer_csf():
    atlas, tissues, ventricles = ventricle_case()
    tissues[39:41, 39:41, 59:78] = 1  # a fissure from the ventricles to the surface
    found = regions_of(atlas, tissues) == INDEX["ventricles"]
    assert (found & ventricles).sum() == ventricles.sum()
    assert (found & ~ventricles).sum() < 2 * 2 * 13  # of the fissure


def test_third_ventricle_is_not_lateral():
    atlas, tissues, ventricles = ventricle_case()
    atlas[30:37, 30:50, 5:15] = atlas[43:50, 30:50, 5:15] = INDEX["thalamus"]
    third = np.zeros(tissues.shape, bool)
    third[37:43, 32:48, 6:14] = True
    tissues[third] = 1
    tissues[39:41, 39:41, 14:20] = 1  # foramen
    reach = np.zeros_like(atlas)
    reach[35:45, 30:50, 5:14] = INDEX["third_ventricle"]
    found = regions_of(atlas, tissues, middle=reach)
    lateral = found == INDEX["ventricles"]
    assert not (lateral & third).any()
    assert (lateral & ventricles).sum() == ventricles.sum()
    np.testing.assert_array_equal(found == INDEX["third_ventricle"], third)


def test_the_third_ventricle_widens_sideways_and_the_fourth_everywhere():
    """On a template of 1 mm whose midline is at voxel 20."""
    affine, regions = np.diag([1.0, 1, 1, 1]), np.zeros((40, 40, 40), np.uint8)
    affine[:3, 3] = -20
    regions[20, 10:20, 25:30] = INDEX["third_ventricle"]
    regions[20, 20, 8] = INDEX["fourth_ventricle"]
    reach = reach_of_middle_ventricles(regions, INDEX, affine)
    third, fourth = (reach == INDEX[f"{name}_ventricle"] for name in ("third", "fourth"))
    expected = np.zeros(regions.shape, bool)
    expected[15:26, 10:20, 25:30] = True
    np.testing.assert_array_equal(third, expected)
    ball = np.sum((np.indices(regions.shape).T - [20, 20, 8]) ** 2, axis=-1).T <= 9
    np.testing.assert_array_equal(fourth, ball)


def test_middle_ventricles_of_the_template_are_where_and_as_large_as_in_adults():
    """A third ventricle of 0.5 to 2 mL, a fourth of 1 to 3 mL, in a brain 1.2 to 1.6 times an
    adult's; the third between the commissures, which lie at y = 2 and -26."""
    gm, wm, brain = (
        load_mni152_gm_template(2),
        load_mni152_wm_template(2),
        load_mni152_brain_mask(2),
    )
    csf = (brain.get_fdata() > 0) & (gm.get_fdata() + wm.get_fdata() < 0.5)
    labels = middle_ventricles(csf, brain.affine)
    third, fourth = (labels == INDEX[f"{name}_ventricle"] for name in ("third", "fourth"))
    assert 0.5 < third.sum() * 0.008 < 2 * 1.6
    assert 1 < fourth.sum() * 0.008 < 3 * 1.6
    y = nib.affines.apply_affine(brain.affine, np.argwhere(third))[:, 1]
    assert -28 <= y.min() <= -20 and -2 <= y.max() <= 8
    middle = nib.affines.apply_affine(brain.affine, np.argwhere(fourth)).mean(axis=0)
    assert abs(middle[0]) < 2 and middle[1] < -35 and middle[2] < -25


def test_border_voxels_that_are_mostly_csf_are_no_grey_matter():
    atlas, tissues, ventricles = ventricle_case()
    rim = ndimage.binary_dilation(ventricles) & ~ventricles
    tissues[rim] = 2
    t1w = SHADES[tissues]
    above, beside = rim.copy(), rim.copy()
    above[..., :40], beside[..., 40:] = False, False
    t1w[above], t1w[beside] = 59, 61  # half of CSF and white matter is 60
    caudate = above & (np.indices(rim.shape)[0] < 30)
    atlas[caudate] = INDEX["subcortical_grey_matter"]
    found = regions_of(atlas, tissues, t1w) == INDEX["ventricles"]
    np.testing.assert_array_equal(found, ventricles | (above & ~caudate))


def test_labels_of_a_network_stand_for_those_of_the_atlas():
    labels = np.arange(18).reshape(1, 3, 6)
    found = network_regions(labels, INDEX).ravel()
    regions = {index: name for name, index in INDEX.items()}
    assert regions[found[3]] == regions[found[4]] == "ventricles"
    assert regions[found[7]] == "thalamus"
    assert regions[found[13]] == "brainstem"
    assert {regions[n] for n in found[[8, 9, 10, 14, 15, 16]]} == {"subcortical_grey_matter"}
    assert [regions[n] for n in found[[11, 12]]] == ["third_ventricle", "fourth_ventricle"]
    assert not found[[0, 1, 2, 5, 6, 17]].any()


def test_regions_follow_the_subject_tissue():
    atlas = np.zeros((3, 3, 3), np.uint8)
    atlas[0], atlas[1] = INDEX["thalamus"], INDEX["brainstem"]
    tissues = np.full((3, 3, 3), 2)
    tissues[0, 0], tissues[2, 0], tissues[2, 1] = 1, 3, 0
    found = regions_of(atlas, tissues)
    assert set(found[0, 0]) == {0}
    assert set(found[0, 1]) == {INDEX["thalamus"]}
    assert set(found[1].ravel()) == {INDEX["brainstem"]}
    assert set(found[2, 0]) == {INDEX["white_matter"]}
    assert set(found[2, 1]) == {0}
    assert set(found[2, 2]) == {INDEX["grey_matter"]}
