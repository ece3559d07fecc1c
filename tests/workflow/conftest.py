import shutil
from pathlib import Path

import pytest

from tests.workflow.small_cohort import (
    LABELS,
    configuration,
    make_dataset,
    participants,
    small_brain,
)
from tests.workflow.snake import finished
from tests.workflow.tiny import tiny_demo
from workflow_scripts.audit.records import ENVIRONMENTS, JOBS, read_jobs, write_jobs


@pytest.fixture(scope="session")
def brain():
    return small_brain()


@pytest.fixture
def bids(tmp_path, brain):
    """Dataset of six participants that a test may spoil."""
    make_dataset(tmp_path / "bids", brain)
    return tmp_path / "bids"


@pytest.fixture(scope="session")
def small_study(shared, brain):
    """Folder with such a dataset and the results of a whole run on it."""

    def fill(folder):
        make_dataset(folder / "bids", brain)
        process = finished(config=configuration(folder / "bids"), folder=folder)
        (folder / "said.txt").write_text(process.stdout + process.stderr)

    return shared("study", fill)


@pytest.fixture(scope="session")
def templates(shared, small_study):
    """Output folder of a run on such a dataset that has got as far as its templates."""

    def fill(folder):
        later = ("sub-*", "studies", "report", "cohort", "audit", "logs")
        made, results = small_study / "results", folder / "results"
        shutil.copytree(made, results, symlinks=True, ignore=shutil.ignore_patterns(*later))
        job = "logs/make_templates.log"
        write_jobs({job: read_jobs(made)[job]}, results / JOBS)
        shutil.copy(made / ENVIRONMENTS, results / ENVIRONMENTS)

    return shared("templates", fill) / "results"


@pytest.fixture
def begun(bids, templates):
    """Output folder of the dataset, with templates that need not be made."""
    return shutil.copytree(templates, bids.parent / "results", symlinks=True)


@pytest.fixture
def small_copy(small_study, tmp_path):
    """Configuration of the study with a copy of its results that a test may change."""
    results = shutil.copytree(small_study / "results", tmp_path / "results", symlinks=True)
    return configuration(small_study / "bids", output_dir=str(results))


@pytest.fixture
def measured(small_study, tmp_path):
    """Function: the dataset of the first participants of the study, with what it made of them.

    The names of the scans in Snakemake's records follow, as if both had been here from the start.
    """

    def take(size):
        others = [f"sub-{number}" for number in range(size + 1, len(LABELS) + 1)]
        for name in ("bids", "results"):
            shutil.copytree(
                small_study / name,
                tmp_path / name,
                symlinks=True,
                ignore=shutil.ignore_patterns(*others, "studies", "report"),
            )
        (tmp_path / "bids/participants.tsv").write_text(participants(LABELS[:size]))
        records = (tmp_path / "results/.snakemake/metadata").rglob("*")
        for path in [*filter(Path.is_file, records), tmp_path / "results/cohort/index.tsv"]:
            text = path.read_text()
            path.write_text(text.replace(str(small_study / "bids"), str(tmp_path / "bids")))
        return tmp_path / "bids"

    return take


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
