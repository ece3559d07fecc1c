"""Results of fMRIPrep that stand in for ours: same voxels, same transforms, refused where not."""

import json
from types import SimpleNamespace

import ants
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from workflow_scripts.anatomical.preprocessed import (
    as_own_transforms,
    on_grid_of,
    preprocessed_t1w,
    preprocessed_tissues,
    taken_from,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.transforms import LPS, PointTransform, move

SHAPE = (12, 14, 16)


@pytest.fixture
def scan(tmp_path):
    """A raw T1w in the order PIL, oblique."""
    data = np.random.default_rng(0).uniform(50, 900, SHAPE).astype(np.float32)
    turn = np.deg2rad(8)
    affine = np.array([[0, 0, -1.2, 9], [-2.0, 0, 0, 3], [0, -1.5, 0, 40], [0, 0, 0, 1]])
    affine[:3, :3] = [
        [np.cos(turn), -np.sin(turn), 0],
        [np.sin(turn), np.cos(turn), 0],
        [0, 0, 1],
    ] @ affine[:3, :3]
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "sub-1_T1w.nii.gz")
    return nib.load(tmp_path / "sub-1_T1w.nii.gz")


def saved(data, scan, path, shift=0.0):
    """A file of another program: the data of a scan's voxels, stored in RAS order."""
    affine = scan.affine.copy()
    affine[0, 3] += shift
    nib.save(nib.as_closest_canonical(nib.Nifti1Image(data, affine)), path)
    return str(path)


def test_voxels_come_back_in_the_order_of_the_scan(scan, tmp_path):
    data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    path = saved(data, scan, tmp_path / "x.nii.gz")
    assert nib.load(path).shape != SHAPE
    np.testing.assert_array_equal(on_grid_of(path, scan), data)


def test_another_grid_is_refused(scan, tmp_path):
    path = saved(np.ones(SHAPE, np.float32), scan, tmp_path / "x.nii.gz", shift=0.5)
    with pytest.raises(InputError, match=r"x\.nii\.gz: its voxels are not those of sub-1_T1w"):
        on_grid_of(path, scan)


def test_t1w_and_mask_of_the_scan_are_taken_and_of_another_refused(scan, tmp_path):
    raw = scan.get_fdata(dtype=np.float32)
    field = np.linspace(0.8, 1.2, SHAPE[0], dtype=np.float32)[:, None, None]
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:10, 3:12, 4:14] = 1
    files = [saved(raw / field, scan, tmp_path / "t.nii.gz"), saved(mask, scan, tmp_path / "m.nii")]
    t1w, inside = preprocessed_t1w(files, scan)
    np.testing.assert_allclose(t1w, raw / field, rtol=1e-6)
    np.testing.assert_array_equal(inside, mask > 0)
    other = saved(raw[::-1].copy(), scan, tmp_path / "other.nii.gz")
    with pytest.raises(InputError, match="is it of this scan"):
        preprocessed_t1w([other, files[1]], scan)
    empty = saved(0 * mask, scan, tmp_path / "empty.nii.gz")
    with pytest.raises(InputError, match="empty"):
        preprocessed_t1w([files[0], empty], scan)


def test_tissues_must_sum_to_one_in_the_brain(scan, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:10, 3:12, 4:14] = 1
    shares = np.random.default_rng(1).dirichlet([1, 2, 3], SHAPE).astype(np.float32)
    files = [
        saved(shares[..., t] * mask, scan, tmp_path / f"{name}.nii.gz")
        for t, name in enumerate(("csf", "gm", "wm"))
    ]
    found = preprocessed_tissues(files, scan, mask)
    np.testing.assert_allclose(found, shares * mask[..., None], atol=1e-6)
    with pytest.raises(InputError, match=r"sum to 1\.\d+ in the brain"):
        preprocessed_tissues([files[2], files[1], files[2]], scan, mask)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (
            {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.2.1"}]},
            "taken from fMRIPrep 23.2.1",
        ),
        ({"PipelineDescription": {"Name": "fMRIPrep"}}, "taken from fMRIPrep"),
    ],
)
def test_the_program_is_named_as_its_dataset_names_it(tmp_path, description, said):
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    (tmp_path / "sub-1/anat").mkdir(parents=True)
    assert taken_from(str(tmp_path / "sub-1/anat/x_T1w.nii.gz")) == said


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Composite transforms by ANTs itself, of a brain that is turned, stretched and warped."""
    folder = tmp_path_factory.mktemp("registered")
    template, mask = load_mni152_template(4), load_mni152_brain_mask(4)
    nib.save(template, folder / "template.nii.gz")
    nib.save(
        nib.Nifti1Image(mask.get_fdata().astype(np.uint8), mask.affine), folder / "mask.nii.gz"
    )
    turn = np.deg2rad(6)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, :3] *= 1.07
    affine[:3, 3] = 5, -3, 8
    data = template.get_fdata(dtype=np.float32)
    bent = np.roll(data[:, :, : data.shape[2] // 2], 1, axis=1)
    data = np.concatenate([bent, data[:, :, data.shape[2] // 2 :]], axis=2)
    nib.save(nib.Nifti1Image(data, affine @ template.affine), folder / "brain.nii.gz")
    found = ants.registration(
        ants.image_read(str(folder / "template.nii.gz")),
        ants.image_read(str(folder / "brain.nii.gz")),
        "SyN",
        outprefix=f"{folder}/",
        write_composite_transform=True,
        random_seed=1,
        reg_iterations=(20, 10),
    )
    return SimpleNamespace(
        files=[found["fwdtransforms"], found["invtransforms"]],
        source=SimpleNamespace(
            template=str(folder / "template.nii.gz"), template_mask=str(folder / "mask.nii.gz")
        ),
        brain=str(folder / "brain.nii.gz"),
    )


def test_points_go_the_same_way_through_composite_and_own_transforms(registered, tmp_path):
    affine, warp, inverse = as_own_transforms(registered.files, registered.source, str(tmp_path))
    mask = nib.load(registered.source.template_mask)
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)[::20]
    points = move(mask.affine, voxels)
    frame = pd.DataFrame(dict(zip("xyz", (points @ LPS[:3, :3]).T, strict=True)))
    expected = ants.apply_transforms_to_points(3, frame, [registered.files[0]])
    expected = expected[["x", "y", "z"]].to_numpy() @ LPS[:3, :3]
    there = PointTransform([warp, affine])(points)
    np.testing.assert_allclose(there, expected, atol=0.05)
    # The inverse affine before the inverse warp, as from_template applies them.
    template = ants.image_read(registered.source.template)
    brain = ants.image_read(registered.brain)
    ours = ants.apply_transforms(brain, template, [affine, inverse], whichtoinvert=[True, False])
    theirs = ants.apply_transforms(brain, template, [registered.files[1]])
    inside = theirs.numpy() > 0.2
    assert np.abs(ours.numpy() - theirs.numpy())[inside].mean() < 0.01
    # The affine holds the size, so that the Jacobian of the warp is that of the shape alone.
    jacobian = ants.create_jacobian_determinant_image(template, warp).numpy()
    assert np.median(jacobian[np.asanyarray(mask.dataobj) > 0]) == pytest.approx(1, abs=0.05)


def test_transforms_that_do_not_belong_together_are_refused(registered, tmp_path):
    forward = registered.files[0]
    with pytest.raises(InputError, match="is not the inverse of"):
        as_own_transforms([forward, forward], registered.source, str(tmp_path))
