"""What needs the simulated heads of the demo: the gradient check and whose T1w it is."""

import ants
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from workflow_scripts.common.gradients import axes
from workflow_scripts.demo import simulate_dwi, simulate_t1w
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.heads import plan_head
from workflow_scripts.demo.images import Phantom, save_image
from workflow_scripts.diffusion.fit_tensor import CHECK_FA, fit
from workflow_scripts.diffusion.gradient_check import check_gradients, tables
from workflow_scripts.diffusion.motion import even_brain
from workflow_scripts.diffusion.prepare_dwi import brain_mask
from workflow_scripts.diffusion.register_dwi_to_t1w import (
    LOWEST_MUTUAL_INFORMATION,
    align,
    normalized_mutual_information,
    shared_information,
)

QUIET = {"motion": False, "eddy": False, "susceptibility": False, "bias": True, "snr": 20.0}


@pytest.fixture(scope="module")
def phantom(phantom_file):
    return Phantom.read(phantom_file)


@pytest.fixture(scope="module")
def heads(phantom, tmp_path_factory):
    """Of two people: evened T1w brain, and evened b = 0 brain turned by 10 degrees."""
    few = simulate_dwi.Protocol(directions=8)
    found = []
    for number in (1, 2):
        folder = tmp_path_factory.mktemp("head")
        seed = [7, 2, number]
        field = folder / "field.nii.gz"
        t1w, _, brain, affine = simulate_t1w.simulate(
            phantom, seed, plan_head(seed, 40, "F", 0.0) | {"borders": None}, field
        )
        save_image(t1w, affine, folder / "t1w.nii.gz")
        save_image(brain.astype("u1"), affine, folder / "brain.nii.gz")
        tilt = (10.0, (1.0, 0.5, 0.2))
        source = phantom, seed, Displacement(field), (1.6, 1.4), tilt
        series = simulate_dwi.simulate(*source, protocol=few, **QUIET)
        b0 = series.data[..., 0]
        save_image(b0, series.affine, folder / "b0.nii.gz")
        save_image(
            brain_mask(b0, series.affine.diagonal()[:3]).astype("u1"),
            series.affine,
            folder / "mask.nii.gz",
        )
        files = [str(folder / f"{name}.nii.gz") for name in ("t1w", "brain", "b0", "mask")]
        found.append((even_brain(*files[:2]), even_brain(*files[2:]), series.dwi_to_t1w))
    return found


@pytest.fixture(scope="module")
def fibres(phantom):
    """Principal directions of a simulated head in scanner axes, zero outside of white matter."""
    tilt = (12.0, (0.3, 1.0, 0.5))
    series = simulate_dwi.simulate(phantom, [7, 2, 3], None, (1.6, 1.4), tilt, **QUIET)
    brain = brain_mask(series.data[..., 0], series.affine.diagonal()[:3])
    mask = binary_erosion(brain, iterations=1)
    values, vectors, _ = fit(series.data, mask, series.bvals, series.directions.T)
    values = values.clip(0)
    deviation = values - values.mean(axis=1, keepdims=True)
    fa = np.sqrt(1.5 * (deviation**2).sum(axis=1) / (values**2).sum(axis=1))
    directions = np.zeros((*mask.shape, 3))
    directions[mask] = vectors[..., 0] * (fa > CHECK_FA)[:, None]
    return directions, series.affine


def test_right_gradient_table_is_not_doubted(fibres):
    table = check_gradients(*fibres)
    assert len(table) == 24 and table["table"].iloc[0] == "as given"
    assert table["coherence"].iloc[0] > 1.02 * table["coherence"].iloc[1:].max()
    assert table["coherence"].iloc[1:].is_monotonic_decreasing


@pytest.mark.parametrize("name", ["x, -y, -z", "-x, -y, z", "y, x, -z", "y, z, x"])
def test_a_flip_or_an_exchange_is_noticed_and_named(fibres, name):
    directions, affine = fibres
    frame = axes(affine)
    wrong = directions @ frame @ tables()[name] @ frame.T
    found = check_gradients(wrong, affine)
    assert found["coherence"].iloc[1] > 1.02 * found["coherence"].iloc[0]
    assert found["table"].iloc[1] == name


@pytest.fixture(scope="module")
def own(heads, tmp_path_factory):
    """Transform of each person's series to the own T1w."""
    folder = tmp_path_factory.mktemp("own")
    return [align(*head[:2], f"{folder}/{number}") for number, head in enumerate(heads)]


def test_own_t1w_is_told_from_another_persons(heads, own, tmp_path):
    for (t1w, b0, _), transform in zip(heads, own, strict=True):
        assert shared_information(t1w, b0, transform) > LOWEST_MUTUAL_INFORMATION + 0.05
    t1w, b0 = heads[0][0], heads[1][1]
    other = shared_information(t1w, b0, align(t1w, b0, f"{tmp_path}/"))
    assert 1 < other < LOWEST_MUTUAL_INFORMATION


def test_alignment_with_the_t1w(heads, own):
    found, dwi_to_t1w = ants.read_transform(own[0]), heads[0][2]
    for point in ((-26, -20, 30), (40, -10, 20), (0, -60, 0)):
        in_t1w = (dwi_to_t1w @ [*point, 1])[:3]
        back = np.array(found.apply_to_point(in_t1w * [-1, -1, 1])) * [-1, -1, 1]
        assert np.linalg.norm(back - point) < 1.0


def test_mutual_information_bounds():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200000))
    assert normalized_mutual_information(a, b) == pytest.approx(1, abs=0.002)
    assert normalized_mutual_information(a, -3 * a) == pytest.approx(2)
    assert normalized_mutual_information(a, np.exp(a)) == pytest.approx(2)
