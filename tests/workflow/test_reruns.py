"""What a finished, grown or changed study makes anew, on the tiny demo."""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.workflow.snake import finished, jobs, said, snakemake
from tests.workflow.tiny import HEADS, SUBJECTS, tiny_demo
from workflow_scripts.common.tables import read_table

CONTRASTIVE = "studies/npsle_contrastive"
# Of one subject, the class's next, who has no FLAIR and whose vessels are contours.
STEPS = [
    "simulate_t1w",
    "prepare_t1w",
    "register_to_mni",
    "segment_brain",
    "draw_qc",
    "draw_viewer",
]
STEPS += ["simulate_dwi", "simulate_epi", "prepare_dwi", "fit_tensor", "register_dwi_to_t1w"]
STEPS += ["measure_alps", "draw_dwi_qc"]
STEPS += ["simulate_vessel_contours", "measure_vessel_wall", "draw_vessel_wall"]
# Of the cohort, whose split is kept; who is added has no lesions that Grad-CAM is compared with.
GROUP = ["simulate_participants", "preflight", "tabulate_cohort", "check_cohort"]
GROUP += ["collect_sidecars", "collect_features", "flag_outliers", "compare_with_truth"]
GROUP += [*2 * ["describe_population"], "write_report", "all"]
# Flags are relative to the cohort, and a study's sensitivity to them is told anew.
GROUP += [*4 * ["refit_features"], "evaluate_classifiers"]


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the project: other path, other time stamps."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, target)
    return tmp_path / "clone"


def would_run(results, folder, **options):
    return jobs(finished("--dry-run", config=tiny_demo(results), folder=folder, **options))


def test_finished_study_reruns_nothing_though_its_files_are_touched(tiny_copy, tmp_path):
    for folder, _, files in os.walk(f"{tiny_copy['output_dir']}/demo/bids"):
        for name in files:
            os.utime(f"{folder}/{name}")
    os.utime(ROOT / "workflow_scripts/anatomical/prepare_t1w.py")
    assert would_run(tiny_copy["output_dir"], tmp_path) == Counter()


EVALUATED = {"evaluate_classifiers": 11, "permutation_test": 2, "compare_strategies": 1}
EVALUATED |= {"compare_groups": 1, "write_report": 1, "all": 1}
FITTED = {"fit_features": 7, "refit_features": 11, "bootstrap_models": 1}
FITTED |= {"collect_predictions": 2}
FEATURES = {"collect_sidecars": 1, "collect_features": 3, "flag_outliers": 1}
FEATURES |= {"compare_with_truth": 1, "compare_classes": 2, "correlate_features": 1}


EDITED = {
    "statistics/describe_population.py": {"describe_population": 2, "write_report": 1, "all": 1},
    "statistics/metrics.py": EVALUATED | {"compare_published": 1},
    "anatomical/regions.py": dict.fromkeys(("segment_brain", "draw_qc", "draw_viewer"), HEADS)
    | FEATURES
    | FITTED
    | EVALUATED,
}


def test_fresh_clone_reruns_nothing_though_comments_are_new(tiny, clone, tmp_path):
    for file in EDITED:
        path = clone / "workflow_scripts" / file
        path.write_text("# a comment alone reruns nothing\n" + path.read_text())
    assert would_run(tiny, tmp_path, clone=clone) == Counter()


@pytest.mark.parametrize(("file", "rules"), EDITED.items())
def test_edited_code_reruns_what_depends_on_it(tiny, clone, tmp_path, file, rules):
    path = clone / "workflow_scripts" / file
    path.write_text(path.read_text() + "\nEDITED = True\n")
    assert would_run(tiny, tmp_path, clone=clone) == Counter(rules)


def test_added_subject_runs_its_jobs_and_the_group_steps(tiny_copy, tmp_path):
    results = Path(tiny_copy["output_dir"])
    kept = [f"{CONTRASTIVE}/split-1_splits.tsv", f"{CONTRASTIVE}/predictions.tsv"]
    kept.append("studies/npsle_multimodal/metrics.tsv")
    before = [(results / name).read_text() for name in kept]
    tiny_copy["demo"]["subjects"] = SUBJECTS | {"non-NPSLE": SUBJECTS["non-NPSLE"] + 1}
    process = finished(config=tiny_copy, folder=tmp_path)
    assert jobs(process) == Counter(STEPS + GROUP)
    assert [(results / name).read_text() for name in kept] == before
    assert len(read_table(results / "cohort/features.tsv")) == HEADS + 1
    flow = read_table(results / CONTRASTIVE / "flow.tsv")
    assert flow.set_index("stage").loc["not in the frozen population", "n"] == 1


def test_excluding_a_member_of_the_split_is_not_passed_over(tiny_copy, tmp_path):
    results = Path(tiny_copy["output_dir"])
    member = read_table(results / CONTRASTIVE / "split-1_population.tsv")["participant_id"].iloc[0]
    bids = results / "demo/bids"
    exclusions = pd.read_csv(bids / "exclusions.tsv", sep="\t", keep_default_na=False)
    exclusions.loc[len(exclusions)] = [member, "n/a", "n/a", "infarct"]
    exclusions.to_csv(tmp_path / "exclusions.tsv", sep="\t", index=False)
    own = tiny_copy | {"bids_dir": str(bids), "exclusions": str(tmp_path / "exclusions.tsv")}
    process = snakemake("--dry-run", config=own, folder=tmp_path)
    assert process.returncode == 1
    assert f"split 1 was drawn with {member}" in said(process)
    assert "split to 2" in said(process)
