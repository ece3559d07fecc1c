"""Studies that no code knows of, on a small cohort with two sessions and three sites."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.workflow.small_cohort import (
    QUICK,
    SITES,
    draw_thalami,
    make_sessions,
    person,
    size_of,
)
from tests.workflow.snake import finished, said, snakemake
from workflow_scripts.cohort.startup import start
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo.plan import plan_cohort

STUDIES = Path(__file__).parent / "studies"
DRAWN = (1, 2, 5, 6, 7)  # whose thalamus was drawn by hand
LATE = "more than 183 days from the scan, or one of them without a date"


@pytest.fixture(scope="module")
def config(tmp_path_factory, brain, templates):
    bids = tmp_path_factory.mktemp("studies") / "bids"
    make_sessions(bids, brain)
    shutil.copytree(templates, bids.parent / "results", symlinks=True)
    manual = bids.parent / "manual"
    for number in DRAWN:
        draw_thalami(manual, f"sub-{number}_ses-01", size_of(number))
    return {
        "bids_dir": str(bids),
        "output_dir": str(bids.parent / "results"),
        "anatomical": QUICK,
        "report": {"viewer": False},
        "segmentation": {
            "manual": str(manual),
            "regions": {"thalamus": {"engines": {"atlas": {"kind": "atlas"}}}},
        },
        "studies": {file.stem: yaml.safe_load(file.read_text()) for file in STUDIES.glob("*.yaml")},
    }


@pytest.fixture(scope="module")
def results(config, tmp_path_factory):
    """Output folder after a run of all studies."""
    finished(config=config, folder=tmp_path_factory.mktemp("run"))
    return Path(config["output_dir"])


def tables_of(results, study):
    names = ("split-1_splits", "predictions", "metrics")
    return (read_table(results / f"studies/{study}/{name}.tsv") for name in names)


def test_scans_of_a_person_are_on_one_side_and_have_their_own_class(results):
    splits, predictions, metrics = tables_of(results, "stratification")
    scans = splits.drop_duplicates(["participant_id", "session_id"])
    assert len(scans) == len(SITES) + 1  # of the two second sessions one was assessed late
    first = scans.set_index(["participant_id", "session_id"])["label"]
    assert first["sub-1", "ses-01"] == "mild"
    assert first["sub-1", "ses-02"] == "severe"
    assert (splits.groupby(["split", "participant_id"])["role"].nunique() == 1).all()
    assert (predictions["model"] == "brain").sum() == len(scans)  # each in one of the folds
    volumes = np.load(results / "studies/stratification/input-brain_volumes.npy", mmap_mode="r")
    assert volumes.shape[:2] == (len(scans), 2)
    assert (metrics.loc[metrics["split"] == "all", "n"] == len(SITES)).all()


def test_a_network_is_validated_apart_and_ensembles_and_thresholds_follow(results):
    folder = results / "studies/stratification"
    splits, predictions, _ = tables_of(results, "stratification")
    validation = read_table(folder / "validation_predictions.tsv")
    assert set(validation["model"]) == {"brain", "deep", "together"}
    keys = ["split", "participant_id"]
    kept_apart = splits[splits["role"] == "validation"]
    assert set(validation[keys].itertuples(index=False)) == set(
        kept_apart[keys].itertuples(index=False)
    )
    networks = predictions[predictions["model"].isin(["brain", "deep"])]
    mean = networks.groupby(["split", "participant_id", "session_id"])["probability"].mean()
    together = predictions[predictions["model"] == "together"].set_index(mean.index.names)
    np.testing.assert_allclose(together["probability"], mean.loc[together.index], atol=1e-6)
    tested = read_table(folder / "permutation_test.tsv").groupby("model")["refitted"].first()
    assert tested.to_dict() == {"brain": "no", "deep": "no", "together": "no", "volumes": "yes"}
    assert set(read_table(folder / "thresholds.tsv")["model"]) == {"brain", "deep", "together"}
    history = read_table(next(folder.glob("models/*brain_split-1*training_history.tsv")))
    assert history["validation_loss"].notna().all()
    flow = read_table(folder / "flow.tsv").fillna("")
    assert flow.to_numpy().tolist() == [
        ["screened", "", len(SITES), len(SITES) + 4],
        ["not in a class", f"label {LATE}", 0, 1],
        ["not in a class", "no label", 0, 1],
        ["missing data", "T1w MISSING", 0, 1],
        ["analysed", "", len(SITES), len(SITES) + 1],
    ]
    regions = read_table(folder / "gradcam/model-deep_regions.tsv")
    assert set(regions["explained"]) == {"difference", "logit", "integrated_gradients"}


def test_each_site_is_tested_by_models_of_the_others(results):
    splits, predictions, metrics = tables_of(results, "sites_features_logistic")
    sites = splits["participant_id"].map(lambda name: person(int(name[4:]))["site"])
    tested = splits.assign(site=sites)[splits["role"] == "test"]
    assert [set(rows["site"]) for _, rows in tested.groupby("split")] == [{"A"}, {"B"}, {"C"}]
    overall = metrics[(metrics["split"] == "all") & (metrics["model"] == "logistic")]
    overall = overall.set_index("metric")["value"]
    assert overall["auc"] == 1.0  # the volumes tell the classes apart
    assert overall["balanced_accuracy"] == 1.0
    assert (predictions.groupby("model").size() == len(SITES)).all()


def test_checks_of_a_study_stand_in_its_tables(results):
    """ComBat acts where three people of either scanner train, and nothing is missing.

    The four people of site A are tested by models that saw two people of each scanner.
    """
    folder = results / "studies/sites_features_logistic"
    names = ("missing", "sites", "sensitivity", "added_value", "sample_size")
    missing, sites, sensitivity, added, size = (read_table(folder / f"{n}.tsv") for n in names)
    assert (missing["n_missing"] == 0).all()
    assert set(missing["model"]) == {"confounds", "logistic", "harmonized", "both"}
    assert set(sites["site"]) == {"X", "Y", "all"}
    whole = sites[sites["site"] == "all"].groupby("metric")["value"].mean()
    assert whole["unharmonized_scans"] == 0.5
    assert whole["unharmonized_splits"] == pytest.approx(1 / 3)
    assert whole["site_share_harmonized"] < whole["site_share"]
    scores = read_table(folder / "predictions.tsv").pivot(
        index=["split", "participant_id"], columns="model", values="score"
    )
    moved = (scores["harmonized"] - scores["logistic"]).abs().groupby("split").max()
    assert (moved > 1e-6).tolist() == [False, True, True]
    configured = sensitivity[sensitivity["variant"] == "as_configured"]
    assert set(configured["model"]) == set(missing["model"]) | {"majority"}
    other = sensitivity[sensitivity["variant"] == "not_harmonized"]
    assert len(other) and other["difference"].notna().all()
    alone = sensitivity[sensitivity["variant"] == "not_flagged"]  # all sessions are flagged
    assert set(alone["model"]) == set(missing["model"]) and (alone["n"] == 0).all()
    assert {"auc", "likelihood_ratio", "net_benefit_difference"} <= set(added["metric"])
    assert size.set_index("model").at["both", "n_parameters"] == 3
    page = (results / "report/index.html").read_text()
    assert (
        "in 33 % of the splits of harmonized too few sites" in page
        and '<td rowspan="2">confounds' in page
    )


def test_another_site_is_scored_and_never_trained_on(results):
    splits, predictions, metrics = tables_of(results, "holdout_region_cnn")
    outside = {"sub-7", "sub-8"}
    assert set(splits.loc[splits["role"] == "external", "participant_id"]) == outside
    assert set(predictions.loc[predictions["role"] == "external", "participant_id"]) == outside
    [model] = (results / "studies/holdout_region_cnn/models").glob("*_model.json")
    trained = yaml.safe_load(model.read_text())["participants"]
    assert set(trained) == set(splits.loc[splits["role"] == "train", "participant_id"])
    assert not outside & set(trained)
    assert set(metrics["estimate"]) == {"test", "external"}
    volumes = np.load(
        results / "studies/holdout_region_cnn/input-subcortex_volumes.npy", mmap_mode="r"
    )
    assert volumes.shape[1] == 2
    assert min(volumes.shape[2:]) < 40  # a box around the region


def test_an_engine_is_judged_and_its_volume_related_to_outcomes(results):
    """Patients' brains, and so their thalami, are 5 % larger along each axis."""
    overlap = read_table(results / "segmentation/overlap.tsv").query("side == 'both'")
    assert overlap["participant_id"].tolist() == [f"sub-{number}" for number in DRAWN]
    assert overlap["dice"].gt(0.6).all()
    agreement = read_table(results / "segmentation/agreement.tsv").set_index("side")
    assert agreement.loc["both", "n"] == len(DRAWN)
    study = results / "studies/thalamus"
    associations = read_table(study / "associations.tsv").set_index("feature")
    alone = associations[associations["other"].isna()]
    assert alone["n"].tolist() == [len(SITES)] * 2
    assert alone["beta"].gt(0.5).all()
    change = read_table(study / "longitudinal.tsv").iloc[0]
    assert (change["n_one_session"], change["n_short"]) == (6, 2)  # both visits of one day
    assert change["note"].startswith("not tested: fewer than 3")
    directions = read_table(study / "published_directions.tsv").set_index("finding")
    assert directions["agrees"].isna().all()
    accurate = directions.loc["MindGlide's volumes are the most accurate"]
    assert accurate["here"].startswith("atlas ")
    assert accurate["reason"] == "no other engine to compare with"


