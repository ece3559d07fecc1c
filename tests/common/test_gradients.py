import numpy as np
import pytest
from dipy.core.gradients import reorient_vectors
from scipy.spatial.transform import Rotation

from workflow_scripts.common.gradients import (
    axes,
    determines_tensor,
    distinct_directions,
    from_voxel_axes,
    nearest_shell,
    read_gradients,
    shells,
)
from workflow_scripts.common.job import InputError

BVALS = np.array([0.0, *[1000.0] * 8])


@pytest.fixture
def bvecs():
    directions = np.random.default_rng(0).standard_normal((3, 9))
    directions /= np.linalg.norm(directions, axis=0)
    directions[:, 0] = 0
    return directions


@pytest.fixture
def write(tmp_path):
    def to_files(bvals, bvecs):
        np.savetxt(tmp_path / "sub-01_dwi.bval", np.atleast_2d(bvals))
        np.savetxt(tmp_path / "sub-01_dwi.bvec", bvecs)
        return tmp_path / "sub-01_dwi.nii.gz"

    return to_files


def complaint(dwi, volumes=9):
    with pytest.raises(InputError) as caught:
        read_gradients(dwi, volumes)
    text = str(caught.value)
    assert ": " in text and "; " in text
    return text


def test_a_good_table_is_read(write, bvecs):
    table = read_gradients(write(BVALS, bvecs), 9)
    np.testing.assert_array_equal(table.bvals, BVALS)
    np.testing.assert_allclose(table.bvecs, bvecs, atol=1e-12)
    assert table.is_b0.tolist() == [True] + [False] * 8


def test_b_values_in_a_column_are_read(write, bvecs, tmp_path):
    dwi = write(BVALS, bvecs)
    np.savetxt(tmp_path / "sub-01_dwi.bval", BVALS[:, None])
    np.testing.assert_array_equal(read_gradients(dwi, 9).bvals, BVALS)


def test_rounded_vectors_are_made_unit_vectors(write, bvecs):
    lengths = np.linalg.norm(read_gradients(write(BVALS, 1.02 * bvecs), 9).bvecs, axis=0)
    np.testing.assert_allclose(lengths, [0, *[1] * 8])


def test_b_values_and_vectors_of_different_length(write, bvecs):
    text = complaint(write(BVALS, bvecs[:, :8]))
    assert "dwi.bvec: has 3 rows of 8 numbers" in text and "3 rows of 9" in text
    text = complaint(write(BVALS[:8], bvecs))
    assert "dwi.bval: has 8 b-values, the image 9 volumes" in text


def test_a_table_of_another_series(write, bvecs):
    assert "dwi.bval: has 9 b-values, the image 12 volumes" in complaint(write(BVALS, bvecs), 12)


def test_transposed_vectors(write, bvecs):
    text = complaint(write(BVALS, bvecs.T))
    assert "dwi.bvec: has 9 rows of 3 numbers" in text and "exchange rows and columns" in text


@pytest.mark.parametrize("shape", [(27, 1), (1, 27)])
def test_vectors_in_one_column_or_row(write, bvecs, shape):
    text = complaint(write(BVALS, bvecs.T.reshape(shape)))
    assert f"dwi.bvec: has {shape[0]} rows of {shape[1]} numbers" in text


def test_empty_files(write, bvecs, tmp_path):
    dwi = write(BVALS, bvecs)
    (tmp_path / "sub-01_dwi.bvec").write_text("\n")
    assert "dwi.bvec: has" in complaint(dwi)
    (tmp_path / "sub-01_dwi.bval").write_text("")
    assert "dwi.bval: has 0 b-values" in complaint(dwi)


def test_weighted_volume_without_direction(write, bvecs):
    bvecs[:, 4] = 0
    text = complaint(write(BVALS, bvecs))
    assert "dwi.bvec: volumes 4 (from 0) have b > 50 and no direction" in text
    assert "remove the volumes" in text


