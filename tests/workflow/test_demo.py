"""The demo from its simulation to the report, and what a grown or changed study reruns."""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.report.browser import CHROMIUM, check_page
from tests.workflow.snake import jobs, said, snakemake
from workflow_scripts.common.tables import read_table

SUBJECTS = 13  # 15 planned, one without scans, one excluded


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return config | {"output_dir": str(tmp_path_factory.mktemp("demo") / "results")}


@pytest.fixture(scope="module")
def demo(config, tmp_path_factory):
    """Output folder of a whole demo run."""
    process = snakemake(config=config, folder=tmp_path_factory.mktemp("run"))
    assert process.returncode == 0, said(process)[-5000:]
    return config["output_dir"]


@pytest.fixture
def copy(demo, config, tmp_path):
    """Configuration of a copy of the finished demo."""
    shutil.copytree(demo, tmp_path / "results", symlinks=True)
    return config | {"output_dir": str(tmp_path / "results")}


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


def study_table(demo, name):
    return read_table(f"{demo}/studies/npsle_contrastive/{name}.tsv")


def test_brain_and_tissues_are_recovered(demo):
    recovered = read_table(f"{demo}/demo/recovered.tsv")
    dice = recovered[recovered["measure"] == "brain_mask_dice"]
    assert len(dice) == SUBJECTS
    assert dice["recovered"].min() >= 0.95
    tissues = recovered[
        recovered["measure"].isin(["gm_volume_ml", "wm_volume_ml", "csf_volume_ml"])
    ]
    assert len(tissues) == 3 * SUBJECTS
    assert tissues["error_percent"].abs().max() <= 5


def test_planted_effect_is_found(demo):
    test = study_table(demo, "permutation_test").set_index(["model", "metric"])
    for model in ("svm", "logistic"):
        assert test.loc[(model, "auc"), "p"] < 0.05
        assert test.loc[(model, "auc"), "observed"] > test.loc[(model, "auc"), "null_high"]
    regions = study_table(demo, "regions").set_index("measure")
    assert regions.loc["ventricles_fraction", "p_bonferroni"] < 0.05
    assert (
        regions.loc["ventricles_fraction", "mean_positive"]
        > (regions.loc["ventricles_fraction", "mean_negative"])
    )


def test_every_scan_is_accounted_for(demo):
    status = read_table(f"{demo}/cohort/status.tsv")
    counts = Counter(zip(status["suffix"], status["status"], strict=True))
    assert counts["T1w", "AVAILABLE"] == SUBJECTS
    assert counts["T1w", "MISSING"] == counts["T1w", "EXCLUDED"] == 1
    assert counts["FLAIR", "MISSING"] > 1
    assert len(status) == 2 * 15
    flow = study_table(demo, "flow").set_index("stage")["n"]
    assert flow["screened"] - flow["excluded"] - flow["missing data"] == flow["analysed"]
    assert flow["analysed"] == SUBJECTS


def test_tables_have_dictionaries(demo):
    for table in [f"{demo}/cohort/features.tsv", f"{demo}/cohort/status.tsv"]:
        assert os.path.isfile(table.replace(".tsv", ".json"))
    for name in ("table1", "flow", "fractions", "regions", "metrics", "permutation_test"):
        assert os.path.isfile(f"{demo}/studies/npsle_contrastive/{name}.json")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_report_is_whole_in_a_browser(demo):
    assert check_page(f"{demo}/report/index.html") == []


def test_finished_study_reruns_nothing(demo, config, tmp_path):
    assert jobs(snakemake("--dry-run", config=config, folder=tmp_path)) == Counter()


def test_touching_files_reruns_nothing(copy, tmp_path):
    for folder, _, files in os.walk(f"{copy['output_dir']}/demo/bids"):
        for name in files:
            os.utime(f"{folder}/{name}")
    os.utime(ROOT / "workflow_scripts/anatomical/prepare_t1w.py")
    assert jobs(snakemake("--dry-run", config=copy, folder=tmp_path)) == Counter()


