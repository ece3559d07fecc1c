import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from workflow_scripts.common.images import save_probability
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.explain_predictions import (
    attribute,
    explain,
    in_brain,
    integrated_gradients,
    interpolation,
    on_cells,
    sum_maps,
)
from workflow_scripts.learning.gradcam import cell_positions, channel_maps, gradcam
from workflow_scripts.learning.train_classifier import describe_layers

SHAPE = (48, 64, 48)
LEFT, RIGHT = (14, 40, 20), (33, 40, 20)


def smooth_classifier(name="paper"):
    """A classifier by hand: convolutions that blur, and the more brightness the more ``bright``."""
    classifier = with_classifier(build_encoder(name, [1, 1, 1])).eval()
    with torch.no_grad():
        for block in classifier.encoder.blocks:
            block[0].weight.fill_(1 / 27)
        classifier.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        classifier.head.bias.copy_(torch.tensor([1e-5, -1e-5]))
    return classifier


def blob(place, radius=4, shape=SHAPE):
    distance = np.sqrt(
        sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), place, strict=True))
    )
    return (distance <= radius).astype(np.float16)


def centroid(volume):
    return [(axis * volume).sum() / volume.sum() for axis in np.indices(volume.shape)]


def weights_of(classifier):
    negative, positive = classifier.head.weight.detach().numpy()
    return positive - negative


def head_mask(shape=SHAPE, affine=None, first_outside=None):
    brain = np.ones(shape, np.uint8)
    brain[first_outside or len(brain) :] = 0
    return nib.Nifti1Image(brain, np.eye(4) if affine is None else affine)


def cells_of(classifier, mask):
    first, step = cell_positions(classifier.encoder, (1, *mask.shape))
    return mask.affine @ nib.affines.from_matvec(np.diag(step), first)


def explain_bright(classifier, volumes, mask=None):
    """Maps of scans that were all called bright."""
    mask = mask or head_mask()
    scans = pd.DataFrame({"volume": range(len(volumes)), "score": 1.0, "predicted": "bright"})
    channels = [channel_maps(classifier.encoder, volume[None]) for volume in volumes]
    return explain(channels, weights_of(classifier), scans, cells_of(classifier, mask), mask)


def cam_of(classifier, volume, target):
    weights = weights_of(classifier)
    return gradcam(channel_maps(classifier.encoder, volume[None]), weights if target else -weights)


def predict(classifier, volumes):
    with torch.no_grad():
        return classifier(torch.from_numpy(volumes.astype(np.float32))[:, None]).argmax(1).tolist()


@pytest.mark.parametrize("name", ["paper", "strided"])
@pytest.mark.parametrize("place", [LEFT, RIGHT])
def test_a_bright_blob_that_alone_makes_the_class_lights_up_where_it_is(name, place):
    classifier, volumes = smooth_classifier(name), np.stack([blob(place), 0 * blob(place)])
    assert predict(classifier, volumes) == [1, 0]
    maps = explain_bright(classifier, volumes[:1])
    cam, inside = maps[..., 0], blob(place) > 0
    assert cam.max() == 1
    assert cam[inside].mean() > 0.7
    assert cam[blob(place, 24) == 0].max() < 0.05
    np.testing.assert_allclose(centroid(cam), place, atol=1.5)


def test_the_blob_does_not_speak_for_the_class_without_it():
    classifier = smooth_classifier()
    assert cam_of(classifier, blob(LEFT), 0).max() == 0
    assert cam_of(classifier, blob(LEFT), 1).max() > 0


def test_what_both_logits_share_does_not_show():
    classifier = smooth_classifier()
    before = cam_of(classifier, blob(LEFT), 1)
    with torch.no_grad():
        classifier.head.weight.add_(7)
    np.testing.assert_allclose(cam_of(classifier, blob(LEFT), 1), before, rtol=1e-5)


def test_logits_of_both_classes_light_up_where_their_differences_mirror_each_other():
    """Two channels of the last convolution: one speaks for the class, one for both classes."""
    mask, rng = head_mask((8, 8, 8)), np.random.default_rng(4)
    cells = nib.affines.from_matvec(4 * np.eye(3), [1.5, 1.5, 1.5])
    channels = [rng.random((2, 2, 2, 2))] * 2
    channels[0][0, 0], channels[0][1, 1] = 0, 0  # the two speak in different halves
    scans = pd.DataFrame({"volume": [0, 1], "score": [1.0, -1.0], "predicted": ["ill", "well"]})
    negative, positive = np.array([-1.0, 3.0]), np.array([1.0, 3.0])
    weights, shared = positive - negative, (positive + negative) / 2
    difference = explain(channels, weights, scans, cells, mask)
    assert difference[..., 0].any() and not difference[..., 1].any()
    logit = explain(channels, weights, scans, cells, mask, shared)
    for volume, of_class in enumerate((positive, negative)):
        expected = in_brain(gradcam(channels[0], of_class), cells, mask)
        np.testing.assert_allclose(logit[..., volume], expected / expected.max(), atol=1e-6)
    assert (logit[:2] > 0).all()  # the half that speaks for both


