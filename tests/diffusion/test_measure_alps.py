import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from dipy.reconst.dti import from_lower_triangular, lower_triangular
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from tests.diffusion.small_head import directions
from workflow_scripts.common.gradients import from_voxel_axes
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rois import read_rois
from workflow_scripts.common.transforms import LPS, PointTransform, move, write_itk_matrix
from workflow_scripts.demo.tensors import alps_tensors, template_tensors, tensor_phantom
from workflow_scripts.diffusion import measure_alps
from workflow_scripts.diffusion.fit_tensor import fit, tensor_maps
from workflow_scripts.diffusion.measure_alps import (
    SHIFT_MM,
    alps_index,
    carry,
    colour_fa,
    mean_alps,
    measure,
    noise_sd,
    place,
    rotate,
    shift_sd,
    uncertainty,
)
from workflow_scripts.diffusion.prepare_dwi import write_gradients

LEFT, RIGHT = 1.62, 1.31
ROIS = read_rois(resource("alps_rois.tsv"))
CENTRE = np.array([0.0, -16.0, 27.0])


@pytest.fixture(scope="module")
def phantom():
    tensors, mask, affine = tensor_phantom(LEFT, RIGHT)
    return lower_triangular(tensors) * 1000, affine, mask


def pose(degrees, axis):
    """Matrix (4, 4) from MNI to the scanner: a turn about the regions, and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + [3, -4, 6]
    return matrix


def scanned(to_scanner, axes, shape=(52, 22, 22), left=LEFT, right=RIGHT):
    """Tensors of a turned head on a grid whose voxel axes (3, 3) are given, round the regions."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = move(to_scanner, CENTRE) - middle
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    native = move(np.linalg.inv(to_scanner), points.reshape(-1, 3))
    rotation = to_scanner[:3, :3]
    tensors = rotation @ template_tensors(native.T, left, right) @ rotation.T
    return lower_triangular(tensors).reshape(*shape, 6) * 1000, affine, np.ones(shape, bool)


def through(matrix, tmp_path):
    write_itk_matrix(LPS @ matrix @ LPS, tmp_path / "xfm.mat")
    return PointTransform([str(tmp_path / "xfm.mat")])


def test_planted_index_is_found_exactly(phantom, tmp_path):
    table, found = measure(*phantom, through(np.eye(4), tmp_path), ROIS, 4, 0.2)
    assert found["alps_left"] == pytest.approx(LEFT, rel=1e-9)
    assert found["alps_right"] == pytest.approx(RIGHT, rel=1e-9)
    assert found["alps"] == pytest.approx((LEFT + RIGHT) / 2, rel=1e-9)
    assert found["alps_native_unrotated"] == pytest.approx(found["alps"], rel=1e-9)
    assert found["alps_flagged_rois"] == 0 and (table["flags"] == "").all()
    assert found["dxx_projection_left"] == pytest.approx(0.9 * LEFT / (1 + LEFT))
    assert found["dyy_projection_right"] == pytest.approx(0.9 / (1 + RIGHT))
    assert found["dzz_association_left"] == pytest.approx(0.9 / (1 + LEFT))
    assert found["md_association_right"] == pytest.approx((1.3 + 0.9) / 3)
    assert table["angle_deg"].max() < 1e-4
    assert "dzz_projection_left" not in found and "dyy_association_left" not in found


