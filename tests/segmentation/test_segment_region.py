"""Regions by engine, on a made-up head whose transform to the template is known."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import ants
import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.engines import Labels, labels_of, region_of
from workflow_scripts.common.job import InputError
from workflow_scripts.segmentation.segment_region import main
from workflow_scripts.segmentation.sides import exchanged, right_of_midplane, sides_of

SHIFT = (9.0, -4.0, 6.0)  # of the head from the template, in mm RAS
SHAPE = (70, 80, 66)
SEGMENTED = "segmentation_thalamus_"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Template, T1w turned by 17 degrees and shifted, brain mask, and the transform between."""
    folder = tmp_path_factory.mktemp("head")
    template = np.diag([2.0, 2, 2, 1])
    template[:3, 3] = [-90, -110, -70]
    nib.save(nib.Nifti1Image(np.ones((91, 109, 91), np.float32), template), folder / "tpl.nii.gz")
    turn = nib.eulerangles.euler2mat(z=0.3)
    affine = np.eye(4)
    affine[:3, :3] = turn * 2
    affine[:3, 3] = turn @ (np.array([-69.0, -95, -60])) + SHIFT
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:-5, 5:-5, 5:-5] = 1
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), affine), folder / "t1w.nii.gz")
    nib.save(nib.Nifti1Image(mask, affine), folder / "mask.nii.gz")
    # ITK: points of the template (LPS) to points of the T1w.
    flip = np.diag([-1.0, -1, 1])
    matrix, shift = flip @ turn @ flip, flip @ np.array(SHIFT)
    transform = ants.create_ants_transform(
        transform_type="AffineTransform", matrix=matrix, translation=shift
    )
    ants.write_transform(transform, str(folder / "xfm.mat"))
    return folder, affine, turn


def mni(paths) -> np.ndarray:
    """MNI coordinates (3, x, y, z) of the voxels of the T1w."""
    _, affine, turn = paths
    at = nib.affines.apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    return np.moveaxis((at - SHIFT) @ turn, -1, 0)


def balls(paths, left=9.5, right=10.0, distance=12.0) -> np.ndarray:
    """Left and right as 1 and 2: balls of these radii beside the template's midplane."""
    x, y, z = mni(paths)
    one = (x + distance) ** 2 + (y + 18) ** 2 + (z - 8) ** 2 < left**2
    other = (x - distance) ** 2 + (y + 18) ** 2 + (z - 8) ** 2 < right**2
    return (1 * one + 2 * other).astype(np.uint8)


def segmented(
    paths,
    out,
    kind,
    data=None,
    labels=(1, 2),
    members=(),
    probabilities=(),
    affine=None,
    given=None,
    **settings,
):
    """Sidecar, label image and probabilities of an engine that reads such labels."""
    folder, own, _ = paths
    out.mkdir(exist_ok=True)
    source = {
        "t1w": str(folder / "t1w.nii.gz"),
        "mask": str(folder / "mask.nii.gz"),
        "template": str(folder / "tpl.nii.gz"),
        "transforms": [str(folder / "xfm.mat")],
    }
    if data is not None:
        source["labels"] = str(out / "labels.nii.gz")
        data = data.astype(np.float32 if data.dtype.kind == "f" else np.int16)
        nib.save(nib.Nifti1Image(data, own if affine is None else affine), source["labels"])
    else:
        source["members"] = [str(path) for path in members]
        source["probabilities"] = [str(path) for path in probabilities]
    source |= given or {}
    settings |= {"kind": kind, "labels": list(labels), "engine": "e", "region": "thalamus"}
    made = SimpleNamespace(
        sides=str(out / "dseg.nii.gz"),
        probabilities=str(out / "probseg.nii.gz"),
        sidecar=str(out / "dseg.json"),
    )
    inputs = SimpleNamespace(**source, get=source.get)
    main(inputs, made, SimpleNamespace(settings=settings))
    sidecar = json.loads(Path(made.sidecar).read_text())
    return sidecar, np.asanyarray(nib.load(made.sides).dataobj), nib.load(made.probabilities)


