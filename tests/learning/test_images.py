from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.images import (
    Around,
    Template,
    box_affine,
    box_around,
    cut,
    make_grid,
    native_volume,
    normalized_volume,
    read_template,
    region_mask,
)

AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -50], [0, 0, 2, -30], [0, 0, 0, 1]])
WHOLE = {"channels": ["T1w"], "space": "MNI152", "region": "brain", "downsample": 1}
VENTRICLES, BRAINSTEM = 4, 5  # resources/regions.tsv


@pytest.fixture
def mask():
    mask = np.zeros((30, 40, 26), bool)
    mask[3:25, 5:38, 0:20] = True
    return mask


@pytest.fixture
def template(mask):
    """White matter for small y, grey for large y, ventricles between, a brainstem at the edge."""
    brain = nib.Nifti1Image(mask.astype(np.uint8), AFFINE)
    regions = np.zeros(mask.shape, np.uint8)
    regions[10:14, 18:23, 8:13] = VENTRICLES
    regions[:5, 6:9, 0:3] = BRAINSTEM  # of which two of five sheets are in the brain
    wm = np.zeros(mask.shape, np.float32)
    wm[:, :20] = 0.9
    wm[:, 20:22] = 0.5
    return Template(brain, regions, 1 - wm, wm)


def image(path, data, affine=AFFINE):
    nib.save(nib.Nifti1Image(data, affine), path)
    return str(path)


@pytest.mark.parametrize("downsample", [1, 2])
def test_box_holds_the_brain(mask, downsample):
    box = box_around(mask, downsample)
    small = cut(mask.astype(float), box, downsample)
    assert all(size % 8 == 0 for size in small.shape)
    assert small.sum() * downsample**3 == pytest.approx(mask.sum())


@pytest.mark.parametrize("downsample", [1, 2])
@pytest.mark.parametrize("shape", [None, (9, 30, 16)])
def test_affine_of_the_box_keeps_positions(mask, downsample, shape):
    x = np.indices(mask.shape)[0] * AFFINE[0, 0] + AFFINE[0, 3]
    box = box_around(mask, downsample, shape)
    small, affine = cut(x, box, downsample), box_affine(AFFINE, box, downsample)
    i, j, k = np.array(small.shape) // 2
    assert small[i, j, k] == pytest.approx((affine @ [i, j, k, 1])[0])


@pytest.mark.parametrize("downsample", [1, 2])
def test_a_shape_that_is_given_lies_around_the_middle_of_the_region(downsample):
    """Smaller than the region along x, larger along y than the grid, and odd along z."""
    region = np.zeros((40, 20, 30), bool)
    region[4:36, 5:15, 11:18] = True
    shape = (8, 24, 9)
    small = cut(region.astype(float), box_around(region, downsample, shape), downsample)
    assert small.shape == shape
    middle = (np.array(shape) - 1) / 2
    inside = np.argwhere(small > 0)
    np.testing.assert_allclose(inside[:, 1:].mean(axis=0), middle[1:], atol=0.5)
    assert small.sum() * downsample**3 == 8 * downsample * 10 * 7


def test_regions_are_those_of_the_template(template, mask):
    """Counted by hand; tissue outside of the atlas's structures, and all inside of the brain."""
    assert np.array_equal(region_mask("brain", template), mask)
    ventricles, brainstem = (region_mask(name, template) for name in ("ventricles", "brainstem"))
    assert ventricles.sum() == 4 * 5 * 5
    assert brainstem.sum() == 2 * 3 * 3
    white, grey = (region_mask(name, template) for name in ("white_matter", "grey_matter"))
    assert white.sum() == 22 * 15 * 20 - brainstem.sum() - 4 * 2 * 5
    assert grey.sum() == 22 * 16 * 20 - 4 * 5  # of the ventricles y = 22 is grey
    assert not (white & grey).any() and not ((white | grey) & ventricles).any()
    assert not region_mask("thalamus", template).any()
    assert np.array_equal(region_mask("brainstem+ventricles", template), brainstem | ventricles)


