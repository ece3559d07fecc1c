"""Limits: 2 % for lumens of 6 voxels, 5 % for 3 voxels, from partial volumes."""

import nibabel as nib
import numpy as np
import pytest

from tests.vessel_wall.tubes import Tube, binary, grid, partial_volumes, rotation, save_pair
from workflow_scripts.common.job import InputError
from workflow_scripts.vessel_wall.masks import vessel_from_masks
from workflow_scripts.vessel_wall.sections import measure_sections

VOXEL = 0.5
KINDS = {
    "straight": {},
    "oblique": {"oblique": True},
    "curved": {"oblique": True, "bend": 8.0},
    "eccentric": {"oblique": True, "offset": 0.35},
    "curved eccentric": {"oblique": True, "offset": 0.35, "bend": 12.0},
}


def tubes(kind, across, count=3):
    """Tubes of random directions and sub-voxel shifts, ``across`` voxels of lumen."""
    rng, settings = np.random.default_rng([across, len(kind)]), dict(KINDS[kind])
    oblique, radius = settings.pop("oblique", False), across * VOXEL / 2
    for _ in range(count):
        tilt, turn = rng.uniform(10, 80), rng.uniform(0, 90)
        direction = {"tilt": tilt, "turn": turn} if oblique else {}
        shift = rng.uniform(0, VOXEL, 3)
        yield Tube(radius, radius + 1, 18, shift=shift, **direction, **settings)


def measured(tube, folder, make, suffix, zooms=(VOXEL,) * 3):
    shape, affine = grid([tube], zooms)
    paths = save_pair(make(tube, shape, affine), affine, folder, "sub-01_label-BA", suffix)
    vessel = vessel_from_masks(*paths, None, "BA")
    return vessel, measure_sections(vessel.lumen, vessel.outer)


def fine(tube, shape, affine):
    return partial_volumes(tube, shape, affine, 6)


def errors(tube, found):
    """Of the segment (NWI, lumen area, mean thickness), and the worst of the sections."""
    truth = {
        "nwi": tube.nwi,
        "lumen_area_mm2": tube.lumen_area,
        "wall_thickness_mean_mm": tube.mean_thickness,
    }
    segment = [found[name].mean() / value - 1 for name, value in truth.items()]
    worst = [np.abs(found[name] / value - 1).max() for name, value in truth.items()]
    return np.array(segment), np.array(worst)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("across", "limit"), [(6, 0.02), (3, 0.05)])
def test_partial_volumes_within_the_limits_in_every_section(tmp_path, kind, across, limit):
    both = []
    for tube in tubes(kind, across):
        vessel, found = measured(tube, tmp_path, fine, "probseg")
        assert vessel.source == "partial volume"
        segment, worst = errors(tube, found)
        both.append((segment, worst))
        thickest = 1 + tube.offset
        assert found["wall_thickness_max_mm"].mean() == pytest.approx(thickest, rel=0.05)
        true = 2 * tube.offset / thickest
        assert found["wall_eccentricity"].mean() == pytest.approx(true, abs=0.08)
        assert not vessel.flags
        assert np.ptp(vessel.frames.position) > 9
    segments, worst = (np.array(part) for part in zip(*both, strict=True))
    print(kind, across, "segment", segments.round(4).tolist(), "section", worst.max(0).round(4))
    assert np.abs(segments).max() < limit
    assert worst.max() < limit
    assert np.abs(segments.mean(axis=0)).max() < limit / 2


def area_of_the_voxels(tube, vessel):
    """Volume of a binary lumen along the measured piece over its length: all it can tell."""
    shape, affine = grid([tube], (VOXEL,) * 3)
    points = np.argwhere(binary(tube, shape, affine)[0]) * VOXEL + affine[:3, 3]
    measured_piece = tube.coordinates(vessel.frames.centre)[0]
    low, high = measured_piece.min() - 0.25, measured_piece.max() + 0.25
    along = tube.coordinates(points)[0]
    return ((along > low) & (along < high)).sum() * VOXEL**3 / (high - low)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "straight"])
