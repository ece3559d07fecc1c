import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_strategies import METRICS, compare_metrics


def metrics(values: dict, metric_offset=0.01):
    """Metrics of models over the trials, as evaluate_classifiers writes them."""
    rows = [
        {"model": model, "trial": trial, "metric": metric, "value": value + metric_offset * i}
        for model, accuracies in values.items()
        for i, metric in enumerate([*METRICS, "precision"])
        for trial, value in [
            *((str(t), v) for t, v in enumerate(accuracies, 1)), ("all", np.mean(accuracies)),
        ]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_metric_of_the_contrastive_models_alone():
    values = {
        "svm": [0.1] * 11,
        "contrastive_crop+flip": np.linspace(0.5, 0.9, 11),
        "contrastive_crop": np.linspace(0.9, 0.6, 11),
    }
    table = compare_metrics(metrics(values))
    assert table["metric"].unique().tolist() == METRICS
    assert len(table) == 3 * (2 + 5)
    accuracy = table[table["metric"] == "accuracy"]
    assert accuracy["strategy"].tolist() == ["crop+flip", "crop"] + ["all"] * 5
    assert accuracy["mean"].tolist()[:2] == pytest.approx([0.7, 0.75])
    auc = table[table["metric"] == "auc"]
    assert auc["mean"].tolist()[:2] == pytest.approx([0.72, 0.77])
    np.testing.assert_allclose(auc["f"], accuracy["f"], rtol=1e-6)


def test_goes_through_files(tmp_path):
    described = resource("columns/statistics.tsv")
    values = {f"contrastive_{s}": [0.5, 0.7] for s in ("crop", "crop+flip")}
    write_table(metrics(values), tmp_path / "metrics.tsv", described)
    table = compare_metrics(read_table(tmp_path / "metrics.tsv"))
    write_table(table, tmp_path / "strategies.tsv", described)
    again = read_table(tmp_path / "strategies.tsv")
    assert again["p"].isna().all()
    tests = again[again["strategy"] == "all"]
    assert tests["note"].str.contains("same value in each trial").all()


def test_without_contrastive_models_it_is_an_error():
    with pytest.raises(InputError, match="no model is named contrastive_"):
        compare_metrics(metrics({"svm": [0.5, 0.6]}))
