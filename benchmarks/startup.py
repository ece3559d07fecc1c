"""Start-up of the workflow on a cohort of tiny files.

python benchmarks/startup.py 1000

Prints seconds for the index alone, for all that the Snakefile reads and checks,
and for a whole dry run, with its peak memory.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from workflow_scripts.cohort.cohort import load_cohort  # noqa: E402
from workflow_scripts.cohort.config import check_config  # noqa: E402
from workflow_scripts.cohort.index import index_scans  # noqa: E402


def make_dataset(root: Path, subjects: int) -> None:
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(subjects):
        name = f"sub-{number:05d}"
        rows.append(f"{name}\t40\tF\t{'NPSLE' if number % 3 == 0 else 'non-NPSLE'}")
        folder = root / name / "anat"
        folder.mkdir(parents=True)
        for suffix in ("T1w", "FLAIR"):
            (folder / f"{name}_{suffix}.nii.gz").touch()
        (root / name / "dwi").mkdir()
        for extension in ("nii.gz", "bval", "bvec", "json"):
            (root / name / "dwi" / f"{name}_dwi.{extension}").write_text("{}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")


def timed(name: str, function) -> None:
    start = time.perf_counter()
    function()
    print(f"{name}\t{time.perf_counter() - start:.2f} s", flush=True)


def main(subjects: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bids = Path(folder) / "bids"
        make_dataset(bids, subjects)
        config = yaml.safe_load((ROOT / "config.yaml").read_text())
        del config["studies"]["npsle_multimodal"]
        config["studies"]["npsle_contrastive"]["table1"] = ["age", "sex"]
        config |= {"bids_dir": str(bids), "output_dir": f"{folder}/results"}
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        checked = check_config(config)
        index_file = Path(folder) / "index.tsv"
        timed("index", lambda: index_scans(bids, checked["scans"]))
        timed("index, participants, checks", lambda: load_cohort(checked, bids, index_file, True))
        timed("read the kept index", lambda: load_cohort(checked, bids, index_file, False))
        command = ["snakemake", "--cores", "2", "--dry-run", "--quiet", "--configfile", str(file)]
        command = [sys.executable, "-m", *command]
        timed("dry run", lambda: subprocess.run(command, cwd=ROOT, check=True))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"peak memory of the dry run\t{peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
