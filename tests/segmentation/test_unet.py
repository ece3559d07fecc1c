"""A network on made-up heads, see test_fuse_atlases, trained for a few seconds."""

import json
import os
import signal
from types import SimpleNamespace

import ants
import nibabel as nib
import numpy as np
import pytest
import torch

from tests.segmentation.test_fuse_atlases import VOXEL, anatomy, heads, template_points
from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.common.images import dice
from workflow_scripts.segmentation import train_unet
from workflow_scripts.segmentation.segment_region import unet
from workflow_scripts.segmentation.unet import (
    Stopped,
    brought_in,
    frame_around,
    seen,
    train,
    varied,
)

__all__ = ["heads"]  # a fixture
SETTINGS = {"region": "thalamus", "rater": "anna", "channels": ["T1w"], "spacing": 2.0}
SETTINGS |= {"epochs": 50, "seed": 1, "engine": "unet"}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """Label image of the template, with the atlas's number of the thalamus."""
    path = tmp_path_factory.mktemp("template") / "regions.nii.gz"
    points = template_points()
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    affine[:3, 3] = points[:, 0, 0, 0]
    sides = anatomy(points)[1]
    nib.save(nib.Nifti1Image((6 * (sides > 0)).astype(np.uint8), affine), path)
    return str(path)


def test_frame_lies_around_the_region_of_the_template(regions):
    frame = frame_around(regions, 6, 1.0)
    image = nib.load(regions)
    at = nib.affines.apply_affine(image.affine, np.argwhere(np.asanyarray(image.dataobj) == 6))
    lps = np.stack([frame.origin, frame.origin + frame.direction @ (np.array(frame.shape) - 1.0)])
    corners = lps * [-1, -1, 1]
    assert (corners.min(0) <= at.min(0) - 15).all() and (corners.max(0) >= at.max(0) + 15).all()
    assert (corners.max(0) - corners.min(0) < np.ptp(at, axis=0) + 2 * 16 + 5).all()
    assert all(size % 4 == 0 for size in frame.shape)


def test_a_head_stands_in_the_frame_where_the_template_is(heads, regions):
    """Its first axis runs to the right; heads are up to 10 mm away from the template."""
    frame = frame_around(regions, 6, 2.0)
    template = brought_in_template(regions, frame)
    for head in heads:
        assert dice(brought_in(head.sides, head.transforms[0], frame)[0] > 0.5, template) > 0.75
    image = seen([heads[1].t1w], heads[1].transforms[0], frame)
    assert image.shape == (1, *frame.shape)
    assert abs(image.mean()) < 1e-4 and abs(image.std() - 1) < 1e-3


def brought_in_template(regions, frame):
    return ants.apply_transforms(frame, ants.image_read(regions), []).numpy() > 3


def test_image_and_mask_are_varied_alike():
    """A blob stays where its mask is, mirrored in half of the cases, and moves by little."""
    at = np.indices((32, 40, 24)) - np.array([9, 20, 12])[:, None, None, None]
    blob = torch.from_numpy(((at**2).sum(0) < 25).astype(np.float32))[None, None]
    sides = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image, mask = varied(blob, blob, rng, 1.0)
        found, target = image[0, 0].numpy() > 0.5, mask[0, 0].numpy() > 0.5
        assert dice(found, target) > 0.9
        assert 0.7 < target.sum() / blob.sum() < 1.35
        centre = np.argwhere(target).mean(0)
        sides.append(centre[0] > 15.5)
        mirrored = [31 - 9 if sides[-1] else 9, 20, 12]
        assert np.abs(centre - mirrored).max() < 8
    assert 4 < sum(sides) < 16


def test_a_stopped_training_ends_in_the_same_network(tmp_path):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(2, 1, 16, 16, 16)).astype(np.float32))
    targets = (images > 1).float()
    settings = SETTINGS | {"epochs": 3}
    whole, losses = train(images, targets, settings, Checkpoint(None, "k"))

    class Told(Checkpoint):
        def load(self, *given):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().load(*given)

    path = tmp_path / "x.checkpoint"
    with pytest.raises(Stopped, match="SIGTERM after epoch 1; run again to go on"):
        train(images, targets, settings, Told(path, "k"))
    again, kept = train(images, targets, settings, Checkpoint(path, "k"))
    assert kept == losses and len(losses) == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_network_finds_what_was_drawn_in_others(heads, regions, tmp_path):
    """Trained on four heads, on the fifth; and written with what it comes from."""
    others = [head for number, head in enumerate(heads) if number != 1]
    out = SimpleNamespace(model=tmp_path / "m.safetensors", description=tmp_path / "m.json")
    source = SimpleNamespace(
        regions=regions,
        channels=[head.t1w for head in others],
        sides=[head.sides for head in others],
        affines=[head.transforms[0] for head in others],
        splits=[],
    )
    train_unet.main(source, out, SimpleNamespace(settings=SETTINGS), 0, 1)
    described = json.loads(out.description.read_text())
    assert len(described["Losses"]) == 50 and described["Losses"][-1] < 0.5 * described["Losses"][0]
    assert not list(tmp_path.glob("*.checkpoint"))
    head = heads[1]
    read = SimpleNamespace(
        model=str(out.model), regions=regions, channels=[head.t1w], t1w=head.t1w,
        transforms=head.transforms,
    )  # fmt: skip
    truth = np.asanyarray(nib.load(head.sides).dataobj)
    points = template_points()
    found = unet(read, SETTINGS, points[0])
    assert dice(found.sides > 0, truth > 0) > 0.93
    np.testing.assert_array_equal(found.sides[truth == 1] == 2, points[0][truth == 1] >= 0)
    assert found.probabilities.max() <= 1 and found.probabilities.sum(0).max() > 0.9
