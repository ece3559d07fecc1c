import shutil

import pytest

from tests.workflow.small_cohort import configuration, make_dataset, small_brain
from tests.workflow.snake import finished
from tests.workflow.tiny import tiny_demo


@pytest.fixture(scope="session")
def brain():
    return small_brain()


@pytest.fixture
def bids(tmp_path, brain):
    """Dataset of six participants that a test may spoil."""
    make_dataset(tmp_path / "bids", brain)
    return tmp_path / "bids"


@pytest.fixture(scope="session")
def templates(shared, brain):
    """Output folder of a run on such a dataset that has got as far as its templates."""

    def fill(folder):
        make_dataset(folder / "bids", brain)
        config = configuration(folder / "bids", studies={})
        finished("templates/tpl-MNI152NLin2009aSym_T1w.nii.gz", config=config, folder=folder)

    return shared("templates", fill) / "results"


@pytest.fixture
def begun(bids, templates):
    """Output folder of the dataset, with templates that need not be made."""
    return shutil.copytree(templates, bids.parent / "results", symlinks=True)


@pytest.fixture(scope="session")
def small_study(shared, brain):
    """Folder with such a dataset and the results of a whole run on it."""

    def fill(folder):
        make_dataset(folder / "bids", brain)
        process = finished(config=configuration(folder / "bids"), folder=folder)
        (folder / "said.txt").write_text(process.stdout + process.stderr)

    return shared("study", fill)


@pytest.fixture(scope="session")
def tiny(shared, phantom_folder):
    """Output folder of a whole run of the tiny demo."""

    def fill(folder):
        shutil.copytree(phantom_folder / "results", folder / "results", symlinks=True)
        finished(config=tiny_demo(folder / "results"), folder=folder)

    return shared("tiny", fill) / "results"


@pytest.fixture
def tiny_copy(tiny, tmp_path):
    """Configuration of a copy of it that a test may change."""
    shutil.copytree(tiny, tmp_path / "results", symlinks=True)
    return tiny_demo(tmp_path / "results")