def test_map_of_a_logit_is_that_of_captum():
    torch.manual_seed(5)
    classifier = with_classifier(build_encoder("paper", [3, 4, 5])).eval()
    volume = np.random.default_rng(5).random(SHAPE, np.float32)
    layers = describe_layers(classifier.head.weight[None], torch.zeros(1, 1, 2), np.ones((1, 1)))
    judge = LayerGradCam(classifier, classifier.encoder.last_convolution)
    channels, mask = channel_maps(classifier.encoder, volume[None]), head_mask()
    cells = cells_of(classifier, mask)
    for target, score in ((1, 1.0), (0, -1.0)):
        cam = judge.attribute(
            torch.from_numpy(volume)[None, None], target=target, relu_attributions=True
        )
        expected = in_brain(cam[0, 0].detach().numpy(), cells, mask)
        scans = pd.DataFrame({"volume": [0], "score": score, "predicted": ""})
        found = explain([channels], layers["weight"][0], scans, cells, mask, layers["shared"])
        np.testing.assert_allclose(found[..., 0], expected / (expected.max() or 1), atol=1e-5)


def test_after_training_the_map_lights_up_at_the_blob_and_not_at_a_distractor():
    """Two blobs in every scan; the bright one is the class, the other is in both classes."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    signal, distractor = 2 * blob(LEFT, 6), 2 * blob(RIGHT, 6)
    label = np.arange(16) % 2
    volumes = np.stack([distractor + y * signal for y in label])
    volumes = (volumes + rng.normal(0, 0.02, volumes.shape)).astype(np.float32)
    classifier = with_classifier(build_encoder("strided", [4, 4, 4]))
    step = torch.optim.Adam(classifier.parameters(), 0.02)
    batch, target = torch.from_numpy(volumes)[:, None], torch.from_numpy(label)
    for _ in range(30):
        step.zero_grad()
        nn.functional.cross_entropy(classifier(batch), target).backward()
        step.step()
    for block in classifier.encoder.blocks:  # running means of so few steps are far off
        block[1].momentum = 1.0
    classifier(batch)
    assert predict(classifier.eval(), volumes) == label.tolist()
    mean = explain_bright(classifier, volumes[[1, 3, 5]]).mean(axis=-1)
    assert mean[signal > 0].mean() > 3 * mean[distractor > 0].mean()
    assert np.abs(np.array(np.unravel_index(mean.argmax(), SHAPE)) - LEFT).max() <= 16  # two cells


def test_map_is_the_formula_of_selvaraju():
    torch.manual_seed(1)
    classifier = with_classifier(build_encoder("paper", [3, 4, 5])).eval()
    volume = np.random.default_rng(1).random(SHAPE, np.float32)
    cam = cam_of(classifier, volume, 1)
    x = torch.from_numpy(volume)[None, None]
    encoder = classifier.encoder
    for block in encoder.blocks[:2]:
        x = encoder.pool(block(x))
    activation = encoder.blocks[2](x).detach().requires_grad_()
    features = encoder.pool(activation).mean(dim=(2, 3, 4))
    (classifier.head(features) @ torch.tensor([-1.0, 1.0])).backward()
    weights = activation.grad.mean(dim=(2, 3, 4))[0]
    expected = torch.relu(torch.einsum("c,cxyz->xyz", weights, activation[0]))
    np.testing.assert_allclose(cam, expected.detach().numpy(), atol=1e-7)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("paper", 1), ("strided", 2), ("coll2024", 2), ("resnet10", 1), ("densenet121", 2)],
)
def test_map_is_that_of_captum(name, channels):
    torch.manual_seed(2)
    classifier = with_classifier(build_encoder(name, [3, 4, 5], channels)).eval()
    volume = np.random.default_rng(2).random((channels, 64, 64, 64), np.float32)

    def score(images):
        logits = classifier(images)
        return logits[:, 1] - logits[:, 0]

    judge = LayerGradCam(score, classifier.encoder.last_convolution)
    expected = judge.attribute(torch.from_numpy(volume)[None], relu_attributions=True)
    expected = expected[0, 0].detach().numpy()
    assert expected.max() > 0
    found = gradcam(channel_maps(classifier.encoder, volume), weights_of(classifier))
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [
        *(("paper", 1.5, 4), ("strided", 0, 8), ("coll2024", 1.5, 4)),
        *(("resnet10", 0, 16), ("densenet121", 14, 32)),
    ],
)
def test_cells_lie_in_the_middle_of_what_they_see(name, first, step):
    encoder = build_encoder(name, [2, 2, 2]).eval()
    found = cell_positions(encoder, (1, 64, 64, 64))
    np.testing.assert_array_equal(found, [[first] * 3, [step] * 3])


@pytest.mark.parametrize("name", ["paper", "strided"])
def test_cells_lie_where_the_gradient_says(name):
    classifier = smooth_classifier(name)
    if name == "paper":  # the maximum has no centre
        classifier.encoder.pool = nn.AvgPool3d(2)
    first, step = cell_positions(classifier.encoder, (1, 64, 64, 64))
    volume = torch.rand(1, 1, 64, 64, 64, requires_grad=True)
    seen = []
    classifier.encoder.last_convolution.register_forward_hook(lambda *a: seen.append(a[2]))
    classifier(volume)
    cell = np.array([3, 4, 5])
    seen[0][(0, 0, *cell)].backward()
    np.testing.assert_allclose(centroid(volume.grad[0, 0].numpy()), first + cell * step, atol=1e-3)


def test_map_is_linear_between_cells_exact_at_them_and_0_outside_of_the_brain():
    cam = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    mask = head_mask((16, 20, 24), np.diag([2.0, 2, 2, 1]), first_outside=12)
    cells = mask.affine @ nib.affines.from_matvec(4 * np.eye(3), [1, 1, 1])
    full = in_brain(cam, cells, mask)
    np.testing.assert_allclose(full[1:12:4, 1::4, 1::4], cam[:3], rtol=1e-6)
    np.testing.assert_allclose(full[3, 5, 9], (cam[0, 1, 2] + cam[1, 1, 2]) / 2, rtol=1e-6)
    assert (full[12:] == 0).all()


def test_interpolation_as_a_matrix_is_that_of_the_maps():
    """Beyond the outermost cells too, with an axis of one cell, and where grids lie askew."""
    cam = np.random.default_rng(1).random((4, 1, 3)).astype(np.float32)
    mask = head_mask((16, 6, 14), np.diag([2.0, 2, 2, 1]), first_outside=12)
    askew = np.array([[0.9, 0.1, 0], [-0.2, 1, 0.1], [0, 0.1, 1.1]])
    cells = mask.affine @ nib.affines.from_matvec(4 * askew, [1.3, 2, 1.8])
    matrix = interpolation(cells, cam.shape, mask)
    inside = mask.get_fdata() > 0
    expected = in_brain(cam, cells, mask)[inside]
    np.testing.assert_allclose(matrix @ cam.ravel(), expected, atol=1e-6)


def test_maps_without_evidence_stay_0_and_others_have_their_maximum_in_the_brain_at_1():
    mask = head_mask((8, 8, 8), first_outside=4)
    cells = nib.affines.from_matvec(4 * np.eye(3), [1.5, 1.5, 1.5])
    channels = [np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2))]
    channels[0][0, 1] = 5  # beyond the brain
    scans = pd.DataFrame({"volume": [0, 1], "score": 2.0, "predicted": "bright"})
    maps = explain(channels, np.array([3.0]), scans, cells, mask)
    assert maps[..., 0].max() == 1
    assert (maps[..., 1] == 0).all()


def test_maps_on_cells_are_those_of_the_brain_before_they_are_drawn():
    rng = np.random.default_rng(4)
    mask = head_mask((16, 16, 16), np.diag([4.0, 4, 4, 1]), first_outside=12)
    cells = nib.affines.from_matvec(np.diag([8.0, 8, 8]), [3, 4, 5])
    channels = list(rng.normal(size=(3, 6, 8, 8, 8)))
    channels[2] = -np.abs(channels[2])  # nothing speaks for the class
    weights = np.abs(rng.normal(size=6))
    scans = pd.DataFrame({"volume": range(3), "score": [1.0, -1, 1], "predicted": list("abb")})
    drawn = explain(channels, weights, scans, cells, mask)
    maps = on_cells(channels, weights, scans, cells, mask)
    assert not maps[2].any()
    for number, cam in enumerate(maps):
        again = in_brain(cam.astype(np.float32), cells, mask)
        np.testing.assert_allclose(again, drawn[..., number], atol=2e-3)


def test_each_layer_sums_the_maps_of_what_it_classifies_correctly():
    """The first layer is the network's own, with the true labels; the second is right once."""
    torch.manual_seed(3)
    classifier = with_classifier(build_encoder("strided", [3, 4, 5])).eval()
    volumes = np.random.default_rng(3).random((3, *SHAPE), np.float32)
    mask = head_mask()
    cells = cells_of(classifier, mask)
    channels = [channel_maps(classifier.encoder, volume[None]) for volume in volumes]
    weights = weights_of(classifier)
    layers = {
        "weight": np.stack([weights, -weights]),
        "score": np.array([[1.0, -1, 2], [-1.0, 1, -2]]),
        "positive": np.array([[True, False, True], [True, False, False]]),
    }
    sums, counts = sum_maps(channels, layers, cells, mask)
    np.testing.assert_array_equal(counts, [[1, 2], [1, 0]])
    scans = pd.DataFrame({"volume": [0, 1, 2], "score": layers["score"][0], "predicted": ""})
    maps = explain(channels, weights, scans, cells, mask)
    first = [in_brain(sums[0, place], cells, mask) for place in (0, 1)]
    np.testing.assert_allclose(first[0], maps[..., 1], atol=1e-6)
    np.testing.assert_allclose(first[1], maps[..., 0] + maps[..., 2], atol=1e-6)
    scans = scans.assign(score=layers["score"][1])
    maps = explain(channels, -weights, scans, cells, mask)
    np.testing.assert_allclose(in_brain(sums[1, 0], cells, mask), maps[..., 2], atol=1e-6)
    assert (sums[1, 1] == 0).all()