def test_fresh_clone_reruns_nothing(demo, config, clone, tmp_path):
    process = snakemake("--dry-run", config=config, folder=tmp_path, clone=clone)
    assert jobs(process) == Counter()


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        (
            "statistics/describe_population.py",
            {"describe_population": 1, "write_report": 1, "all": 1},
        ),
        (
            "statistics/metrics.py",
            {"evaluate_classifiers": 1, "write_report": 1, "all": 1},
        ),
        (
            "anatomical/regions.py",
            {
                "segment_brain": SUBJECTS,
                "draw_qc": SUBJECTS,
                "collect_features": 2,
                "flag_outliers": 1,
                "compare_with_truth": 1,
                "classify_features": 1,
                "compare_fractions": 1,
                "compare_regions": 1,
                "evaluate_classifiers": 1,
                "write_report": 1,
                "all": 1,
            },
        ),
    ],
)
def test_edited_code_reruns_what_depends_on_it(demo, config, clone, tmp_path, file, rules):
    path = clone / "workflow_scripts" / file
    path.write_text("# a comment alone reruns nothing\n" + path.read_text())
    same = snakemake("--dry-run", config=config, folder=tmp_path, clone=clone)
    assert jobs(same) == Counter()
    path.write_text(path.read_text() + "\nEDITED = True\n")
    edited = snakemake("--dry-run", config=config, folder=tmp_path, clone=clone)
    assert jobs(edited) == Counter(rules)


def test_added_subject_runs_its_jobs_and_the_group_steps(copy, tmp_path):
    trials = f"{copy['output_dir']}/studies/npsle_contrastive/split-1_trials.tsv"
    before = Path(trials).read_text()
    grown = copy | {"demo": copy["demo"] | {"subjects": {"non-NPSLE": 9, "NPSLE": 7}}}
    process = snakemake(config=grown, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    subject = ["simulate_t1w", "simulate_flair", "prepare_t1w", "register_to_mni"]
    subject += ["segment_brain", "align_flair", "draw_qc"]
    group = ["simulate_participants", "preflight", "tabulate_cohort", "check_cohort"]
    group += ["collect_features", "flag_outliers", "compare_with_truth"]
    group += ["describe_population", "write_report", "all"]
    assert jobs(process) == Counter(subject + group)
    assert Path(trials).read_text() == before
    features = read_table(f"{copy['output_dir']}/cohort/features.tsv")
    assert len(features) == SUBJECTS + 1
    flow = read_table(f"{copy['output_dir']}/studies/npsle_contrastive/flow.tsv")
    assert flow.set_index("stage").loc["not in the frozen population", "n"] == 1


def test_null_cohort_is_at_chance(copy, tmp_path):
    """The same cohort without an effect; only the patients' images are new."""
    null = copy | {"demo": copy["demo"] | {"effect": 0.0}}
    process = snakemake("studies", config=null, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    assert jobs(process)["simulate_t1w"] == 6
    test = study_table(copy["output_dir"], "permutation_test")
    assert (test["p"] > 0.05).all()
    assert test["observed"].between(test["null_low"], test["null_high"]).all()
    regions = study_table(copy["output_dir"], "regions")
    assert (regions["p_bonferroni"] > 0.05).all()


def test_excluding_a_member_of_the_split_is_not_passed_over(copy, demo, tmp_path):
    member = study_table(demo, "split-1_population")["participant_id"].iloc[0]
    bids = tmp_path / "results/demo/bids"
    exclusions = pd.read_csv(bids / "exclusions.tsv", sep="\t", keep_default_na=False)
    exclusions.loc[len(exclusions)] = [member, "n/a", "n/a", "infarct"]
    exclusions.to_csv(tmp_path / "exclusions.tsv", sep="\t", index=False)
    own = copy | {"bids_dir": str(bids), "exclusions": str(tmp_path / "exclusions.tsv")}
    process = snakemake("--dry-run", config=own, folder=tmp_path)
    assert process.returncode == 1
    assert f"split 1 was drawn with {member}" in said(process)
    assert "split to 2" in said(process)
