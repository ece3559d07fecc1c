"""Run a rule's script by itself, without Snakemake."""

import importlib
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Settings of prepare_dwi and maps of fit_tensor.
SETTINGS = {
    "denoise": "mppca",
    "gibbs": "dipy",
    "motion": "affine",
    "reverse_phase": "pyhysco",
    "t1w_distortion": True,
}
MAPS = ("fa", "md", "ad", "rd", "tensor")
os.environ |= {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"}
sys.path.insert(0, str(ROOT))


class Named(dict):
    """Files or parameters by name."""

    __getattr__ = dict.__getitem__


@dataclass
class Cost:
    """Time and memory of a script: wall clock and CPU in s, peak memory in MB."""

    wall: float
    cpu: float
    memory: float


def run_script(name: str, source: dict, out: dict, log: Path, **params) -> Cost:
    """Run ``main`` of ``workflow_scripts/<name>.py`` in a process of its own.

    Raises
    ------
    RuntimeError
        With the end of its log, if it fails.
    """
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            with open(log, "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            script = importlib.import_module(f"workflow_scripts.{name.replace('/', '.')}")
            script.main(Named(source), Named(out), Named(params))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{name} failed: {log.read_text()[-2000:]}")
    wall = time.perf_counter() - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def make_templates(folder: Path) -> dict[str, str]:
    """Template at 2 mm in ``folder``; its files by the names of make_templates' outputs."""
    images = ("t1w", "mask", "gm", "wm", "regions", "atlas")
    out = {name: f"{folder}/template_{name}.nii.gz" for name in images}
    out["atlas_names"] = f"{folder}/template_atlas.xml"
    run_script("anatomical/make_templates", {}, out, folder / "templates.log", resolution=2)
    return out
