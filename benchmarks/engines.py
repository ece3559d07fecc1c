"""Engines of a finished run: cost per scan, volumes, and how far each two agree.

python benchmarks/engines.py RESULTS

Cost is that of the jobs on record (audit/jobs.jsonl; trainings and what all engines need apart),
with the start of each job: median CPU seconds, largest memory. Agreement is the mean Dice of both
sides over the sessions that both have; with raters among them, since these are engines here.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import scripts  # noqa: F401

import nibabel as nib  # isort: skip
import numpy as np  # isort: skip
import pandas as pd  # isort: skip

from workflow_scripts.common.bids import entities_of
from workflow_scripts.common.images import dice
from workflow_scripts.common.tables import read_table


def costs(results: Path) -> pd.DataFrame:
    """Jobs, median CPU seconds and largest memory by rule and engine."""
    rows = []
    with open(results / "audit/jobs.jsonl") as records:
        for record in map(json.loads, records):
            if record["rule"] in ("segment_region", "train_unet", "label_brain"):
                made = record["wildcards"]
                engine = made.get("engine", made.get("network"))
                used = {key: record[key] for key in ("cpu_seconds", "max_rss_mb")}
                rows.append({"rule": record["rule"], "engine": engine} | used)
    groups = pd.DataFrame(rows).groupby(["rule", "engine"])
    return groups.agg(
        jobs=("cpu_seconds", "size"),
        cpu_seconds=("cpu_seconds", "median"),
        most_mb=("max_rss_mb", "max"),
    ).round(1)


def agreement(results: Path) -> pd.DataFrame:
    """Mean Dice of each two engines, and the number of sessions, by region."""
    images: dict[tuple, dict] = {}
    for path in sorted(results.glob("sub-*/**/anat/*_label-*_desc-*_dseg.nii.gz")):
        of = entities_of(path.name)
        session = path.name.split("_label-")[0], of["label"]
        images.setdefault(session, {})[of["desc"]] = np.asanyarray(nib.load(path).dataobj) > 0
    rows = [
        {"region": region, "engine": one, "other": two, "dice": dice(made[one], made[two])}
        for (_, region), made in images.items()
        for one, two in combinations(made, 2)
    ]
    groups = pd.DataFrame(rows).groupby(["region", "engine", "other"])["dice"]
    return groups.agg(["mean", "min", "size"]).round(3)


def main() -> None:
    """Print the tables of a run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    print(costs(results).to_string(), end="\n\n")
    volumes = read_table(results / "segmentation/volumes.tsv")
    of = volumes.groupby(["region", "engine"])[["left_volume_ml", "right_volume_ml", "volume_ml"]]
    print(of.agg(["mean", "min", "max"]).round(2).to_string(), end="\n\n")
    print(agreement(results).to_string())


if __name__ == "__main__":
    main()
