"""Start-up of the workflow on a cohort of tiny files, beside a plain workflow of the same shape.

python benchmarks/startup.py 1000

Every participant has a T1w, a FLAIR and a diffusion series, or what ``--scans`` says. Printed
are seconds, CPU seconds and peak memory of the first dry run, of a run on the finished cohort
that finds nothing to do, and of bringing one participant up to date there. The plain workflow
has as many rules per participant, with as many files each, listed from a TSV, and as many steps
of the whole cohort. ``--against`` measures another clone, of another version, on the same
dataset in turn.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from pathlib import Path

import yaml

SCANS = ["T1w", "FLAIR", "dwi"]
ROOT = Path(__file__).resolve().parents[1]
PLAIN = """
SUBJECTS = open("subjects.tsv").read().split()
STEPS = {steps}
def outputs(step):
    return [f"sub/{{{{subject}}}}/{{step}}_{{n}}.txt" for n in range(STEPS[step])]
def all_of(step):
    return expand(outputs(step), subject=SUBJECTS)
rule all:
    input: expand("group_{{n}}.txt", n=range({groups}))
names = list(STEPS)
for number, name in enumerate(names):
    rule:
        name: name
        input: "raw/{{subject}}.txt" if number == 0 else outputs(names[number - 1])
        output: outputs(name)
        log: "logs/" + name + "/{{subject}}.log"
        params: code=name
        shell: "touch {{output}}"
rule group:
    input: all_of(names[-1])
    output: "group_{{n}}.txt"
    shell: "touch {{output}}"
"""


def make_dataset(root: Path, subjects: int, scans: list[str]) -> None:
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(subjects):
        name = f"sub-{number:05d}"
        rows.append(f"{name}\t40\tF\t{'NPSLE' if number % 3 == 0 else 'non-NPSLE'}")
        folder = root / name / "anat"
        folder.mkdir(parents=True)
        for suffix in set(scans) - {"dwi"}:
            (folder / f"{name}_{suffix}.nii.gz").touch()
        if "dwi" in scans:
            (root / name / "dwi").mkdir()
            for extension in ("nii.gz", "bval", "bvec", "json"):
                (root / name / "dwi" / f"{name}_dwi.{extension}").write_text("{}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")


def run(title: str | None, *arguments: str, folder: Path = ROOT, may_fail: bool = False) -> str:
    """What snakemake prints; what it took is shown beside ``title``."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read()
    if status and not may_fail:
        raise RuntimeError(f"{' '.join(command)}: {text[-2000:]}")
    if title:
        wall, cpu = time.perf_counter() - start, used.ru_utime + used.ru_stime
        print(f"{title}\t{wall:.1f} s\t{cpu:.1f} s\t{used.ru_maxrss / 1024:.0f} MB", flush=True)
    return text


def finish(folder: Path, root: Path, options: list[str], one: list[str]) -> Counter:
    """Make every output as a tiny file that snakemake has a record of; outputs by rule.

    ``one`` are the options that bring sub-00000 up to date. Snakemake makes its records (a tenth
    of a second per job); those of the other participants are copies.
    """
    rows = [line.split("\t") for line in run(None, "--summary", *options, folder=root).splitlines()]
    outputs = {row[0]: row[2] for row in rows if len(row) > 5 and row[0] != "output_file"}
    for name in outputs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("_events"):  # of TensorBoard, up to version 0.6
            (folder / name).mkdir(exist_ok=True)
        elif not (folder / name).exists():
            (folder / name).write_text("{}" if name.endswith(".json") else "path\n")
    # It keeps its records and then cannot read flags from the tiny files.
    run(None, "--touch", "--forceall", *one, folder=root, may_fail=True)
    records = folder / ".snakemake/metadata"
    known = {urlsafe_b64decode(r.name).decode(): r.read_text() for r in records.iterdir()}
    names = set(re.findall(r"sub-\d{5}", " ".join(outputs)))
    for output, record in known.items():
        for name in names if "sub-00000" in output else []:
            key = urlsafe_b64encode(output.replace("sub-00000", name).encode()).decode()
            (records / key).write_text(record.replace("sub-00000", name))
    run(None, "--touch", *options, folder=root)
    now = time.time()
    for path in filter(os.path.exists, (folder / name for name in outputs)):
        os.utime(path, (now, now))
    return Counter(outputs.values())


def measure_plain(folder: Path, subjects: int, steps: dict, groups: int) -> None:
    folder.mkdir()
    (folder / "raw").mkdir()
    names = [f"sub-{number:05d}" for number in range(subjects)]
    (folder / "subjects.tsv").write_text("\n".join(names))
    for name in names:
        (folder / "raw" / f"{name}.txt").touch()
    (folder / "Snakefile").write_text(PLAIN.format(steps=steps, groups=groups))
    run("plain workflow, first dry run", "--dry-run", "--quiet", folder=folder)
    last = list(steps)[-1]
    finish(folder, folder, [], [f"sub/sub-00000/{last}_0.txt"])
    run("plain workflow, nothing to do", folder=folder)


def draw_population(results: Path, root: Path, options: list[str]) -> None:
    """Freeze a study's population as if the check of the scans, which are empty, were done."""
    (results / "cohort").mkdir(parents=True, exist_ok=True)
    (results / "cohort/check.txt").touch()
    target = "studies/npsle_contrastive/split-1_population.tsv"
    run(None, target, "--allowed-rules", "freeze_population", *options, folder=root)


def prepare(root: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Options of a run of a clone on the dataset beside ``folder``, and of one participant's."""
    folder.mkdir()
    config = yaml.safe_load((root / "config.yaml").read_text())
    del config["studies"]["npsle_multimodal"], config["demo"]
    config["studies"]["npsle_contrastive"]["table1"] = ["age", "sex"]
    config |= {"bids_dir": f"{folder.parent}/bids", "output_dir": f"{folder}/results"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    options = ["--configfile", f"{folder}/config.yaml"]
    return options, [*options, "--config", "participants=[sub-00000]"]


def main(subjects: int, scans: list[str], plain: bool, against: Path | None) -> None:
    roots = {"": ROOT} | ({f"{against}: ": against} if against else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_dataset(folder / "bids", subjects, scans)
        prepared = {}
        for number, (title, root) in enumerate(roots.items()):
            options, one = prepare(root, folder / str(number))
            run(f"{title}first dry run", "--dry-run", "--quiet", *options, folder=root)
            draw_population(folder / str(number) / "results", root, options)
            outputs = finish(folder / str(number) / "results", root, options, one)
            prepared[title] = root, options, one, outputs
        for _ in range(3 if against else 1):
            for title, (root, options, _, _) in prepared.items():
                run(f"{title}nothing to do", *options, folder=root)
        for title, (root, _, one, _) in prepared.items():
            run(f"{title}one participant", *one, folder=root)
        for title, (_, _, _, outputs) in prepared.items():
            steps = {rule: n // subjects for rule, n in outputs.items() if n >= subjects}
            print(f"{title}per participant: {len(steps)} rules, {sum(steps.values())} files")
        steps, outputs = next(
            ({rule: n // subjects for rule, n in made.items() if n >= subjects}, made)
            for *_, made in prepared.values()
        )
        if plain:
            measure_plain(folder / "plain", subjects, steps, len(outputs) - len(steps))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", type=int, nargs="?", default=1000)
    parser.add_argument("--scans", nargs="+", choices=SCANS, default=SCANS)
    parser.add_argument("--against", type=Path, help="another clone")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    main(**vars(parser.parse_args()))
