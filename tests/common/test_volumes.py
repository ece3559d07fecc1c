"""A map of the scale of the b = 0 volumes is told from them by what it looks like."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from tests.diffusion.small_head import ZOOM, ZOOMS, SmallHead, directions, turn
from workflow_scripts.common.volumes import (
    derived_volume,
    unlike_volume,
    volume_problem,
    weighted_image,
)

HEAD = SmallHead()
# T2 and the coils shape a b = 0 volume and no map of diffusion.
SHADE = gaussian_filter(np.random.default_rng(3).standard_normal(HEAD.b0.shape), 3)
HEAD.b0 *= np.exp(0.35 * SHADE / SHADE.std()) * np.linspace(0.6, 1.4, HEAD.b0.shape[1])[:, None]
VECTORS = np.concatenate([np.zeros((3, 1)), directions(12)], axis=1)
BVALS = np.array([0.0, *[1000] * 12])
STILL = HEAD.series(BVALS, VECTORS, [np.eye(4)] * 13, noise=20).data
B0, WEIGHTED = STILL[..., 0], STILL[..., 1:].mean(axis=-1)
INSIDE = HEAD.mask
EIGENVALUES = np.linalg.eigvalsh(HEAD.tensors)
MD = EIGENVALUES.mean(axis=-1)
FA = np.sqrt(1.5) * np.linalg.norm(EIGENVALUES - MD[..., None], axis=-1)
FA /= np.linalg.norm(EIGENVALUES, axis=-1)
COIL = np.linspace(0.8, 1.2, B0.shape[0])[:, None, None]


def said(volume, series=STILL):
    """What is said of a volume that is appended in the scale of the first b = 0."""
    volume = volume * np.median(series[..., 0][INSIDE]) / np.median(volume[INSIDE])
    data = np.concatenate([series, volume[..., None]], axis=-1)
    return derived_volume(data, np.array([True, *[False] * 12, True]), ZOOMS)


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("ADC", np.where(INSIDE, MD, 0)),
        ("ADC of the whole picture", np.log(B0 / np.maximum(WEIGHTED, 1)).clip(0)),
        ("smoothed ADC", gaussian_filter(np.where(INSIDE, MD, 0), 1)),
        ("FA", np.where(INSIDE, FA, 0)),
        ("trace", WEIGHTED),
    ],
)
def test_map_of_the_scale_of_b0_is_named(name, volume):
    assert "volume 13 (from 0) has b = 0 and" in said(volume)
    assert "remove it from image, .bval and .bvec" in said(volume)


@pytest.mark.parametrize(
    "matrix",
    [np.eye(4), turn((8, 0, 0)), turn((0, -12, 10)), turn((0, 0, 0), (0, 8, 0))],
)
def test_b0_of_a_head_that_moved_is_one(matrix):
    again = HEAD.series([0.0], np.zeros((3, 1)), [matrix], noise=60).data[..., 0]
    assert said(again) is None
    assert said(again * COIL) is None
    # the weighted volumes lie where the head went
    moved = HEAD.series(BVALS, VECTORS, [np.eye(4), *[matrix] * 12], noise=20).data
    assert said(again, moved) is None


def test_even_phantom_that_moved_is_no_map():
    grid = np.indices(B0.shape) * ZOOM
    ball = (((grid - 60 - 18 * np.eye(3)[1][:, None, None, None]) ** 2).sum(axis=0) < 40**2) * 900.0
    noise = np.random.default_rng(0).random((*B0.shape, 14)) * 30
    data = noise + ball[..., None] * np.array([1, *[0.3] * 12, 1])
    data[..., 13] = np.roll(data[..., 13], 3, axis=1)
    assert derived_volume(data, np.array([True, *[False] * 12, True]), ZOOMS) is None


def test_empty_volumes_and_gradient_tables_of_another_series_are_named():
    assert volume_problem(STILL, BVALS) is None
    empty = STILL.copy()
    empty[..., 5] = 0
    assert volume_problem(empty, BVALS).startswith("volume 5 (from 0) is empty")
    assert "volume 0 (from 0) has b = 1000 and" in volume_problem(STILL, BVALS[::-1])


ADC_LIKE = np.where(INSIDE, MD, 0) / np.median(MD[INSIDE])
NOISE = np.random.default_rng(5).random(B0.shape)
UPPER = np.arange(B0.shape[2]) > B0.shape[2] // 2


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        (ADC_LIKE * np.median(WEIGHTED[INSIDE]), "looks more like the ADC"),
        (ADC_LIKE * 700, "looks more like the ADC"),
        (gaussian_filter(ADC_LIKE, 1) * 300, "looks more like the ADC"),
        (NOISE * 60, "does not look like the other weighted"),
        (np.where(UPPER, 0, WEIGHTED), "no signal in"),
    ],
)
@pytest.mark.parametrize("place", [1, 6, 12])
def test_weighted_volume_that_is_none_is_named(volume, said, place):
    series = STILL.copy()
    series[..., place] = volume
    found = unlike_volume(series, BVALS, ZOOMS)
    assert found.startswith(f"volume {place} (from 0) has b = 1000 and {said}")


@pytest.mark.parametrize(("b", "matrix"), [(700, turn((8, 0, 0))), (3000, turn((0, -12, 10)))])
def test_weighted_volumes_of_a_head_that_moves_are_what_they_are(matrix, b):
    bvals = np.where(BVALS > 0, b, 0.0)
    moved = HEAD.series(bvals, VECTORS, [np.eye(4)] * 7 + [matrix] * 6, noise=20).data
    assert unlike_volume(moved, bvals, ZOOMS) is None


@pytest.mark.parametrize("scale", [1e-3, 40])
def test_series_without_weighting_is_named(scale):
    """A mean in the place of b = 0, a series of b = 0 with another's table, logarithms."""
    first = STILL.copy()
    first[..., 0] = WEIGHTED
    again = HEAD.series(0 * BVALS, VECTORS, [np.eye(4)] * 13, noise=20).data
    for series in (first, again):
        said = unlike_volume(series * scale, BVALS, ZOOMS)
        assert said.startswith("volumes of b = 1000 have") and "of one series?" in said
    assert unlike_volume(STILL * scale, BVALS, ZOOMS) is None
    assert unlike_volume(STILL * scale, 0 * BVALS, ZOOMS) is None


