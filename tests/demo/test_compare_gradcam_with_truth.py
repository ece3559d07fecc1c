from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.demo.compare_gradcam_with_truth import (
    COLUMNS,
    Model,
    area_under_curve,
    areas_of,
    compare,
    compare_study,
    lesion_frequency,
    main,
    planted_region,
)
from workflow_scripts.demo.images import save_fractions
from workflow_scripts.demo.lesions import LESIONS_BEYOND

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


def model(maps, permuted):
    """Mean maps over all splits of classes a and b, and k of each with permuted labels."""
    image = nib.Nifti1Image(np.stack(maps, axis=-1), np.eye(4))
    index = pd.DataFrame({"volume": [0, 1], "split": "all", "class": ["a", "b"], "n": [0, 3]})
    index = pd.concat([index.assign(split="1"), index])
    means = np.stack([np.stack(maps), *permuted])
    return Model(image, image, index, {"means": means, "affine": np.eye(4)})


@pytest.fixture(scope="module")
def region(brain):
    return brain & (bump((7, 16, 14)) > 0.3 * bump((7, 16, 14)).max())


def test_map_on_the_region_is_above_chance_and_one_elsewhere_is_not(brain, region):
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    chance = [noise(seed, brain) for seed in range(99)]
    rows = []
    for place in ((7, 16, 14), (17, 8, 8)):
        mean = bump(place) * brain
        areas = areas_of(np.stack([mean, *chance]), np.eye(4), mask, region)
        expected = [roc_auc_score(region[brain], cam[brain]) for cam in chance]
        np.testing.assert_allclose(areas[1:], expected, atol=2e-3)  # levels are whole numbers
        rows.append(compare([mean], region, brain, [areas], 0.75))
    on, off = rows
    assert on["auc_in_region"] > 0.95
    assert on["p"] == 0.01
    assert on["auc_in_region"] > on["chance_high"]
    assert on["share_in_region"] == 1
    assert on["region_share"] == pytest.approx(region.sum() / brain.sum())
    assert off["auc_in_region"] < 0.5
    assert off["p"] > 0.5
    assert off["share_in_region"] == 0


def test_maps_together_are_their_mean_against_that_of_each_permutation(brain, region):
    areas = [[0.9, 0.4, 0.95, 0.7], [0.5, 0.4, 0.5, 0.6]]
    found = compare([noise(1, brain), noise(2, brain)], region, brain, areas, 0.75)
    assert found["auc_in_region"] == pytest.approx(0.7)
    assert found["chance_mean"] == pytest.approx((0.4 + 0.725 + 0.65) / 3)
    assert found["p"] == pytest.approx(2 / 4)
    assert found["n_permutations"] == 3


def test_models_and_classes_keep_to_their_own_permutations(brain, region, tmp_path):
    """Class a has no map in one model, and is on the region in the other; b is elsewhere."""
    mask = nib.Nifti1Image(brain.astype(np.uint8), np.eye(4))
    on, off, nothing = bump((7, 16, 14)) * brain, bump((17, 8, 8)) * brain, np.zeros(SHAPE)
    models = {
        "crop": model([nothing, off], [[off, on]] * 9),
        "crop+flip": model([on, off], [[off, on]] * 9),
        "supervised": model([on, off], []),
    }
    table = pd.DataFrame(compare_study(models, region, mask, 0.75)).assign(study="s")[COLUMNS]
    gradients = table[table["explained"] == "integrated_gradients"].set_index(["model", "class"])
    table = table[table["explained"] == "difference"].reset_index(drop=True)
    assert list(table["model"]) == [name for name in [*models, "all"] for _ in "ab"]
    assert list(table["class"]) == ["a", "b"] * 4
    assert list(table["n"]) == [0, 3] * 3 + [0, 6]
    table = table.set_index(["model", "class"])
    same = table.loc[gradients.index, "auc_in_region"]
    np.testing.assert_allclose(gradients["auc_in_region"], same, atol=1e-6)
    assert gradients["p"].isna().all()
    assert table.loc[("crop", "a"), "auc_in_region":"p"].isna().all()
    assert table.loc[("crop+flip", "a"), "p"] == 0.1
    assert (table.xs("b", level="class")["p"].dropna() == 1).all()
    assert table.loc["supervised", "p"].isna().all()
    alone = table.loc[("crop+flip", "a")]
    both = table.loc[("all", "a")]
    assert both["auc_in_region"] == pytest.approx((0.5 + alone["auc_in_region"]) / 2)
    assert both["share_in_region"] == alone["share_in_region"]
    assert both["p"] == 0.1
    write_table(table.reset_index(), tmp_path / "gradcam.tsv", resource("columns/demo.tsv"))