def test_left_in_the_volume_is_left_in_the_file(tmp_path):
    """World x is negative on the left; the mask's affine is that of the cache."""
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-47, -80, -40)
    mask = head_mask(affine=affine)
    maps = explain_bright(smooth_classifier(), np.stack([blob(LEFT), blob(RIGHT)]), mask)
    path = tmp_path / "gradcam.nii.gz"
    save_probability(maps, mask, path)
    image = nib.load(path)
    assert image.shape == (*SHAPE, 2)
    np.testing.assert_array_equal(image.affine, affine)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.get_data_dtype() == np.uint8
    for volume, place in enumerate((LEFT, RIGHT)):
        data = image.get_fdata()[..., volume]
        world = nib.affines.apply_affine(image.affine, centroid(data))
        np.testing.assert_allclose(world, nib.affines.apply_affine(affine, place), atol=2)
        assert np.sign(world[0]) == (-1 if place == LEFT else 1)


def test_attributions_of_voxels_add_up_to_the_score():
    """Completeness, Sundararajan et al. 2017, proposition 1."""
    torch.manual_seed(0)
    classifier = with_classifier(build_encoder("strided", [4, 6], 2)).eval()
    volume = np.random.default_rng(0).random((2, 16, 16, 16), np.float32)
    with torch.no_grad():
        logits = classifier(torch.stack([torch.from_numpy(volume), torch.zeros(2, 16, 16, 16)]))
    score = (logits[:, 1] - logits[:, 0]).numpy()
    found = integrated_gradients(classifier, volume)
    assert found.shape == (16, 16, 16)
    assert found.sum() == pytest.approx(score[0] - score[1], rel=0.02)