def test_volumes_without_a_picture_are_not_judged():
    noise = np.random.default_rng(0).integers(1, 999, (30, 36, 30, 13))
    assert unlike_volume(noise, BVALS, ZOOMS) is None
    assert unlike_volume(np.zeros((30, 36, 30, 13)), BVALS, ZOOMS) is None


# Of opposite phase encoding: up to 4 voxels along the second axis.
BENT = np.indices(B0.shape).astype(float)
BENT[1] += 4 * SHADE / np.abs(SHADE).max()


def reverse(volume, scale):
    return scale * map_coordinates(volume, BENT, order=1, mode="nearest")


@pytest.mark.parametrize("scale", [1, 0.01, 3])
def test_image_of_reverse_phase_encoding_that_is_weighted_is_named(scale):
    assert weighted_image(reverse(B0, scale), STILL, BVALS, ZOOMS) is None
    for weighted in (STILL[..., 1], STILL[..., 9], WEIGHTED):
        said = weighted_image(reverse(weighted, scale), STILL, BVALS, ZOOMS)
        assert said.startswith("looks more like the weighted volumes of its series than like b = 0")


def test_image_beside_a_series_without_weighting_is_not_judged():
    assert weighted_image(WEIGHTED, STILL, 0.1 * BVALS, ZOOMS) is None
    assert weighted_image(0 * WEIGHTED, 0 * STILL, BVALS, ZOOMS) is None