GRID, GRID_SHAPE = np.diag([4.0, 4, 4, 1]), (41, 48, 41)
GRID[:3, 3] = (-80, -110, -70)


def grid_points():
    voxels = np.moveaxis(np.indices(GRID_SHAPE), 0, -1)
    return np.moveaxis(nib.affines.apply_affine(GRID, voxels), -1, 0).astype("f4")


def test_lesions_come_to_the_template_through_the_true_deformation(patient, tmp_path, phantom):
    """Most of the lesions lie near the ventricles of the template, where they were planted."""
    _, truth, _, affine, field = patient
    lesion = tmp_path / "lesion.nii.gz"
    save_fractions(truth["lesion"] / 255, affine, lesion)
    grid, shape = GRID, GRID_SHAPE
    frequency = lesion_frequency([lesion], [field], shape, grid)
    points = grid_points()
    near = phantom.sample("push_ventricles", points) > 0.9 * LESIONS_BEYOND
    assert frequency.max() <= 1
    assert frequency[near].sum() > 0.8 * frequency.sum()
    assert near.mean() < 0.1
    head = np.ones(shape, bool)
    places = ["lesions", "ventricles"]
    region = planted_region(places, [lesion], [field], phantom, head, grid)
    ventricles = phantom.sample("ventricles", points) > 0.5
    assert region[ventricles].all()
    assert ventricles.sum() < region.sum() < 0.05 * region.size


def test_table_of_studies_with_models_of_their_own(patient, phantom, phantom_file, tmp_path):
    """One model looks at the ventricles, the other, of another study, everywhere but there."""
    _, truth, _, affine, field = patient
    lesion = tmp_path / "lesion.nii.gz"
    save_fractions(truth["lesion"] / 255, affine, lesion)
    ventricles = phantom.sample("ventricles", grid_points()) > 0.5
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(GRID_SHAPE, np.uint8), GRID), mask)
    files = {name: [] for name in ("maps", "index", "layers", "masks")}
    for study, name, cam in (("one", "crop+flip", ventricles), ("two", "net_2", ~ventricles)):
        stem = tmp_path / "studies" / study / "gradcam" / f"model-{name}"
        stem.parent.mkdir(parents=True)
        paths = [f"{stem}_desc-mean_gradcam.nii.gz", f"{stem}.tsv", f"{stem}.safetensors"]
        cams = np.stack([cam, ~cam]).astype(np.float32)
        nib.save(nib.Nifti1Image(np.moveaxis(cams, 0, -1), GRID), paths[0])
        index = pd.DataFrame({"volume": [0, 1], "split": "all", "class": ["01", "02"], "n": 2})
        write_table(index, paths[1], resource("columns/learning.tsv"))
        save_file({"means": np.stack([cams, 1 - cams]), "affine": GRID}, paths[2])
        for key, path in zip(files, [*paths, str(mask)], strict=True):
            files[key].append(path)
    source = SimpleNamespace(
        phantom=phantom_file,
        lesions=[str(lesion)],
        fields=[field],
        attributions=files["maps"],
        **files,
    )
    out = SimpleNamespace(table=tmp_path / "gradcam.tsv")
    thresholds = {"one": [0.9, 0.5], "two": [0.75]}
    main(source, out, SimpleNamespace(planted=["lesions", "ventricles"], thresholds=thresholds))
    table = read_table(out.table)
    assert table["explained"].value_counts().to_dict() == {
        "difference": 8,
        "integrated_gradients": 4,
    }
    table = table[table["explained"] == "difference"].set_index(["study", "model", "class"])
    on, off = table.loc[("one", "crop+flip", "01")], table.loc[("two", "net_2", "01")]
    assert on["auc_in_region"] == pytest.approx(1 - off["auc_in_region"], abs=1e-3)
    assert on["auc_in_region"] > 0.6 and on["share_in_region"] == 1
    assert (on["p"], off["p"]) == (0.5, 1)
    assert table.loc[("one", "all", "01"), "auc_in_region"] == on["auc_in_region"]
    assert (table["n_permutations"] == 1).all()