def test_template_is_read_from_the_images_of_the_rule(template, mask, tmp_path):
    parts = {"mask": mask.astype(np.uint8), "regions": template.regions}
    parts |= {"gm": template.gm, "wm": template.wm}
    source = {
        f"template_{name}": image(tmp_path / f"{name}.nii.gz", data) for name, data in parts.items()
    }
    read = read_template(source)
    for name in ("brain", "ventricles", "white_matter", "grey_matter"):
        assert np.array_equal(region_mask(name, read), region_mask(name, template))
    np.testing.assert_array_equal(read.brain.affine, AFFINE)


def test_channels_have_mean_1_in_the_brain_and_are_0_outside(template, mask, tmp_path):
    """The first as it is alone; the second, with a skull, inside of the first's brain."""
    rng = np.random.default_rng(0)
    own = mask.copy()
    own[3:5] = False  # this head's brain is smaller than the template's
    t1w = np.where(own, rng.uniform(50, 150, mask.shape), 0).astype(np.float32)
    flair = rng.uniform(5, 15, mask.shape).astype(np.float32)
    paths = [image(tmp_path / f"{n}.nii.gz", data) for n, data in enumerate((t1w, flair))]
    grid = make_grid(WHOLE, template)
    volume = normalized_volume(paths, paths[0], grid)
    inside = np.asanyarray(grid.mask.dataobj) > 0
    assert volume.dtype == np.float16 and volume.shape == (2, *inside.shape)
    assert inside.sum() == mask.sum()
    for channel in volume.astype(float):
        assert channel[inside].mean() == pytest.approx(1, abs=1e-3)
        assert not channel[~inside].any()
    assert np.array_equal(volume[:1], normalized_volume(paths[:1], paths[0], grid))
    assert np.array_equal(volume[1:], normalized_volume(paths[1:], paths[0], grid))
    assert np.array_equal(volume[1] > 0, volume[0] > 0)
    here = tuple(np.array([20, 20, 10]) - [part.start for part in grid.box])
    expected = flair[20, 20, 10] / np.where(own, flair, 0)[mask].mean()
    assert volume[1][here] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("downsample", [1, 2])
def test_a_region_is_scaled_by_the_brain_and_cut_to_its_box(template, mask, tmp_path, downsample):
    """An image that is its own voxel's x: values of known places, 0 outside of the region."""
    x = np.where(mask, np.indices(mask.shape)[0], 0).astype(np.float32)
    path = image(tmp_path / "x.nii.gz", x)
    whole = make_grid(WHOLE | {"downsample": downsample}, template)
    grid = make_grid(WHOLE | {"region": "ventricles", "downsample": downsample}, template)
    volume = normalized_volume([path], path, grid)[0]
    assert volume.shape == (8, 8, 8) == grid.mask.shape
    assert (volume > 0).sum() * downsample**3 >= 100
    large = normalized_volume([path], path, whole)[0]
    to_large = np.linalg.inv(whole.mask.affine) @ grid.mask.affine
    inside = np.argwhere(np.asanyarray(grid.mask.dataobj) > 0)
    if downsample == 1:
        assert len(inside) == (volume > 0).sum() == 100
        there = np.round(nib.affines.apply_affine(to_large, inside)).astype(int)
        assert np.array_equal(volume[tuple(inside.T)], large[tuple(there.T)])
    world = nib.affines.apply_affine(grid.mask.affine, inside).mean(axis=0)
    # of blocks of two voxels those count of which more than half is in the region
    np.testing.assert_allclose(world, AFFINE[:3, :3] @ [11.5, 20, 10] + AFFINE[:3, 3], atol=2.1)


