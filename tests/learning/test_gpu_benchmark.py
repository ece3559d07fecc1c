import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from pytorch_optimizer import LARS

from benchmarks import gpu
from workflow_scripts.common.checkpoint import Checkpoint

SCRIPT = Path(gpu.__file__)


@pytest.mark.full
def test_tiny_run_reports_every_part(tmp_path):
    path = tmp_path / "gpu.json"
    command = [sys.executable, SCRIPT, "--tiny", "--json", path]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(path.read_text())
    assert found["failures"] == {}
    assert found["machine"]["torch"] == torch.__version__
    assert {(row["encoder"], row["variant"]) for row in found["steps"]} == {
        (encoder, variant.name) for encoder in gpu.ENCODERS for variant in gpu.VARIANTS
    }
    for row in found["steps"]:
        assert all(row[name] > 0 for name in ("step_s", "pure_s", "peak_gib", "first_step_s"))
        assert 0 <= row["idle_share"] <= 1
        assert row["pure_share"] == pytest.approx(row["pure_s"] / row["step_s"])
        assert row["all_trainings_h"] == pytest.approx(18 * 1000 * 136 / 4 * row["step_s"] / 3600)
        assert f"{row['step_s']:.4g}" in run.stdout
    assert found["two processes"]["backend"] == "gloo"
    assert found["two processes"]["gradient_difference"] < 1e-3
    assert [row["encoder"] for row in found["resume"]] == list(gpu.ENCODERS)
    assert all(row["largest_difference"] == 0 for row in found["resume"])
    assert found["unet"]["loss_difference"] == 0 < found["unet"]["step_s"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_without_gpu_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    monkeypatch.setattr(gpu.signal, "signal", lambda *_: None)
    assert gpu.main() == 2
    said = capsys.readouterr().err
    assert "finds no GPU" in said and "--tiny" in said


@pytest.mark.full
def test_needs_only_torch_and_numpy():
    missing = ["pandas", "tqdm", "pytorch_metric_learning", "pytorch_optimizer"]
    missing += ["sklearn", "nibabel", "scipy", "safetensors", "monai"]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing}))
from benchmarks import gpu
assert sys.modules.get("pandas") is None
gpu.torch.set_num_threads(1)
print(gpu.USED, gpu.compare_resumed(gpu.TINY, "strided", 60), gpu.compare_processes(gpu.TINY, 60))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPT.parents[1]
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("'stand-in'") == 2 and "without its table" in run.stdout
    assert "error" not in run.stdout


def test_own_loss_is_that_of_the_package():
    torch.manual_seed(0)
    embeddings, subjects = torch.randn(10, 6), torch.tensor([0, 1, 2, 3, 3] * 2)
    own, package = gpu.OwnNTXent(0.5), NTXentLoss(temperature=0.5)
    found = []
    for loss in (own, package):
        leaf = embeddings.clone().requires_grad_()
        value = loss(leaf, subjects)
        value.backward()
        found.append((value.detach(), leaf.grad))
    torch.testing.assert_close(found[0], found[1])


def test_own_optimizer_is_that_of_the_package():
    found = []
    for optimizer in (gpu.OwnLARS, LARS):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
        chosen = optimizer(network.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-2)
        for _ in range(4):
            chosen.zero_grad()
            network(torch.randn(8, 5)).pow(3).sum().backward()
            chosen.step()
        found.append(list(network.parameters()))
    torch.testing.assert_close(found[0], found[1])


def test_busy_time_counts_overlaps_once():
    spans = [(0, 10, "kernel"), (5, 10, "kernel"), (30, 5, "gpu_memcpy"), (0, 99, "cpu_op")]
    events = [{"ts": start, "dur": taken, "cat": kind} for start, taken, kind in spans]
    trace = {"traceEvents": [*events, {"name": "without category", "ts": 0}]}
    assert gpu.busy_time(trace, gpu.BUSY["cuda"]) == pytest.approx(20e-6)


def test_failed_and_late_parts_are_reported_and_others_go_on(capsys):
    report = gpu.Report(minutes=8)
    assert report.part("late", 0.5, lambda s: gpu.apart(lambda: time.sleep(60), s)) is None
    assert report.part("wrong", 9, lambda s: gpu.apart(lambda: 1 / 0, s)) is None
    assert report.part("odd", 9, lambda s: {"figure": 1, "error": "disagrees"}) == {"figure": 1}
    assert report.part("right", 9, lambda s: gpu.apart(lambda: {"figure": 2}, s)) == {"figure": 2}
    report.end = time.monotonic()
    assert report.part("no time", 9, lambda s: {"figure": 3}) is None
    assert list(report.failures) == ["late", "wrong", "odd", "no time"]
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_resume_without_the_optimizer_is_found_out(monkeypatch):
    def load(self, network, optimizer, device):
        if self.path is None or not self.path.exists():
            return None
        content = torch.load(self.path)
        network.load_state_dict(content["network"])
        return content["progress"]

    monkeypatch.setattr(Checkpoint, "load", load)
    found = gpu.compare_resumed(gpu.TINY, "strided", 60)
    assert found["largest_difference"] > 0 and "error" in found


def test_loss_of_each_process_by_itself_is_found_out(monkeypatch):
    monkeypatch.setattr(gpu, "criterion", lambda temperature: NTXentLoss(temperature=temperature))
    found = gpu.compare_processes(gpu.TINY, 60)
    assert found["gradient_difference"] > 0.1 and "error" in found
    assert not math.isnan(found["loss_difference"])
