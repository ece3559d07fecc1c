"""Labels of a network whose weights stand for thresholds of the conformed intensity."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, ornt_transform
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from workflow_scripts.anatomical.label_brain import main
from workflow_scripts.anatomical.meshnet import conform, load_network
from workflow_scripts.common.job import InputError

CLASSES = 18
# Class k where the intensity is nearest to k / 17: the argmax of x k / 17 - (k / 17)^2 / 2.
CENTRES = torch.arange(CLASSES) / 17
LAYER = {"in_channels": 1, "out_channels": CLASSES, "kernel_size": 1}


def save_network(folder, sharpness=5000.0, **changes):
    layer = LAYER | changes
    (folder / "model.json").write_text(json.dumps({"layers": [layer]}))
    size = layer["out_channels"]
    weight = sharpness * CENTRES[:size].reshape(size, 1, 1, 1, 1)
    bias = -sharpness * CENTRES[:size] ** 2 / 2
    save_file({"model.0.weight": weight, "model.0.bias": bias}, folder / "model.safetensors")
    return str(folder / "model.json"), str(folder / "model.safetensors")


def head_of(zooms=(2.0, 2.0, 2.0), shape=(60, 70, 55)):
    """A smooth head, brighter to the left, to the front and above; and its brain."""
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = -np.array(shape) * zooms / 2
    at = np.indices(shape).reshape(3, -1).T * zooms + affine[:3, 3]
    ramp = (0.5 - at @ [0.004, -0.003, -0.002]).reshape(shape)
    radius = np.linalg.norm(at / [48, 56, 44], axis=1).reshape(shape)
    data = gaussian_filter(np.where(radius < 1, 400 * ramp, 0), 1).astype(np.float32)
    mask = (radius < 0.8).astype(np.uint8)
    return nib.Nifti1Image(data, affine), nib.Nifti1Image(mask, affine)


def expected_labels(head):
    """Class by intensity between the percentiles of the cube, most of which is empty."""
    data = head.get_fdata()
    volume = abs(np.linalg.det(head.affine[:3, :3]))
    bright = np.sort(data, axis=None)[::-1][int(0.02 * 256**3 / volume)]
    return np.round(np.clip(data / bright, 0, 1) * 17), bright


def labelled(head, mask, network, folder):
    folder.mkdir()
    nib.save(head, folder / "t1w.nii.gz")
    nib.save(mask, folder / "mask.nii.gz")
    source = SimpleNamespace(
        t1w=folder / "t1w.nii.gz",
        mask=folder / "mask.nii.gz",
        lesions=[],
        layers=network[0],
        weights=network[1],
    )
    out = SimpleNamespace(
        labels=folder / "labels.nii.gz",
        probabilities=[folder / f"{tissue}.nii.gz" for tissue in ("csf", "gm", "wm")],
        sidecar=folder / "labels.json",
    )
    main(source, out, 1)
    labels = nib.load(out.labels)
    return np.asanyarray(labels.dataobj), [nib.load(path) for path in out.probabilities], out


def test_labels_come_back_to_the_scans_grid(tmp_path):
    head, mask = head_of()
    labels, tissues, out = labelled(head, mask, save_network(tmp_path), tmp_path / "out")
    inside = mask.get_fdata() > 0
    expected, _ = expected_labels(head)
    assert np.abs(labels - expected)[inside].max() <= 1
    assert (labels == expected)[inside].mean() > 0.95
    assert not labels[~inside].any()
    total = sum(image.get_fdata() for image in tissues)
    np.testing.assert_allclose(total[inside], 1, atol=0.01)
    volumes = json.loads(out.sidecar.read_text())["VolumesMl"]
    assert sum(volumes.values()) == pytest.approx(inside.sum() * 0.008, rel=1e-3)
    assert volumes["thalamus"] == pytest.approx((labels == 7)[inside].sum() * 0.008, abs=1e-3)


def test_stored_in_another_order_and_scale_gives_the_same_labels(tmp_path):
    network = save_network(tmp_path)
    head, mask = head_of()
    labels, *_ = labelled(head, mask, network, tmp_path / "one")
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("PIL"))
    other = nib.Nifti1Image(head.get_fdata(dtype=np.float32) * 7, head.affine).as_reoriented(turn)
    *_, out = labelled(other, mask.as_reoriented(turn), network, tmp_path / "other")
    back = nib.as_closest_canonical(nib.load(out.labels))
    assert (np.asanyarray(back.dataobj) == labels).mean() > 0.999


def test_conformed_as_nibabel_does_around_the_brain():
    head, mask = head_of((1.5, 2.0, 2.5), (80, 70, 44))
    conformed = conform(head, np.asanyarray(mask.dataobj) > 0)
    whole = nib.processing.conform(head, orientation="LIA")
    shift = np.linalg.inv(whole.affine) @ conformed.affine
    np.testing.assert_allclose(shift[:3, :3], np.eye(3), atol=1e-6)
    corner = np.round(shift[:3, 3]).astype(int)
    box = tuple(slice(c, c + n) for c, n in zip(corner, conformed.shape, strict=True))
    values = whole.get_fdata()
    low, high = np.percentile(values, [2, 98])
    expected = np.clip((values[box] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(conformed.get_fdata(), expected, atol=0.01)


def test_what_is_no_network_is_named(tmp_path):
    network = save_network(tmp_path)
    (tmp_path / "model.json").write_text('{"layers": [{"kernel": 3}]}')
    with pytest.raises(InputError, match=r"model\.json.*correct anatomical\.network"):
        load_network(*network)


def test_another_number_of_classes_is_an_error(tmp_path):
    network = save_network(tmp_path, out_channels=3)
    head, mask = head_of()
    with pytest.raises(InputError, match="3 classes"):
        labelled(head, mask, network, tmp_path / "out")