TURNED = Rotation.from_euler("xyz", (14, -9, 21), degrees=True).as_matrix()
GRIDS = {
    "axial": np.diag([2.0, 2.0, 2.5]),
    "radiological": np.diag([-2.0, 2.0, 2.5]),
    "oblique": TURNED @ np.diag([2.0, 2.2, 2.4]),
    "oblique, flipped": TURNED @ np.diag([-2.0, 2.2, -2.4]) @ np.diag([1, -1, 1]),
    "upside down": np.diag([2.0, -2.0, -2.0]),
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("axis", np.eye(3), ids="xyz")
@pytest.mark.parametrize("degrees", [0, 5, 10, 20])
def test_head_tilt_does_not_change_the_index(degrees, axis, grid, tmp_path):
    to_scanner = pose(degrees, axis)
    series = scanned(to_scanner, GRIDS[grid])
    _, found = measure(*series, through(to_scanner, tmp_path), ROIS, 4, 0.2)
    assert found["alps_left"] == pytest.approx(LEFT, rel=0.005)
    assert found["alps_right"] == pytest.approx(RIGHT, rel=0.005)


@pytest.mark.parametrize("axis", np.eye(3), ids="xyz")
@pytest.mark.parametrize("degrees", [5, 10, 20])
def test_unrotated_index_is_off_as_much_as_theory_says(degrees, axis, tmp_path):
    to_scanner = pose(degrees, axis)
    series = scanned(to_scanner, GRIDS["axial"])
    _, found = measure(*series, through(to_scanner, tmp_path), ROIS, 4, 0.2)
    turn = to_scanner[:3, :3]
    expected = [
        alps_index(*(turn @ tensor @ turn.T for tensor in alps_tensors(alps)))
        for alps in (LEFT, RIGHT)
    ]
    assert found["alps_native_unrotated_left"] == pytest.approx(expected[0], rel=0.005)
    assert found["alps_native_unrotated_right"] == pytest.approx(expected[1], rel=0.005)
    if degrees == 20:
        truth = (LEFT + RIGHT) / 2
        assert abs(found["alps_native_unrotated"] / truth - 1) > 0.03


def test_left_is_left(tmp_path):
    points = {name: p.mean(axis=0)[0] for name, p in ROIS.items()}
    assert points["projection_left"] < 0 < points["association_right"]
    series = scanned(np.eye(4), GRIDS["radiological"], left=2.0, right=1.1)
    _, found = measure(*series, through(np.eye(4), tmp_path), ROIS, 4, 0.2)
    assert (found["alps_left"], found["alps_right"]) == pytest.approx((2.0, 1.1), rel=0.005)


def test_index_of_two_tensors():
    projection, association = np.diag([6.0, 4.0, 13.0]), np.diag([5.0, 14.0, 3.0])
    assert alps_index(projection, association) == pytest.approx(11 / 7)
    assert np.isnan(alps_index(np.zeros((3, 3)), np.zeros((3, 3))))


def test_rotate_is_a_change_of_axes():
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()  # x leads to y
    found = rotate(np.diag([1.0, 2.0, 3.0]), turn)
    np.testing.assert_allclose(found, np.diag([2.0, 1.0, 3.0]), atol=1e-12)


def test_carry_by_a_rotation_is_the_rotation():
    rng = np.random.default_rng(0)
    turns = Rotation.random(20, random_state=1).as_matrix()
    parts = rng.standard_normal((20, 3, 3))
    tensors = parts @ np.swapaxes(parts, 1, 2)
    np.testing.assert_allclose(carry(tensors, turns), rotate(tensors, turns), atol=1e-9)


def test_carry_takes_fibres_along_and_keeps_eigenvalues():
    shear = np.array([[1, 0.3, 0], [0, 1, 0.2], [0.1, 0, 1.2]])  # from MNI to the series
    fibre = np.array([0.6, 0.0, 0.8])
    tensor = 0.4 * np.eye(3) + np.outer(fibre, fibre)
    found = carry(tensor, shear)
    values, vectors = np.linalg.eigh(found)
    np.testing.assert_allclose(values, [0.4, 0.4, 1.4], atol=1e-12)
    carried = shear @ vectors[:, 2]
    assert abs(carried @ fibre) / np.linalg.norm(carried) == pytest.approx(1)


def test_carry_keeps_the_plane_of_the_first_two_directions():
    shear = np.array([[1, 0.3, 0.1], [0, 0.9, 0.2], [0.1, 0, 1.2]])
    turn = Rotation.from_euler("xyz", (10, 50, -30), degrees=True).as_matrix()
    _, vectors = np.linalg.eigh(carry(turn @ np.diag([1.0, 2.0, 5.0]) @ turn.T, shear))
    normal_there = np.cross(*(shear @ vectors[:, 1:]).T)
    assert abs(normal_there @ turn[:, 0]) / np.linalg.norm(normal_there) == pytest.approx(1)


def flags(tmp_path, tensor, affine, brain, min_voxels=4, min_fa=0.2):
    table, found = measure(
        tensor, affine, brain, through(np.eye(4), tmp_path), ROIS, min_voxels, min_fa
    )
    return table.set_index("roi")["flags"], found


def test_low_fa_is_flagged(phantom, tmp_path):
    tensor, affine, brain = phantom
    flat = tensor.copy()
    flat[: flat.shape[0] // 2] = [0.8, 0, 0.8, 0, 0, 0.8]
    flags_, found = flags(tmp_path, flat, affine, brain)
    assert "FA 0.00 below 0.2" in flags_["projection_left"]
    assert flags_["projection_right"] == "" == flags_["association_right"]
    assert found["alps_flagged_rois"] == 2
    assert found["alps_left"] == pytest.approx(1)


def test_wrong_direction_is_flagged(phantom, tmp_path):
    tensor, affine, brain = phantom
    full = from_lower_triangular(tensor)
    swapped = lower_triangular(full[..., [0, 2, 1], :][..., [0, 2, 1]])
    flags_, _ = flags(tmp_path, swapped, affine, brain)
    assert flags_["projection_left"] == "principal direction 90 degrees from inferior-superior"
    assert flags_["association_right"] == "principal direction 90 degrees from anterior-posterior"


def test_slab_without_the_regions_gives_no_index(phantom, tmp_path):
    tensor, affine, brain = phantom
    low = int((20 - affine[2, 3]) / 2)
    flags_, found = flags(tmp_path, tensor[:, :, :low], affine, brain[:, :, :low])
    assert set(flags_) == {"outside of the brain or the image"}
    assert found == {"alps_flagged_rois": 4}


def test_one_region_outside_of_the_brain_leaves_the_other_side(phantom, tmp_path):
    tensor, affine, brain = phantom
    cut = brain.copy()
    cut[: int((-34 - affine[0, 3]) / 2)] = False
    flags_, found = flags(tmp_path, tensor, affine, cut)
    assert flags_["association_left"] == "outside of the brain or the image"
    assert "alps_left" not in found and "alps" not in found
    assert found["alps_right"] == pytest.approx(RIGHT)


def test_region_half_outside_is_flagged(phantom, tmp_path):
    tensor, affine, brain = phantom
    cut = brain.copy()
    cut[: round((-38 - affine[0, 3]) / 2)] = False
    flags_, found = flags(tmp_path, tensor, affine, cut)
    assert "% inside the brain and the image" in flags_["association_left"]
    assert found["alps_left"] == pytest.approx(LEFT)


def test_few_voxels_are_flagged(phantom, tmp_path):
    flags_, _ = flags(tmp_path, *phantom, min_voxels=500)
    assert flags_.str.contains("voxels, fewer than 500").all()


def test_even_tensors_have_no_shift_sd(tmp_path):
    tensor, affine, brain = scanned(np.eye(4), GRIDS["axial"])
    tensor[:] = [1.2, 0, 0.6, 0, 0, 0.9]
    assert shift_sd(tensor, affine, brain, through(np.eye(4), tmp_path), ROIS) < 1e-12


@pytest.mark.parametrize("degrees", [0, 20])
def test_shift_sd_follows_the_slope_of_the_index(degrees, tmp_path):
    """ALPS = 1.5 + 0.02 y + 0.03 (z - 27), with y from -16: each slope counts a third."""
    to_scanner = pose(degrees, (1, 0, 0))
    tensor, affine, brain = scanned(to_scanner, GRIDS["axial"])
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(brain.shape), 0, -1))
    _, y, z = np.moveaxis(move(np.linalg.inv(to_scanner), points), -1, 0)
    full = np.zeros((*brain.shape, 3, 3))
    full[..., 0, 0] = 1.5 + 0.02 * (y + 16) + 0.03 * (z - 27)
    full[..., 1, 1] = full[..., 2, 2] = 1.0
    turn = to_scanner[:3, :3]
    tensor = lower_triangular(turn @ full @ turn.T)
    found = shift_sd(tensor, affine, brain, through(to_scanner, tmp_path), ROIS)
    assert found == pytest.approx(SHIFT_MM * np.sqrt((0.02**2 + 0.03**2) / 3), rel=1e-3)


