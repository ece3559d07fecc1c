import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.augment import (
    BIAS_POWERS,
    Augmentation,
    add_noise,
    bias_field,
    change_intensity,
    crop,
    flip,
    rotate,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ALL = "crop+flip+rotate+intensity+noise+bias_field"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_volumes(n=3, shape=(12, 14, 10), seed=0):
    return torch.rand(n, *shape, generator=seeded(seed)) + 0.5


def random_images(n=3, channels=1):
    """Half-precision volumes (n, channels, x, y, z)."""
    return random_volumes(n * channels).half().unflatten(0, (n, channels))


def smooth_volume(shape=(40, 44, 36), sd=4.5):
    """Three blobs of different height, none of which leaves the volume when it is turned."""
    grid = np.stack(np.meshgrid(*[np.arange(k) for k in shape], indexing="ij"), axis=-1)
    centre = (np.array(shape) - 1) / 2
    blobs = [(3, (-6, 0, 0)), (2, (3, 5, 0)), (1, (2, -2, 5))]
    return torch.as_tensor(
        sum(h * np.exp(-(((grid - centre - at) / sd) ** 2).sum(-1) / 2) for h, at in blobs),
        dtype=torch.float32,
    )


def angles(*degrees):
    return torch.deg2rad(torch.tensor([degrees], dtype=torch.float32))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (2, 0)), (2, (0, 1))])