class Linear(nn.Module):
    """Both logits linear in the image."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.from_numpy(weights)

    def forward(self, images):
        """(B, channels, X, Y, Z) to (B, 2)."""
        speaks = (images * self.weights).sum(dim=(1, 2, 3, 4))
        return torch.stack([-speaks, speaks], dim=1)


def test_attributions_of_a_linear_network_are_its_weights_times_the_image():
    rng = np.random.default_rng(1)
    volume, weights = rng.random((2, 2, 6, 7, 8), np.float32)
    weights -= 0.5
    found = integrated_gradients(Linear(weights), volume)
    np.testing.assert_allclose(found, 2 * (weights * volume).sum(axis=0), rtol=1e-4, atol=1e-5)


def test_maps_of_attributions_show_what_speaks_for_the_predicted_class():
    weights = np.zeros((1, 20, 20, 20), np.float32)
    weights[0, 5, 10, 10], weights[0, 15, 10, 10] = 1, -1
    volume = np.ones_like(weights)
    mask = nib.Nifti1Image(np.ones((20, 20, 20), np.uint8), np.diag([2.0, 2, 2, 1]))
    scans = pd.DataFrame({"score": [3.0, -3.0]})
    maps = attribute(Linear(weights), [volume, volume], scans, mask)
    for place, at in enumerate(((5, 10, 10), (15, 10, 10))):
        cam = maps[..., place]
        assert np.unravel_index(cam.argmax(), cam.shape) == at
        assert cam.max() == 1 and cam.min() == 0
        assert cam[at[0] + 1, 10, 10] == pytest.approx(np.exp(-0.5 * (2 / 3) ** 2), rel=0.02)