@pytest.mark.parametrize("smooth", [0, 0.7], ids=["white", "shared by neighbours"])
def test_noise_sd_is_that_over_independent_noise(smooth, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_alps, "SAMPLES", 40)
    tensor, affine, brain = scanned(np.eye(4), GRIDS["axial"], (46, 8, 8))
    bvals = np.repeat([0.0, 1000, 2000], [2, 20, 6])
    vectors = np.concatenate([np.zeros((3, 2)), directions(20), directions(6)], axis=1)
    gradients = from_voxel_axes(bvals, vectors, affine)
    used = bvals < 1500
    places = place(affine, brain, through(np.eye(4), tmp_path), ROIS)
    points = np.concatenate([there for there, _ in places.values()])
    brain[:] = False
    voxels = np.round(move(np.linalg.inv(affine), points)).astype(int)
    for step in np.ndindex(3, 3, 3):
        brain[tuple((voxels + step - 1).T)] = True
    full = from_lower_triangular(tensor) / 1000
    clean = 100 * np.exp(-bvals * np.einsum("...ij,iv,jv->...v", full, vectors, vectors))
    rng, found, guessed = np.random.default_rng(1), [], []
    for trial in range(80):
        noise = gaussian_filter(rng.standard_normal(clean.shape), 3 * [smooth] + [0])
        noisy = clean + 5 * noise / noise.std()
        evals, evecs, _ = fit(noisy[..., used], brain, bvals[used], vectors[:, used])
        fitted = np.zeros_like(tensor)
        fitted[brain] = tensor_maps(evals, evecs)["tensor"]
        found.append(mean_alps(fitted, affine, places))
        if trial < 8:
            series = fitted, affine, brain, places, noisy, gradients, used
            guessed.append(noise_sd(*series))
    assert found[0] != found[1] and np.mean(found) == pytest.approx((LEFT + RIGHT) / 2, rel=0.03)
    assert guessed[-1] == noise_sd(*series)
    assert np.mean(guessed) == pytest.approx(np.std(found), rel=0.2)