def test_an_unchanged_run_does_nothing_and_the_report_names_the_studies(results, config, tmp_path):
    process = snakemake("--dry-run", config=config, folder=tmp_path)
    assert "Nothing to be done" in said(process)
    page = (results / "report/index.html").read_text()
    assert all(f"Study {name}" in page for name in config["studies"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\t1.5\t", "\tmild\t", "sub-7_ses-01: edss is 'mild'.*compares with 3; write a number"),
        ("1926-06-01", "June 1926", "sub-7_ses-01: edss_date is 'June 1926'.*write a date as"),
    ],
)
def test_a_label_that_cannot_be_read_is_named_before_anything_runs(
    config, tmp_path, old, new, message
):
    bids = shutil.copytree(config["bids_dir"], tmp_path / "bids")
    table = bids / "sub-7/sub-7_sessions.tsv"
    table.write_text(table.read_text().replace(old, new))
    spoiled = config | {"bids_dir": str(bids), "output_dir": str(tmp_path / "results")}
    with pytest.raises(InputError, match=message):
        start(spoiled, plan_cohort, main_process=True)


def test_an_external_site_of_nobody_is_named_before_anything_runs(config, tmp_path):
    study = config["studies"]["holdout_region_cnn"] | {
        "external": {"column": "site", "values": ["D"]}
    }
    spoiled = config | {"studies": {"s": study}, "output_dir": str(tmp_path / "results")}
    with pytest.raises(InputError, match="studies.s.external.values: 'D' is the site of nobody"):
        start(spoiled, plan_cohort, main_process=True)