def test_a_shape_of_the_configuration_is_that_of_the_volume(template, mask, tmp_path):
    path = image(tmp_path / "t1w.nii.gz", mask.astype(np.float32))
    entry = WHOLE | {"region": "ventricles", "shape": [10, 12, 9]}
    grid = make_grid(entry, template)
    assert grid.mask.shape == (10, 12, 9) == normalized_volume([path], path, grid).shape[1:]
    assert np.asanyarray(grid.mask.dataobj).sum() == 100


def test_what_holds_no_brain_is_named(template, mask, tmp_path):
    empty = image(tmp_path / "e.nii.gz", np.zeros(mask.shape, np.float32))
    brain = image(tmp_path / "b.nii.gz", mask.astype(np.float32))
    small = image(tmp_path / "s.nii.gz", np.ones((8, 8, 8), np.float32))
    grid = make_grid(WHOLE, template)
    with pytest.raises(InputError, match="e.nii.gz: mean intensity"):
        normalized_volume([empty], empty, grid)
    with pytest.raises(InputError, match="e.nii.gz: mean intensity"):
        normalized_volume([brain, empty], brain, grid)
    with pytest.raises(InputError, match="s.nii.gz: not on the template's grid .*30, 40, 26"):
        normalized_volume([brain, small], brain, grid)


# Native scans: a slanted slab of thick slices, as of a wrist.
SPACING, SLAB = [0.6, 0.6, 3.3], (40, 36, 12)


