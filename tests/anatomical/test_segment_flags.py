"""What segment_brain says of tissues that it cannot trust."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.anatomical.test_partial_volume import MEANS, phantom
from workflow_scripts.anatomical.segment_brain import main
from workflow_scripts.common.transforms import write_itk_matrix

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def save(data, path):
    nib.save(nib.Nifti1Image(np.asarray(data, np.float32), AFFINE), path)
    return str(path)


def segmented(folder, t1w, labels=None, lesions=None):
    """Sidecar of segment_brain of a phantom that is its own template."""
    _, mask, shares, first, ventricles = phantom()
    write_itk_matrix(np.eye(4), folder / "xfm.mat")
    regions = np.where(ventricles, 4, 0)
    network = [] if labels is None else save(labels, folder / "network.nii.gz")
    source = SimpleNamespace(
        t1w=save(t1w, folder / "t1w.nii.gz"),
        mask=save(mask, folder / "mask.nii.gz"),
        lesions=[] if lesions is None else save(lesions, folder / "desc-lesion_mask.nii.gz"),
        preprocessed=[],
        transforms=[str(folder / "xfm.mat")],
        template=save(t1w, folder / "template.nii.gz"),
        gm_prior=save(shares[..., 1], folder / "gm.nii.gz"),
        wm_prior=save(shares[..., 2], folder / "wm.nii.gz"),
        regions=save(regions, folder / "regions.nii.gz"),
        network=network,
        network_tissues=[
            save(first[..., tissue], folder / f"network{tissue}.nii.gz") for tissue in range(3)
        ],
    )
    out = SimpleNamespace(
        probabilities=[folder / f"{name}.nii.gz" for name in ("csf", "p_gm", "p_wm")],
        tissues=folder / "dseg.nii.gz",
        regions=folder / "out_regions.nii.gz",
        sidecar=folder / "dseg.json",
    )
    main(source, out, SimpleNamespace(tissue_segmentation="atropos", prior_weight=0.2))
    return json.loads(out.sidecar.read_text())


def test_shares_are_taken_and_nothing_is_flagged(tmp_path):
    t1w, mask, truth, *_, ventricles = phantom()
    found = segmented(tmp_path, t1w)
    assert found["PartialVolumes"] is True
    assert "Flags" not in found
    true = truth[mask > 0].sum(axis=0) / truth[mask > 0].sum()
    for tissue, fraction in zip(("csf", "gm", "wm"), true, strict=True):
        assert found["Measures"][f"{tissue}_fraction"] == pytest.approx(fraction, abs=0.02)
    assert found["Measures"]["ventricles_volume_ml"] == pytest.approx(
        truth[ventricles, 0].sum() * 0.008, rel=0.1
    )


def test_tissues_that_cannot_be_told_apart_are_flagged(tmp_path):
    t1w, *_ = phantom()
    noise = np.random.default_rng(0).normal(0, 2 * np.ptp(MEANS), t1w.shape)
    found = segmented(tmp_path, np.abs(t1w + noise))
    assert found["PartialVolumes"] is False
    assert "not comparable" in found["Flags"][0]


def test_network_without_a_thalamus_is_flagged(tmp_path):
    t1w, *_, ventricles = phantom()
    found = segmented(tmp_path, t1w, np.where(ventricles, 3, 1))
    assert found["Labels"] == "network"
    assert "thalamus of 0.0 mL" in found["Flags"][0]


def test_dark_lesions_of_the_white_matter_are_told(tmp_path):
    """In a quarter of the head the middle of the white matter is as dark as grey matter."""
    t1w, _, truth, *_ = phantom()
    lesion = ndimage.distance_transform_edt(truth[..., 2] > 0.99) > 3
    lesion[22:], lesion[:, 22:] = False, False
    found = segmented(tmp_path, np.where(lesion, MEANS[1], t1w))
    volume = found["Measures"]["dark_white_matter_volume_ml"]
    assert volume == pytest.approx(lesion.sum() * 0.008, rel=0.25)
    assert any("lesions" in flag for flag in found["Flags"])
