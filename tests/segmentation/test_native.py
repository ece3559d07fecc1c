"""Regions in a scan's own space, without a template."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.segmentation.test_unet import brought_in
from workflow_scripts.common.job import InputError
from workflow_scripts.segmentation.segment_region import in_pieces
from workflow_scripts.segmentation.sides import right_of_middle
from workflow_scripts.segmentation.train_unet import who_may_train
from workflow_scripts.segmentation.unet import extent_of, frame_of, seen

SIZES = np.array([2.0, 2.0, 4.0])


def oblique(degrees=25):
    """Affine (4, 4) of semi-coronal slices: axes to the right, up, and to the front."""
    turn = nib.eulerangles.euler2mat(x=np.deg2rad(90 + degrees))
    return nib.affines.from_matvec(turn * SIZES, [-60.0, -30.0, 20.0])


@pytest.fixture
def scan(tmp_path):
    """A bright ball at (10, y, z) of the world, in oblique thick slices."""
    affine, shape = oblique(), (60, 50, 16)
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    centre = nib.affines.apply_affine(affine, np.array(shape) / 2)
    ball = np.linalg.norm(points - centre, axis=-1) < 14
    path = tmp_path / "ball.nii.gz"
    nib.save(nib.Nifti1Image(ball.astype(np.float32), affine), path)
    return str(path), ball, centre


@pytest.mark.parametrize("spacing", [4.0, [4.0, 5.0, 3.0]])
def test_frame_lies_around_the_region_along_the_scans_own_axes(scan, spacing):
    """Also where the region of the drawn ones lies 20 mm to the right of this one's."""
    path, ball, centre = scan
    extent = extent_of([path])
    assert (extent[1] - extent[0] == pytest.approx(26, abs=4)) and abs(extent.sum(0)).max() < 9
    frame = frame_of(path, extent + np.array([20, 0, 0]), spacing)
    assert (np.array(frame.shape) * frame.spacing < 26 + 2 * 24 + 4 * 5 + 4).all()
    assert all(size % 4 == 0 for size in frame.shape)
    assert frame.spacing == pytest.approx(np.broadcast_to(spacing, 3))
    assert frame.direction[0, 0] == pytest.approx(-1)  # of ITK, whose axes run to the left
    share = brought_in(path, [], frame)[0]
    volume = share.sum() * np.prod(frame.spacing)
    assert volume == pytest.approx(ball.sum() * np.prod(SIZES), rel=0.05)
    middle = np.argwhere(share > 0.5).mean(0)
    lps = np.array(frame.origin) + frame.direction @ (middle * frame.spacing)
    assert lps * [-1, -1, 1] == pytest.approx(centre, abs=1.5)
    assert seen([path, path], [], frame).shape == (2, *frame.shape)


def test_how_a_scan_is_stored_does_not_matter(scan, tmp_path):
    path, _, _ = scan
    image = nib.load(path)
    stored = image.as_reoriented(nib.orientations.axcodes2ornt("PLS"))
    nib.save(stored, tmp_path / "other.nii.gz")
    both = (path, str(tmp_path / "other.nii.gz"))
    one, other = (frame_of(p, extent_of([p]), 4.0) for p in both)
    np.testing.assert_allclose(
        brought_in(path, [], one), brought_in(str(tmp_path / "other.nii.gz"), [], other), atol=1e-4
    )


def test_right_is_where_the_patients_right_is():
    affine = oblique()
    mask = np.ones((60, 50, 16), bool)
    right = right_of_middle(mask, affine)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(mask.shape), 0, -1))
    np.testing.assert_allclose(right, world[..., 0] - world[..., 0].mean(), atol=1e-3)
    assert right[0, 0, 0] < 0 < right[-1, 0, 0]


def test_a_side_in_two_large_pieces_is_flagged():
    sides = np.zeros((30, 10, 10), int)
    sides[2:8, 2:8, 2:8], sides[20:26, 2:8, 2:8] = 1, 2
    assert in_pieces(sides) == []
    sides[10, 5, 5] = 1
    assert in_pieces(sides) == []
    sides[10:14, 2:8, 2:8] = 1
    assert in_pieces(sides) == ["the left side is in 2 pieces: look at it"]


def test_nobody_who_is_tested_trains(tmp_path):
    roles = ["train"] * 5 + ["test", "validation", "external", "rest"]
    names = [f"sub-{i}" for i in range(len(roles))]
    table = pd.DataFrame({"split": 1, "participant_id": names, "session_id": "n/a"})
    path = tmp_path / "splits.tsv"
    table.assign(label="x", role=roles, weight=1).to_csv(path, sep="\t", index=False)
    sides = [f"{name}/anat/{name}_desc-anna_dseg.nii.gz" for name in names]
    assert who_may_train(sides, str(path), "key") == [0, 1, 2, 3, 4, 8]
    with pytest.raises(
        InputError, match="key: 3 of 5 participants with a mask are on the training"
    ):
        who_may_train([*sides[:3], *sides[5:7]], str(path), "key")


def test_of_one_split_only_those_whom_it_tests_are_kept_apart(tmp_path):
    names = [f"sub-{i}" for i in range(6)]
    tested = {1: names[:2], 2: names[2:4], 3: names[4:]}
    rows = [
        {"split": s, "participant_id": n, "role": "test" if n in apart else "train"}
        for s, apart in tested.items()
        for n in names
    ]
    path = tmp_path / "splits.tsv"
    table = pd.DataFrame(rows).assign(session_id="n/a", label="x", weight=1)
    table.to_csv(path, sep="\t", index=False)
    sides = [f"{name}/anat/{name}_desc-anna_dseg.nii.gz" for name in names]
    assert who_may_train(sides, str(path), "key", of_split=2) == [0, 1, 4, 5]
    with pytest.raises(InputError, match="key: 0 of 6 .* side of every split, 4 are needed"):
        who_may_train(sides, str(path), "key")
    with pytest.raises(InputError, match="key: 3 of 4 .* side of split 1, 4 are needed"):
        who_may_train(sides[1:5], str(path), "key", of_split=1)
