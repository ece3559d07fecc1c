import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.demo.heads import plan_head
from workflow_scripts.demo.images import CHANNELS, Phantom
from workflow_scripts.demo.simulate_t1w import simulate

SEED = [7, 2, 3]


@pytest.fixture(scope="session")
def phantom(phantom_file):
    return Phantom.read(phantom_file)


@pytest.fixture(scope="session")
def make(phantom, tmp_path_factory):
    """Simulate a 40-year-old woman: (t1w, truth, brain, affine, path of the field)."""

    def run(severity, seed=SEED, source=None, **anatomy):
        field = tmp_path_factory.mktemp("field") / "xfm.nii.gz"
        head = plan_head(seed, 40, "F", severity) | anatomy
        return *simulate(source or phantom, seed, head, field), field

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


@pytest.fixture(scope="session")
def white_head():
    """A head of nothing but white matter, a box of it round the middle of the template."""
    affine = nib.affines.from_matvec(np.eye(3), (-60, -70, -50))
    shape = (121, 171, 131)
    nothing, full = np.zeros(shape, dtype="u1"), np.full(shape, 255, dtype="u1")
    return Phantom(dict.fromkeys(CHANNELS, nothing) | {"wm": full}, affine)