def test_sessions_without_a_channel_or_a_label_are_not_in_the_population(config, tmp_path):
    """Of sub-7 the FLAIR, of sub-8 the EDSS, which leaves three people of either class."""
    bids = shutil.copytree(config["bids_dir"], tmp_path / "bids")
    (bids / "sub-7/ses-01/anat/sub-7_ses-01_FLAIR.nii.gz").unlink()
    table = bids / "sub-8/sub-8_sessions.tsv"
    table.write_text(table.read_text().replace("\t4.0\t", "\tn/a\t"))
    study = config["studies"]["stratification"] | {"design": {"kind": "folds", "folds": 3}}
    study["models"] = {"majority": {"kind": "majority"}}
    study["evaluation"] = ["metrics"]
    spoiled = config | {"bids_dir": str(bids), "output_dir": str(tmp_path / "results")}
    spoiled["studies"] = {"s": study}
    [population] = start(spoiled, plan_cohort, main_process=True).populations.values()
    people = {row["participant_id"] for row in population}
    assert people == {f"sub-{number}" for number in range(1, 7)}


@pytest.mark.parametrize(
    ("study", "rows", "message"),
    [
        (
            "stratification",
            [
                (1, "sub-1", "ses-01", "train"),
                (1, "sub-1", "ses-02", "test"),
                (2, "sub-1", "ses-01", "train"),
                (2, "sub-1", "ses-02", "validation"),
                (3, "sub-1", "ses-01", "validation"),
                (3, "sub-1", "ses-02", "test"),
            ],
            r"two sides of a split: sub-1 \(split 1\), sub-1 \(split 2\), sub-1 \(split 3\);",
        ),
        ("holdout_region_cnn", [(1, "sub-7", "ses-01", "train")], "sub-7 is external"),
    ],
)
def test_leakage_has_a_name_before_anything_runs(config, tmp_path, study, rows, message):
    """Over sessions of a person, also by validation, and from the external site."""
    table = pd.DataFrame(rows, columns=["split", "participant_id", "session_id", "role"])
    table.to_csv(tmp_path / "given.tsv", sep="\t", index=False)
    chosen = config["studies"][study] | {
        "split": 2,
        "design": {"kind": "given", "table": str(tmp_path / "given.tsv")},
    }
    own = config | {"studies": {study: chosen}}
    process = snakemake(f"studies/{study}/predictions.tsv", config=own, folder=tmp_path)
    told = said(process)
    assert process.returncode == 1 and "train_classifier" not in told
    assert re.search(message, told), told
