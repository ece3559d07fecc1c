import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from pytorch_optimizer import LARS
from torch.nn.functional import cosine_similarity

from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.learning import training
from workflow_scripts.learning.history import History
from workflow_scripts.learning.pretrain_encoder import pretrain
from workflow_scripts.learning.sides import Side, training_seed
from workflow_scripts.learning.training import Stopped, draw_batches

SETTINGS = {
    "augmentation": "crop",
    "encoder": "strided",
    "widths": [4, 8],
    "crop_voxels": 3,
    "rotate_degrees": 20,
    "batch": 4,
    "pretraining": {
        "epochs": 4,
        "learning_rate": 1.0,
        "warmup_epochs": 1,
        "momentum": 0.9,
        "weight_decay": 1e-6,
        "temperature": 0.5,
        "projection": 6,
    },
    "precision": "float32",
    "deterministic": True,
    "compile": False,
}


@pytest.fixture
def side():
    volumes = torch.from_numpy(np.random.default_rng(0).random((5, 1, 16, 16, 16), np.float32))
    scans = pd.DataFrame(
        {
            "participant_id": [f"sub-{n}" for n in "abcde"],
            "session_id": None,
            "label": list("nnnpp"),
            "role": "train",
            "weight": [1, 1, 1, 2, 2],
        }
    )
    return Side(scans, volumes.half(), (scans["label"] == "p").to_numpy())


def weights(network):
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


def test_loss_against_its_definition():
    """Chen et al. 2020, eq. 1; views of one subject are never negatives."""
    torch.manual_seed(0)
    subjects = torch.tensor([0, 1, 2, 1, 0, 1, 2, 1])
    embeddings = torch.randn(8, 5)
    terms = []
    for i in range(8):
        alike = torch.exp(cosine_similarity(embeddings[i][None], embeddings) / 0.5)
        others = alike[subjects != subjects[i]].sum()
        for j in range(8):
            if j != i and subjects[j] == subjects[i]:
                terms.append(-torch.log(alike[j] / (alike[j] + others)))
    found = NTXentLoss(temperature=0.5)(embeddings, subjects)
    assert found.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)


def test_lars_against_its_closed_form():
    """You et al. 2017: the step is scaled by trust x |w| / (|g| + decay |w|)."""
    w, g, decay, momentum, rate = (
        torch.tensor([[3.0, 4.0]]),
        torch.tensor([[0.6, 0.8]]),
        0.1,
        0.9,
        2,
    )
    p = torch.nn.Parameter(w.clone())
    optimizer = LARS([p], lr=rate, momentum=momentum, weight_decay=decay)
    expected, velocity = w.clone(), torch.zeros_like(w)
    for _ in range(3):
        p.grad = g.clone()
        optimizer.step()
        local = 1e-3 * expected.norm() / (g.norm() + decay * expected.norm())
        velocity = momentum * velocity + local * (g + decay * expected)
        expected = expected - rate * velocity
    torch.testing.assert_close(p.detach(), expected)


def test_batches_use_each_scan_as_often_as_its_weight():
    batches = draw_batches(np.array([1, 2, 1, 2, 1]), 3, seed=5)
    assert [len(part) for part in batches] == [3, 3]
    longer = draw_batches(np.array([1, 2, 1, 2]), 4, seed=5)
    assert sorted(np.concatenate(longer)) == [0, 1, 1, 2, 3, 3]
    assert draw_batches(np.ones(5, int), 4, seed=5)[-1].size == 4  # a last single scan is left out
    assert all(len(part) % 2 == 0 for part in draw_batches(np.ones(11, int), 4, 5, processes=2))


def test_same_seed_same_weights_another_seed_others(side):
    settings = SETTINGS | {"augmentation": "crop+flip+rotate"}
    (a, rows), (b, _), (c, _) = (
        pretrain(side, settings, seed, Checkpoint(None, "")) for seed in (1, 1, 2)
    )
    assert torch.equal(weights(a), weights(b))
    assert not torch.equal(weights(a), weights(c))
    assert rows["epoch"].tolist() == [1, 2, 3, 4]


def test_seeds_differ_by_split_model_and_repeat():
    seeds = {
        training_seed(1, split, model, repeat)
        for split in (1, 2)
        for model in ("crop", "crop+flip")
        for repeat in (1, 2)
    }
    assert len(seeds) == 8


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_stopped_training_goes_on_bit_by_bit(side, tmp_path, monkeypatch, stop_after):
    whole, expected = pretrain(side, SETTINGS, 3, Checkpoint(None, ""))
    checkpoint = Checkpoint(tmp_path / "training.checkpoint", "key")
    answers = iter([False] * (stop_after - 1) + [True])
    with monkeypatch.context() as patch:
        patch.setattr(training, "_agreed", lambda *_: next(answers))
        with pytest.raises(Stopped, match="start again"):
            pretrain(side, SETTINGS, 3, checkpoint)
    resumed, rows = pretrain(side, SETTINGS, 3, checkpoint)
    assert torch.equal(weights(whole), weights(resumed))
    pd.testing.assert_frame_equal(rows, expected)


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    Checkpoint(tmp_path / "c", "one").save(network, optimizer, {"epoch": 1})
    assert Checkpoint(tmp_path / "c", "one").load(network, optimizer, "cpu") == {"epoch": 1}
    assert Checkpoint(tmp_path / "c", "two").load(network, optimizer, "cpu") is None


