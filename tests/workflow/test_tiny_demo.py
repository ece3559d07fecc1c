"""The demo in small from its simulation to the report: that everything is there and holds together.

Classes cannot be told apart with six heads: that is tested on the whole demo (test_demo.py).
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.report.browser import CHROMIUM, check_page
from tests.workflow.snake import finished, jobs
from tests.workflow.tiny import HEADS, PLANNED
from workflow_scripts.audit.recompute import Recomputation, draw_jobs
from workflow_scripts.audit.records import read_environments, read_jobs
from workflow_scripts.common.tables import read_table

DWI, VESSELS = HEADS - 1, HEADS - 1  # one of the heads without each
# Its diffusion series all have a T1w; the subject with contours is added in test_reruns.py;
# others are asked for by name, and the cohort of multiple sclerosis alone has lesion masks.
NOT_RUN = {
    "register_dwi_to_mni",
    "simulate_vessel_contours",
    "simulate_lesion_mask",
    "align_lesions",
    "measure_lesions",
}
NOT_RUN |= {"label_brain", "segment_region", "train_unet", "compare_segmentations"}
NOT_RUN |= {"simulate_r1map", "simulate_manual_mask"}
NOT_RUN |= {"draw_segmentation", "collect_ratings"}
NOT_RUN |= {"draw_inner_splits", "stack_models", "draw_scans", "simulate_joint_mask"}
NOT_RUN |= {"simulate_pelvis_t1w", "simulate_pelvis_stir", "measure_radiomics", "collect_radiomics"}
NOT_RUN |= {
    "combine_models",
    "predict_sessions",
    "score_stacks",
    "evaluate_frozen",
    "audit",
    "freeze",
}


def study_table(results, name):
    return read_table(results / f"studies/npsle_contrastive/{name}.tsv")


def test_every_rule_has_run(tiny):
    text = "".join(path.read_text() for path in ROOT.glob("rules/**/*.smk"))
    rules = set(re.findall(r"^ *rule (\w+):", text, re.M))
    assert {record["rule"] for record in read_jobs(tiny).values()} == rules - NOT_RUN


def test_every_scan_is_accounted_for(tiny):
    status = read_table(tiny / "cohort/scans.tsv")
    scans = status.drop_duplicates(["participant_id", "suffix"])
    counts = Counter(zip(scans["suffix"], scans["status"], strict=True))
    for suffix, available in (("T1w", HEADS), ("dwi", DWI), ("vesselwall", VESSELS)):
        assert counts[suffix, "AVAILABLE"] == available
        assert counts[suffix, "EXCLUDED"] == 1
        assert counts[suffix, "MISSING"] == PLANNED - available - 1
    assert counts["FLAIR", "MISSING"] > 1
    flow = study_table(tiny, "flow").set_index("stage")["n"]
    left_out = flow[["excluded", "missing data"]].sum()
    assert flow["screened"] - left_out == flow["analysed"] == HEADS


def test_truth_is_recovered(tiny):
    """Of what does not take the slow steps: brains, vessels that were drawn, the order of ALPS."""
    table = read_table(tiny / "demo/recovered.tsv").set_index("participant_id")
    of = dict(iter(table.groupby("measure")))
    assert len(of["brain_mask_dice"]) == HEADS and of["brain_mask_dice"]["recovered"].min() >= 0.95
    assert of["tiv_ml"]["error_percent"].abs().max() <= 3
    for measure in ("nwi", "lumen_area_mm2"):
        assert len(of[measure]) == VESSELS and of[measure]["error_percent"].abs().median() < 2
    assert len(of["alps"]) == DWI
    assert np.corrcoef(of["alps"]["true"], of["alps"]["recovered"])[0, 1] > 0.8


@pytest.mark.parametrize("dataset", ["demo/bids", "."])
def test_datasets_are_valid_bids(tiny, dataset):
    """By BIDS's own validator: the simulated dataset and the derivatives."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, tiny / dataset, "--format", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    issues = found["issues"]["issues"]
    assert issues and not [one for one in issues if one["severity"] == "error"]
    assert found["summary"]["subjects"]


