"""The demo from its simulation to the report, and what a grown or changed study reruns."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.report.browser import CHROMIUM, check_page
from tests.workflow.snake import jobs, said, snakemake
from workflow_scripts.audit.records import read_jobs
from workflow_scripts.common.tables import read_table

PLANNED = 20
SUBJECTS = 18  # one without scans, one excluded
ANALYSED = 13  # without the controls
DWI, VESSELS = 17, 17  # one of the subjects without each
AUTOMATIC = "sub-004"  # vessel contours proposed by the program


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
        null_high = test.loc[(model, "auc"), "null_high"]
        assert test.loc[(model, "auc"), "observed"] >= null_high - 1e-9
    networks = study_table(demo, "permutation_test").query("model.str.startswith('contrastive')")
    accuracy, auc = (networks[networks["metric"] == m] for m in ("balanced_accuracy", "auc"))
    assert (accuracy["observed"] > 0.5).all()  # the majority class
    assert (auc["p"] < 0.05).sum() >= 2  # of three strategies
    assert (auc["observed"] > auc["null_mean"]).all()
    regions = study_table(demo, "regions").set_index("measure")
    assert regions.loc["ventricles_fraction", "p_bonferroni"] < 0.05
    assert (
        regions.loc["ventricles_fraction", "mean_positive"]
        > (regions.loc["ventricles_fraction", "mean_negative"])
    )


def test_gradcam_of_the_ill_lies_on_the_planted_effect(demo):
    """More than with permuted labels, on the same encoders and scans."""
    table = read_table(f"{demo}/demo/gradcam.tsv").set_index(["strategy", "class"])
    ill = table.loc[("all", "NPSLE")]
    assert ill["p"] < 0.05
    assert ill["auc_in_region"] > 0.5
    single = table.xs("NPSLE", level="class").drop("all")
    assert ill["n"] == single.loc[single["n_permutations"] > 0, "n"].sum()
    regions = study_table(demo, "gradcam/strategy-crop_regions")
    of_all = regions["trial"] == "all"
    assert regions.loc[of_all, "p"].between(1 / 201, 1).all()
    assert regions.loc[~of_all, "p"].isna().all()


def recovered(demo, measure):
    table = read_table(f"{demo}/demo/recovered.tsv")
    return table[table["measure"] == measure].set_index("participant_id")


def test_alps_is_recovered_under_head_tilt(demo):
    rotated, unrotated = (recovered(demo, name) for name in ("alps", "alps_native_unrotated"))
    assert len(rotated) == len(unrotated) == DWI
    error = rotated["error_percent"].abs().mean()
    assert error < 6
    assert error < unrotated["error_percent"].abs().mean()
    assert np.corrcoef(rotated["true"], rotated["recovered"])[0, 1] > 0.8


def test_vessel_walls_are_recovered(demo):
    for measure in ("nwi", "lumen_area_mm2"):
        table = recovered(demo, measure)
        assert len(table) == VESSELS
        assert table["error_percent"].abs().median() < 2
        drawn = table.drop(AUTOMATIC)
        assert drawn["error_percent"].abs().max() < 10  # binary masks, 6 voxels across
    outliers = read_table(f"{demo}/cohort/outliers.tsv").set_index("participant_id")
    assert outliers.loc[[AUTOMATIC], "reason"].str.contains("automatic").any()


def test_planted_group_differences_and_correlations_are_found(demo):
    folder = f"{demo}/studies/npsle_multimodal"
    groups = read_table(f"{folder}/groups.tsv")
    overall = groups[groups["group"] == "all"].set_index("feature")
    assert overall.loc["nwi", "p_corrected"] < 0.05
    pairs = read_table(f"{folder}/groups_pairwise.tsv").set_index("feature").loc["nwi"]
    ends = pairs[(pairs["group_a"] == "control") & (pairs["group_b"] == "NPSLE")]
    assert ends["p_corrected"].item() < 0.05
    assert ends["cliffs_delta"].item() > 0.5
    correlations = read_table(f"{folder}/correlations.tsv").set_index(["feature", "clinical"])
    assert correlations.loc[("alps", "moca"), "r_low"] > 0


def test_networks_are_tested_on_the_test_side_alone(demo):
    predictions = study_table(demo, "model-cnn_predictions")
    trials = study_table(demo, "split-1_trials")
    tested = trials[(trials["role"] == "test") & (trials["trial"] <= 2)]
    expected = set(zip(tested["trial"], tested["participant_id"], strict=True))
    models = predictions.groupby("model")
    assert len(models) == 4
    for _, rows in models:
        assert set(zip(rows["trial"], rows["participant_id"], strict=True)) == expected
        assert len(rows) == len(expected)
        assert rows["probability"].between(0, 1).all()
    tests = study_table(demo, "permutation_test")
    assert tests["model"].str.startswith("contrastive").sum() == 2 * 3
    assert tests.loc[tests["metric"] == "auc", "null_mean"].between(0.35, 0.65).all()


def test_models_of_a_release_score_other_sessions(copy, demo, tmp_path):
    process = snakemake("freeze", config=copy, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    [release] = Path(copy["output_dir"], "releases").iterdir()
    assert not list(release.rglob("*.nii.gz"))
    frozen = copy | {"frozen_models": f"{release}/studies/npsle_contrastive/models"}
    process = snakemake("predict", config=frozen, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    assert jobs(process) == Counter(["predict_sessions", "predict"])
    scores = read_table(f"{copy['output_dir']}/predictions/sessions.tsv")
    assert scores.groupby("model")["participant_id"].nunique().tolist() == 8 * [SUBJECTS]
    name = "trial-1_strategy-crop_repeat-1"
    own = scores[scores["model"] == name].set_index("participant_id")
    trials = study_table(demo, "split-1_trials").query("trial == 1")
    trained = trials.loc[trials["role"] == "train", "participant_id"]
    assert set(own.index[own["seen_in_training"] == "yes"]) == set(trained)
    told = study_table(demo, "model-cnn_predictions").query("trial == 1")
    told = told[told["model"] == "contrastive_crop"].set_index("participant_id")["score"]
    np.testing.assert_allclose(own.loc[told.index, "score"], told, atol=0.02)


def test_audit_does_a_job_of_every_rule_again(demo, config, tmp_path):
    rules = {record["rule"] for record in read_jobs(Path(demo)).values()}
    audited = config | {"audit": {"recompute": len(rules)}}
    process = snakemake("audit", config=audited, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    assert f"{len(rules)} of " in said(process)


def test_every_scan_is_accounted_for(demo):
    status = read_table(f"{demo}/cohort/scans.tsv")
    scans = status.drop_duplicates(["participant_id", "suffix"])
    counts = Counter(zip(scans["suffix"], scans["status"], strict=True))
    for suffix, available in (("T1w", SUBJECTS), ("dwi", DWI), ("vesselwall", VESSELS)):
        assert counts[suffix, "AVAILABLE"] == available
        assert counts[suffix, "EXCLUDED"] == 1
        assert counts[suffix, "MISSING"] == PLANNED - available - 1
    assert counts["FLAIR", "MISSING"] > 1
    flow = study_table(demo, "flow").set_index("stage")["n"]
    left_out = ["excluded", "not in a class", "missing data"]
    assert flow["screened"] - flow[left_out].sum() == flow["analysed"]
    assert flow["analysed"] == ANALYSED


def test_tables_have_dictionaries(demo):
    for table in [f"{demo}/cohort/features.tsv", f"{demo}/cohort/scans.tsv"]:
        assert os.path.isfile(table.replace(".tsv", ".json"))
    for name in ("table1", "flow", "fractions", "regions", "metrics", "permutation_test"):
        assert os.path.isfile(f"{demo}/studies/npsle_contrastive/{name}.json")
    for table in Path(demo, "studies/npsle_multimodal").glob("*.tsv"):
        assert table.with_suffix(".json").is_file()
    tables = list(Path(demo).glob("sub-*/*/*.tsv"))
    assert len(tables) > 6 * SUBJECTS
    for table in tables:  # BIDS inheritance
        dictionary = Path(demo, table.stem.split("_", 1)[1]).with_suffix(".json")
        assert set(read_table(table).columns) <= json.loads(dictionary.read_text()).keys()


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
            {"describe_population": 2, "write_report": 1, "all": 1},
        ),
        (
            "statistics/metrics.py",
            {
                "evaluate_classifiers": 1,
                "compare_strategies": 1,
                "compare_groups": 1,
                "evaluate_models": 1,
                "compare_published": 1,
                "write_report": 1,
                "all": 1,
            },
        ),
        (
            "anatomical/regions.py",
            {
                "segment_brain": SUBJECTS,
                "draw_qc": SUBJECTS,
                "collect_sidecars": 1,
                "collect_features": 2,
                "flag_outliers": 1,
                "compare_with_truth": 1,
                "classify_features": 1,
                "compare_fractions": 1,
                "compare_regions": 1,
                "evaluate_classifiers": 1,
                "compare_strategies": 1,
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
    kept = [
        Path(copy["output_dir"], "studies", name)
        for name in ("npsle_contrastive/split-1_trials.tsv", "npsle_multimodal/models_metrics.tsv")
    ]
    before = [path.read_text() for path in kept]
    sizes = copy["demo"]["subjects"]
    grown = copy | {"demo": copy["demo"] | {"subjects": sizes | {"NPSLE": 7}}}
    process = snakemake(config=grown, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    subject = ["simulate_t1w", "simulate_flair", "prepare_t1w", "register_to_mni"]
    subject += ["segment_brain", "align_flair", "draw_qc", "simulate_dwi", "simulate_epi"]
    subject += ["prepare_dwi", "fit_tensor", "register_dwi_to_t1w", "measure_alps", "draw_dwi_qc"]
    subject += ["simulate_vessel_wall", "measure_vessel_wall", "draw_vessel_wall"]
    group = ["simulate_participants", "preflight", "tabulate_cohort", "check_cohort"]
    group += ["collect_sidecars", "collect_features", "flag_outliers", "compare_with_truth"]
    group += ["compare_gradcam_with_truth"]
    group += ["correlate_features", "fit_models", "evaluate_models"]  # of participants.tsv
    group += 2 * ["describe_population"] + ["write_report", "all"]
    assert jobs(process) == Counter(subject + group)
    assert [path.read_text() for path in kept] == before
    features = read_table(f"{copy['output_dir']}/cohort/features.tsv")
    assert len(features) == SUBJECTS + 1
    flow = read_table(f"{copy['output_dir']}/studies/npsle_contrastive/flow.tsv")
    assert flow.set_index("stage").loc["not in the frozen population", "n"] == 1


def test_null_cohort_is_at_chance(copy, tmp_path):
    """The same cohort without an effect; only the patients' images are new."""
    null = copy | {"demo": copy["demo"] | {"effect": 0.0}}
    tables = ["permutation_test", "regions"]
    targets = [f"studies/npsle_contrastive/{name}.tsv" for name in tables] + ["demo/gradcam.tsv"]
    process = snakemake(*targets, config=null, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    assert jobs(process)["simulate_t1w"] == 6
    test = study_table(copy["output_dir"], "permutation_test")
    assert (test["p"] > 0.05 / test["model"].nunique()).all()
    regions = study_table(copy["output_dir"], "regions")
    assert (regions["p_bonferroni"] > 0.05).all()
    maps = read_table(f"{copy['output_dir']}/demo/gradcam.tsv").set_index(["strategy", "class"])
    assert (maps.loc["all", "p"] > 0.05).all()


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
