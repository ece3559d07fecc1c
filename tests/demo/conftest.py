import numpy as np
import pytest

from workflow_scripts.demo.build_phantom import build
from workflow_scripts.demo.images import Phantom, save_fractions
from workflow_scripts.demo.simulate_t1w import simulate

SEED = [7, 2, 3]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantom") / "phantom.nii.gz"
    save_fractions(*build(), path)
    return Phantom(path)


@pytest.fixture(scope="session")
def make(phantom, tmp_path_factory):
    """Simulate a 40-year-old woman: (t1w, truth, brain, affine, path of the field)."""

    def run(severity, seed=SEED, source=None):
        field = tmp_path_factory.mktemp("field") / "xfm.nii.gz"
        return *simulate(source or phantom, seed, 40, "F", severity, field), field

    return run


@pytest.fixture(scope="session")
def control(make):
    return make(0.0)


@pytest.fixture(scope="session")
def patient(make):
    return make(1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
