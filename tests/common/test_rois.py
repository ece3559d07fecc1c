import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rois import NAMES, SPACING_MM, mask_points, read_rois, sphere

TABLE = resource("alps_rois.tsv")


@pytest.mark.parametrize("diameter", [5.0, 8.0, 12.0])
def test_volume_of_a_sphere(diameter):
    volume = len(sphere((0, 0, 0), diameter)) * SPACING_MM**3
    assert volume == pytest.approx(np.pi * diameter**3 / 6, rel=0.05)


def test_sphere_lies_round_its_centre():
    points = sphere((-26, -16, 27), 5.0)
    np.testing.assert_allclose(points.mean(axis=0), [-26, -16, 27], atol=1e-12)
    assert np.linalg.norm(points - [-26, -16, 27], axis=1).max() == 2.5


def test_published_places():
    rois = read_rois(TABLE)
    assert sorted(rois) == sorted(NAMES)
    centres = {name: points.mean(axis=0).round(9).tolist() for name, points in rois.items()}
    assert centres == {
        "projection_left": [-26, -16, 27],
        "projection_right": [26, -16, 27],
        "association_left": [-38, -16, 27],
        "association_right": [38, -16, 27],
    }


def edited(tmp_path, **cells):
    table = pd.read_csv(TABLE, sep="\t", keep_default_na=False, dtype=str)
    for name, value in cells.items():
        table.loc[0, name] = value
    table.to_csv(tmp_path / "rois.tsv", sep="\t", index=False)
    return tmp_path / "rois.tsv"


def test_mask_in_place_of_a_sphere(tmp_path):
    data = np.zeros((20, 20, 20), "u1")
    data[4:6, 7, 3] = 1
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -20, -20, 5
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "mask.nii.gz")
    points = read_rois(edited(tmp_path, mask="mask.nii.gz", x="n/a"))["projection_left"]
    assert sorted(points.tolist()) == [[-30, -6, 11], [-28, -6, 11]]


def test_empty_mask(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), "u1"), np.eye(4)), tmp_path / "m.nii.gz")
    with pytest.raises(InputError, match=r"m.nii.gz: the mask is empty; draw it"):
        mask_points(tmp_path / "m.nii.gz")


@pytest.mark.parametrize("cells", [{"roi": "projection"}, {"roi": "association_left"}])
def test_wrong_names(tmp_path, cells):
    with pytest.raises(InputError, match=r"rois.tsv: needs the columns .* one row for each"):
        read_rois(edited(tmp_path, **cells))


def test_missing_column(tmp_path):
    path = edited(tmp_path)
    pd.read_csv(path, sep="\t").drop(columns="z").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=r"rois.tsv: needs the columns roi, .*, z, "):
        read_rois(path)


@pytest.mark.parametrize(
    "cells",
    [
        *({"x": "n/a"}, {"x": "-26,5"}, {"x": "inf"}),
        *({"diameter_mm": "n/a"}, {"diameter_mm": "0"}, {"diameter_mm": "5000"}),
    ],
)
def test_neither_mask_nor_sphere(tmp_path, cells):
    with pytest.raises(InputError, match="projection_left has neither a mask nor a centre"):
        read_rois(edited(tmp_path, **cells))


def test_the_other_side_is_named(tmp_path):
    with pytest.raises(
        InputError, match="projection_left lies at x = 26; x is below 0 on the left"
    ):
        read_rois(edited(tmp_path, x="26", y="16"))


def test_a_place_outside_of_the_head_is_named(tmp_path):
    with pytest.raises(InputError, match="projection_left reaches 162.5 mm from the origin of MNI"):
        read_rois(edited(tmp_path, y="-160"))


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere.tsv: cannot be read"):
        read_rois(tmp_path / "nowhere.tsv")
    path = edited(tmp_path)
    path.write_text(path.read_text().replace("\t", ","))
    with pytest.raises(InputError, match="separated by tabs in a TSV, not by ','"):
        read_rois(path)


def test_centre_that_is_no_number(tmp_path):
    with pytest.raises(InputError, match="projection_left"):
        read_rois(edited(tmp_path, x="left"))


def test_mask_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.nii.gz"):
        read_rois(edited(tmp_path, mask="nowhere.nii.gz"))
