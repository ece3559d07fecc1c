import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.compare_gradcam_with_truth import (
    COLUMNS,
    area_under_curve,
    areas_of_permuted,
    compare,
    compare_study,
    lesion_frequency,
    planted_region,
)
from workflow_scripts.demo.images import save_fractions

SHAPE = (24, 28, 24)


@pytest.fixture(scope="module")
def brain():
    middle = (np.array(SHAPE) - 1) / 2
    radius = sum(((axis - m) / m) ** 2 for axis, m in zip(np.indices(SHAPE), middle, strict=True))
    return radius < 1


def bump(place, sigma=2.5):
    point = np.zeros(SHAPE)
    point[place] = 1
    return gaussian_filter(point, sigma)


def test_area_is_that_of_scikit_learn_ties_included(rng):
    levels = rng.integers(0, 20, 500)
    region = rng.random(500) < 0.1
    assert area_under_curve(levels, region) == pytest.approx(roc_auc_score(region, levels))


def noise(seed, brain):
    """A smooth map without relation to anything."""
    smooth = gaussian_filter(np.random.default_rng(seed).random(SHAPE), 3, mode="wrap")
    return (smooth - smooth.min()) * brain


def strategy(maps, permuted):
    """What there is of a strategy whose mean maps over all trials are those of classes a and b."""
    image = nib.Nifti1Image(np.stack(maps, axis=-1), np.eye(4))
    index = pd.DataFrame({"volume": [0, 1], "trial": "all", "class": ["a", "b"], "n": [0, 3]})
    index = pd.concat([index.assign(trial="1"), index])
    return image, index, {"means": permuted, "affine": np.eye(4)}


def test_map_on_the_region_is_above_chance_and_one_elsewhere_is_not(brain):
    region = brain & (bump((7, 16, 14)) > 0.3 * bump((7, 16, 14)).max())
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    permuted = np.stack([noise(seed, brain) for seed in range(99)])
    chance = areas_of_permuted(permuted, np.eye(4), mask, region)
    expected = [roc_auc_score(region[brain], cam[brain]) for cam in permuted]
    np.testing.assert_allclose(chance, expected, atol=2e-3)  # levels are whole numbers
    on, off = (
        compare([bump(place) * brain], region, brain, [chance], 0.75)
        for place in ((7, 16, 14), (17, 8, 8))
    )
    assert on["auc_in_region"] > 0.95
    assert on["p"] == 0.01
    assert on["auc_in_region"] > on["chance_high"]
    assert on["share_in_region"] == 1
    assert on["region_share"] == pytest.approx(region.sum() / brain.sum())
    assert off["auc_in_region"] < 0.5
    assert off["p"] > 0.5
    assert off["share_in_region"] == 0


def test_strategies_together_are_their_mean_against_that_of_each_permutation(brain):
    region = brain & (bump((7, 16, 14)) > 0.3 * bump((7, 16, 14)).max())
    rng = np.random.default_rng(0)
    areas = rng.random((2, 50))
    maps = [noise(1, brain), noise(2, brain)]
    single = [compare([mean], region, brain, [areas[0]], 0.75) for mean in maps]
    both = compare(maps, region, brain, areas, 0.75)
    area = np.mean([row["auc_in_region"] for row in single])
    assert both["auc_in_region"] == pytest.approx(area)
    assert both["p"] == pytest.approx((1 + (areas.mean(axis=0) >= area).sum()) / 51)


def test_classes_without_a_map_and_networks_without_permutations_have_empty_cells(brain, tmp_path):
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    region = brain & (bump((12, 14, 12)) > 0)
    maps = [np.zeros(SHAPE), bump((12, 14, 12))]
    permuted = np.stack([[noise(seed, brain)] * 2 for seed in range(9)])
    strategies = {"crop": strategy(maps, permuted), "supervised": strategy(maps, permuted[:0])}
    table = pd.DataFrame(compare_study(strategies, region, mask, 0.75)).assign(study="s")[COLUMNS]
    assert list(table["strategy"]) == ["crop", "crop", "supervised", "supervised", "all", "all"]
    assert list(table["class"]) == ["a", "b"] * 3
    assert list(table["n"]) == [0, 3] * 3
    assert table.loc[table["class"] == "a", "auc_in_region":"p"].isna().all(axis=None)
    assert list(table.loc[table["class"] == "b", "p"].isna()) == [False, True, False]
    write_table(table, tmp_path / "gradcam.tsv", resource("columns/demo.tsv"))


def test_lesions_come_to_the_template_through_the_true_deformation(patient, tmp_path, phantom):
    """Most of the lesions lie near the ventricles of the template, where they were planted."""
    _, truth, _, affine, field = patient
    lesion = tmp_path / "lesion.nii.gz"
    save_fractions(truth["lesion"] / 255, affine, lesion)
    grid = np.diag([4.0, 4, 4, 1])
    grid[:3, 3] = (-80, -110, -70)
    shape = (41, 48, 41)
    frequency = lesion_frequency([lesion], [field], shape, grid)
    points = np.moveaxis(
        nib.affines.apply_affine(grid, np.moveaxis(np.indices(shape), 0, -1)), -1, 0
    )
    near = phantom.sample("push", points.astype("f4")) > 0.02
    assert frequency.max() <= 1
    assert frequency[near].sum() > 0.8 * frequency.sum()
    assert near.mean() < 0.1
    head = np.ones(shape, bool)
    region = planted_region([lesion], [field], phantom, head, grid)
    ventricles = phantom.sample("ventricles", points.astype("f4")) > 0.5
    assert region[ventricles].all()
    assert ventricles.sum() < region.sum() < 0.05 * region.size
