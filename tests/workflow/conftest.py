import pytest

from tests.workflow.small_cohort import make_dataset, small_brain


@pytest.fixture(scope="session")
def brain():
    return small_brain()


@pytest.fixture
def bids(tmp_path, brain):
    """Dataset of six participants that a test may spoil."""
    make_dataset(tmp_path / "bids", brain)
    return tmp_path / "bids"
