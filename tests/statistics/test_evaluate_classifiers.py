from tests.report.multimodal import STUDY
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.evaluations import READ, TABLES, inputs_of
from workflow_scripts.statistics.evaluate_classifiers import EVALUATIONS


def test_rule_knows_the_evaluations_of_the_script():
    assert list(READ) == list(EVALUATIONS)


def test_what_is_made_of_everybody_is_read_where_optimism_is_asked_for():
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY}}
    study = check_config(config)["studies"]["s"]
    found = inputs_of("comparisons", "s", study)
    assert found["predictions"] == "studies/s/predictions.tsv"
    assert found["samples"] == ["studies/s/bootstraps.tsv"] and found["refits"] == []
    assert not any(found[name] for name in TABLES)
    del study["evaluation"]["optimism"]
    assert inputs_of("comparisons", "s", study)["samples"] == []
    assert inputs_of("missing", "s", study)["splits"] == ["studies/s/split-2_splits.tsv"]
