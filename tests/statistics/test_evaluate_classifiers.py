from types import SimpleNamespace

import pytest

from tests.report import multimodal
from tests.report.multimodal import STUDY
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.evaluations import READ, TABLES, inputs_of, settings_of
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.evaluate_classifiers import EVALUATIONS, main


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


@pytest.mark.parametrize(
    "evaluation", ["metrics", "roc", "calibration_figures", "missing", "sites"]
)
def test_an_evaluation_makes_its_table_of_what_the_rule_gives_it(tmp_path, evaluation):
    """With the inputs and settings that the rule takes from the configuration."""
    config = {"output_dir": "x", "anatomical": {}, "studies": {"multimodal": STUDY}}
    study = check_config(config)["studies"]["multimodal"]
    del study["evaluation"]["optimism"]
    tables = {name: table for name, (_, table) in multimodal.tables().items()}
    tables["clinical"] = multimodal.simulate()[2]
    for name, table in tables.items():
        path = tmp_path / f"studies/multimodal/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    source = {
        name: tmp_path / paths if isinstance(paths, str) else [tmp_path / p for p in paths]
        for name, paths in inputs_of(evaluation, "multimodal", study).items()
    }
    out = SimpleNamespace(table=tmp_path / "made.tsv")
    params = SimpleNamespace(asked=settings_of(evaluation, "multimodal", study))
    main(SimpleNamespace(**source), out, params, SimpleNamespace(evaluation=evaluation))
    made, expected = read_table(out.table), tables[evaluation]
    assert len(made) == len(expected) - (
        (expected["estimate"] == "apparent").sum() if "estimate" in expected else 0
    )
