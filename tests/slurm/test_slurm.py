"""The workflow on a real SLURM, and what becomes of it when the cluster fails.

One file, so that the workers of pytest-xdist do not start two clusters.
"""

import os
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT
from tests.slurm.cluster import Cluster, missing
from tests.workflow.small_cohort import STUDY, configuration, make_dataset, small_brain

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

LEARNING = {
    "downsample": 4,
    "widths": [2, 2],
    "strategies": ["crop"],
    "crop_voxels": 2,
    "pretraining": {"epochs": 3, "warmup_epochs": 1},
    "finetuning": {"epochs": 2},
    "supervised": {"strategy": "crop", "epochs": 2},
    "precision": "float32",
    "threads": 1,
}
ENCODER = "studies/study/models/trial-1_strategy-crop_repeat-1_encoder"
TRAINING = "pretrain_encoder/study/trial-1_strategy-crop_repeat-1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "bids"
    make_dataset(root, small_brain())
    return root


@pytest.fixture
def config(bids, tmp_path):
    study = STUDY | {"learning": LEARNING, "permutations": 5, "bootstraps": 50}
    return configuration(bids, output_dir=str(tmp_path / "results"), studies={"study": study})


def profile(folder, **changes):
    """The project's profile for SLURM, polled often and without accounting."""
    settings = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    settings |= {
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 2,
        "seconds-between-status-checks": 2,
        "latency-wait": 5,
        "retries": 0,
        "slurm-no-account": True,
    }
    settings["set-resources"] = {"pretrain_encoder": {"slurm_partition": "gpu", "gres": "gpu:1"}}
    for key, value in changes.items():
        name = key.replace("_", "-")
        settings[name] = settings[name] | value if isinstance(value, dict) else value
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile/config.yaml").write_text(yaml.safe_dump(settings))
    return str(folder / "profile")


def start(cluster, config, folder, *targets, **changes):
    """Start the workflow on the cluster."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", *targets]
    command += ["--profile", profile(folder, **changes), "--configfile", f"{folder}/config.yaml"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, seconds=300):
    """Exit code and all that was printed."""
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"did not end: {process.communicate()[0][-3000:]}") from None
    return process.returncode, text


def test_whole_study(cluster, config, tmp_path):
    code, text = ended(start(cluster, config, tmp_path))
    assert code == 0, text[-5000:]