def test_a_quarter_turn_is_rot90(axis, plane, device):
    volumes = random_volumes(2, (9, 9, 9)).to(device)
    quarter = torch.zeros(2, 3)
    quarter[:, axis] = torch.pi / 2
    expected = torch.rot90(volumes, 1, [1 + k for k in plane])
    torch.testing.assert_close(rotate(volumes, quarter), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_rotation_about_one_axis_agrees_with_scipy_to_the_edge(axis):
    volume = random_volumes(1)
    degrees = np.zeros(3)
    degrees[axis] = 33
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T
    centre = (np.array(volume.shape[1:]) - 1) / 2
    expected = affine_transform(
        volume[0].numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant"
    )
    rotated = rotate(volume, angles(*degrees))[0]
    np.testing.assert_allclose(rotated, expected, rtol=0, atol=1e-5)


def test_rotation_about_three_axes_agrees_with_scipy_where_the_image_is_smooth():
    volume = smooth_volume()
    degrees = (20, -35, 45)
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T
    centre = (np.array(volume.shape) - 1) / 2
    expected = affine_transform(volume.numpy(), matrix, centre - matrix @ centre, order=3)
    rotated = rotate(volume[None], angles(*degrees))[0].numpy()
    assert np.abs(rotated - expected).max() < 0.04 * expected.max()


def test_rotations_and_back_return_the_image():
    volume = smooth_volume()
    there = volume[None]
    for degrees in [(30, 0, 0), (0, -25, 0), (0, 0, 40), (0, 0, -40), (0, 25, 0), (-30, 0, 0)]:
        there = rotate(there, angles(*degrees))
    assert (there[0] - volume).abs().max() < 0.08 * volume.max()


def test_each_volume_has_its_own_angles():
    volumes = random_volumes()
    drawn = torch.rand(3, 3, generator=seeded()) - 0.5
    alone = [rotate(volume[None], own[None])[0] for volume, own in zip(volumes, drawn, strict=True)]
    torch.testing.assert_close(rotate(volumes, drawn), torch.stack(alone))


def test_nothing_comes_in_from_outside():
    edge = rotate(torch.ones(1, 16, 16, 16), angles(45, 0, 0))[0, 8]
    assert edge[0, 0] == edge[-1, 0] == edge[0, -1] == edge[-1, -1] == 0
    assert edge[8, 8] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_crop_keeps_the_window_and_centres_it(device):
    volumes = random_volumes(2).to(device)
    cuts = torch.tensor([[[5, 1], [2, 2], [0, 0]], [[0, 0], [3, 0], [4, 3]]])
    expected = torch.zeros_like(volumes)
    expected[0, 2:9, 1:13] = volumes[0, 1:8, 2:14]
    expected[1, :, 1:12, 2:8] = volumes[1, :, 0:11, 3:9]
    assert torch.equal(crop(volumes, cuts), expected)


def test_flip_swaps_the_first_axis_of_those_drawn_and_is_its_own_inverse():
    volumes, flipped = random_volumes(), torch.tensor([True, False, True])
    views = flip(volumes, flipped)
    assert torch.equal(views[1], volumes[1])
    assert torch.equal(views[0, 0], volumes[0, -1]) and torch.equal(views[2, 3], volumes[2, 8])
    assert torch.equal(flip(views, flipped), volumes)


def test_intensity_is_gain_and_offset_in_the_brain_alone():
    volumes = random_volumes(1)
    volumes[0, 0] = 0
    views = change_intensity(volumes, torch.tensor([[1.1, -0.05]]))
    torch.testing.assert_close(views[0, 1:], volumes[0, 1:] * 1.1 - 0.05)
    assert not views[0, 0].any()


def test_noise_has_the_standard_deviation_drawn_in_the_brain_alone():
    volumes = torch.ones(2, 30, 30, 30)
    volumes[:, 0] = 0
    drawn = torch.tensor([[0.1, 5], [0.02, 6]], dtype=torch.float64)
    noise = add_noise(volumes, drawn) - volumes
    assert not noise[:, 0].any()
    inside = noise[:, 1:].flatten(1)
    torch.testing.assert_close(inside.std(1), torch.tensor([0.1, 0.02]), rtol=0.03, atol=0)
    assert inside.mean(1).abs().max() < 0.003
    assert torch.equal(add_noise(volumes, drawn)[1], add_noise(volumes[1:], drawn[1:])[0])


def test_bias_field_is_the_exponential_of_its_polynomial():
    coefficients = torch.zeros(1, len(BIAS_POWERS))
    powers = BIAS_POWERS.tolist()
    coefficients[0, powers.index([1, 0, 0])] = 0.2
    coefficients[0, powers.index([0, 1, 1])] = -0.1
    field = bias_field(torch.ones(1, 5, 5, 5, dtype=torch.float16), coefficients)[0]
    assert field[2, 2, 2] == 1
    assert field[4, 0, 2].item() == pytest.approx(np.exp(0.2))
    assert field[0, 4, 4].item() == pytest.approx(np.exp(-0.3))
    assert len(powers) == 9 and max(map(sum, powers)) == 2


def test_draws_keep_their_ranges_and_fill_them():
    n = 4000
    drawn = zip(*Augmentation(ALL, crop_voxels=7, rotate_degrees=30).draw(n, seeded()), strict=True)
    cuts, flipped, turned, intensity, noise, bias = (torch.stack(values) for values in drawn)
    cut, start = cuts.unbind(-1)
    assert (start >= 0).all() and (start <= cut).all()
    counts = torch.bincount(cut.flatten(), minlength=8) / (3 * n)
    torch.testing.assert_close(counts, torch.full((8,), 1 / 8), rtol=0, atol=0.015)
    starts = torch.bincount(start[cut == 7], minlength=8) / (cut == 7).sum()
    torch.testing.assert_close(starts, torch.full((8,), 1 / 8), rtol=0, atol=0.04)
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.03)
    for values, limit in [
        (turned, np.pi / 6),
        (intensity[:, 0] - 1, 0.1),
        (intensity[:, 1], 0.1),
        (bias, 0.2),
    ]:
        assert 0.98 * limit < values.max() <= limit * 1.001
        assert -0.98 * limit > values.min() >= -limit * 1.001
        assert values.std().item() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    deviation, seeds = noise.unbind(-1)
    assert deviation.min() >= 0 and 0.098 < deviation.max() <= 0.1
    assert len(seeds.unique()) > n - 5


def test_settings_of_zero_change_nothing():
    zero = {"crop_voxels": 0, "rotate_degrees": 0, "gain": 0, "offset": 0, "noise": 0, "bias": 0}
    volumes = random_images(channels=2)
    strategy = "crop+rotate+intensity+noise+bias_field"
    views = Augmentation(strategy, **zero)(volumes, seeded())
    assert torch.equal(views, volumes.float())


