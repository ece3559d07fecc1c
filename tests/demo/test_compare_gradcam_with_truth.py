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
    LEVELS,
    area_under_curve,
    compare,
    compare_map,
    lesion_frequency,
    planted_region,
    shifted_areas,
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


def test_shifts_of_a_map_without_relation_are_at_one_half(brain, rng):
    region = np.zeros(SHAPE, bool)
    region[12:15, 13:16, 10:13] = True
    levels = rng.integers(0, LEVELS, SHAPE)
    areas = shifted_areas(levels, region, brain, 100, 1)
    assert areas.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(areas, shifted_areas(levels, region, brain, 100, 1))


def test_map_on_the_region_is_above_chance_and_one_elsewhere_is_not(brain):
    region = brain & (bump((7, 16, 14)) > 0.3 * bump((7, 16, 14)).max())
    on, off = (
        compare_map(bump(place) * brain, region, brain, 0.75, 300, 1)
        for place in ((7, 16, 14), (17, 8, 8))
    )
    assert on["auc_in_region"] > 0.95
    assert on["p"] < 0.05
    assert on["auc_in_region"] > on["chance_high"]
    assert on["share_in_region"] == 1
    assert on["region_share"] == pytest.approx(region.sum() / brain.sum())
    assert off["auc_in_region"] < 0.5
    assert off["p"] > 0.5
    assert off["share_in_region"] == 0


def test_p_is_uniform_enough_for_smooth_noise(brain):
    """Of 60 smooth maps without relation to the region about 3 have p below 0.05."""
    region = np.zeros(SHAPE, bool)
    region[6:12, 13:18, 10:15] = True
    ps = []
    for seed in range(60):
        noise = gaussian_filter(np.random.default_rng(seed).random(SHAPE), 3, mode="wrap")
        noise = (noise - noise.min()) * brain
        ps.append(compare_map(noise, region & brain, brain, 0.75, 99, 1)["p"])
    assert np.mean(np.array(ps) < 0.05) < 0.15
    assert np.mean(ps) == pytest.approx(0.5, abs=0.12)


def test_map_of_zeros_and_class_without_scans_have_empty_cells(brain, tmp_path):
    maps = nib.Nifti1Image(np.stack([np.zeros(SHAPE), bump((12, 14, 12))], -1), np.eye(4))
    index = pd.DataFrame({"volume": [0, 1], "trial": "all", "class": ["a", "b"], "n": [0, 3]})
    index = pd.concat([index, index.assign(trial="1")])
    region = brain & (bump((12, 14, 12)) > 0)
    table = pd.DataFrame(compare(maps, index, region, brain, 0.75, 10, 1))
    table = table.assign(study="s", strategy="crop")[COLUMNS]
    assert len(table) == 2
    assert table.loc[0, "auc_in_region":"p"].isna().all()
    assert table.loc[0, "n"] == 0
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
