from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from workflow_scripts.common.job import InputError
from workflow_scripts.report.draw_scans import COLOUR, COLUMNS, main
from workflow_scripts.report.qc import captions_of

ZOOMS, SHAPE = (2.0, 4.0, 2.0), (40, 12, 30)
GREEN = (51, 221, 102)


@pytest.fixture
def session(tmp_path):
    """T1w with a bright right half, a dark STIR, and a region on slices 3 to 8."""
    affine = np.diag([*ZOOMS, 1.0])
    t1w = np.full(SHAPE, 50, np.float32)
    t1w[20:] = 200
    sides = np.zeros(SHAPE, np.uint8)
    sides[10:30, 3:9, 10:20] = 1
    for name, data in (
        ("sub-1_desc-preproc_T1w", t1w),
        ("sub-1_space-T1w_desc-STIR_T2w", np.arange(t1w.size, dtype=np.float32).reshape(SHAPE)),
        ("sub-1_label-SacroiliacJoints_desc-unet_dseg", sides),
    ):
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{name}.nii.gz")
    return tmp_path


def draw(folder, scans=("sub-1_desc-preproc_T1w", "sub-1_space-T1w_desc-STIR_T2w"), sides=True):
    names = ["sub-1_label-SacroiliacJoints_desc-unet_dseg"] if sides else []
    source = SimpleNamespace(
        scans=[folder / f"{n}.nii.gz" for n in scans], sides=[folder / f"{n}.nii.gz" for n in names]
    )
    main(source, SimpleNamespace(picture=folder / "qc.webp"), None)
    return np.asarray(Image.open(folder / "qc.webp").convert("RGB")).astype(int)


def green(picture):
    return np.abs(picture - GREEN).sum(axis=-1) < 150


def test_a_row_for_each_contrast_and_the_outline_in_each_column(session):
    both, one = draw(session), draw(session, ["sub-1_desc-preproc_T1w"])
    assert both.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
    assert both.shape[1] == one.shape[1]
    for column in np.array_split(green(both), COLUMNS, axis=1):
        assert column.any()
    assert not green(draw(session, sides=False)).any()


def test_the_patients_right_is_on_the_right(session):
    tile = draw(session, ["sub-1_desc-preproc_T1w"], sides=False)
    width = tile.shape[1] // COLUMNS
    low = tile[tile.shape[0] // 2, width // 4].mean()
    assert tile[tile.shape[0] // 2, 3 * width // 4].mean() > low + 50


def test_another_grid_is_named(session):
    path = session / "sub-1_label-SacroiliacJoints_desc-unet_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), path)
    with pytest.raises(InputError, match="its grid is not that of its T1w"):
        draw(session)


def test_the_caption_of_a_body_is_no_brains():
    brain, body = (
        {"sub-1": {"desc-preproc_T1w": content}} for content in ({}, {"BodyPart": "pelvis"})
    )
    assert "brain" in str(captions_of(brain)["T1w"])
    assert "brain" not in str(captions_of(body)["T1w"])
    assert captions_of(body)["T1w"]["rows"]["scans"]["legend"]["region"]["colour"] == COLOUR