@pytest.mark.parametrize(("across", "limit"), [(6, 0.02), (3, 0.05)])
def test_binary_segments(tmp_path, kind, across, limit):
    """NWI and thickness within the limits; lumen area with 6 voxels too, and on average with 3.

    With 3 voxels the worst tube here misses the limit: its area is 6.4 % too
    large, the count of its voxels 4.7 %. It is flagged, and the areas follow the
    voxels' within the noise of the piece's two ends. Of 20 other tubes per kind the
    worst area was 3.5 % off with 6 voxels and 9.2 % with 3, so both are flagged.
    """
    found = []
    for tube in tubes(kind, across):
        vessel, sections = measured(tube, tmp_path, binary, "mask")
        assert vessel.source == "binary"
        assert "small_lumen" in vessel.flags
        voxels = area_of_the_voxels(tube, vessel) / tube.lumen_area - 1
        found.append([*errors(tube, sections)[0], voxels])
    found = np.array(found)
    print(kind, across, found.round(4).tolist())
    assert np.abs(found[:, [0, 2]]).max() < limit
    assert abs(found[:, 1].mean()) < limit
    if across == 6:
        assert np.abs(found[:, 1]).max() < limit
    np.testing.assert_allclose(found[:, 1], found[:, 3], atol=0.02)


@pytest.mark.parametrize("across", [3, 6])
def test_binary_tubes_along_a_voxel_axis_are_flagged(tmp_path, across):
    """Every slice has the same pixels, whose number is all that is known of the area."""
    for tube in tubes("straight", across):
        vessel, found = measured(tube, tmp_path, binary, "mask")
        assert "aligned_staircase" in vessel.flags
        pixels = binary(tube, *grid([tube], (VOXEL,) * 3))[0].any(axis=2).sum()
        np.testing.assert_allclose(found["lumen_area_mm2"], pixels * VOXEL**2, rtol=0.01)


def test_anisotropic_voxels(tmp_path):
    tube = Tube(2.0, 3.0, 30, 12, 30, (0.1, 0.2, 0.3))
    _, found = measured(tube, tmp_path, fine, "probseg", (0.5, 0.5, 2.0))
    assert np.abs(errors(tube, found)[0][:2]).max() < 0.02


@pytest.mark.parametrize("flip", [False, True])
def test_oblique_frames_of_the_scanner_do_not_matter(tmp_path, flip):
    """The same voxels in a turned, shifted, mirrored frame: the same numbers, moved centres."""
    tube = next(tubes("curved eccentric", 6))
    shape, affine = grid([tube])
    volumes = fine(tube, shape, affine)
    moved = np.eye(4)
    moved[:3, :3] = rotation(35, 50) @ np.diag([-1 if flip else 1, 1, 1])
    moved[:3, 3] = [10, -20, 30]
    first, second = (
        vessel_from_masks(*save_pair(volumes, a, tmp_path, name, "probseg"), "L", "ICA")
        for name, a in (("sub-1_label-ICA", affine), ("sub-2_label-ICA", moved @ affine))
    )
    np.testing.assert_allclose(
        measure_sections(first.lumen, first.outer)["nwi"],
        measure_sections(second.lumen, second.outer)["nwi"],
        rtol=5e-3,
    )
    expected = first.frames.centre @ moved[:3, :3].T + moved[:3, 3]
    np.testing.assert_allclose(second.frames.centre, expected, atol=0.02)