def test_of_several_splits_the_mask_of_the_one_that_tests_is_taken(paths, tmp_path):
    """Its voxels and its network; in which others it is in doubt is told."""
    own = nib.load(str(paths[0] / "t1w.nii.gz")).affine
    members, soft, sidecars = [], [], []
    for split in (1, 2, 3):
        sides = balls(paths, left=9 + split / 2)
        members.append(tmp_path / f"{split}.nii.gz")
        soft.append(tmp_path / f"{split}_probseg.nii.gz")
        sidecars.append(tmp_path / f"{split}.json")
        nib.save(nib.Nifti1Image(sides, own), members[-1])
        shares = np.stack([sides == 1, sides == 2], axis=-1).astype(np.float32)
        nib.save(nib.Nifti1Image(shares, own), soft[-1])
        told = {"Model": f"bids::{split}", "Flags": ["doubt"] * (split != 2)}
        sidecars[-1].write_text(json.dumps(told))
    folder = tmp_path / "head"
    shutil.copytree(paths[0], folder)
    for person, chosen in (("07", 2), ("08", 1)):
        shutil.copy(paths[0] / "t1w.nii.gz", folder / f"sub-{person}_T1w.nii.gz")
        table = tmp_path / "splits.tsv"
        roles = {1: "train", 2: "test", 3: "test"}
        rows = "".join(f"{s}\tsub-07\tn/a\tx\t{role}\t1\n" for s, role in roles.items())
        table.write_text("split\tparticipant_id\tsession_id\tlabel\trole\tweight\n" + rows)
        given = {"t1w": str(folder / f"sub-{person}_T1w.nii.gz"), "splits": str(table)}
        given |= {"sidecars": [str(path) for path in sidecars]}
        sidecar, sides, _ = segmented(
            paths,
            tmp_path / person,
            "unet",
            members=members,
            probabilities=soft,
            given=given,
            by_split=["esplit1", "esplit2", "esplit3"],
        )
        np.testing.assert_array_equal(sides, balls(paths, left=9 + chosen / 2))
        assert sidecar["Model"] == f"bids::{chosen}" and sidecar["Split"] == chosen
        others = ", ".join(f"esplit{n}" for n in (1, 3) if n != chosen)
        told = f"in doubt in other splits too, see the flags of {others}"
        assert [flag for flag in sidecar["Flags"] if "doubt" in flag] == [told]


def test_midplane_is_that_of_the_template(paths):
    folder = paths[0]
    right = right_of_midplane(
        str(folder / "t1w.nii.gz"), str(folder / "tpl.nii.gz"), [str(folder / "xfm.mat")]
    )
    x, y, z = mni(paths)
    near = (np.abs(x) < 40) & (np.abs(y) < 60) & (np.abs(z) < 40)
    np.testing.assert_allclose(right[near], x[near], atol=0.05)


@pytest.mark.parametrize("kind", ["atlas", "network"])
def test_one_label_is_parted_at_the_midplane(paths, tmp_path, kind):
    truth = balls(paths)
    data = np.where(truth > 0, 7, np.where(mni(paths)[2] > 30, 3, 0)).astype(np.uint8)
    sidecar, sides, probabilities = segmented(paths, tmp_path, kind, data, (7, 7))
    np.testing.assert_array_equal(sides, truth)
    np.testing.assert_array_equal(probabilities.get_fdata()[..., 1] > 0.5, truth == 2)
    assert sidecar["Measures"] == {
        f"{SEGMENTED}left_volume_ml": pytest.approx((truth == 1).sum() * 0.008),
        f"{SEGMENTED}right_volume_ml": pytest.approx((truth == 2).sum() * 0.008),
        f"{SEGMENTED}volume_ml": pytest.approx((truth > 0).sum() * 0.008),
    }
    assert (sidecar["Engine"], sidecar["Kind"], sidecar["LabelNumbers"]) == ("e", kind, [7, 7])
    assert not sidecar["Flags"]


def test_a_mask_drawn_by_hand_may_have_shares(paths, tmp_path):
    truth = balls(paths)
    data = np.where(truth > 0, 0.6, 0.4).astype(np.float32)
    np.testing.assert_array_equal(segmented(paths, tmp_path, "manual", data, (1, 1))[1], truth)