def test_vectors_that_are_no_unit_vectors(write, bvecs):
    bvecs[:, [2, 5]] *= 1.3
    text = complaint(write(BVALS, bvecs))
    assert "dwi.bvec: volumes 2, 5 (from 0)" in text and "of length 1.3 to 1.3, not 1" in text
    assert "b times length squared in .bval" in text


def test_b0_volume_whose_direction_is_no_number_has_none(write, bvecs):
    bvecs[:, 0] = np.nan
    np.testing.assert_array_equal(read_gradients(write(BVALS, bvecs), 9).bvecs[:, 0], 0)
    bvecs[:, 3] = np.nan
    assert "dwi.bvec: values are not finite" in complaint(write(BVALS, bvecs))


def test_no_b0(write, bvecs):
    bvecs[:, 0] = 1, 0, 0
    text = complaint(write(BVALS + 100, bvecs))
    assert "dwi.bval: no b = 0 volume (the smallest b-value is 100)" in text


def test_b_values_in_other_units(write, bvecs):
    text = complaint(write(BVALS / 1000, bvecs))
    assert "dwi.bval: the largest b-value is 1;" in text and "multiply them by 1000" in text
    text = complaint(write(BVALS * 1000, bvecs))
    assert "dwi.bval: the largest b-value is 1e+06" in text and "s/mm2" in text


def test_five_directions_are_too_few(write, bvecs):
    bvecs[:, 6:] = bvecs[:, 1:4]
    bvecs[:, 7] *= -1
    text = complaint(write(BVALS, bvecs))
    assert "dwi.bvec: 5 distinct directions, a tensor needs 6" in text and "exclusions" in text


@pytest.mark.parametrize("content", ["0 1000 b0", "0 1000\n0", "\xff\xfe\x00"])
def test_not_numbers(write, bvecs, tmp_path, content):
    dwi = write(BVALS, bvecs)
    for name in ("bvec", "bval"):
        (tmp_path / f"sub-01_dwi.{name}").write_bytes(content.encode("latin1"))
        assert f"dwi.{name}: is not a table of numbers" in complaint(dwi)


@pytest.mark.parametrize("name", ["bval", "bvec"])
def test_values_that_are_not_finite_name_their_file(write, bvecs, name):
    bvals = BVALS.copy()
    {"bval": bvals, "bvec": bvecs[1]}[name][3] = np.nan
    assert f"dwi.{name}: values are" in complaint(write(bvals, bvecs))


def test_negative_b_value(write, bvecs):
    assert "dwi.bval: values are negative" in complaint(write(BVALS - 1, bvecs))


@pytest.mark.parametrize("name", ["bval", "bvec"])
def test_missing_file(write, bvecs, tmp_path, name):
    dwi = write(BVALS, bvecs)
    (tmp_path / f"sub-01_dwi.{name}").unlink()
    assert f"sub-01_dwi.{name}: no such file" in complaint(dwi)


@pytest.mark.parametrize("extension", ["bvals", "BVAL", "b-val", "bval.txt"])
def test_table_with_nearly_the_right_name_is_told(write, bvecs, tmp_path, extension):
    dwi = write(BVALS, bvecs)
    (tmp_path / "sub-01_dwi.bval").rename(tmp_path / f"sub-01_dwi.{extension}")
    assert f"no such file; rename sub-01_dwi.{extension}" in complaint(dwi)


ANGLES = np.arange(8) * np.pi / 8


@pytest.mark.parametrize(
    "vectors",
    [
        np.stack([np.cos(ANGLES), np.sin(ANGLES), 0 * ANGLES]),
        np.stack([np.cos(2 * ANGLES), np.sin(2 * ANGLES), 0 * ANGLES + 0.7]),
        np.stack([np.cos(ANGLES), np.sin(ANGLES), 1e-3 * ANGLES]),
    ],
    ids=["plane", "cone", "nearly a plane"],
)
def test_directions_that_leave_the_tensor_unknown(write, vectors):
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    dwi = write(BVALS, np.c_[np.zeros(3), vectors])
    assert "directions of b = 1000 lie in a plane, on a cone" in complaint(dwi)


