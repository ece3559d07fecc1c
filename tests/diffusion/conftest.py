import pytest

from tests.diffusion.small_head import SmallHead


@pytest.fixture(scope="session")
def head():
    return SmallHead()
