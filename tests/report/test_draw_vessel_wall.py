import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.report.draw_vessel_wall import (
    PIXELS,
    TILES,
    cut,
    draw_picture,
    images_of,
    section_axes,
    shown_sections,
)

THETA = 2 * np.pi * np.arange(36) / 36
U, V = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, 1.0])
ALONG = np.cross(U, V)


def tables(vessels, sections=20):
    """Section and contour tables of tubes with round walls of 1.5 and 2.5 mm."""
    rows, drawn = [], []
    for label, hemi in vessels:
        for number in range(1, sections + 1):
            centre = number * ALONG + [3.0, 2.0, 1.0]
            area = 7.0 - 3 * (number == 4)
            rows.append([label, hemi, number, number * 1.0, *centre, area, 0.64])
            for contour, radius in (("lumen", 1.5), ("outerwall", 2.5)):
                for u, v in zip(radius * np.cos(THETA), radius * np.sin(THETA), strict=True):
                    drawn.append([label, hemi, number, contour, u, v, *(centre + u * U + v * V)])
    place = ["x_mm", "y_mm", "z_mm"]
    names = ["label", "hemi", "section", "position_mm", *place, "lumen_area_mm2", "nwi"]
    return pd.DataFrame(rows, columns=names), pd.DataFrame(
        drawn, columns=["label", "hemi", "section", "contour", "u_mm", "v_mm", *place]
    )


def save(folder, name, data, affine=None):
    affine = np.diag([1.0, 1, 1, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), folder / name)
    return str(folder / name)


@pytest.fixture
def image(tmp_path):
    data = np.random.default_rng(0).normal(50, 5, (40, 40, 40))
    affine = np.eye(4)
    affine[:3, 3] = -10
    return save(tmp_path, "sub-01_PDw.nii.gz", data, affine)


def webp(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=60, method=4)
    return buffer.getvalue()


def test_picture_has_a_row_per_vessel_is_small_and_always_the_same(image):
    four = [("ICA", "L"), ("ICA", "R"), ("MCA", "L"), ("BA", None)]
    picture = draw_picture(*tables(four), [image])
    assert webp(picture) == webp(draw_picture(*tables(four), [image]))
    assert len(webp(picture)) < 120_000
    one = draw_picture(*tables(four[:1]), [image])
    assert one.size[0] == picture.size[0]
    assert picture.size[1] > 2.5 * one.size[1]


def test_both_contours_are_drawn(image):
    pixels = np.asarray(draw_picture(*tables([("ICA", "L")]), [image])).astype(int)
    for colour in ((86, 180, 233), (230, 159, 0)):
        assert (np.abs(pixels - colour).sum(axis=2) < 30).sum() > 100


def test_vessels_without_an_image_are_drawn_too():
    pixels = np.asarray(draw_picture(*tables([("ICA", "L")]), []))
    assert pixels.max() > 200


def test_narrowest_section_is_always_shown():
    sections, _ = tables([("ICA", "L")])
    shown = shown_sections(sections)
    assert 4 in shown
    assert len(shown) == TILES
    assert shown == sorted(shown)
    assert shown_sections(sections.head(2)) == [1, 2]


def test_tile_shows_what_lies_in_the_section():
    """A volume that holds its own coordinates, cut obliquely."""
    points = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"), axis=-1)
    values = points @ U + 10 * (points @ V)
    _, contours = tables([("ICA", "L")], sections=5)
    one = contours[contours["section"] == 5]
    axes = section_axes(one)
    centre = 5 * ALONG + [3.0, 2.0, 1.0]
    np.testing.assert_allclose(axes, np.stack([U, V, centre], axis=1), atol=1e-9)
    affine = np.eye(4)
    affine[:3, 3] = -6
    tile = cut([(values, affine)], axes, 2.0)
    mm = (np.arange(PIXELS) + 0.5) / PIXELS * 4 - 2
    expected = (centre + 6) @ U + mm[None] + 10 * ((centre + 6) @ V + mm[:, None])
    np.testing.assert_allclose(tile, expected, atol=1e-3)


def test_masks_of_the_vessel_stand_in_for_the_image():
    masks = [
        f"sub-01_{name}_desc-{what}_mask.nii.gz"
        for name in ("hemi-L_label-ICA", "hemi-R_label-ICA", "label-BA")
        for what in ("lumen", "outerwall")
    ]
    assert images_of(masks, "R", "ICA") == masks[2:4]
    assert images_of(masks, None, "BA") == masks[4:]
    assert images_of([*masks, "sub-01_PDw.nii.gz"], "R", "ICA") == ["sub-01_PDw.nii.gz"]


def test_missing_contours_and_four_axes_are_named(tmp_path):
    sections, contours = tables([("ICA", "L")])
    with pytest.raises(InputError, match="section 1 of ICA L has no contours"):
        draw_picture(sections, contours[contours["section"] > 1], [])
    path = save(tmp_path, "sub-01_4d.nii.gz", np.zeros((4, 4, 4, 2)))
    with pytest.raises(InputError, match="4d.nii.gz: has 4 dimensions"):
        draw_picture(sections, contours, [path])
