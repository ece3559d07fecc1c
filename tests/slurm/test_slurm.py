"""The workflow on a real SLURM, and what becomes of it when the cluster fails.

One file, so that the workers of pytest-xdist do not start two clusters.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.slurm.cluster import Cluster, missing, wait_for
from tests.workflow.small_cohort import STUDY, configuration, make_dataset, small_brain
from tests.workflow.snake import finished

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

EPOCHS = 600
PRETRAINING = {"epochs": 3, "warmup_epochs": 1}
CROP = {
    "kind": "contrastive",
    "inputs": ["brain"],
    "encoder": "paper",
    "widths": [2, 2],
    "augmentation": "crop",
    "crop_voxels": 2,
    "pretraining": PRETRAINING,
    "finetuning": {"epochs": 2},
    "precision": "float32",
    "threads": 1,
}
SUPERVISED = {key: CROP[key] for key in CROP.keys() - {"kind", "pretraining", "finetuning"}}
SUPERVISED |= {"kind": "cnn", "epochs": 2}
ENCODER = "studies/study/models/model-crop_split-1_repeat-1_encoder"
TRAINING = "pretrain_encoder/study/model-crop_split-1_repeat-1"
FOLD = "studies/fold/models/model-supervised_split-1_repeat-1_model"
FOLD_TRAINING = "train_classifier/fold/model-supervised_split-1_repeat-1"
ON_GPU = {"slurm_partition": "gpu", "gres": "gpu:1"}
STARTED = []


def study_with(pretraining):
    """The small study with a network as well."""
    return STUDY | {
        "inputs": STUDY["inputs"] | {"brain": {"channels": ["T1w"], "downsample": 4}},
        "models": {"svm": STUDY["models"]["svm"], "crop": CROP | {"pretraining": pretraining}},
        "evaluation": [*STUDY["evaluation"], "gradcam"],
    }


def fold_with(epochs, bids):
    """A fold of a study of two channels' kind: a network with a side for validation."""
    design = {"kind": "given", "table": str(bids.with_name("fold.tsv"))}
    network = SUPERVISED | {"encoder": "coll2024", "augmentation": "shift+noise", "epochs": epochs}
    network |= {"shift_voxels": 1, "noise": 0.02, "schedule": "plateau", "sampling": "balanced"}
    return STUDY | {
        "inputs": {"brain": {"channels": ["T1w"], "downsample": 4}},
        "models": {"supervised": network},
        "design": design,
    }


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
    roles = ["train"] * 4 + ["validation", "test"]
    rows = [f"1\tsub-{number}\t{role}" for number, role in enumerate(roles, 1)]
    (root.parent / "fold.tsv").write_text("\n".join(["split\tparticipant_id\trole", *rows]) + "\n")
    return root


@pytest.fixture
def config(bids, tmp_path):
    studies = {"study": study_with(PRETRAINING)}
    return configuration(bids, output_dir=str(tmp_path / "results"), studies=studies)


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
    settings["set-resources"] = {"pretrain_encoder": ON_GPU}
    for key, value in changes.items():
        name = key.replace("_", "-")
        settings[name] = settings[name] | value if isinstance(value, dict) else value
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile/config.yaml").write_text(yaml.safe_dump(settings))
    return str(folder / "profile")


@pytest.fixture(autouse=True)
def ends_what_it_has_started():
    """Also where a test fails."""
    yield
    for process in STARTED:
        process.kill()
    STARTED.clear()


def start(config, folder, *targets, **changes):
    """Start the workflow on the cluster; what it prints, also logs of jobs, goes to a file."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", *targets]
    command += ["--profile", profile(folder, **changes), "--configfile", f"{folder}/config.yaml"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = folder / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    process.said = said
    STARTED.append(process)
    return process


def ended(process, seconds=600):
    """Exit code and all that was printed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"did not end: {process.said.read_text()[-3000:]}") from None
    return process.returncode, process.said.read_text()


