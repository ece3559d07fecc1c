"""Lesions of a mask count as white matter, and are measured by region."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.anatomical.test_partial_volume import MEANS, SPACING, fractions, phantom
from tests.anatomical.test_segment_flags import AFFINE, save, segmented
from workflow_scripts.anatomical import measure_lesions
from workflow_scripts.anatomical.lesions import filled, read_lesions
from workflow_scripts.anatomical.measure_lesions import lesion_volumes
from workflow_scripts.common.job import InputError

INDEX = {"white_matter": 1, "grey_matter": 2, "ventricles": 4, "brainstem": 5}


def with_lesions():
    """The phantom with 24 lesions of 4 mm radius in its white matter, whose edges are blurred.

    Returns
    -------
    t1w, mask, shares of the tissues (x, y, z, 3), share of lesion (x, y, z)
    """
    t1w, mask, truth, *_ = phantom()
    white = truth[..., 2] > 0.99
    deep = ndimage.distance_transform_edt(white, sampling=SPACING) > 5
    rng = np.random.default_rng(1)
    centres = np.argwhere(deep)[rng.choice(deep.sum(), 24, replace=False)]
    away = np.full(mask.shape, np.inf)
    for centre in centres:
        at = np.indices(mask.shape) - centre[:, None, None, None]
        away = np.minimum(away, np.sqrt((at**2).sum(axis=0)) * SPACING[0])
    lesion = np.clip(0.5 + (4 - away) / 4, 0, 1) * truth[..., 2]
    return t1w + lesion * (MEANS[1] - MEANS[2]), mask, truth, lesion


def test_volumes_of_the_tissues_are_those_without_lesions(tmp_path):
    """Of each tissue within 1 %, and of the truth as near; without a mask 5 % of WM are lost."""
    t1w, mask, truth, lesion = with_lesions()
    folders = [tmp_path / name for name in ("masked", "plain", "before")]
    for folder in folders:
        folder.mkdir()
    masked = segmented(folders[0], t1w, lesions=lesion >= 0.5)
    plain, before = segmented(folders[1], t1w), segmented(folders[2], phantom()[0])
    assert masked["LesionsFilled"] is True and plain["LesionsFilled"] is False
    assert any("desc-lesion_mask" in path for path in masked["Sources"])
    found, lost, wanted = (sidecar["Measures"] for sidecar in (masked, plain, before))
    for tissue, share in zip(("csf", "gm", "wm"), fractions(truth, mask), strict=True):
        name = f"{tissue}_volume_ml"
        assert found[name] == pytest.approx(wanted[name], rel=0.01)
        assert found[f"{tissue}_fraction"] == pytest.approx(share, abs=0.015)
    assert lost["wm_volume_ml"] < 0.96 * wanted["wm_volume_ml"]
    assert lost["dark_white_matter_volume_ml"] > 5
    assert found["dark_white_matter_volume_ml"] < 0.1


def test_a_mask_without_lesions_changes_nothing(tmp_path):
    t1w, mask, *_ = phantom()
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    found = segmented(one, t1w, lesions=0 * mask)
    assert found["LesionsFilled"] is True
    assert found["Measures"] == segmented(other, t1w)["Measures"]


def test_filled_is_the_image_before_the_lesion():
    t1w, mask, _, lesion = with_lesions()
    before, inside = phantom()[0], lesion >= 0.5
    found = filled(t1w, mask, inside, SPACING)
    edge = (lesion > 0.2) & ~inside
    assert (found - before)[inside].mean() == pytest.approx(0, abs=1)
    assert (t1w - before)[inside].mean() < -30
    assert (t1w - before)[edge].mean() < 2.5 * (found - before)[edge].mean() < 0
    far = ~ndimage.binary_dilation(inside)
    np.testing.assert_array_equal(found[far], t1w[far])


def test_lesions_that_are_not_dark_leave_their_surroundings_alone():
    _, mask, _, lesion = with_lesions()
    before, inside = phantom()[0], lesion >= 0.5
    found = filled(before, mask, inside, SPACING)
    np.testing.assert_allclose(found[~inside], before[~inside], atol=1.5)
    assert found[inside].mean() == pytest.approx(MEANS[2], rel=0.02)


def test_volumes_by_region_and_within_10_mm_of_the_ventricles():
    """Voxels of 2 x 1 x 1 mm in lines: a ventricle, seven of white matter, two of brainstem."""
    regions = np.repeat([[4, 1, 1, 1, 1, 1, 1, 1, 5, 5, 0]], 3, axis=0).T.reshape(11, 3, 1)
    lesions = np.zeros(regions.shape)
    lesions[5:10, 1] = 1  # 10 to 18 mm away: of white matter three voxels, of brainstem two
    lesions[10, 0] = 0.5  # outside of the brain
    found = lesion_volumes(lesions, regions, INDEX, (2, 1, 1), 0.1)
    assert found["lesions_volume_ml"] == pytest.approx(5.5 * 0.002)
    assert found["lesions_fraction"] == pytest.approx(0.11)
    assert found["lesions_white_matter_volume_ml"] == pytest.approx(3 * 0.002)
    assert found["lesions_brainstem_volume_ml"] == pytest.approx(2 * 0.002)
    assert found["lesions_grey_matter_volume_ml"] == 0
    assert found["lesions_periventricular_volume_ml"] == pytest.approx(0.002)
    assert "lesions_ventricles_volume_ml" not in found
    without = lesion_volumes(lesions, np.ones(lesions.shape), INDEX, (2, 1, 1), 0.1)
    assert "lesions_periventricular_volume_ml" not in without


def test_measures_are_written_with_their_sources(tmp_path):
    regions = np.ones((4, 4, 4))
    lesions = np.zeros((4, 4, 4))
    (tmp_path / "dseg.json").write_text(json.dumps({"Measures": {"tiv_ml": 2.0}}))
    source = SimpleNamespace(
        lesions=save(lesions, tmp_path / "sub-1_desc-lesion_mask.nii.gz"),
        regions=save(regions, tmp_path / "sub-1_desc-regions_dseg.nii.gz"),
        tissues=tmp_path / "dseg.json",
    )
    out = SimpleNamespace(sidecar=tmp_path / "lesions.json")
    measure_lesions.main(source, out, None)
    measures = json.loads(out.sidecar.read_text())["Measures"]
    assert measures.pop("lesions_volume_ml") == measures.pop("lesions_fraction") == 0
    assert "lesions_thalamus_volume_ml" in measures and not any(measures.values())


def test_a_mask_on_another_grid_or_of_0_to_255_is_refused(tmp_path):
    t1w = save(np.arange(8.0**3).reshape(8, 8, 8), tmp_path / "t1w.nii.gz")
    mask = np.zeros((8, 8, 8), np.float32)
    mask[4, 4, 4] = 255
    path = save(mask, tmp_path / "x_desc-lesion_mask.nii.gz")
    with pytest.raises(InputError, match="values run from 0 to 255"):
        read_lesions(path, t1w)
    nib.save(nib.Nifti1Image(mask / 255, 1.5 * AFFINE), path)
    with pytest.raises(InputError, match="not that of the T1w"):
        read_lesions(path, t1w)
