import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.colour_fa import read_regions
from workflow_scripts.report.draw_dwi_qc import (
    AXIAL,
    CORONAL,
    FIELDS_MM,
    STEP_MM,
    centre_of,
    cut,
    draw_picture,
    summary,
)

COLOURS = {
    "region": "#ffffff", "flagged": "#ffb000", "displacement": "#56b4e9", "rotation": "#e69f00",
    "outlier": "#ff5a4f",
}  # fmt: skip
ROIS = read_table(resource("alps_rois.tsv"))
MEASURES = {"alps_left": 1.5, "alps_right": 1.4, "alps": 1.45, "dwi_snr": 21.6}


@pytest.fixture
def images(tmp_path):
    """A brain, 140 x 170 x 120 mm, whose left half is faint red and right half faint blue."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = [-98, -130, -72]
    shape = (50, 60, 42)
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    x, y, z = np.moveaxis(points, -1, 0)
    mask = (x / 70) ** 2 + ((y + 15) / 85) ** 2 + ((z - 10) / 60) ** 2 < 1
    colour = np.zeros((*shape, 3), np.float32)
    colour[..., 0], colour[..., 2] = 0.4 * (mask & (x < 0)), 0.4 * (mask & (x > 0))
    paths = [str(tmp_path / name) for name in ("colour.nii.gz", "mask.nii.gz")]
    nib.save(nib.Nifti1Image(colour, affine), paths[0])
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), paths[1])
    return paths


def tables(flags=None, outliers=()):
    rng = np.random.default_rng(0)
    motion = pd.DataFrame(
        {
            "series": ["AP"] * 20 + ["PA"] * 4,
            "displacement_mm": rng.uniform(0, 2, 24),
            "rotation_deg": rng.uniform(0, 2, 24),
        }
    )
    measured = pd.DataFrame({"roi": ROIS["roi"], "flags": ROIS["roi"].map(flags or {})})
    return {
        "measured": measured,
        "motion": motion,
        "outliers": pd.DataFrame({"volume": list(outliers), "slice": 3}),
    }


def draw(images, **changes):
    regions = read_regions(resource("alps_rois.tsv"))
    return draw_picture(*images, regions, tables(**changes), MEASURES, COLOURS)


def count(picture, colour):
    wanted = [int(COLOURS[colour][i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(np.asarray(picture).astype(int) - wanted).sum(axis=2) < 40).sum()


def test_picture_is_small_and_always_the_same(images):
    buffers = [io.BytesIO(), io.BytesIO()]
    for buffer in buffers:
        draw(images).save(buffer, "WEBP", quality=60, method=4)
    assert buffers[0].getvalue() == buffers[1].getvalue()
    assert len(buffers[0].getvalue()) < 120_000


def test_left_of_the_patient_is_on_the_left(images):
    half = np.asarray(draw(images)).astype(int)[60:420, :400]
    red = np.flatnonzero((half[..., 0] > half[..., 2] + 60).any(axis=0))
    blue = np.flatnonzero((half[..., 2] > half[..., 0] + 60).any(axis=0))
    assert len(red) > 50 and len(blue) > 50
    assert red.max() < blue.min()


def test_slices_are_cut_where_they_say():
    """A volume that holds its own coordinates, on a grid that is turned and stored backwards."""
    affine = np.array([[-2.0, 0, 0, 90], [0, 0, 2, -90], [0, 2, 0, -60], [0, 0, 0, 1]])
    x, y, z = nib.affines.apply_affine(affine, np.moveaxis(np.indices((90, 80, 90)), 0, -1)).T
    x, y, z = x.T, y.T, z.T
    field = ((-20, 10), (0, 30))
    axial = cut(x + 100 * y + 10_000 * z, affine, AXIAL, 27.0, field)
    mm = np.arange(60) * STEP_MM + STEP_MM / 2
    expected = (mm - 20)[None, :] + 100 * mm[:, None] + 10_000 * 27
    np.testing.assert_allclose(axial, expected, atol=1e-4)
    coronal = cut(x + 100 * y + 10_000 * z, affine, CORONAL, -16.0, field)
    np.testing.assert_allclose(coronal, (mm - 20)[None, :] - 1600 + 10_000 * mm[:, None], atol=1e-4)


def test_regions_are_those_of_the_table_and_inside_the_picture():
    regions = read_regions(resource("alps_rois.tsv"))
    assert {name: tuple(centre_of(region)) for name, region in regions.items()} == {
        "projection_left": (-26, -16, 27),
        "projection_right": (26, -16, 27),
        "association_left": (-38, -16, 27),
        "association_right": (38, -16, 27),
    }
    assert {region[1] for region in regions.values()} == {2.5}
    for plane, field in FIELDS_MM.items():
        for region in regions.values():
            for axis, (low, high) in zip(plane[:2], field, strict=True):
                assert low + 20 < centre_of(region)[axis] < high - 20


def test_flagged_regions_and_outlier_volumes_are_marked(images):
    plain = draw(images)
    assert count(plain, "region") > 300
    assert count(plain, "flagged") == count(plain, "outlier") == 0
    marked = draw(images, flags={"projection_left": "3 voxels"}, outliers=[2, 2, 11])
    assert count(marked, "flagged") > 50
    assert 0.5 < count(marked, "region") / count(plain, "region") < 0.95
    assert count(marked, "outlier") > 30


def test_masks_stand_in_for_spheres(images, tmp_path):
    affine = nib.load(images[1]).affine
    box = np.zeros((50, 60, 42), np.uint8)
    voxel = np.round(np.linalg.solve(affine, [-26, -16, 27, 1])[:3]).astype(int)
    box[tuple(slice(v - 1, v + 2) for v in voxel)] = 1
    nib.save(nib.Nifti1Image(box, affine), tmp_path / "roi.nii.gz")
    table = ROIS.astype({"mask": object})
    table.loc[table["roi"] == "projection_left", "mask"] = "roi.nii.gz"
    table.to_csv(tmp_path / "rois.tsv", sep="\t", index=False, na_rep="n/a")
    regions = read_regions(tmp_path / "rois.tsv")
    assert regions["projection_left"].shape == (27, 3)
    np.testing.assert_allclose(centre_of(regions["projection_left"]), [-26, -16, 27], atol=2)
    flags = {"projection_left": "3 voxels"}
    picture = draw_picture(*images, regions, tables(flags), MEASURES, COLOURS)
    assert count(picture, "flagged") > 30


def test_numbers_and_flags_as_text():
    measures = {key: value for key, value in MEASURES.items() if key != "alps"}
    lines = summary(measures, tables({"projection_left": "3 voxels"}, outliers=[3, 3, 5]))
    assert lines == [
        "ALPS left: 1.50", "ALPS right: 1.40", "ALPS: n/a", "SNR (b = 0): 22",
        "outlier slices: 3", "", "projection left: 3 voxels",
    ]  # fmt: skip


def test_alps_stands_with_its_sd():
    lines = summary(MEASURES | {"alps_sd": 0.083}, tables())
    assert lines[2] == "ALPS: 1.45 ± 0.08 (SD)"


def test_other_grid_lost_region_and_unknown_volume_are_named(images, tmp_path):
    regions = read_regions(resource("alps_rois.tsv"))
    short = tmp_path / "short.nii.gz"
    nib.save(nib.load(images[1]).slicer[:-1], short)
    with pytest.raises(InputError, match="colour.nii.gz: has the shape"):
        draw_picture(images[0], short, regions, tables(), MEASURES, COLOURS)
    lost = tables() | {"measured": tables()["measured"].iloc[1:]}
    with pytest.raises(InputError, match="no row for projection_left"):
        draw_picture(*images, regions, lost, MEASURES, COLOURS)
    with pytest.raises(InputError, match="volume 24 of 24"):
        draw(images, outliers=[24])