def test_another_program_on_another_grid(paths, tmp_path):
    """1 mm along the axes of the scanner."""
    _, _, turn = paths
    affine = np.eye(4)
    affine[:3, 3] = -80
    at = nib.affines.apply_affine(affine, np.moveaxis(np.indices((170, 170, 170)), 0, -1))
    x, y, z = np.moveaxis((at - SHIFT) @ turn, -1, 0)
    data = 10 * ((x + 12) ** 2 + (y + 18) ** 2 + (z - 8) ** 2 < 90.25)
    data = (data + 49 * ((x - 12) ** 2 + (y + 18) ** 2 + (z - 8) ** 2 < 100)).astype(np.int16)
    numbers = labels_of("freesurfer", "thalamus")
    sidecar, sides, _ = segmented(paths, tmp_path, "import", data, numbers, affine=affine)
    for side, number, volume in (("left", 10, 3.591), ("right", 49, 4.189)):
        name = f"{SEGMENTED}{side}_volume_ml"
        assert sidecar["Measures"][name] == pytest.approx(volume, rel=0.02)
        assert sidecar["Measures"][name] == pytest.approx((data == number).sum() / 1000, rel=0.02)
    truth = balls(paths)
    assert (sides[truth > 0] == truth[truth > 0]).mean() > 0.95
    assert not sidecar["Flags"]
    one = np.where(data > 0, 5, 0)
    _, again, _ = segmented(paths, tmp_path, "import", one, (5, 5), affine=affine)
    assert (again != sides).sum() <= 4


def test_what_cannot_be_the_region_is_refused(paths, tmp_path):
    truth = balls(paths)
    with pytest.raises(InputError, match=r"labels.nii.gz: its left side lies 12 mm .*exchanged"):
        segmented(paths, tmp_path, "import", truth, (2, 1))
    with pytest.raises(InputError, match="no voxel has the label 10 or 49"):
        segmented(paths, tmp_path, "import", truth, (10, 49))
    with pytest.raises(InputError, match="no voxel has the label 1"):
        segmented(paths, tmp_path, "manual", 0 * truth + (np.indices(SHAPE)[0] < 0), (1, 1))
    away = paths[1].copy()
    away[2, 3] += 58
    with pytest.raises(InputError, match=r"outside of the brain of the T1w; is it of this scan"):
        segmented(paths, tmp_path, "import", truth, (1, 2), affine=away)
    with pytest.raises(InputError, match="not probabilities"):
        segmented(paths, tmp_path, "import", truth * 0.3, (1, 2))


def test_doubts_are_flags_and_no_numbers(paths, tmp_path):
    truth = balls(paths)
    sidecar, _, _ = segmented(paths, tmp_path, "import", np.where(truth == 1, 1, 0), (1, 2))
    assert sidecar["Flags"] == ["no voxel of the thalamus on the right: look at it"]
    assert list(sidecar["Measures"]) == [f"{SEGMENTED}left_volume_ml"]
    sidecar, _, _ = segmented(paths, tmp_path, "atlas", 0 * truth, (6, 6))
    assert "no voxel of the thalamus on the left and the right" in sidecar["Flags"][0]
    assert sidecar["Measures"] == {}
    sidecar, _, _ = segmented(paths, tmp_path, "atlas", balls(paths, 7, 9, 9), (1, 2))
    small, uneven = sidecar["Flags"]
    assert "outside 6 to 24" in small and "thalamus: the left side is 0.4" in uneven


def test_a_region_at_the_edge_of_the_scan_is_flagged(paths, tmp_path):
    """Labels of a larger field of view than the T1w's."""
    folder, affine, _ = paths
    larger = affine.copy()
    larger[:3, 3] = nib.affines.apply_affine(affine, (0, 0, -40))
    data = np.zeros((*SHAPE[:2], SHAPE[2] + 40), np.uint8)
    data[30:34, 30:40, 35:50], data[36:40, 30:40, 35:50] = 1, 2
    mask = nib.load(folder / "mask.nii.gz")
    try:
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), affine), folder / "mask.nii.gz")
        sidecar, _, _ = segmented(paths, tmp_path, "import", data, (1, 2), affine=larger)
    finally:
        nib.save(mask, folder / "mask.nii.gz")
    assert "9.60 mL in the program's own file, 6.40 mL on the grid" in sidecar["Flags"][0]


