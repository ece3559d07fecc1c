import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.demo.plan import plan_cohort
from workflow_scripts.demo.simulate_participants import (
    dataset_description,
    derivatives_description,
    participants_table,
)

DEMO = {"subjects": {"non-NPSLE": 4, "NPSLE": 2, "control": 3}, "seed": 1, "effect": 1.0}


def test_scores_stay_whole_where_controls_have_none(tmp_path):
    rows = plan_cohort(DEMO).participants
    path = tmp_path / "participants.tsv"
    write_table(participants_table(rows), path, resource("columns/demo.tsv"))
    text = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    controls = text["diagnosis"] == "control"
    for column in ("sledai_2k", "sdi"):
        assert (text.loc[controls, column] == "n/a").all()
        assert text.loc[~controls, column].str.fullmatch(r"\d+").all()
    assert text["moca"].str.fullmatch(r"\d\d").all()
    assert read_table(path)["disease_duration"].isna().sum() == controls.sum() == 3


def test_segmentations_are_a_derivative_of_the_raw_dataset():
    raw, derived = dataset_description("brain"), derivatives_description("masks", "brain")
    assert (raw["DatasetType"], derived["DatasetType"]) == ("raw", "derivative")
    assert derived["BIDSVersion"] == raw["BIDSVersion"]
    assert derived["GeneratedBy"]
