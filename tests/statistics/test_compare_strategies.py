from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_strategies import METRICS, compare_metrics, main


def metrics(values: dict, metric_offset=0.01):
    """Metrics of models over the splits, as evaluate_classifiers writes them."""
    rows = [
        {"model": model, "estimate": "test", "split": split, "metric": metric}
        | {"value": value + metric_offset * i}
        for model, accuracies in values.items()
        for i, metric in enumerate([*METRICS, "precision"])
        for split, value in [
            *((str(t), v) for t, v in enumerate(accuracies, 1)),
            ("all", np.mean(accuracies)),
        ]
    ]
    return pd.DataFrame(rows)


def test_each_metric_of_the_named_models_alone():
    values = {
        "svm": [0.1] * 11,
        "crop+flip": np.linspace(0.5, 0.9, 11),
        "crop": np.linspace(0.9, 0.6, 11),
    }
    table = compare_metrics(metrics(values), ["crop+flip", "crop"])
    assert table["metric"].unique().tolist() == METRICS
    assert len(table) == 3 * (2 + 5)
    accuracy = table[table["metric"] == "accuracy"]
    assert accuracy["strategy"].tolist() == ["crop+flip", "crop"] + ["all"] * 5
    assert accuracy["mean"].tolist()[:2] == pytest.approx([0.7, 0.75])
    auc = table[table["metric"] == "auc"]
    assert auc["mean"].tolist()[:2] == pytest.approx([0.72, 0.77])
    np.testing.assert_allclose(auc["f"], accuracy["f"], rtol=1e-6)


def test_external_metrics_are_left_out():
    table = metrics({"a": [0.5, 0.6, 0.8], "b": [0.7, 0.9, 0.7]})
    outside = table.assign(estimate="external", value=0.1)
    both = pd.concat([table, outside], ignore_index=True)
    pd.testing.assert_frame_equal(
        compare_metrics(both, ["a", "b"]), compare_metrics(table, ["a", "b"])
    )


def test_models_with_fewer_splits_are_compared_over_those_that_all_have():
    table = compare_metrics(metrics({"a": [0.5, 0.6, 0.8, 0.1], "b": [0.7, 0.9, 0.7]}), ["a", "b"])
    tests = table[table["strategy"] == "all"]
    assert (tests["n_trials"] == 3).all()
    assert tests["note"].str.contains("without trial 4, undefined").all()


def test_goes_through_files(tmp_path):
    values = {name: [0.5, 0.7] for name in ("crop", "crop+flip")}
    write_table(metrics(values), tmp_path / "metrics.tsv", resource("columns/statistics.tsv"))
    out = SimpleNamespace(table=tmp_path / "strategies.tsv")
    main(
        SimpleNamespace(metrics=tmp_path / "metrics.tsv"), out, SimpleNamespace(models=list(values))
    )
    again = read_table(out.table)
    assert again["p"].isna().all()
    tests = again[again["strategy"] == "all"]
    assert tests["note"].str.contains("same value in each trial").all()


def test_model_without_metrics_is_an_error():
    with pytest.raises(InputError, match="has no model crop; evaluate it first"):
        compare_metrics(metrics({"svm": [0.5, 0.6]}), ["svm", "crop"])
