"""Run the workflow as a user does."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from tests.conftest import ROOT


def snakemake(*arguments: str, config: dict, folder: Path, clone: Path = ROOT, **options):
    """Run snakemake in ``clone`` with a configuration file kept in ``folder``."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(
        [*command, "--configfile", str(file)],
        cwd=clone,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        **options,
    )


def said(process) -> str:
    return process.stdout + process.stderr


def jobs(process) -> Counter:
    """Rules and the number of their jobs, from the last table that snakemake printed."""
    text = said(process)
    if "Nothing to be done" in text:
        return Counter()
    table = text.rsplit("Job stats:", 1)[1].split("total", 1)[0]
    return Counter({rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})