def members(paths, folder):
    """Three results: the second lacks what the others have beyond, the third is elsewhere."""
    names = []
    for number, radii in enumerate([(9.5, 10), (9.5, 10), (6, 7)]):
        out = folder / str(number)
        segmented(paths, out, "atlas", balls(paths, *radii), (1, 2))
        names.append(out)
    return names


def test_vote_is_the_majority_and_mean_the_mean(paths, tmp_path):
    three = members(paths, tmp_path)
    voted = segmented(
        paths, tmp_path / "v", "vote", members=[m / "dseg.nii.gz" for m in three], of=["a"]
    )
    np.testing.assert_array_equal(voted[1], balls(paths))
    two = [three[0], three[2]]
    tied = segmented(
        paths, tmp_path / "t", "vote", members=[m / "dseg.nii.gz" for m in two], of=["a"]
    )
    np.testing.assert_array_equal(tied[1], balls(paths, 6, 7))
    averaged = segmented(
        paths, tmp_path / "m", "mean", members=[m / "dseg.nii.gz" for m in two],
        probabilities=[m / "probseg.nii.gz" for m in two], of=["a"],
    )  # fmt: skip
    large, small = balls(paths), balls(paths, 6, 7)
    assert (averaged[1] > 0).sum() == pytest.approx(
        ((large > 0).sum() + (small > 0).sum()) / 2, abs=1
    )
    np.testing.assert_array_equal(averaged[1][small > 0], small[small > 0])
    assert not averaged[1][large == 0].any()
    shares = np.unique(averaged[2].get_fdata().round(2))
    np.testing.assert_allclose(shares, [0, 0.5, 1], atol=0.01)


def test_mean_of_probabilities_that_add_up_to_more_has_the_mean_volume(paths, tmp_path):
    """As those of a network do: .4 in a shell of 3 mm around what it calls the region."""
    two = members(paths, tmp_path)[::2]
    soft = []
    for number, radii in enumerate([(9.5, 10), (6, 7)]):
        wide = balls(paths, *(radius + 3 for radius in radii))
        sides = balls(paths, *radii)
        shares = np.stack([(sides == n) + 0.4 * ((wide == n) & (sides != n)) for n in (1, 2)], -1)
        soft.append(tmp_path / f"soft{number}.nii.gz")
        nib.save(nib.Nifti1Image(shares.astype(np.float32), paths[1]), soft[-1])
    _, sides, _ = segmented(
        paths, tmp_path / "m", "mean", members=[m / "dseg.nii.gz" for m in two],
        probabilities=soft, of=["a"],
    )  # fmt: skip
    volumes = [(balls(paths, *radii) > 0).sum() for radii in ((9.5, 10), (6, 7))]
    assert (sides > 0).sum() == pytest.approx(np.mean(volumes), abs=1)


def test_numbers_and_names():
    labels = np.array([0, 10, 49, 10])
    right = np.array([1.0, -3, 4, -2])
    assert sides_of(labels, Labels(10, 49), right).tolist() == [0, 1, 2, 1]
    assert exchanged(np.array([0, 1, 2, 1]), right) is None
    assert "right side lies 2 mm" in exchanged(np.array([0, 1, 1, 2]), np.array([0, -5, 1, -2.0]))
    assert labels_of("dbsegment", "thalamus") == (24, 25)
    with pytest.raises(InputError, match=r"mindglide .*deep grey matter \(3\)"):
        labels_of("mindglide", "thalamus")
    with pytest.raises(InputError, match="which knows it of atlas, meshnet, freesurfer"):
        labels_of("brainsuite", "thalamus")
    assert region_of("thalamus") == region_of("Thalamus") == "thalamus"
    assert region_of("lesion") is None