def slanted(shape=SLAB, spacing=SPACING, degrees=25):
    """Affine of a slab whose slices lie askew, with its middle at (12, -30, 45) mm."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    axes = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * spacing
    return nib.affines.from_matvec(axes, [12, -30, 45] - axes @ (np.array(shape) - 1) / 2)


def field(shape, affine):
    """A function of the place in mm that is positive and linear: interpolation is exact."""
    x, y, z = np.moveaxis(
        nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)), -1, 0
    )
    return (200 + x + 2 * y - 0.5 * z).astype(np.float32)


@pytest.fixture
def slab(tmp_path):
    affine = slanted()
    return image(tmp_path / "slab.nii.gz", field(SLAB, affine), affine)


def test_native_volume_is_the_scan_itself_around_its_middle(slab):
    """On its own spacing no value is interpolated; the box is cut and padded on both sides."""
    data = nib.load(slab).get_fdata()
    (volume,) = native_volume([slab], SPACING, [20, 40, 12])
    middle = data[10:30]
    np.testing.assert_allclose(volume[:, 2:38], middle / middle.mean(), rtol=1e-3)
    assert not volume[:, :2].any() and not volume[:, 38:].any()
    assert volume.dtype == np.float16


def test_native_volume_of_another_spacing_lies_around_the_same_place(slab):
    (fine,) = native_volume([slab], [0.4, 0.8, 1.1], [24, 24, 24])
    affine = slanted((24, 24, 24), [0.4, 0.8, 1.1])
    expected = field((24, 24, 24), affine)
    np.testing.assert_allclose(fine, expected / expected.mean(), rtol=2e-3)


def test_storage_does_not_matter(slab, tmp_path):
    """Axes flipped and exchanged, and a fourth axis of one volume: the same array."""
    data, affine = nib.load(slab).get_fdata(dtype=np.float32), nib.load(slab).affine
    expected = native_volume([slab], SPACING, [32, 32, 8])
    flipped = affine @ np.array([[-1, 0, 0, 39], [0, 1, 0, 0], [0, 0, -1, 11], [0, 0, 0, 1]])
    exchanged = affine[:, [2, 0, 1, 3]]
    for name, stored, placed in (
        ("flipped", data[::-1, :, ::-1], flipped),
        ("exchanged", np.transpose(data, (2, 0, 1)), exchanged),
        ("fourth", data[..., None], affine),
        ("both", data[::-1, :, ::-1, None], flipped),
    ):
        path = image(tmp_path / f"{name}.nii.gz", stored, placed)
        found = native_volume([path], SPACING, [32, 32, 8])
        np.testing.assert_allclose(found, expected, rtol=1e-3, err_msg=name)


def test_second_channel_comes_to_the_grid_of_the_first(slab, tmp_path):
    """Another slant and other voxels, flipped; 0 where it does not reach."""
    shape = (30, 30, 20)
    affine = slanted(shape, [1.0, 1.0, 2.0], degrees=10)
    turned = affine @ np.diag([-1.0, 1, 1, 1])
    turned[:3, 3] = affine @ [29, 0, 0, 1] @ np.eye(4)[:, :3]
    other = image(tmp_path / "other.nii.gz", field(shape, affine)[::-1], turned)
    first, second = native_volume([slab, other], SPACING, [24, 24, 8])
    assert np.array_equal(first, native_volume([slab], SPACING, [24, 24, 8])[0])
    expected = field((24, 24, 8), slanted((24, 24, 8)))
    np.testing.assert_allclose(second, expected / expected.mean(), rtol=2e-3)
    beyond = native_volume([slab, other], SPACING, [40, 36, 16])[1]
    assert not beyond[:, :, 0].all() and beyond[20, 18, 8] > 0


def test_a_native_volume_is_cut_around_a_region(slab, tmp_path):
    """Around the middle of its box, and 0 beyond the margin; all of the scan where it is empty."""
    data, affine = nib.load(slab).get_fdata(dtype=np.float32), nib.load(slab).affine
    sides = np.zeros(SLAB, np.float32)
    sides[6:11, 8:13, 3:6] = 1
    path = image(tmp_path / "sides.nii.gz", sides, affine)
    (volume,) = native_volume([slab], SPACING, [16, 16, 8], Around(path, 1.2))
    kept = np.pad(sides, 4)
    kept = ndimage.distance_transform_edt(kept == 0, sampling=SPACING)[4:-4, 4:-4, 4:-4] <= 1.201
    # the middle voxel (8, 10, 4) comes to the place 7.5 of 16 and 3.5 of 8: halves of voxels
    odd = native_volume([slab], SPACING, [17, 17, 9], Around(path, 1.2))[0]
    expected = np.pad(data * kept, 10)[10:27, 12:29, 10:19]
    np.testing.assert_allclose(odd, expected / expected[expected > 0].mean(), rtol=2e-3, atol=1e-5)
    assert volume[8, 8, 4] > 0 and not volume[14:].any() and not volume[:, :, 7].any()
    empty = image(tmp_path / "empty.nii.gz", np.zeros(SLAB, np.float32), affine)
    whole = native_volume([slab], SPACING, [16, 16, 8], Around(empty, 1.2))
    np.testing.assert_array_equal(whole, native_volume([slab], SPACING, [16, 16, 8]))
    small = image(tmp_path / "small.nii.gz", np.zeros((4, 4, 4), np.float32), affine)
    with pytest.raises(InputError, match="small.nii.gz: not on the grid of its scan"):
        native_volume([slab], SPACING, [16, 16, 8], Around(small, 1.2))


def test_native_scans_that_cannot_be_used_are_named(slab, tmp_path):
    affine = slanted()
    series = image(tmp_path / "series.nii.gz", np.ones((*SLAB, 2), np.float32), affine)
    with pytest.raises(InputError, match=r"series.nii.gz: has the shape \(40, 36, 12, 2\)"):
        native_volume([slab, series], SPACING, [8, 8, 8])
    away = affine.copy()
    away[:3, 3] += 500
    away = image(tmp_path / "away.nii.gz", np.ones(SLAB, np.float32), away)
    with pytest.raises(InputError, match="away.nii.gz: nothing in the box"):
        native_volume([slab, away], SPACING, [8, 8, 8])


def test_grids_differ_where_the_template_does(template):
    finer = replace(template, brain=nib.Nifti1Image(template.brain.dataobj, AFFINE / 2))
    assert not np.allclose(
        make_grid(WHOLE, template).mask.affine, make_grid(WHOLE, finer).mask.affine
    )
