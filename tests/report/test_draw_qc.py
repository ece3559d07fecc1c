import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.report.example import phantom
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.report.draw_qc import (
    FIELD_MM,
    LETTERS,
    RIM_MM,
    TILES,
    View,
    draw_picture,
    draw_row,
    read_canonical,
)

ROWS = yaml.safe_load(resource("report/qc.yaml").read_text())["T1w"]["rows"]
REGIONS = pd.read_csv(resource("regions.tsv"), sep="\t")
INDICES = dict(zip(REGIONS["region"], REGIONS["index"], strict=True))
RED = {True: (1.0, 0.0, 0.0)}


def webp(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=50, method=4)
    return buffer.getvalue()


def test_picture_of_four_rows_is_small_and_always_the_same(tmp_path):
    source = phantom(tmp_path)
    first = webp(draw_picture(source, ROWS, INDICES))
    assert first == webp(draw_picture(source, ROWS, INDICES))
    assert len(first) < 120_000
    width, height = Image.open(io.BytesIO(first)).size
    assert width > sum(FIELD_MM[0] if axis else FIELD_MM[1] for axis, _ in TILES)
    assert height > 4 * FIELD_MM[1]


def test_the_mask_before_a_correction_has_a_row_of_its_own_on_the_same_slices(tmp_path):
    """Below that of the corrected mask: the line runs where the mask was, not where it is."""
    source = phantom(tmp_path)
    plain = np.asarray(draw_picture(source, ROWS, INDICES)).astype(int)
    image = nib.load(source.mask)
    before = np.asanyarray(image.dataobj).copy()
    before[:, :, : before.shape[2] // 2] = 0  # no cerebellum at all
    nib.save(nib.Nifti1Image(before, image.affine), tmp_path / "before.nii.gz")
    source.before = [str(tmp_path / "before.nii.gz")]
    picture = np.asarray(draw_picture(source, ROWS, INDICES)).astype(int)
    high = FIELD_MM[1] + 4
    np.testing.assert_array_equal(picture[: 2 * high], plain[: 2 * high])
    np.testing.assert_array_equal(picture[3 * high :], plain[2 * high :])
    added = picture[2 * high : 3 * high]
    line = (added[..., 2] > 200) & (added[..., 0] < 120)
    assert line[:, : FIELD_MM[0]].sum() == 0  # the lowest axial slice, where the mask was not
    assert line[:, -FIELD_MM[1] :].sum() > 100


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "AIL"])
def test_right_half_is_drawn_on_the_right_whatever_the_storage(tmp_path, codes):
    source = phantom(tmp_path, codes=codes)
    t1w, zooms = read_canonical(source.t1w)
    mask = read_canonical(source.mask)[0] > 0
    view = View(mask, zooms)
    assert LETTERS == {0: "PA", 1: "LR", 2: "LR"}
    for axis in (1, 2):
        tile = view.tile(t1w * mask, axis, 0.5)
        left, right = np.array_split(tile, 2, axis=1)
        assert right.sum() == pytest.approx(2 * left.sum(), rel=0.05)
    front = view.tile(t1w * mask, 0, 0.5)
    assert np.array_split(front, 3, axis=1)[2].max() > np.array_split(front, 3, axis=1)[0].max()
    upper, lower = np.array_split(view.tile(t1w * mask, 2, 0.5), 2, axis=0)
    assert upper.sum() > lower.sum()  # the bright front is up on an axial slice


@pytest.mark.parametrize("zooms", [(2, 2, 2), (0.9, 0.9, 3), (1, 2, 4)])
def test_extents_in_pixels_are_millimetres(tmp_path, zooms):
    """The ellipsoid of 140 x 170 x 120 mm, whatever the voxels; one pixel is 1 mm."""
    mask, read = read_canonical(phantom(tmp_path, zooms).mask)
    mask = mask > 0
    view = View(mask, read)
    for axis, (across, down) in {0: (170, 120), 1: (140, 120), 2: (140, 170)}.items():
        inside = view.tile(mask, axis, 0.5, True)
        assert inside.any(0).sum() == pytest.approx(across, abs=max(zooms) + 1)
        assert inside.any(1).sum() == pytest.approx(down, abs=max(zooms) + 1)


def test_a_mask_larger_than_the_field_is_drawn_smaller_not_cut():
    mask = np.ones((100, 100, 100), bool)
    view = View(mask, np.array([3.0, 3, 3]))
    for axis in range(3):
        tile = view.tile(mask, axis, 0.5, True)
        edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
        assert tile.any()
        assert not edge.any()


def test_nothing_shows_beyond_the_rim(tmp_path):
    """One bright world around a ball of 50 mm: what shows is no wider than ball and rim."""
    axis = np.arange(-90, 91, 2.0)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    ball = x**2 + y**2 + z**2 < 50**2
    world = 200.0 + x  # no darker outside than inside
    row = draw_row(world, ball, np.full(3, 2.0), [])
    middle = row[:, FIELD_MM[0] + 4 : 2 * FIELD_MM[0] + 4]  # second tile, near the equator
    shown = (middle[50:] > 0).any(axis=(0, 2)).sum()
    assert 80 < shown <= 2 * (50 + RIM_MM) + 2


def test_lines_and_fills_stay_at_the_mask(tmp_path):
    source = phantom(tmp_path)
    t1w, zooms = read_canonical(source.t1w)
    mask = read_canonical(source.mask)[0] > 0
    counts = {}
    for width in (0, 1, 2):
        row = draw_row(t1w, mask, zooms, [(mask, RED, width)]).astype(int)
        counts[width] = (row[..., 0] > row[..., 1] + 30).sum()
    assert 0 < counts[1] < counts[2] < counts[0]


def test_other_grid_four_axes_and_empty_mask_are_named(tmp_path):
    source = phantom(tmp_path)
    image = nib.load(source.mask)
    nib.save(image.slicer[:-1], tmp_path / "short.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(image.shape), image.affine), tmp_path / "empty.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((*image.shape, 2)), image.affine), tmp_path / "4d.nii.gz")
    for name, message in (
        ("short", "short.nii.gz: its grid"),
        ("empty", "mask is empty"),
        ("4d", "4d.nii.gz: has the shape"),
    ):
        source.mask = str(tmp_path / f"{name}.nii.gz")
        with pytest.raises(InputError, match=message):
            draw_picture(source, ROWS, INDICES)
