import subprocess
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from tests.diffusion.small_head import SHAPE, ZOOM, ZOOMS, directions, eddy, turn
from workflow_scripts.common.gradients import Gradients
from workflow_scripts.common.job import InputError
from workflow_scripts.diffusion.denoise import denoise, remove_ringing
from workflow_scripts.diffusion.fit_tensor import fit
from workflow_scripts.diffusion.prepare_dwi import (
    bias_field,
    brain_mask,
    correct,
    find_motion,
    motion_table,
    other_scales,
    shared_b0,
    unparted_eddy_currents,
)
from workflow_scripts.diffusion.series import PhaseEncoding, series_problem
from workflow_scripts.diffusion.susceptibility import undistort

BVALS = np.array([0.0, *[1000] * 12])
VECTORS = np.concatenate([np.zeros((3, 1)), directions(12)], axis=1)


def fitted(dwi, bvals, vectors, mask):
    values, axes, _ = fit(dwi, mask, bvals, vectors)
    return np.einsum("nij,nj,nkj->nik", axes, values, axes)


def oblique(sign):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (12, -8, 25), degrees=True).as_matrix()
    affine[:3, :3] *= [sign * ZOOM, ZOOM, ZOOM]
    return affine


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_turn_with_the_head(head, sign):
    rigid = [np.eye(4), *(turn((20, 10 * (-1) ** k, -15)) for k in range(12))]
    eddies = [np.eye(4), *(eddy(1, (0.02, -0.01, 0.02), 1.0) for _ in range(12))]
    series = head.series(BVALS, VECTORS, rigid, eddies, affine=oblique(sign))
    motions = np.array(eddies) @ np.array(rigid)
    dwi, gradients, between, _ = correct([series], None, [motions])
    assert len(between) == 1
    truth = head.tensors[head.inner]
    tables = {
        "turned": gradients.voxel_axes(series.image.affine),
        "left as they were": VECTORS,
        "turned the wrong way": np.stack(
            [m[:3, :3] @ g for m, g in zip(rigid, VECTORS.T, strict=True)], axis=1
        ),
    }
    errors = {
        name: np.abs(fitted(dwi, BVALS, table, head.inner) - truth).mean() / np.abs(truth).mean()
        for name, table in tables.items()
    }
    assert errors["turned"] < 0.06
    assert errors["left as they were"] > 2.5 * errors["turned"]
    assert errors["turned the wrong way"] > errors["left as they were"]


def test_b0_is_restored_where_an_eddy_current_stretched_it(head):
    bvals = np.zeros(2)
    stretched = eddy(1, (0, 0.08, 0), 0.0)
    series = head.series(bvals, np.zeros((3, 2)), [np.eye(4)] * 2, [np.eye(4), stretched])
    dwi, *_ = correct([series], None, [np.array([np.eye(4), stretched])])
    first, second = dwi[head.inner].T
    assert np.abs(second / first - 1).mean() < 0.03


def test_second_series_is_brought_to_the_first(head):
    pose = turn((3, -2, 4), (2, 1, -1))
    one = head.series(BVALS, VECTORS, [np.eye(4)] * 13)
    two = head.series(BVALS, VECTORS, [pose] * 13, phase=(1, 1))
    still = [np.tile(np.eye(4), (13, 1, 1))] * 2
    dwi, gradients, between, _ = correct([one, two], None, still)
    assert dwi.shape == (*SHAPE, 26) and len(gradients.bvals) == 26
    np.testing.assert_allclose(between[1][:3, :3], pose[:3, :3], atol=0.01)
    expected = np.concatenate([VECTORS, pose[:3, :3].T @ VECTORS], axis=1)
    np.testing.assert_allclose(gradients.voxel_axes(one.image.affine), expected, atol=0.01)
    first, second = dwi[head.inner][:, :13], dwi[head.inner][:, 13:]
    assert np.abs(first[:, 0] - second[:, 0]).mean() < 0.05 * first[:, 0].mean()
    table = motion_table([one, two], still, between, head.mask, ZOOMS)
    assert table["rotation_deg"].iloc[:13].max() == 0
    assert table["rotation_deg"].iloc[13:].mean() == pytest.approx(
        np.hypot(np.hypot(3, 2), 4), abs=0.3
    )


