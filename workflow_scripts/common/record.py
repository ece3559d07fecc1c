"""What a job did: inputs and outputs with checksums, parameters, resources, software.

Each job leaves one file in ``audit/spool``; at the end of a run Snakemake's main process puts
them together.
"""

import hashlib
import json
import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

SPOOL = Path("audit/spool")
PROGRAMS = {"FSLDIR": "etc/fslversion"}


def checksum(path) -> dict:
    """``bytes`` and ``sha256`` of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def describe(path: str) -> dict:
    """Path and checksum of a file; of a folder, those of its ``files``."""
    if not os.path.isdir(path):
        return {"path": path} | checksum(path)
    files = sorted(str(file) for file in Path(path).rglob("*") if file.is_file())
    return {"path": path, "files": [describe(file) for file in files]}


def environment() -> dict:
    """Software that the process has loaded, and the machine it runs on."""
    loaded = {
        name: vars(module)["__version__"]
        for name, module in list(sys.modules.items())
        if "." not in name and isinstance(vars(module).get("__version__"), str)
    }
    programs = {
        variable: (Path(os.environ[variable]) / file).read_text().strip()
        for variable, file in PROGRAMS.items()
        if os.path.isfile(f"{os.environ.get(variable)}/{file}")
    }
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "gpu": gpu(),
        "container": os.environ.get("APPTAINER_CONTAINER"),
        "modules": dict(sorted(loaded.items())),
        "programs": programs,
    }


def processor() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def gpu() -> str | None:
    """Model of the GPU that the process has used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda.get_device_name()


def used_resources(started: float) -> dict:
    """Seconds, CPU seconds and peak memory in MB of the process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": round(time.time() - started, 3),
        "cpu_seconds": round(sum(u.ru_utime + u.ru_stime for u in used), 3),
        "max_rss_mb": round(max(u.ru_maxrss for u in used) / 1024),
    }


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file at once, so that it is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def write_record(snakemake, started: float, inputs_read: bool) -> None:
    """Leave the record of a job that has done its work.

    Parameters
    ----------
    snakemake : as in a rule's script
    started : seconds since the epoch
    inputs_read : False for a job that does not read its inputs whole: they get no checksum

    Raises
    ------
    FileNotFoundError
        If an output is not there.
    TypeError
        If a parameter is no JSON, so that the job could not be done again from its record.
    """
    describe_input = describe if inputs_read else lambda path: {"path": path}
    names = {
        part: dict(getattr(snakemake, part)._get_names()) for part in ("input", "output", "params")
    }
    record = {
        "job": snakemake.log[0],
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": list(snakemake.params),
        "threads": snakemake.threads,
        "resources": {k: v for k, v in snakemake.resources.items() if isinstance(v, int)},
        "inputs": [describe_input(path) for path in snakemake.input],
        "outputs": [describe(path) for path in snakemake.output],
        "names": names,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "host": platform.node(),
        "environment": environment(),
        **used_resources(started),
    }
    if json.loads(json.dumps(record["params"])) != record["params"]:
        raise TypeError(f"rule {snakemake.rule}: parameters that are no JSON: {record['params']}")
    name = hashlib.sha256(record["job"].encode()).hexdigest()[:32]
    write_whole(SPOOL / f"{name}.json", json.dumps(record))
