import json

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.bids import bids, session_prefix
from workflow_scripts.common.images import (
    dice,
    round_intensities,
    round_warp,
    save_image,
    save_labels,
    save_probability,
    voxel_volume_ml,
    write_sidecar,
)


@pytest.fixture
def oblique():
    """An image whose qform is rounded: its quaternion holds 32-bit numbers."""
    angle = np.deg2rad(17)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [0.9, 1.1, 3.0]
    affine[:3, 3] = [-80.3, -110.7, -60.1]
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


@pytest.mark.parametrize("save", [save_image, save_labels, save_probability])
def test_frame_is_kept_to_the_last_bit(oblique, save, tmp_path):
    save(np.ones(oblique.shape), oblique, tmp_path / "x.nii.gz")
    saved = nib.load(tmp_path / "x.nii.gz").header
    for field in ("pixdim", "quatern_b", "quatern_c", "quatern_d", "srow_x", "srow_y", "srow_z"):
        np.testing.assert_array_equal(saved[field], oblique.header[field])


def test_probabilities_are_kept_to_half_a_step(oblique, tmp_path):
    data = np.random.default_rng(0).random(oblique.shape)
    save_probability(data, oblique, tmp_path / "p.nii.gz")
    image = nib.load(tmp_path / "p.nii.gz")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.get_fdata(), data, atol=0.5 / 255 + 1e-6)


def test_files_hold_no_time_stamp(oblique, tmp_path, monkeypatch):
    files = []
    for year in (1, 2):
        monkeypatch.setattr("time.time", lambda year=year: year * 3.2e7)
        files.append(tmp_path / f"{year}" / "x.nii.gz")
        files[-1].parent.mkdir()
        save_image(np.ones(oblique.shape), oblique, files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_voxel_volume_is_the_product_of_the_spacings(oblique):
    assert voxel_volume_ml(oblique) == pytest.approx(0.9 * 1.1 * 3.0 / 1000)


def test_sidecar_names_versions_and_measures(tmp_path):
    write_sidecar(tmp_path / "x.json", ["a.nii.gz"], ["numpy"], {"v": np.float32(1.5)}, Kind="T")
    sidecar = json.loads((tmp_path / "x.json").read_text())
    assert sidecar["Software"] == {"numpy": np.__version__}
    assert sidecar["Measures"] == {"v": 1.5}
    assert sidecar["Kind"] == "T"


def test_bids_names():
    assert bids("f", "sub-1", "xfm.mat", from_="T1w", to="MNI") == "f/sub-1_from-T1w_to-MNI_xfm.mat"
    assert session_prefix("sub-1", None) == "sub-1"
    assert session_prefix("sub-1", "ses-2") == "sub-1_ses-2"


def test_rounded_images_stay_within_half_a_step_in_the_same_frame(tmp_path):
    rng = np.random.default_rng(0)
    affine = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    head = (1000 * rng.random((20, 20, 20))).astype(np.float32)
    field = rng.normal(0, 3, (8, 8, 8, 1, 3)).astype(np.float32)
    steps = {"head.nii.gz": head.max() / 4096, "warp.nii.gz": 1 / 32}
    for (name, step), data, rounded in zip(
        steps.items(), (head, field), (round_intensities, round_warp), strict=True
    ):
        path = tmp_path / name
        image = nib.Nifti1Image(data, affine)
        image.header.set_intent("vector" if data.ndim == 5 else "none")
        nib.save(image, path)
        before = path.stat().st_size
        rounded(path)
        found = nib.load(path)
        assert np.abs(found.get_fdata() - data).max() <= step / 2
        np.testing.assert_array_equal(found.affine, affine)
        assert found.header.get_intent() == image.header.get_intent()
        assert found.get_data_dtype() == np.float32
        assert path.stat().st_size < 0.7 * before
        again = path.read_bytes()
        rounded(path)
        assert path.read_bytes() == again


def test_dice_of_half_overlapping_masks():
    a, b = np.array([1, 1, 0, 0], dtype=bool), np.array([0, 1, 1, 0], dtype=bool)
    assert dice(a, b) == 0.5
    assert dice(a, a) == 1
    assert dice(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)) == 0
