import subprocess
import sys

import numpy as np
import pytest
import torch

from workflow_scripts.common.job import InputError
from workflow_scripts.learning.encoders import build_encoder, with_classifier, with_projector

VOLUMES = torch.zeros(2, 1, 32, 40, 32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("name", "grid"), [("paper", (8, 10, 8)), ("strided", (4, 5, 4)), ("coll2024", (8, 10, 8))]
)
def test_last_convolution_is_a_map_of_the_volume(name, grid, channels):
    encoder = build_encoder(name, [2, 3, 5], channels)
    seen = []
    encoder.last_convolution.register_forward_hook(lambda *a: seen.append(a[2].shape))
    assert encoder(VOLUMES.repeat(1, channels, 1, 1, 1)).shape == (2, 5)
    assert seen == [(2, 5, *grid)]


@pytest.mark.parametrize(("name", "channels"), [("resnet10", 1), ("densenet121", 2)])
def test_networks_of_monai_fit_the_same_place(name, channels):
    pytest.importorskip("monai")
    encoder = build_encoder(name, [], channels)
    encoder.eval()
    seen = []
    encoder.last_convolution.register_forward_hook(lambda *a: seen.append(a[2].dim()))
    assert encoder(torch.zeros(2, channels, 64, 64, 64)).shape == (2, encoder.n_features)
    assert seen == [5]


STEP = """
import resource, sys, torch
from workflow_scripts.learning.encoders import build_encoder, with_classifier
torch.set_num_threads(2)
network = with_classifier(build_encoder(sys.argv[1], [], 1)).train()
optimizer = torch.optim.Adam(network.parameters(), 1e-3)
image, truth = torch.randn(2, 1, 96, 32, 64), torch.tensor([0, 1])
loss = torch.nn.functional.cross_entropy(network(image), truth)
loss.backward()
optimizer.step()
print(float(loss), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet50", "resnet101", "densenet121"])
def test_a_published_network_takes_a_step_in_the_memory_that_a_job_asks_for(name):
    """On two joints of 96 x 32 x 64 voxels, as `docs/joints.md` cuts them; GiB of the process."""
    process = subprocess.run(
        [sys.executable, "-c", STEP, name], capture_output=True, text=True, check=True
    )
    loss, peak = map(float, process.stdout.split())
    assert np.isfinite(loss) and 0.5 < peak < 16000 / 1024
    print(f"{name}: {peak:.1f} GiB")


def test_block_is_the_sum_of_both_convolutions_and_the_network_their_maximum():
    torch.manual_seed(0)
    encoder = build_encoder("coll2024", [3], 2).eval()
    image = torch.randn(1, 2, 4, 4, 4)
    block = encoder.blocks[0]
    wide = torch.nn.functional.conv3d(image, block.wide.weight, padding=1)
    narrow = torch.einsum("oi,bixyz->boxyz", block.narrow.weight[..., 0, 0, 0], image)
    summed = (wide + narrow) / (1 + block.norm.eps) ** 0.5
    expected = torch.where(summed > 0, summed, 0.01 * summed).amax(dim=(2, 3, 4))
    torch.testing.assert_close(encoder(image), expected)


def test_unknown_encoder():
    with pytest.raises(InputError, match="encoder: .*'vgg'.*paper"):
        build_encoder("vgg", [])


def test_heads_are_computed_in_32_bits():
    encoder = build_encoder("strided", [2, 4])
    for network, width in ((with_classifier(encoder), 2), (with_projector(encoder, 7), 7)):
        with torch.autocast("cpu", torch.bfloat16):
            out = network(VOLUMES)
        assert out.shape == (2, width) and out.dtype == torch.float32
