import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo import simulate_dwi
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.diffusing_head import (
    DIFFUSIVITY,
    S0,
    isotropic_signal,
    native_point,
    scanner_tensors,
    white_signal,
)
from workflow_scripts.demo.images import Phantom, grid_points
from workflow_scripts.demo.simulate_dwi import SCALE, Protocol, save_series, simulate
from workflow_scripts.demo.simulate_epi import fieldmap_sidecar
from workflow_scripts.demo.tensors import alps_tensors

SEED = [7, 2, 3]
ALPS = (1.62, 1.31)
SLAB = Protocol((40, 20, 28), 2.5, 16)  # holds the ALPS regions, and takes half a second
CLEAN = {"motion": False, "eddy": False, "susceptibility": False, "bias": False, "snr": None}
CLEAN |= {"protocol": SLAB}
PROJECTION_LEFT, ASSOCIATION_LEFT = (-26, -16, 27), (-38, -16, 27)


def fit(series, directions, mask=None):
    """Tensors (x, y, z, 3, 3) by dipy's weighted least squares, in the axes of ``directions``."""
    table = gradient_table(series.bvals, bvecs=directions)
    return TensorModel(table).fit(series.data, mask=mask).quadratic_form


def voxel_at(series, point, field=None):
    """Index of the voxel nearest to where an MNI point lies in the first volume."""
    native = point if field is None else native_point(field, point)
    scanner = np.linalg.inv(series.dwi_to_t1w) @ [*native, 1]
    return tuple(np.round(np.linalg.inv(series.affine) @ scanner)[:3].astype(int))


def scanner_axes(bvecs, affine):
    """FSL's b-vectors in scanner axes, (n, 3), by FSL's own description of them."""
    flipped = bvecs * [[-1], [1], [1]] if np.linalg.det(affine[:3, :3]) > 0 else bvecs
    return (affine[:3, :3] / nib.affines.voxel_sizes(affine) @ flipped).T


