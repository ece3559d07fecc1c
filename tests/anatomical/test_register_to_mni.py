from pathlib import Path

import ants
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.anatomical.register_to_mni import (
    register,
    template_correlation,
    unlike_template,
)

POINTS = np.array([[0.0, 0, 0], [40, 20, 30], [-40, -60, 10], [0, 50, -20], [30, -30, 50]])


@pytest.fixture(scope="module")
def fixed(template):
    return ants.image_read(template[0])


@pytest.fixture(scope="module")
def moving(fixed, tmp_path_factory):
    """The template moved by a known affine: (image, file of the true transform)."""
    angle = np.deg2rad(8)
    matrix = np.diag([1.06, 0.95, 1.03]) @ [
        [1, 0, 0],
        [0, np.cos(angle), -np.sin(angle)],
        [0, np.sin(angle), np.cos(angle)],
    ]
    truth = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, matrix=matrix, translation=[5, -8, 10]
    )
    path = str(tmp_path_factory.mktemp("truth") / "true.mat")
    ants.write_transform(truth.invert(), path)
    return ants.apply_transforms(fixed, fixed, [path]), truth


@pytest.fixture(scope="module")
def found(fixed, moving, tmp_path_factory):
    """Transforms of it to the template, by method."""
    folder = tmp_path_factory.mktemp("found")
    return {
        method: register(fixed, moving[0], method, f"{folder}/{method}")
        for method in ("affine", "syn")
    }


@pytest.mark.parametrize(("method", "files"), [("affine", 1), ("syn", 3)])
def test_recovers_a_known_transform_within_a_millimetre(moving, found, method, files):
    _, truth = moving
    assert len(found[method]) == files
    forward = found[method][:2][::-1]
    mapped = ants.apply_transforms_to_points(3, pd.DataFrame(POINTS, columns=list("xyz")), forward)
    expected = np.array([truth.apply_to_point(point) for point in POINTS])
    assert np.linalg.norm(mapped[list("xyz")].to_numpy() - expected, axis=1).max() < 1


def test_inverse_brings_a_point_back(found):
    affine, warp, inverse = found["syn"]
    points = pd.DataFrame(POINTS, columns=list("xyz"))
    there = ants.apply_transforms_to_points(3, points, [warp, affine])
    back = ants.apply_transforms_to_points(3, there, [affine, inverse], whichtoinvert=[True, False])
    assert np.abs(back.to_numpy() - POINTS).max() < 0.5


def test_same_input_same_transform(fixed, moving, found, tmp_path):
    [again] = register(fixed, moving[0], "affine", f"{tmp_path}/")
    assert Path(again).read_bytes() == Path(found["affine"][0]).read_bytes()


def test_left_stays_left(fixed, moving, found):
    image, _ = moving
    data = image.numpy()
    marked = image.numpy().copy()
    side = data.shape[0] // 4
    marked[side - 4 : side + 4, 50:60, 45:55] += 3
    planted = np.sign(np.array(ants.get_center_of_mass(image.new_image_like(marked - data))))[0]
    marks = image.new_image_like(marked - data)
    warped = ants.apply_transforms(fixed, marks, found["affine"])
    assert np.sign(ants.get_center_of_mass(warped)[0]) == planted


def test_template_correlation_is_pearson_inside_the_mask():
    rng = np.random.default_rng(0)
    a = rng.random((5, 5, 5))
    mask = np.zeros(a.shape)
    mask[1:4, 1:4, 1:4] = 1
    b = np.where(mask > 0, 3 * a + 1, -a)
    assert template_correlation(a, b, mask) == pytest.approx(1)
    assert template_correlation(a, -b, mask) == pytest.approx(-1)


def test_brain_outside_of_what_adults_have_is_flagged():
    [flag] = unlike_template(0.6, "syn")
    assert "correlation with the template 0.60" in flag and "a child" in flag
    assert unlike_template(0.65, "syn") == []
    # 12 degrees of freedom alone leave 0.48 to 0.57
    assert unlike_template(0.5, "affine") == []