def test_tables_have_dictionaries(tiny):
    shared = [*tiny.glob("cohort/*.tsv"), *tiny.glob("studies/**/*.tsv"), *tiny.glob("demo/*.tsv")]
    kept = {"index.tsv", "status.tsv", "clinical.tsv"}  # the workflow's own
    tables = [path for path in shared if path.name not in kept]
    assert len(tables) > 40
    for path in tables:
        dictionary = json.loads(path.with_suffix(".json").read_text())
        assert set(read_table(path).columns) <= dictionary.keys(), path
    tables = list(tiny.glob("sub-*/*/*.tsv"))
    assert len(tables) > 4 * HEADS
    for path in tables:  # BIDS inheritance
        dictionary = (tiny / path.stem.split("_", 1)[1]).with_suffix(".json")
        assert set(read_table(path).columns) <= json.loads(dictionary.read_text()).keys()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_report_is_whole_in_a_browser(tiny):
    assert check_page(f"{tiny}/report/index.html") == []


def test_networks_are_tested_on_the_test_side_alone(tiny):
    predictions, splits = study_table(tiny, "predictions"), study_table(tiny, "split-1_splits")
    tested = splits[(splits["role"] == "test") & (splits["split"] == 1)]
    for name in ("crop", "supervised"):
        rows = predictions[predictions["model"] == name]
        assert set(rows["split"]) == {1} and set(rows["role"]) == {"test"}
        assert sorted(rows["participant_id"]) == sorted(tested["participant_id"])
        assert rows["probability"].between(0, 1).all()
    models = tiny / "studies/npsle_contrastive/models"
    trained = splits[(splits["role"] == "train") & (splits["split"] == 1)]["participant_id"]
    for path in models.glob("*_model.json"):
        assert sorted(json.loads(path.read_text())["participants"]) == sorted(trained)


def test_models_of_a_release_score_other_sessions(tiny, tiny_copy, tmp_path):
    finished("freeze", config=tiny_copy, folder=tmp_path)
    [release] = Path(tiny_copy["output_dir"], "releases").iterdir()
    assert not list(release.rglob("*.nii.gz"))
    models = f"{release}/studies/npsle_contrastive/models"
    study = tiny_copy["studies"]["npsle_contrastive"]
    frozen = tiny_copy | {"frozen_models": models, "frozen_label": study["label"]}
    process = finished("predict", config=frozen, folder=tmp_path)
    assert jobs(process) == Counter(["predict_sessions", "evaluate_frozen", "predict"])
    scores = read_table(f"{tiny_copy['output_dir']}/predictions/sessions.tsv")
    assert scores.groupby("model")["participant_id"].nunique().tolist() == 2 * [HEADS]
    own = scores[scores["model"] == "model-crop_split-1_repeat-1"].set_index("participant_id")
    splits = study_table(tiny, "split-1_splits").query("split == 1")
    trained = splits.loc[splits["role"] == "train", "participant_id"]
    assert set(own.index[own["seen_in_training"] == "yes"]) == set(trained)
    told = study_table(tiny, "predictions").query("split == 1 and model == 'crop'")
    told = told.set_index("participant_id")["score"]
    np.testing.assert_allclose(own.loc[told.index, "score"], told, atol=0.02)
    assert own.loc[sorted(trained), "score"].isna().all()
    metrics = read_table(f"{tiny_copy['output_dir']}/predictions/metrics.tsv")
    known = own["label"].isin(study["classes"]) & own["score"].notna()
    assert metrics.loc[metrics["model"] == "crop", "n"].iloc[0] == known.sum()


@pytest.mark.full
def test_a_job_of_every_rule_makes_the_same_files_again(tiny, small_study, tmp_path):
    """Of the rules that the audit of a whole small study (test_audit.py) does not know.

    Not of those that take longer than half a minute: the phantom.
    """
    jobs = read_jobs(tiny)
    known = {record["rule"] for record in read_jobs(small_study / "results").values()}
    others = {job: record for job, record in jobs.items() if record["rule"] not in known}
    rules = {record["rule"] for record in others.values() if record["seconds"] <= 30}
    assert len(rules) > 20
    chosen = draw_jobs(others, len(rules), 0.5, seed=1)
    assert {jobs[job]["rule"] for job in chosen} == rules
    again = Recomputation(tiny, {}, tmp_path, jobs, read_environments(tiny), bad=set())
    again.do(chosen, threads=2)
    assert again.findings == [] and again.identical > len(rules)