def test_signal_of_a_mixture_is_the_sum_of_its_exponentials():
    fractions = {tissue: np.zeros(3, dtype="f4") for tissue in S0}
    fractions["wm"][:] = 1.0, 0.25, 0.0
    fractions["csf"][:] = 0.0, 0.75, 0.0
    fractions["gm"][2] = 1.0
    tensor = alps_tensors(1.5)[0]
    g = np.array([0.6, 0.0, 0.8])
    found = isotropic_signal(fractions, 1000.0)
    found = found + white_signal(fractions["wm"], np.stack([tensor, tensor]), 1000.0, g)
    white = S0["wm"] * np.exp(-1000 * (0.36 * 0.54e-3 + 0.64 * 1.3e-3))
    expected = [
        white,
        0.25 * white + 0.75 * S0["csf"] * np.exp(-3.0),
        S0["gm"] * np.exp(-0.8),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert DIFFUSIVITY["csf"] == 3.0e-3 and DIFFUSIVITY["gm"] == 0.8e-3


def test_still_untilted_head_has_the_planted_alps(white_head):
    series = simulate(white_head, SEED, None, ALPS, **CLEAN)
    tensors = fit(series, series.directions)
    for side, truth in zip((-1, 1), ALPS, strict=True):
        projection, association = (tensors[voxel_at(series, (side * x, -16, 27))] for x in (26, 38))
        found = (projection[0, 0] + association[0, 0]) / (projection[1, 1] + association[2, 2])
        assert found == pytest.approx(truth, rel=1e-3)


def test_a_tilted_head_turns_the_tensor_and_mixes_alps(white_head):
    axis = np.array([1.0, 2.0, 0.5])
    series = simulate(white_head, SEED, None, ALPS, tilt=(20.0, axis), **CLEAN)
    turn = Rotation.from_rotvec(np.deg2rad(20) * axis / np.linalg.norm(axis)).as_matrix()
    tensors = fit(series, series.directions)
    planted = alps_tensors(ALPS[0])
    found = [tensors[voxel_at(series, roi)] for roi in (PROJECTION_LEFT, ASSOCIATION_LEFT)]
    for one, truth in zip(found, planted, strict=True):
        np.testing.assert_allclose(one, turn @ truth @ turn.T, atol=2e-6)
    unrotated = (found[0][0, 0] + found[1][0, 0]) / (found[0][1, 1] + found[1][2, 2])
    assert abs(unrotated / ALPS[0] - 1) > 0.03


@pytest.mark.parametrize("flip", [(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_a_flipped_table_gives_wrong_tensors_and_the_written_one_right(white_head, flip):
    series = simulate(white_head, SEED, None, ALPS, tilt=(20.0, (1.0, 1.0, 1.0)), **CLEAN)
    directions = scanner_axes(series.bvecs, series.affine)
    voxel = voxel_at(series, PROJECTION_LEFT)
    turn = series.dwi_to_t1w[:3, :3].T
    truth = turn @ alps_tensors(ALPS[0])[0] @ turn.T
    right = fit(series, directions)[voxel]
    wrong = fit(series, directions * flip)[voxel]
    assert np.linalg.norm(right - truth) < 0.01 * np.linalg.norm(truth)
    assert np.linalg.norm(wrong - truth) > 0.1 * np.linalg.norm(truth)


def test_gradient_is_fixed_to_the_scanner_while_the_head_moves(white_head, monkeypatch):
    monkeypatch.setattr(simulate_dwi.acquisition, "MOTION_DEGREES", 8.0)
    series = simulate(white_head, SEED, None, ALPS, **CLEAN | {"motion": True})
    tensor = alps_tensors(ALPS[0])[0]
    point = np.linalg.inv(series.dwi_to_t1w) @ [*PROJECTION_LEFT, 1]
    rows = zip(series.bvals, series.directions, series.motion, strict=True)
    unturned = []
    for number, (bval, direction, move) in enumerate(rows):
        voxel = np.linalg.inv(series.affine) @ move @ point
        found = map_coordinates(series.data[..., number], voxel[:3, None], order=1)[0]
        turned = move[:3, :3] @ tensor @ move[:3, :3].T
        expected = SCALE * np.exp(-bval * direction @ turned @ direction)
        assert found == pytest.approx(expected, rel=0.02)
        unturned.append(expected / (SCALE * np.exp(-bval * direction @ tensor @ direction)))
    assert np.ptp(unturned) > 0.1


def test_fibres_of_a_deformed_head_are_carried_along(phantom, patient):
    field = Displacement(patient[-1])
    series = simulate(phantom, SEED, field, ALPS, tilt=(15.0, (1.0, 0.3, 0.2)), **CLEAN)
    tensors = fit(series, series.directions)
    for mni, planted in zip(
        (PROJECTION_LEFT, ASSOCIATION_LEFT), alps_tensors(ALPS[0]), strict=True
    ):
        voxel = voxel_at(series, mni, field)
        point = (series.affine @ [*voxel, 1])[:3].reshape(3, 1).astype("f4")
        truth = scanner_tensors(point, series.dwi_to_t1w, field, ALPS)[0]
        assert np.linalg.norm(tensors[voxel] - truth) < 0.02 * np.linalg.norm(truth)
        values, vectors = np.linalg.eigh(tensors[voxel])
        np.testing.assert_allclose(values, np.sort(np.diag(planted)), atol=1e-5)
        fibre = np.linalg.eigh(planted)[1][:, -1]
        native = native_point(field, mni)
        ahead = native_point(field, np.add(mni, 3 * fibre)) - native
        ahead = series.dwi_to_t1w[:3, :3].T @ ahead
        cosine = abs(ahead @ vectors[:, -1]) / np.linalg.norm(ahead)
        assert cosine > np.cos(np.deg2rad(3))


def test_head_lies_where_the_pose_says(phantom, patient):
    _, truth, _, affine, field = patient
    clean = CLEAN | {"protocol": Protocol((60, 40, 40), 2.5, 16)}
    series = simulate(
        phantom, SEED, Displacement(field), ALPS, tilt=(20.0, (1.0, 1.0, 0.0)), **clean
    )
    points = grid_points(series.data.shape[:3], series.affine)
    native = np.tensordot(series.dwi_to_t1w[:3, :3], points, axes=1)
    native += series.dwi_to_t1w[:3, 3].reshape(3, 1, 1, 1)
    voxels = (native - affine[:3, 3].reshape(3, 1, 1, 1)) / 2.0
    tissues = ("csf", "gm", "wm")
    at = {name: map_coordinates(truth[name] / 255, voxels, order=1) for name in tissues}
    b0, weighted = series.data[..., 0], series.data[..., 1]
    csf, white = (b0[at[tissue] > 0.95] for tissue in ("csf", "wm"))
    assert np.median(csf) == pytest.approx(SCALE * S0["csf"], rel=0.05)
    assert np.median(white) == pytest.approx(SCALE * S0["wm"], rel=0.02)
    assert np.median(weighted[at["csf"] > 0.95]) < 0.1 * np.median(csf)
    brain = sum(at.values()) > 0.99
    expected = SCALE * sum(S0[name] * at[name] for name in tissues)
    assert brain.mean() > 0.5
    assert np.corrcoef(b0[brain], expected[brain])[0, 1] > 0.93
    shifted = np.roll(expected, 1, axis=0)
    assert np.corrcoef(b0[brain], shifted[brain])[0, 1] < 0.8


def coherence(tensors, mask):
    """Mean |cosine| between a voxel's fibre and that of the voxel that it points to."""
    fibre = np.linalg.eigh(tensors)[1][..., -1]
    voxels = np.argwhere(mask)
    own = fibre[mask]
    cosines = []
    for step in (1.5, -1.5):
        target = tuple(np.round(voxels + step * own).astype(int).T)
        cosines.append(np.abs((own * fibre[target]).sum(axis=1)) * mask[target])
    return np.mean(cosines)


def test_fibre_coherence_tells_the_right_gradient_table(phantom, patient):
    protocol = Protocol((64, 60, 36), 2.5, 16)
    _, _, _, _, field = patient
    tilt = (15.0, (1.0, 0.5, 0.2))
    series = simulate(phantom, SEED, Displacement(field), ALPS, tilt=tilt, protocol=protocol)
    right = fit(series, series.directions)
    values = np.linalg.eigvalsh(right)
    mask = (values[..., 2] > 1.6 * values[..., 1]) & (values.mean(axis=-1) < 1.0e-3)
    mask &= series.data[..., 0] > SCALE / 2
    mask[[0, 1, -2, -1]] = mask[:, [0, 1, -2, -1]] = mask[:, :, [0, 1, -2, -1]] = False
    wrong = [series.directions * flip for flip in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    wrong += [series.directions[:, order] for order in ([1, 0, 2], [0, 2, 1], [2, 1, 0])]
    best = max(coherence(fit(series, table, mask), mask) for table in wrong)
    assert coherence(right, mask) > 1.05 * best


def test_susceptibility_moves_the_frontal_edge_back_in_ap_and_forth_in_pa(white_head):
    settings = CLEAN | {"protocol": Protocol((6, 92, 30), 2.5, 16)}
    edge = 60.0
    white = white_head.channels["wm"].copy()
    white[:, int(edge - white_head.affine[1, 3]) :] = 0
    head = Phantom(white_head.channels | {"wm": white}, white_head.affine)
    clean, warped = (
        simulate(head, SEED, None, ALPS, **settings | {"susceptibility": on})
        for on in (False, True)
    )
    x, z = 2, voxel_at(clean, (0, edge, -12))[2]

    def frontal_edge(profile):
        """Last y (mm) at which the profile falls through half of the undistorted signal."""
        y = clean.affine[1, 3] + 2.5 * np.arange(92)
        last = np.flatnonzero(profile >= SCALE / 2)[-1]
        share = (profile[last] - SCALE / 2) / (profile[last] - profile[last + 1])
        return y[last] + 2.5 * share

    middle = frontal_edge(clean.data[x, :, z, 0])
    back = frontal_edge(warped.data[x, :, z, 0]) - middle
    forth = frontal_edge(warped.reverse[x, :, z]) - middle
    at_edge = warped.field_hz[x, voxel_at(clean, (0, edge, -12))[1], z]
    expected = at_edge * 0.0455 * 2.5
    assert expected > 3
    assert forth == pytest.approx(expected, abs=0.6)
    assert back == pytest.approx(-expected, abs=0.6)


def test_noise_is_that_of_the_snr_and_artefacts_do_not_disturb_each_other(white_head):
    quiet = simulate(white_head, SEED, None, ALPS, **CLEAN)
    noisy = simulate(white_head, SEED, None, ALPS, **CLEAN | {"snr": 20.0})
    noise = (noisy.data - quiet.data)[..., 0]
    assert noise.std() == pytest.approx(SCALE / 20, rel=0.03)
    moving = simulate(white_head, SEED, None, ALPS, **CLEAN | {"motion": True})
    everything = simulate(white_head, SEED, None, ALPS, protocol=SLAB)
    np.testing.assert_array_equal(moving.motion, everything.motion)
    np.testing.assert_array_equal(quiet.dwi_to_t1w, everything.dwi_to_t1w)
    again = simulate(white_head, SEED, None, ALPS, protocol=SLAB)
    np.testing.assert_array_equal(again.data, everything.data)


def test_truth_of_alps_changes_the_planted_regions_alone(white_head):
    low, high = (simulate(white_head, SEED, None, (v, v), **CLEAN) for v in (1.3, 1.7))
    changed = np.abs(low.data - high.data).max(axis=-1) > 1
    near = grid_points(changed.shape, low.affine)[:, changed]
    near = (low.dwi_to_t1w[:3, :3] @ near).T + low.dwi_to_t1w[:3, 3]
    lateral = np.abs(near[:, 0]) - np.clip(np.abs(near[:, 0]), 26, 38)
    distance = np.linalg.norm([lateral, near[:, 1] + 16, near[:, 2] - 27], axis=0)
    assert len(distance) > 0 and distance.max() < 14 + 2.5


def test_files_are_bids(tmp_path, white_head):
    series = simulate(white_head, SEED, None, ALPS, protocol=SLAB)
    names = {"dwi": "nii.gz", "opposite": "nii.gz", "bval": "bval", "bvec": "bvec", "json": "json"}
    out = SimpleNamespace(**{key: tmp_path / f"{key}.{end}" for key, end in names.items()})
    save_series(series, out)
    image = nib.load(out.dwi)
    assert image.get_data_dtype() == np.uint16
    np.testing.assert_allclose(image.get_fdata(), series.data, atol=0.5)
    bvals, bvecs = np.loadtxt(out.bval), np.loadtxt(out.bvec)
    assert bvals.shape == (18,) and bvecs.shape == (3, 18)
    np.testing.assert_allclose(scanner_axes(bvecs, image.affine), series.directions, atol=1e-5)
    content, opposite = json.loads(out.json.read_text()), fieldmap_sidecar("bids::sub-1/dwi/x")
    assert (content["PhaseEncodingDirection"], opposite["PhaseEncodingDirection"]) == ("j-", "j")
    assert content["TotalReadoutTime"] == opposite["TotalReadoutTime"] == 0.0455
    assert content["EchoTime"] == 0.085
    assert opposite["IntendedFor"] == ["bids::sub-1/dwi/x"]
