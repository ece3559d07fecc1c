import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from workflow_scripts.demo.images import (
    Phantom,
    bias_field,
    contrast,
    grid_points,
    rician,
    save_fractions,
    save_image,
)


def test_rician_noise_without_signal_is_rayleigh(rng):
    noise = rician(rng, np.zeros((60, 60, 60), dtype="f4"), 10.0)
    np.testing.assert_allclose(noise.mean(), 10 * np.sqrt(np.pi / 2), rtol=0.01)
    np.testing.assert_allclose((noise**2).mean(), 2 * 10**2, rtol=0.01)


def test_rician_noise_on_strong_signal_is_gaussian(rng):
    noisy = rician(rng, np.full((60, 60, 60), 1000, dtype="f4"), 10.0)
    np.testing.assert_allclose(noisy.std(), 10, rtol=0.01)


def test_bias_field_spans_its_strength_smoothly(rng):
    field = bias_field(rng, (48, 56, 48), strength=0.2)
    np.testing.assert_allclose([field.min(), field.max()], [0.8, 1.2], atol=1e-5)
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.04


def test_partial_volumes_mix_linearly():
    fractions = {"gm": np.array([1, 0.25]), "wm": np.array([0, 0.75])}
    np.testing.assert_allclose(contrast(fractions, {"gm": 0.6, "wm": 1.0}), [0.6, 0.9])


def test_grid_points_are_world_coordinates():
    affine = np.array([[2, 0, 0, -5], [0, 3, 0, 1], [0, 0, 4, 7], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(grid_points((2, 2, 2), affine)[:, 1, 0, 1], [-3, 1, 11])


def test_files_are_the_same_bytes_each_time(tmp_path, rng):
    data = rng.random((5, 6, 7))
    for name in ("a", "b"):
        save_image((1000 * data).astype("u2"), np.eye(4), tmp_path / f"image_{name}.nii.gz")
        save_fractions(data, np.eye(4), tmp_path / f"fraction_{name}.nii.gz")
    for kind in ("image", "fraction"):
        one, other = (tmp_path / f"{kind}_{name}.nii.gz" for name in ("a", "b"))
        assert one.read_bytes()[4:8] == bytes(4)
        assert one.read_bytes()[20:] == other.read_bytes()[20:]
    stored = nib.load(tmp_path / "fraction_a.nii.gz")
    assert stored.get_data_dtype() == np.uint8
    np.testing.assert_allclose(stored.get_fdata(), data, atol=0.5 / 255 + 1e-6)


def test_phantom_is_interpolated_where_it_is_not_empty_and_zero_elsewhere(rng):
    affine = nib.affines.from_matvec(np.diag([1.0, 2.0, 1.0]), (-5, -8, -6))
    sparse = (rng.integers(0, 256, (11, 9, 12)) * (rng.random((11, 9, 12)) > 0.9)).astype("u1")
    sparse[0, :, 0] = sparse[-1, -1] = 200
    channels = {"csf": sparse, "gm": np.asfortranarray(255 - sparse), "wm": 0 * sparse}
    head = Phantom(channels, affine)
    points = rng.uniform(-8, 9, (3, 20, 30, 4)).astype("f4")
    points[:, 0] = np.round(points[:, 0])
    voxels = (points - affine[:3, 3].reshape(3, 1, 1, 1)) / [[[[1.0]]], [[[2.0]]], [[[1.0]]]]
    for channel, found in head.sample_each(["csf", "gm", "wm"], points).items():
        whole = map_coordinates(head.channels[channel], voxels, output="f4", order=1) / 255
        np.testing.assert_array_equal(found, whole)
        np.testing.assert_array_equal(head.sample(channel, points), whole)
