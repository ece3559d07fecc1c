"""Run a rule's script by itself, as Snakemake would."""

import os
import runpy
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

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
    """Run ``workflow_scripts/<name>.py`` in a process of its own.

    Raises
    ------
    RuntimeError
        With the end of its log, if it fails.
    """
    names = {"input": Named(source), "output": Named(out), "params": Named(params)}
    job = SimpleNamespace(**names, log=[str(log)], rule=Path(name).name)
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            runpy.run_path(str(ROOT / f"workflow_scripts/{name}.py"), {"snakemake": job})
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{name} failed: {log.read_text()[-2000:]}")
    wall = time.perf_counter() - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
