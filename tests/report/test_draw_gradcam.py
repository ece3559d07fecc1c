import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflow_scripts.common.job import InputError
from workflow_scripts.report.draw_gradcam import draw_picture, heat, read_head

SHAPE = (50, 60, 42)
LEFT, RIGHT = (-40, -15, 4), (40, -15, 4)


@pytest.fixture
def affine():
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = [-98, -130, -72]
    return affine


@pytest.fixture
def points(affine):
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    return np.moveaxis(points, -1, 0)


@pytest.fixture
def head(affine, points):
    """An even grey brain, 140 x 170 x 120 mm, in a brighter skull that is not shown."""
    x, y, z = points
    mask = ((x / 70) ** 2 + ((y + 15) / 85) ** 2 + ((z - 10) / 60) ** 2 < 1).astype(np.uint8)
    t1w = np.where(mask, 100.0, 300.0).astype(np.float32)
    return read_head(nib.Nifti1Image(t1w, affine), nib.Nifti1Image(mask, affine))


def maps_of(places, affine, points):
    """A ball of 15 mm at each place, or zeros."""
    balls = [
        np.zeros(SHAPE) if place is None
        else sum((axis - at) ** 2 for axis, at in zip(points, place, strict=True)) < 15**2
        for place in places
    ]  # fmt: skip
    return nib.Nifti1Image(0.4 * np.stack(balls, -1).astype(np.float32), affine)


def index_of(counts, splits=1):
    keys = [(s, c) for c in ("a", "b") for s in [*map(str, range(1, splits + 1)), "all"]]
    rows = [{"split": split, "class": name} for split, name in keys]
    return pd.DataFrame(rows).assign(volume=range(len(rows)), n=counts)


def warm(picture):
    """Pixels with a hot colour: more red than blue."""
    pixels = np.asarray(picture).astype(int)
    return pixels[..., 0] - pixels[..., 2] > 60


def test_left_of_the_patient_is_left_on_every_axial_slice(affine, points, head):
    index = index_of([3, 3, 3, 3])
    maps = maps_of([LEFT, LEFT, RIGHT, RIGHT], affine, points)
    picture = draw_picture({"a": maps, "b": maps}, index, head, [0.75], "study, crop")
    hot = warm(picture)
    top = hot[70:300]  # the row of class a; its axial slice z = 4 is the third of six
    width, start = 1320 / 6.5, 1320 * 0.5 / 6.5
    third = slice(round(start + 2 * width), round(start + 3 * width))
    columns = np.flatnonzero(top[:, third].any(axis=0))
    assert len(columns)
    assert columns.max() < width / 2
    columns = np.flatnonzero(hot[310:540][:, third].any(axis=0))
    assert columns.min() > width / 2


def test_maps_of_single_logits_stand_below_those_of_differences(affine, points, head):
    index, nothing = index_of([3, 3, 3, 3]), maps_of([None] * 4, affine, points)
    maps = maps_of([RIGHT] * 4, affine, points)
    hot = warm(draw_picture({"a": nothing, "b": maps}, index, head, [0.75], "study, crop"))
    assert not hot[70:540].any() and hot[540:780].any() and hot[780:1000].any()


def test_same_bytes_small_and_as_tall_as_there_are_splits(affine, points, head):
    drawn = []
    for splits in (1, 1, 3):
        places = [LEFT] * (2 * (splits + 1))
        index = index_of([1] * len(places), splits)
        maps = maps_of(places, affine, points)
        picture = draw_picture({"a": maps, "b": maps}, index, head, [0.75, 0.85], "study")
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=60, method=4)
        drawn.append(buffer.getvalue())
    assert drawn[0] == drawn[1]
    assert max(map(len, drawn)) < 300_000
    sizes = [Image.open(io.BytesIO(content)).size for content in drawn[1:]]
    assert sizes[0][0] == sizes[1][0] == 1320
    assert sizes[1][1] > sizes[0][1]


def test_class_without_a_correct_scan_and_map_of_zeros_are_drawn_without_heat(affine, points, head):
    maps = maps_of([None] * 4, affine, points)
    picture = draw_picture({"a": maps, "b": maps}, index_of([2, 2, 0, 0]), head, [0.75], "study")
    assert not warm(picture)[70:].any()


def test_weak_values_are_transparent_and_strong_ones_are_not():
    alpha = heat()(np.array([0.0, 0.29, 0.5, 0.9]))[:, 3]
    assert list(alpha[:2]) == [0, 0]
    assert 0 < alpha[2] < alpha[3] < 1


def test_index_that_does_not_fit_is_refused(affine, points, head):
    maps = maps_of([LEFT, LEFT], affine, points)
    with pytest.raises(InputError, match="4 rows for 2 maps"):
        draw_picture({"a": maps, "b": maps}, index_of([1] * 4), head, [0.75], "study")