@pytest.mark.parametrize("gain", [0.5, 1.1])
def test_series_of_another_gain_is_brought_to_the_scale_of_the_first(head, gain):
    bvals, vectors = BVALS[:4], VECTORS[:, :4]
    one = head.series(bvals, vectors, [np.eye(4)] * 4)
    two = replace(one, data=one.data * np.float32(gain))
    still = [np.tile(np.eye(4), (4, 1, 1))] * 2
    dwi, *_, scales = correct([one, two], None, still)
    assert scales[0] == 1
    assert scales[1] == pytest.approx(1 / gain, rel=0.005)
    np.testing.assert_allclose(dwi[..., 4:], dwi[..., :4], atol=0.02 * dwi.max())
    flags = other_scales(["run-1", "run-2"], scales)
    assert len(flags) == 1
    assert f"run-2: b = 0 signal {gain:.2f} of that of run-1" in flags[0]


def test_a_b0_in_common_is_flagged_and_a_weighted_volume_in_common_refused(head):
    one = replace(head.series(BVALS[:4], VECTORS[:, :4], [np.eye(4)] * 4), path="run-1.nii.gz")
    moved = np.where(one.gradients.is_b0, one.data, one.data**0.9)
    split = replace(one, path="run-2.nii.gz", data=moved)
    assert series_problem(one, split) is None
    [flag] = shared_b0([one, split])
    assert flag.startswith("run-2.nii.gz: holds a b = 0 volume of run-1.nii.gz too")
    again = replace(one, path="run-2.nii.gz")
    assert series_problem(one, again) == "holds a volume of run-1.nii.gz too"
    assert shared_b0([one, replace(one, path="run-2.nii.gz", data=one.data**0.9)]) == []


def test_series_of_one_gain_are_not_flagged():
    assert other_scales(["run-1", "run-2"], [1.0, 1.03]) == []


def test_motion_none_and_rigid(head):
    series = head.series([0, 0], np.zeros((3, 2)), [np.eye(4), turn((0, 0, 3))])
    none = find_motion(series, head.mask, {"motion": "none"})
    np.testing.assert_array_equal(none, np.tile(np.eye(4), (2, 1, 1)))
    rigid = find_motion(series, head.mask, {"motion": "rigid"})[1, :3, :3]
    np.testing.assert_allclose(rigid, turn((0, 0, 3))[:3, :3], atol=0.01)


def test_susceptibility_and_motion_are_undone_in_one_step(head):
    y = np.arange(SHAPE[1])
    shift = np.broadcast_to((1.5 * np.exp(-((y - 26) ** 2) / 200))[None, :, None], SHAPE)
    still = np.eye(4)[None]
    series = head.series([0.0], np.zeros((3, 1)), still)
    origin = np.interp(y, y + shift[0, :, 0], y) - y
    bent = undistort(series.data[..., 0], np.broadcast_to(origin[None, :, None], SHAPE), 1)
    series = replace(series, data=bent[..., None].astype(np.float32))
    dwi, *_ = correct([series], shift, [still])
    before, after = (np.abs(d - head.b0)[head.inner].mean() for d in (bent, dwi[..., 0]))
    assert after < 0.25 * before


def test_brain_mask_of_a_b0(head):
    found = brain_mask(head.b0 + 5, ZOOMS)
    overlap = 2 * (found & head.mask).sum() / (found.sum() + head.mask.sum())
    assert overlap > 0.95


def test_no_brain():
    with pytest.raises(InputError, match="no brain found"):
        brain_mask(np.zeros((20, 20, 20)), (2, 2, 2))


def test_bias_field(head):
    coil = np.broadcast_to(np.linspace(0.7, 1.3, SHAPE[0])[:, None, None], SHAPE)
    field = bias_field((head.b0 * coil).astype("f4"), head.mask, ZOOMS)
    assert field[head.mask].mean() == pytest.approx(1)
    assert np.corrcoef(field[head.inner], coil[head.inner])[0, 1] > 0.95


