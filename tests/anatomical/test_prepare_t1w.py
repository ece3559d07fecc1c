import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from workflow_scripts.anatomical import prepare_t1w as module
from workflow_scripts.anatomical.prepare_t1w import (
    body_mask,
    correct_bias,
    extract_brain,
    stripped_brain,
)
from workflow_scripts.anatomical.template_mask import crop_neck, head_template
from workflow_scripts.common.job import InputError


@pytest.mark.parametrize(
    ("foreground_ml", "background", "stripped"),
    [(1500, 0, True), (1500, 0.5, True), (300, 0, False), (4000, 0, False), (1500, 3, False)],
    ids=["brain", "ringing around", "too small", "head", "noise around"],
)
def test_skull_stripped_is_told_by_volume(foreground_ml, background, stripped):
    data = np.full(20**3, float(background))
    data[:foreground_ml] = 100
    found = stripped_brain(data.reshape(20, 20, 20), voxel_ml=1.0)
    assert (found is not None) == stripped
    if stripped:
        assert found.sum() == foreground_ml


def test_stripped_scan_is_taken_as_it_is_and_says_so(template):
    brain, mask = template
    found, how = extract_brain(brain, brain, mask, "deepbet")
    assert how == "input already skull-stripped"
    assert dice(found, nib.load(mask).get_fdata() > 0) > 0.99


@pytest.fixture(scope="module")
def head(template, tmp_path_factory):
    """The template's brain in its synthetic head, moved and with a neck."""
    data, _, mask, affine = head_template(*map(nib.load, template))
    moved = affine.copy()
    moved[:3, 3] += [8, -6, 12]
    noise = np.abs(np.random.default_rng(0).normal(0, 0.02, data.shape))
    path = tmp_path_factory.mktemp("head") / "T1w.nii.gz"
    nib.save(nib.Nifti1Image((data + noise).astype(np.float32), moved), path)
    return str(path), mask


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def found(template, head):
    """Brain mask of the head by the template, and how it was found."""
    return extract_brain(head[0], *template, "template")


def test_template_method_finds_the_brain(head, found):
    mask, how = found
    assert how == "template"
    assert dice(mask, head[1]) > 0.9


@pytest.mark.full
def test_template_method_gives_the_same_volume_at_any_scale_and_type(
    template, head, found, tmp_path
):
    """To 0.5 %, stored in floats of another unit and in bytes."""
    image, volumes = nib.load(head[0]), [found[0].sum()]
    data = image.get_fdata()
    for stored in (193 * data, np.round(data / data.max() * 255)):
        path = str(tmp_path / "T1w.nii.gz")
        nib.save(nib.Nifti1Image(stored.astype(np.float32), image.affine), path)
        volumes.append(extract_brain(path, *template, "template")[0].sum())
    assert max(volumes) <= 1.005 * min(volumes)


@pytest.mark.full
def test_a_single_axis_at_the_end_changes_nothing(template, head, found, tmp_path):
    image = nib.load(head[0])
    path = str(tmp_path / "T1w.nii.gz")
    nib.save(nib.Nifti1Image(image.get_fdata(dtype="f4")[..., None], image.affine), path)
    mask, _ = extract_brain(path, *template, "template")
    np.testing.assert_array_equal(mask, found[0])
    nib.save(nib.Nifti1Image(mask.astype("u1"), image.affine), tmp_path / "mask.nii.gz")
    corrected = [correct_bias(one, str(tmp_path / "mask.nii.gz")) for one in (path, head[0])]
    np.testing.assert_array_equal(*corrected)


@pytest.mark.parametrize("mask_ml", [0, 100, 5000])
def test_implausible_deepbet_mask_falls_back_and_says_so(
    template, head, found, monkeypatch, mask_ml
):
    path, truth = head
    voxels = np.zeros(truth.shape, bool)
    voxels.flat[: mask_ml * 1000 // 8] = True
    monkeypatch.setattr(module, "deepbet_mask", lambda image: voxels)
    monkeypatch.setattr(module, "template_mask", lambda *args: found[0])
    mask, how = extract_brain(path, *template, "deepbet")
    assert how == f"template (deepbet gave {mask_ml} mL)"
    np.testing.assert_array_equal(mask, found[0])


def test_no_brain_at_all_is_an_error(template, head, monkeypatch):
    path, truth = head
    monkeypatch.setattr(module, "template_mask", lambda *args: np.zeros(truth.shape, bool))
    with pytest.raises(InputError, match="no brain found.*exclusions"):
        extract_brain(path, *template, "template")


def test_neck_is_cropped_from_the_top_of_the_head_whatever_the_axes():
    data = np.zeros((30, 30, 100))
    data[5:25, 5:25, :90] = 100
    affine = np.diag([3.0, 3, 3, 1])
    cropped = crop_neck(data, affine)
    kept = np.flatnonzero(cropped.any(axis=(0, 1)))
    assert kept.max() == 89
    assert (kept.max() - kept.min()) * 3 == pytest.approx(150, abs=6)
    turned = crop_neck(data.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]])
    np.testing.assert_array_equal(turned.transpose(2, 1, 0), cropped)


def test_n4_takes_out_a_smooth_field(template, tmp_path):
    brain, mask = map(nib.load, template)
    inside = mask.get_fdata() > 0
    x = np.linspace(-1, 1, brain.shape[0])[:, None, None]
    biased = (100 * brain.get_fdata() * (1 + 0.3 * x)).astype(np.float32)
    nib.save(nib.Nifti1Image(biased, brain.affine), tmp_path / "b.nii.gz")
    corrected = correct_bias(str(tmp_path / "b.nii.gz"), template[1])

    def asymmetry(data):
        left, right = np.zeros_like(inside), np.zeros_like(inside)
        left[: inside.shape[0] // 2], right[inside.shape[0] // 2 :] = True, True
        return data[inside & right].mean() / data[inside & left].mean()

    assert asymmetry(biased) > 1.15
    assert asymmetry(corrected) == pytest.approx(asymmetry(brain.get_fdata()), abs=0.03)


def test_a_body_is_what_is_no_air():
    """Dark joints and bones inside are part of it, the noise of the air a voxel away is not."""
    rng = np.random.default_rng(1)
    data = np.abs(rng.normal(0, 5, (50, 20, 40)))
    truth = np.zeros(data.shape, bool)
    truth[8:42, :, 5:36] = True
    data[truth] = 100 + rng.normal(0, 10, truth.sum())
    data[20:23, 5:15, 12:25] = 3
    mask = body_mask(data)
    assert mask[truth].mean() > 0.99
    assert not mask[~ndimage.binary_dilation(truth, iterations=2)].any()