def test_uncertainty_grows_without_a_t1w():
    assert uncertainty(1.5, 0.03, 0.04, t1w=True)["alps_sd"] == pytest.approx(0.05)
    without = uncertainty(1.5, 0.03, 0.04, t1w=False)
    assert without["alps_sd"] == pytest.approx(np.hypot(0.05, 0.075))
    assert (without["alps_shift_sd"], without["alps_noise_sd"]) == (0.03, 0.04)
    assert set(uncertainty(1.5, np.nan, 0.04, t1w=True)) == {"alps_noise_sd"}


@pytest.mark.parametrize(("bval", "t1w"), [(1000, True), (2000, False)])
def test_sidecar_says_how_sure_alps_is(bval, t1w, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_alps, "SAMPLES", 3)
    tensor, affine, brain = scanned(np.eye(4), GRIDS["axial"], (46, 10, 10))
    bvals = np.repeat([0.0, bval], [2, 12])
    vectors = np.concatenate([np.zeros((3, 2)), directions(12)], axis=1)
    full = from_lower_triangular(tensor) / 1000
    dwi = 100 * np.exp(-bvals * np.einsum("...ij,iv,jv->...v", full, vectors, vectors))
    write_gradients(
        from_voxel_axes(bvals, vectors, affine), tmp_path / "dwi.bval", tmp_path / "dwi.bvec"
    )
    write_itk_matrix(np.eye(4), tmp_path / "xfm.mat")
    names = {"tensor": tensor, "dwi": dwi, "mask": brain.astype("u1")}
    for name, data in names.items():
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{name}.nii.gz")
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in names}
    source = SimpleNamespace(
        **files, template_mask=files["mask"], transforms=[str(tmp_path / "xfm.mat")], rois=[]
    )
    out = SimpleNamespace(
        rois=tmp_path / "rois.tsv", colour=tmp_path / "colour.nii.gz", sidecar=tmp_path / "a.json"
    )
    params = SimpleNamespace(min_voxels=4, min_fa=0.2, bval=1000, t1w=t1w)
    measure_alps.main(source, out, params)
    sidecar = json.loads(out.sidecar.read_text())
    found = sidecar["Measures"]
    assert found["alps_noise_sd"] < 1e-4
    template = 0 if t1w else 0.05 * found["alps"]
    assert found["alps_sd"] == pytest.approx(np.hypot(found["alps_shift_sd"], template), abs=1e-5)
    assert ("5 % of ALPS" in sidecar["Uncertainty"]) == (not t1w)
    flag = "ALPS, b = 2000: not comparable with ALPS at b = 1000"
    assert sidecar["Flags"] == ([flag] if bval == 2000 else [])


def test_colours_follow_the_axes_of_mni(tmp_path):
    to_scanner = pose(20, (0, 1, 0))
    tensor, affine, brain = scanned(to_scanner, GRIDS["oblique"])
    data = np.zeros((9, 3, 3), "u1")
    data[[2, -3], 1, 1] = 1
    frame = np.diag([13.0, 13.0, 13.0, 1.0])
    frame[:3, 3] = CENTRE - frame[:3, :3] @ [4, 1, 1]
    template = nib.Nifti1Image(data, frame)  # x = -26 and 26
    colours = colour_fa(tensor, affine, brain, through(to_scanner, tmp_path), template)
    for voxel in (2, -3):
        red, green, blue = colours[voxel, 1, 1]
        assert blue > 0.5 and max(red, green) < 0.05
    assert colours[4, 1, 1].max() == 0
