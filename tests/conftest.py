import os
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items):
    """Put files first that take long, so that the workers end together: runs on both cores.

    Before them those on a cluster, which wait more than they compute, and those that make what
    others share or nobody does, each on a worker of its own.
    """
    first = ["test_slurm", "test_audit", "test_tiny_demo", "test_pelvis"]

    def rank(item) -> int:
        if item.path.stem in first:
            return first.index(item.path.stem)
        return len(first) + (item.path.parent.name != "workflow")

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """Function: a folder that the first worker who asks for it fills, and all others find full.

    What lies there belongs to all tests of the session; one that changes it works on a copy.
    """
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def find(name, fill):
        folder, full = base / f"shared-{name}", base / f"shared-{name}.full"
        with FileLock(base / f"shared-{name}.lock"):
            if not full.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                full.touch()
        return folder

    return find


@pytest.fixture(scope="session")
def phantom_folder(shared):
    """Folder with the output folder ``results`` of a demo that has got as far as its phantom."""
    from tests.workflow.snake import finished
    from tests.workflow.tiny import tiny_demo

    def fill(folder):
        finished("demo/phantom.nii.gz", config=tiny_demo(folder / "results"), folder=folder)

    return shared("phantom", fill)


@pytest.fixture(scope="session")
def phantom_file(phantom_folder):
    """The phantom that the heads of the demo are warped from."""
    return phantom_folder / "results/demo/phantom.nii.gz"