@pytest.fixture(scope="module")
def trainable(bids, tmp_path_factory):
    """Output folder, made without the cluster, of all that a training needs."""
    folder = tmp_path_factory.mktemp("trainable")
    studies = {"study": study_with(PRETRAINING), "fold": fold_with(EPOCHS // 2, bids)}
    config = configuration(bids, output_dir=str(folder / "results"), studies=studies)
    targets = [f"studies/{name}/input-brain_volumes.npy" for name in studies]
    finished(*targets, "studies/fold/split-1_splits.tsv", config=config, folder=folder)
    return folder / "results"


@pytest.fixture
def training(trainable, config, bids):
    """Configuration of trainings that are long enough to be stopped."""
    shutil.copytree(trainable, config["output_dir"])
    studies = {"study": study_with(PRETRAINING | {"epochs": EPOCHS})}
    return config | {"studies": studies | {"fold": fold_with(EPOCHS // 2, bids)}}


def training_log(config, name=TRAINING):
    path = Path(config["output_dir"], f"logs/{name}.log")
    return path.read_text() if path.exists() else ""


def epochs_done(config, name=TRAINING):
    return training_log(config, name).count("INFO epoch")


def went_on(config, name=TRAINING):
    """The epoch after which a training that had been stopped went on."""
    return int(re.search(r"goes on after epoch (\d+)", training_log(config, name)).group(1))


def test_whole_study_has_the_tables_of_a_local_run(cluster, trainable, config, tmp_path):
    """All of one participant's steps, and all of the cohort's."""
    config["report"] = {"viewer": False}
    shutil.copytree(trainable, config["output_dir"])
    shutil.rmtree(Path(config["output_dir"], "sub-6"))
    code, text = ended(start(config, tmp_path), seconds=1200)
    assert code == 0, text[-5000:]
    jobs = cluster.jobs("%P %T", "all")
    assert {state for _, state in jobs} == {"COMPLETED"}
    assert sum(partition == "gpu" for partition, _ in jobs) == 1
    assert text.count("has been submitted") == len(jobs)
    local = config | {"output_dir": str(tmp_path / "local")}
    shutil.copytree(trainable, local["output_dir"])
    finished(config=local, folder=tmp_path)
    tables = sorted(Path(local["output_dir"], "studies/study").rglob("*.tsv"))
    assert len(tables) > 20
    for table in tables:
        other = Path(config["output_dir"]) / table.relative_to(local["output_dir"])
        assert other.read_bytes() == table.read_bytes(), table


def test_job_over_its_memory_gets_more(cluster, config, tmp_path):
    memory = {"make_templates": {"mem_mb": "200 * 30 ** (attempt - 1)"}}
    target = "templates/tpl-MNI152NLin2009aSym_T1w.nii.gz"
    process = start(config, tmp_path, target, retries=1, set_resources=memory)
    code, text = ended(process)
    assert code == 0, text[-3000:]
    assert text.count("has been submitted") == 2
    assert "Error in rule make_templates" in text
    (killed,) = re.findall(r"\S+/slurm_logs/rule_make_templates/\d+\.log(?= \(check)", text)
    assert "exceeded memory limit" in Path(killed).read_text()


def test_cancelled_job_is_named_and_goes_on_when_asked(cluster, training, tmp_path):
    process = start(training, tmp_path, f"{ENCODER}.safetensors")
    wait_for(lambda: epochs_done(training) > 3)
    ((job,),) = cluster.jobs("%A")
    cluster.run("scancel", job)
    code, text = ended(process)
    assert code == 1
    assert "Error in rule pretrain_encoder" in text
    assert f"logs/{TRAINING}.log" in text
    assert f"slurm_logs/rule_pretrain_encoder/study_crop_1_1/{job}.log" in text
    code, text = ended(start(training, tmp_path, f"{ENCODER}.safetensors"))
    assert code == 0, text[-3000:]
    assert went_on(training) > 2


@pytest.mark.parametrize(("target", "name"), [(ENCODER, TRAINING), (FOLD, FOLD_TRAINING)])
def test_preempted_training_goes_on_when_the_cluster_has_room(
    cluster, training, tmp_path, target, name
):
    """A pre-training, and a fold of a network that is validated after each epoch."""
    rule = name.split("/")[0]
    process = start(training, tmp_path, f"{target}.safetensors", set_resources={rule: ON_GPU})
    wait_for(lambda: epochs_done(training, name) > 3)
    assert cluster.jobs("%P") == [["gpu"]]
    urgent = ["sbatch", "--parsable", "-p", "urgent", "-n", "4", "-o", "/dev/null"]
    cluster.run(*urgent, "--wrap", "sleep 5")
    code, text = ended(process)
    assert code == 0, text[-3000:]
    assert len(re.findall(f"has been submitted.*rule_{rule}", text)) == 1
    assert went_on(training, name) > 2
    epochs = re.findall(r"INFO epoch (\d+) of (\d+)", training_log(training, name))
    first, last = (int(epochs[place][0]) for place in (0, -1))
    assert (first, last) == (went_on(training, name) + 1, int(epochs[-1][1]))


def test_training_over_its_time_limit_goes_on_in_the_retry(cluster, training, tmp_path):
    """Its first minute, the least that SLURM knows, is too short on any machine.

    It is stopped once the retry has gone on: others of these tests see a training to its end.
    """
    training["studies"] = {"study": study_with(PRETRAINING | {"epochs": 100 * EPOCHS})}
    limits = {"pretrain_encoder": ON_GPU | {"runtime": "30 ** (attempt - 1)", "mem_mb": 2000}}
    process = start(training, tmp_path, f"{ENCODER}.safetensors", retries=1, set_resources=limits)
    wait_for(lambda: "goes on after epoch" in training_log(training), patience_s=900)
    cluster.run("scancel", "-u", "root")
    _, text = ended(process)
    assert len(re.findall("has been submitted.*rule_pretrain_encoder", text)) == 2
    assert "TIMEOUT" in text
    assert went_on(training) > 100


def test_training_on_a_node_that_is_lost_is_done_when_the_node_is_back(cluster, training, tmp_path):
    """No signal warns it, so it goes on from its last checkpoint, of which there is none yet."""
    process = start(training, tmp_path, f"{ENCODER}.safetensors")
    wait_for(lambda: epochs_done(training) > 3)
    cluster.crash("g1")
    wait_for(lambda: "down" in cluster.run("sinfo", "-h", "-n", "g1", "-o", "%t"))
    before = training_log(training)
    cluster.run("slurmd", "-N", "g1")
    code, text = ended(process)
    assert code == 0, text[-3000:]
    assert len(re.findall("has been submitted.*rule_pretrain_encoder", text)) == 1
    assert f"epoch {EPOCHS} of {EPOCHS}" not in before
    assert f"epoch {EPOCHS} of {EPOCHS}" in training_log(training)


def test_partition_that_does_not_exist_is_named(cluster, config, tmp_path):
    nowhere = {"slurm_partition": "nowhere"}
    target = "templates/tpl-MNI152NLin2009aSym_T1w.nii.gz"
    process = start(config, tmp_path, target, default_resources=nowhere)
    code, text = ended(process)
    assert code == 1
    assert "make_templates" in text
    assert "invalid partition" in text.lower()


def test_scratch_folder_of_the_job_is_used_and_left_empty(cluster, config, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    target = "templates/tpl-MNI152NLin2009aSym_T1w.nii.gz"
    places = {"slurm_partition": "cpu", "tmpdir": str(scratch)}
    process = start(config, tmp_path, target, default_resources=places)
    seen = []
    while process.poll() is None:
        seen += os.listdir(scratch)
        time.sleep(0.02)
    code, text = ended(process)
    assert code == 0, text[-3000:]
    assert seen
    assert os.listdir(scratch) == []
