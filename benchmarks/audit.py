"""What the records cost on a cohort of tiny files.

python benchmarks/audit.py 1000

Every session has ten jobs, each with four inputs and four outputs. Printed are the seconds and the
peak memory of the end of a run that did them all, of one that did ten more, and of the
verification (without the time that the bytes of real files would take).
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from workflow_scripts.audit.record_run import record_run  # noqa: E402
from workflow_scripts.audit.verify import verify  # noqa: E402
from workflow_scripts.common.record import SPOOL, checksum, environment  # noqa: E402

RULES = ["prepare_t1w", "register_to_mni", "segment_brain", "align_contrast", "prepare_dwi"]
RULES += ["fit_tensor", "register_dwi_to_t1w", "measure_alps", "draw_qc", "draw_dwi_qc"]
FILES = 4


def spool(sessions: range) -> None:
    """Files and records of all jobs of some sessions, in the folder where the process is."""
    SPOOL.mkdir(parents=True, exist_ok=True)
    found, sums = environment(), None
    for number in sessions:
        before = [{"path": f"raw/sub-{number:05d}_{n}.nii.gz"} | (sums or {}) for n in range(FILES)]
        os.makedirs(f"sub-{number:05d}", exist_ok=True)
        for place, rule in enumerate(RULES):
            outputs = [f"sub-{number:05d}/{rule}_{n}.nii.gz" for n in range(FILES)]
            for path in outputs:
                Path(path).write_text("x")
            sums = sums or checksum(outputs[0])
            made = [{"path": path} | sums for path in outputs]
            inputs = [entry | sums for entry in before]
            record = {
                "job": f"logs/{rule}/sub-{number:05d}.log",
                "rule": rule,
                "wildcards": {"prefix": f"sub-{number:05d}"},
                "params": [43670, "0123456789abcdef"],
                "threads": 1,
                "resources": {"mem_mb": 1000, "runtime": 10},
                "inputs": inputs,
                "outputs": made,
                "names": {"input": {}, "output": {}, "params": {"raw_bytes": [0, None]}},
                "started": f"2026-01-01T00:00:{place:02d}.000+00:00",
                "ended": f"2026-01-01T00:00:{place:02d}.500+00:00",
                "host": "node",
                "environment": found,
                "seconds": 0.5,
                "cpu_seconds": 0.5,
                "max_rss_mb": 100,
            }
            (SPOOL / f"{number}-{place}.json").write_text(json.dumps(record))
            before = made


def timed(title: str, function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{title}\t{time.perf_counter() - start:.1f} s\t{peak:.0f} MB", flush=True)
    return result


def main(sessions: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        config = {"report": {"title": "benchmark"}}
        spool(range(sessions))
        for title in (f"end of a run of {sessions * len(RULES)} jobs", "of ten jobs more"):
            ended = Path(), config, {}, {}, datetime.now(UTC), True
            timed(title, record_run, *ended)
            spool(range(1))
            time.sleep(1)  # runs go by the second
        for path in SPOOL.glob("*.json"):
            path.unlink()
        timed("verification", verify, Path(), {}, 2)
        for name in ("audit/jobs.jsonl", "audit/manifest.tsv", "ro-crate-metadata.json"):
            print(f"{name}\t{os.path.getsize(name) / 1e6:.1f} MB")
        os.chdir(ROOT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sessions", type=int, nargs="?", default=1000)
    main(parser.parse_args().sessions)