def test_denoising_brings_the_series_nearer_to_the_truth(head):
    clean = head.series(BVALS, VECTORS, [np.eye(4)] * 13).data[10:30, 10:30, 10:24]
    noise = 20 * np.random.default_rng(0).standard_normal(clean.shape).astype("f4")
    mask = np.ones(clean.shape[:3], bool)
    mask[:3] = False
    found, sigma = denoise(clean + noise, mask, "mppca")
    assert found[mask].shape == noise[mask].shape
    assert np.square(found - clean)[5:].mean() < 0.5 * np.square(noise[5:]).mean()
    assert sigma == pytest.approx(20, rel=0.15)
    np.testing.assert_array_equal(found[~mask], (clean + noise)[~mask])
    same, none = denoise(clean, mask, "none")
    assert same is clean and none is None


@pytest.fixture(scope="module")
def ringing():
    """Sharp boxes without their outer frequencies, (x, y, z, volumes), and the boxes."""
    fine = np.zeros((176, 208, 3, 2), np.float32)
    fine[35:139, 41:162] = 400
    fine[61:90, 70:115] = 900
    fine[..., 1] *= 0.6
    spectrum = np.fft.fftshift(np.fft.fft2(fine, axes=(0, 1)), axes=(0, 1))
    cut = np.fft.ifftshift(spectrum[66:110, 78:130], axes=(0, 1))
    coarse = abs(np.fft.ifft2(cut, axes=(0, 1))) / 16
    boxes = gaussian_filter(fine, (1.5, 1.5, 0, 0))[::4, ::4]
    return coarse.astype(np.float32), boxes


def test_ringing_is_removed_in_the_slices_of_the_brain(ringing):
    data, boxes = ringing
    mask = np.zeros(data.shape[:3], bool)
    mask[10:34, 10:42, 1] = True
    found = remove_ringing(data, mask, "dipy")
    np.testing.assert_array_equal(found[:, :, [0, 2]], data[:, :, [0, 2]])
    after, before = (np.abs(d - boxes)[5:39, 5:47, 1].mean() for d in (found, data))
    assert after < 0.9 * before
    assert remove_ringing(data, mask, "none") is data


def test_missing_mrtrix_is_named(head, monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    with pytest.raises(InputError, match=r"mrdegibbs is not installed; install MRtrix3"):
        remove_ringing(head.b0[..., None].astype("f4"), head.mask, "mrtrix3")


@pytest.mark.parametrize(
    ("one", "other", "opposite"),
    [
        ((1, 1), (1, -1), True),
        ((1, 1), (1, 1), False),
        ((0, 1), (1, -1), False),
        ((1, None), (1, -1), False),
        ((None, None), (None, None), False),
    ],
)
def test_opposite_phase_encoding(one, other, opposite):
    assert PhaseEncoding(*one).opposite(PhaseEncoding(*other)) is opposite


def test_b0_is_the_first_volume_without_weighting(head):
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 3)), np.eye(4))
    data = np.arange(24.0).reshape(2, 2, 2, 3)
    series = replace(
        head.series([0.0], np.zeros((3, 1)), [np.eye(4)]),
        image=image,
        data=data,
        gradients=Gradients(np.array([1000.0, 0, 0]), np.zeros((3, 3))),
    )
    np.testing.assert_array_equal(series.b0, data[..., 1])


@pytest.mark.parametrize("axis", [0, None])
def test_distortion_of_another_phase_axis_is_refused(head, axis):
    still = np.tile(np.eye(4), (len(BVALS), 1, 1))
    one = head.series(BVALS, VECTORS, still, still)
    two = replace(one, path="two_dwi.nii.gz", phase_encoding=PhaseEncoding(axis, None))
    with pytest.raises(InputError, match="two_dwi.nii.gz.*scans.dwi"):
        correct([one, two], np.zeros(SHAPE), [still, still])
    correct([one, two], None, [still, still])


def test_an_unknown_phase_axis_is_flagged_where_eddy_currents_are_asked_for(head):
    still = [np.eye(4)]
    known = head.series([0.0], np.zeros((3, 1)), still)
    unknown = replace(known, path="two_dwi.nii.gz", phase_encoding=PhaseEncoding(None, None))
    (flag,) = unparted_eddy_currents([known, unknown], {"motion": "affine"})
    assert flag.startswith("two_dwi.nii.gz")
    assert unparted_eddy_currents([unknown], {"motion": "rigid"}) == []