KILLED = """
    import os, signal, sys
    import numpy as np, pandas as pd, torch
    sys.path.insert(0, "tests/learning")
    from workflow_scripts.common.checkpoint import Checkpoint
    from workflow_scripts.learning.sides import Side
    from workflow_scripts.learning.training import Stopped
    from test_training import SETTINGS
    import workflow_scripts.learning.pretrain_encoder as rule

    torch.set_num_threads(1)
    volumes = torch.from_numpy(np.random.default_rng(0).random((5, 1, 16, 16, 16), np.float32))
    scans = pd.DataFrame({"participant_id": list("abcde"), "session_id": None,
                          "label": list("nnnpp"), "weight": [1, 1, 1, 2, 2]})
    side = Side(scans, volumes.half(), np.array([False] * 3 + [True] * 2))
    step, steps, sent = rule.contrastive_loss, [], []
    def counted(*arguments):
        loss = step(*arguments)
        def run(*where):
            steps.append(where)
            if sent and len(steps) == 3:
                os.kill(os.getpid(), sent.pop())
            return loss(*where)
        return run
    rule.contrastive_loss = counted
    def train(name, checkpoint):
        steps.clear()
        encoder, _ = rule.pretrain(side, SETTINGS, 3, Checkpoint(checkpoint, "key"))
        torch.save(encoder.state_dict(), sys.argv[1] + "/" + name + ".pt")
    kept = {name: sys.argv[1] + "/" + name for name in ("SIGUSR1", "SIGTERM")}
    if sys.argv[2] == "stop":
        train("whole", None)
        for name, path in kept.items():
            sent.append(getattr(signal, name))
            try:
                train("not_stopped_by_" + name, path)
            except Stopped as error:
                print(error)
                stopped = error
        raise stopped
    for name, path in kept.items():
        train(name, path)
        assert len(steps) < 8
"""


def test_signals_save_and_stop_and_another_process_goes_on(tmp_path):
    """Two steps in each of four epochs, stopped in the third step."""

    def run(what):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), what]
        return subprocess.run(command, capture_output=True, text=True)

    stopped = run("stop")
    assert stopped.returncode != 0 and "(SIGTERM)" in stopped.stderr
    assert "(SIGUSR1); start again" in stopped.stdout and "(SIGTERM)" in stopped.stdout
    assert [path.name for path in tmp_path.glob("*.pt")] == ["whole.pt"]
    resumed = run("go on")
    assert resumed.returncode == 0, resumed.stderr
    whole, *others = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("whole", "SIGTERM", "SIGUSR1")
    )
    for other in others:
        assert all(torch.equal(whole[key], other[key]) for key in whole)


DISTRIBUTED = """
    import sys
    import torch, torch.distributed as dist
    from pytorch_metric_learning.losses import NTXentLoss
    from pytorch_metric_learning.utils.distributed import DistributedLossWrapper
    from workflow_scripts.learning.augment import Augmentation
    from workflow_scripts.common.device import Device
    from workflow_scripts.learning.processes import in_processes, is_first
    from workflow_scripts.learning.training import contrastive_loss, distributed

    torch.set_num_threads(1)
    def gradients():
        torch.manual_seed(0)
        volumes = torch.rand(6, 1, 8, 8, 8).half()
        network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3), torch.nn.Flatten(),
                                      torch.nn.Linear(648, 5))
        loss = NTXentLoss(temperature=0.5)
        if dist.is_initialized():
            loss = DistributedLossWrapper(loss)
        augmentation, subjects = Augmentation("crop+flip", 2, 0), torch.tensor([0, 1, 2, 3, 3, 4])
        step = contrastive_loss(distributed(network), loss, augmentation, volumes, subjects,
                                Device("cpu", False), 7)
        step([3, 0, 5, 4], 0, 0).backward()
        if is_first():
            torch.save([p.grad for p in network.parameters()], sys.argv[1])
    in_processes(gradients, int(sys.argv[2]), "gloo")
"""


def test_two_processes_have_the_gradients_of_one(tmp_path):
    found = []
    for count in (1, 2):
        path = tmp_path / f"{count}.pt"
        command = [sys.executable, "-c", textwrap.dedent(DISTRIBUTED), str(path), str(count)]
        subprocess.run(command, check=True)
        found.append(torch.load(path, weights_only=True))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_a_history_that_goes_on_keeps_the_epochs_before():
    keys = ["epoch", "loss", "learning_rate", "validation_loss"]
    rows = [[1, 1.0, 0.1, 0.7], [2, 0.5, 0.05, 0.6]]
    history = History(2, [dict(zip(keys, rows[0], strict=True))])
    history.add(dict(zip(keys, rows[1], strict=True)))
    table = history.close()
    assert list(table) == keys
    assert table.to_numpy().tolist() == rows


def test_two_channels_are_trained_and_both_count(side):
    settings = SETTINGS | {"pretraining": SETTINGS["pretraining"] | {"epochs": 1}}

    def trained(second):
        both = torch.cat([side.volumes, second], dim=1)
        return pretrain(Side(side.scans, both, side.positive), settings, 3, Checkpoint(None, ""))[0]

    encoder, other = trained(1 - side.volumes), trained(side.volumes)
    assert encoder.blocks[0][0].weight.shape[1] == 2
    assert not torch.equal(weights(encoder), weights(other))
