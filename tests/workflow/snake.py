"""Run the workflow as a user does."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from tests.conftest import ROOT


def snakemake(*arguments: str, config: dict, folder: Path, clone: Path = ROOT, **options):
    """Run snakemake in ``clone`` with a configuration file kept in ``folder``."""
    return subprocess.run(
        _command(arguments, config, folder / "config.yaml"),
        cwd=clone,
        capture_output=True,
        text=True,
        env=_environment(),
        **options,
    )


def finished(*arguments: str, config: dict, folder: Path, **options):
    """`snakemake`, which must have ended well."""
    process = snakemake(*arguments, config=config, folder=folder, **options)
    assert process.returncode == 0, said(process)[-5000:]
    return process


def check_groups(config: dict, folder: Path) -> None:
    """Check that the jobs of a run from the start can be grouped as the profile for SLURM does."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    groups = [f"{rule}={group}" for rule, group in profile["groups"].items()]
    fresh = config | {"output_dir": str(folder / "grouped")}
    finished("--dry-run", "--groups", *groups, config=fresh, folder=folder)


def start(*arguments: str, config: dict, folder: Path):
    """Start snakemake in a process group of its own and do not wait for it.

    Its configuration file is not that of `snakemake`, since its jobs read it again.
    """
    return subprocess.Popen(
        _command(arguments, config, folder / "started.yaml"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )


def _command(arguments, config: dict, file: Path) -> list[str]:
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return [*command, "--configfile", str(file)]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _heed_interrupts() -> None:
    """Also where the tests themselves run in the background, where SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def said(process) -> str:
    return process.stdout + process.stderr


def jobs(process) -> Counter:
    """Rules and the number of their jobs, from the last table that snakemake printed."""
    text = said(process)
    if "Nothing to be done" in text:
        return Counter()
    table = text.rsplit("Job stats:", 1)[1].split("total", 1)[0]
    return Counter({rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})