@pytest.mark.parametrize("strategy", ["crop", "crop+flip", "crop+flip+rotate", ALL])
def test_a_seed_gives_the_same_views(strategy):
    volumes = random_images(channels=2)
    augmentation = Augmentation(strategy, crop_voxels=4)
    views = augmentation(volumes, seeded(3), views=2)
    assert views.dtype == torch.float32 and views.shape == (6, 2, 12, 14, 10)
    assert torch.equal(augmentation(volumes, seeded(3), views=2), views)
    assert not torch.equal(augmentation(volumes, seeded(4), views=2), views)
    assert not torch.equal(views[:3], views[3:])
    assert torch.equal(volumes, random_images(channels=2))


@pytest.mark.parametrize("strategy", ["crop+flip+rotate", "flip+bias_field", "noise"])
def test_channels_go_the_same_way_and_the_first_as_it_would_alone(strategy):
    """Two equal channels stay equal but for their noise."""
    one = random_images()
    augmentation = Augmentation(strategy, crop_voxels=4)
    alone = augmentation(one, seeded(3), views=2)
    both = augmentation(one.repeat(1, 2, 1, 1, 1), seeded(3), views=2)
    assert torch.equal(both[:, :1], alone)
    if "noise" not in strategy:
        assert torch.equal(both[:, 1:], alone)
        return
    noise = (both - one.float().repeat(2, 2, 1, 1, 1)).flatten(2)
    deviation = noise.std(2)
    torch.testing.assert_close(deviation[:, 0], deviation[:, 1], rtol=0.1, atol=0)
    for first, second in noise:
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.1


def test_views_are_those_of_the_transforms_one_after_another():
    volumes = random_images(channels=2)
    augmentation = Augmentation("crop+flip+rotate", crop_voxels=4)
    parameters = augmentation.draw(3, seeded(1))
    cuts, flipped, turned = (torch.stack(values) for values in zip(*parameters, strict=True))
    expected = torch.stack(
        [rotate(flip(crop(c, cuts), flipped), turned).float() for c in volumes.unbind(1)], dim=1
    )
    torch.testing.assert_close(augmentation.apply(volumes, parameters), expected)


def test_a_share_of_the_parameters_gives_that_share_of_the_views():
    volumes = random_images(4)
    augmentation = Augmentation("crop+flip+rotate", crop_voxels=4)
    parameters = augmentation.draw(4, seeded(1))
    part = slice(1, 3)
    shared = augmentation.apply(volumes[part], parameters[part])
    assert torch.equal(shared, augmentation.apply(volumes, parameters)[part])


def test_half_precision_costs_no_more_than_its_rounding():
    volumes = random_volumes()
    drawn = torch.rand(3, 3, generator=seeded()) - 0.5
    half = rotate(volumes.half(), drawn)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), rotate(volumes, drawn), rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("threads", [1, 3])
def test_views_do_not_depend_on_the_number_of_threads_nor_change_it(threads):
    before = torch.get_num_threads()
    volumes, augmentation = random_images(channels=2), Augmentation(ALL, crop_voxels=4)
    expected = augmentation(volumes, seeded(), views=2)
    torch.set_num_threads(threads)
    try:
        assert torch.equal(augmentation(volumes, seeded(), views=2), expected)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_views_on_a_gpu_are_those_on_a_cpu():
    volumes = random_images(channels=2)
    augmentation = Augmentation("crop+flip+rotate+intensity+bias_field", crop_voxels=4)
    views = augmentation(volumes.cuda(), seeded(), views=2)
    assert views.is_cuda
    expected = augmentation(volumes, seeded(), views=2)
    torch.testing.assert_close(views.cpu(), expected, rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("strategy", ["crop+spin", "", "crop+"])
def test_unknown_transforms_are_refused(strategy):
    with pytest.raises(InputError, match=r"augmentation: .*unknown transform.*crop, shift, flip"):
        Augmentation(strategy)


def test_a_crop_of_the_whole_volume_is_refused():
    with pytest.raises(InputError, match="crop_voxels: 10 voxels"):
        Augmentation("crop", crop_voxels=10)(random_images(), seeded())
