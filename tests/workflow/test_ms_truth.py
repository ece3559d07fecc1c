"""The study of multiple sclerosis where EDSS follows another tissue, or none."""

from copy import deepcopy

import pytest
import yaml

from tests.conftest import ROOT
from tests.workflow.snake import finished
from workflow_scripts.common.tables import read_table

pytestmark = pytest.mark.truth

REGIONS = ("white_matter", "ventricles")


def of_two_regions(folder, **demo):
    """Tested figures by model and metric of two regions, internal site alone, on a cohort."""
    config = yaml.safe_load((ROOT / "examples/ms_stratification.yaml").read_text())
    config["output_dir"] = str(folder / "results")
    config["demo"] |= {"subjects": {"A": 24}} | demo
    study = config["studies"]["ms_stratification"]
    del study["external"], study["confounds"]
    brain = study["models"]["brain"]
    study["models"] = {name: deepcopy(brain) | {"inputs": [name]} for name in REGIONS}
    study["evaluation"] = {"metrics": {}, "permutation": {}}
    finished("studies/ms_stratification/permutation_test.tsv", config=config, folder=folder)
    table = read_table(folder / "results/studies/ms_stratification/permutation_test.tsv")
    return table.set_index(["model", "metric"])


def test_the_region_that_edss_follows_is_the_best_input(tmp_path):
    found = of_two_regions(tmp_path, signal="ventricles")
    assert found.loc[("ventricles", "auc"), "p"] < 0.05
    assert (
        found.loc[("ventricles", "auc"), "observed"]
        > (found.loc[("white_matter", "auc"), "observed"])
    )


def test_without_an_effect_no_region_tells(tmp_path):
    found = of_two_regions(tmp_path, effect=0.0)
    assert (found.xs("auc", level="metric")["p"] > 0.05 / len(REGIONS)).all()