def test_six_directions_of_a_dual_gradient_scheme_determine_the_tensor():
    pairs = [(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)]
    assert determines_tensor(np.transpose(pairs))


def test_reverse_phase_series_of_b0_alone(write):
    table = read_gradients(write([0, 0, 5], np.zeros((3, 3))), 3)
    assert table.is_b0.all()


def affine(determinant):
    """An oblique affine with voxels of 2 x 2.5 x 3 mm and a determinant of this sign."""
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    turned[:3, :3] *= [determinant * 2.0, 2.5, 3.0]
    return turned


def test_positive_determinant_flips_x_and_negative_does_not(write, bvecs):
    table = read_gradients(write(BVALS, bvecs), 9)
    np.testing.assert_allclose(table.voxel_axes(affine(1)), bvecs * [[-1], [1], [1]])
    np.testing.assert_allclose(table.voxel_axes(affine(-1)), bvecs)
    positive = np.diag([2.0, 2.0, 2.0, 1.0])
    np.testing.assert_allclose(table.scanner_axes(positive), bvecs * [[-1], [1], [1]])
    radiological = np.diag([-2.0, 2.0, 2.0, 1.0])
    np.testing.assert_allclose(table.scanner_axes(radiological), bvecs * [[-1], [1], [1]])


@pytest.mark.parametrize("sign", [1, -1])
def test_scanner_axes_of_an_oblique_image(write, bvecs, sign):
    table = read_gradients(write(BVALS, bvecs), 9)
    frame = affine(sign)
    rotation = frame[:3, :3] / [2.0, 2.5, 3.0]
    expected = rotation @ (bvecs * [[-1 if sign > 0 else 1], [1], [1]])
    np.testing.assert_allclose(table.scanner_axes(frame), expected, atol=1e-12)
    np.testing.assert_allclose(axes(frame), rotation, atol=1e-12)


def test_voxel_axes_of_a_permuted_image_against_dipy(write, bvecs):
    table = read_gradients(write(BVALS, bvecs), 9)
    sagittal = np.zeros((4, 4))
    sagittal[1, 0], sagittal[2, 1], sagittal[0, 2], sagittal[3, 3] = (
        2,
        2,
        2,
        1,
    )  # voxels run A, S, R
    expected = reorient_vectors(table.voxel_axes(sagittal), "ASR", "RAS", axis=0)
    np.testing.assert_allclose(table.scanner_axes(sagittal), expected, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_from_voxel_axes_is_the_way_back(write, bvecs, sign):
    table = read_gradients(write(BVALS, bvecs), 9)
    back = from_voxel_axes(table.bvals, table.voxel_axes(affine(sign)), affine(sign))
    np.testing.assert_allclose(back.bvecs, table.bvecs)


def test_distinct_directions_ignores_sign_and_two_degrees():
    angles = np.radians([0, 1, 45, 90, 180])
    assert distinct_directions(np.stack([np.cos(angles), np.sin(angles), 0 * angles])) == 3


def test_shells_are_clusters_of_b_values():
    bvals = np.array([0, 995, 5, 1005, 2000, 45, 1000, 2010])
    assert shells(bvals).tolist() == [0, 1000, 0, 1000, 2005, 0, 1000, 2005]


def test_nearest_shell_passes_over_those_with_few_volumes():
    bvals = np.repeat([0.0, 1000, 700, 2500], [2, 5, 6, 60])
    assert nearest_shell(bvals, 1000) == 700
    assert nearest_shell(bvals, 2000) == 2500


def test_no_shell_with_six_volumes():
    with pytest.raises(InputError, match=r"b = 1000: 5, b = 2000: 5.*exclusions"):
        nearest_shell(np.repeat([0.0, 1000, 2000], [1, 5, 5]), 1000)
