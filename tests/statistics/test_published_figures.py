import pandas as pd
import pytest

from tests.statistics.predicted import CLASSES, external, of_folds
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.published_figures import beside_published
from workflow_scripts.statistics.split_metrics import evaluate

SETTINGS = {"of": "coll2024", "models": {"global": "mri", "grey matter": "combined"}}


@pytest.fixture(scope="module")
def metrics():
    predictions = external(of_folds(n=24, repeats=1, apparent=False))
    return evaluate(predictions, CLASSES)


def test_printed_figures_stand_beside_those_of_the_same_people(metrics, tmp_path):
    """Accuracy inside: grey matter 81 %, global 79 %; outside: white matter 72 %, global 71 %."""
    table = beside_published(metrics, SETTINGS, "k")
    printed = table.set_index(["input", "estimate"])["printed"].to_dict()
    assert printed == {
        ("grey matter", "test"): 0.81,
        ("global", "test"): 0.79,
        ("white matter", "external"): 0.72,
        ("global", "external"): 0.71,
    }
    overall = metrics[metrics["split"] == "all"].set_index(["model", "estimate", "metric"])
    for row in table.dropna(subset="model").itertuples():
        found = overall.loc[(row.model, row.estimate, "accuracy")]
        assert (row.value, row.ci_low) == (found["value"], found["ci_low"])
        inside = found["ci_low"] <= row.printed <= found["ci_high"]
        assert row.printed_in_interval == ("yes" if inside else "no")
    lacking = table[table["model"].isna()]
    assert lacking["input"].tolist() == ["white matter"] and lacking["value"].isna().all()
    assert lacking["printed_in_interval"].isna().all()
    write_table(table, tmp_path / "t.tsv", resource("columns/statistics.tsv"))


def test_what_is_not_there_is_named(metrics):
    with pytest.raises(InputError, match=r"k.models: brainstem is none of coll2024's inputs"):
        beside_published(metrics, {"of": "coll2024", "models": {"brainstem": "mri"}}, "k")
    with pytest.raises(InputError, match="k.models: net is no model of the study"):
        beside_published(metrics, {"of": "coll2024", "models": {"global": "net"}}, "k")


def test_estimates_without_splits_have_no_value(metrics):
    inside = metrics[metrics["estimate"] == "test"]
    table = beside_published(inside, SETTINGS, "k")
    assert table["value"].notna().tolist() == [True, True, False, False]
    assert isinstance(table, pd.DataFrame)