def test_sections_cut_by_oblique_ends_are_left_out(tmp_path):
    """A tube that leaves the image obliquely: only whole sections remain, all with true areas."""
    tube = Tube(1.5, 2.5, 40, 40, 20, (0.2, 0.1, 0))
    shape, affine = grid([tube])
    volumes = fine(tube, shape, affine)
    keep = slice(shape[2] // 2 - 20, shape[2] // 2 + 20)
    cut = [np.where(np.isin(np.arange(shape[2]), np.r_[keep]), v, 0) for v in volumes]
    paths = save_pair(cut, affine, tmp_path, "sub-01_label-BA", "probseg")
    vessel = vessel_from_masks(*paths, None, "BA")
    _, worst = errors(tube, measure_sections(vessel.lumen, vessel.outer))
    assert worst.max() < 0.03
    whole = 20 / np.cos(np.deg2rad(40)) - 2 * 2.5 * np.tan(np.deg2rad(40))
    assert whole - 4 < np.ptp(vessel.frames.position) < whole


def test_what_limits_the_numbers_is_flagged(tmp_path):
    thin, _ = measured(Tube(2, 2.3, 20, 30, 20), tmp_path, fine, "probseg")
    assert "thin_wall" in thin.flags
    small, _ = measured(Tube(0.6, 1.6, 20, 30, 20), tmp_path, fine, "probseg")
    assert "small_lumen" in small.flags
    bent, _ = measured(Tube(1.5, 2.5, 10, bend=2.6), tmp_path, fine, "probseg")
    assert "sharp_bend" in bent.flags


def test_a_branch_and_the_edge_of_the_image_are_flagged(tmp_path):
    trunk, branch = Tube(2, 3, 24), Tube(2, 3, 14, 60, 0, (6, 0, 2.5))
    shape, affine = grid([trunk, branch])
    both = [
        np.maximum(a, b)
        for a, b in zip(fine(trunk, shape, affine), fine(branch, shape, affine), strict=True)
    ]
    paths = save_pair(both, affine, tmp_path, "sub-01_label-BA", "probseg")
    assert "volume_mismatch" in vessel_from_masks(*paths, None, "BA").flags
    half = round((-1 - affine[0, 3]) / affine[0, 0])
    moved = affine.copy()
    moved[0, 3] += half * affine[0, 0]
    tube = [volume[half:] for volume in fine(trunk, shape, affine)]
    paths = save_pair(tube, moved, tmp_path, "sub-02_label-BA", "probseg")
    assert "image_edge" in vessel_from_masks(*paths, None, "BA").flags


def pair(tmp_path, change):
    tube = Tube(1.5, 2.5, 16, 20, 10)
    shape, affine = grid([tube])
    lumen, outer = (v.astype(float) for v in binary(tube, shape, affine))
    lumen, outer = change(lumen, outer)
    return save_pair((lumen, outer), affine, tmp_path, "sub-01_label-BA", "probseg")


def broken(lumen, outer):
    lumen = lumen.copy()
    lumen[:, :, lumen.shape[2] // 2] = 0
    return lumen, outer


def one_slice(lumen, outer):
    only = np.zeros(lumen.shape[2])
    only[lumen.shape[2] // 2] = 1
    return lumen * only, outer * only


def short(lumen, outer):
    some = np.zeros(lumen.shape[2])
    some[lumen.shape[2] // 2 + np.arange(4)] = 1
    return lumen * some, outer * some


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: (b, a), "voxels of the lumen are outside the outer wall, the first at"),
        (lambda a, b: (a, b - a), "outside the outer wall.*lumen included"),
        (lambda a, b: (a, a), "outerwall.*no wall"),
        (lambda a, b: (0 * a, b), "lumen.*mask is empty"),
        (lambda a, b: (a, 0 * b), "outerwall.*mask is empty"),
        (lambda a, b: (a, 255 * b), "values run from 0 to 255"),
        (lambda a, b: (a - b, b), "values run from -1 to"),
        (lambda a, b: (a, np.where(b > 0, np.nan, 0)), "NaN"),
        (lambda a, b: (a, b[:-1]), "its grid is not that of"),
        (lambda a, b: (a, np.stack([b, b], axis=-1)), "has 4 dimensions"),
        (broken, "in 2 pieces of"),
        (one_slice, "a single section has no centre line"),
        (short, "hardly longer than it is wide"),
    ],
)
def test_unusable_masks_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=f"(?s)sub-01_label-BA_desc-.*{message}"):
        vessel_from_masks(*pair(tmp_path, change), None, "BA")


def test_other_affine_and_damaged_file_are_refused(tmp_path):
    lumen, outer = pair(tmp_path, lambda a, b: (a, b))
    image = nib.load(outer)
    moved = image.affine + 0.3 * np.eye(4)[:, [3, 3, 3, 0]].T
    nib.save(nib.Nifti1Image(image.get_fdata(), moved), tmp_path / "moved.nii.gz")
    with pytest.raises(InputError, match="moved.nii.gz: its grid"):
        vessel_from_masks(lumen, str(tmp_path / "moved.nii.gz"), None, "BA")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "moved.nii.gz").read_bytes()[:2000])
    with pytest.raises(InputError, match="cut.nii.gz: cannot be read"):
        vessel_from_masks(lumen, str(tmp_path / "cut.nii.gz"), None, "BA")
