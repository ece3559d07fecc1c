"""A run whose brains a network labels."""

import json

from tests.anatomical.test_label_brain import save_network
from tests.workflow.small_cohort import QUICK
from tests.workflow.snake import check_groups, finished, jobs

TARGET = "sub-1/anat/sub-1_dseg.json"


def test_labels_of_a_network_are_used(small_copy, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    save_network(weights)
    config = small_copy | {"anatomical": QUICK | {"network": str(weights)}}
    check_groups(config, tmp_path)
    process = finished(TARGET, config=config, folder=tmp_path)
    assert jobs(process)["label_brain"] == 1 and "prepare_t1w" not in jobs(process)
    results = tmp_path / "results"
    assert json.loads((results / TARGET).read_text())["Labels"] == "network"
    assert (results / "sub-1/anat/sub-1_desc-network_dseg.nii.gz").exists()
    assert not list(results.glob("sub-1/anat/*_desc-network_probseg.nii.gz"))
    assert not jobs(finished(TARGET, config=config, folder=tmp_path))
    save_network(weights, sharpness=6000.0)
    again = jobs(finished(TARGET, config=config, folder=tmp_path))
    assert {"label_brain", "segment_brain"} <= set(again)
    assert "prepare_t1w" not in again
