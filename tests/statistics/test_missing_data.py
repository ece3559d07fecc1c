import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from tests.baselines.cohorts import CLASSES, FOLDS, INPUTS, SVM, YOUDEN, tables
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.missing_data import missing_data

MODELS = {"svm": SVM, "both": YOUDEN | {"inputs": ["clinical", "mri"], "missing": "impute"}}
MODELS |= {"majority": {"kind": "majority"}}


def counted(table, model, lacking, columns):
    rows = table[
        (table["model"] == model) & (table["lacking"] == lacking) & (table["columns"] == columns)
    ].set_index("label")
    return [(rows.at[one, "n"], rows.at[one, "n_missing"]) for one in CLASSES]


def test_number_and_pattern_of_missing_values_by_class(tmp_path):
    splits, features, clinical = tables(design=FOLDS)
    features.loc[[0, 1, 20], "a"] = np.nan
    features.loc[[1, 21], "b"] = np.nan
    clinical.loc[[1, 22], "sex"] = None
    inputs = {name: {"columns": columns} for name, columns in INPUTS.items()}
    table = missing_data(splits, features, clinical, MODELS, inputs, CLASSES)
    assert set(table["model"]) == {"svm", "both"}
    assert counted(table, "svm", "any", "any column") == [(14, 2), (10, 2)]
    assert counted(table, "svm", "column", "a") == [(14, 2), (10, 1)]
    assert counted(table, "svm", "pattern", "a") == [(14, 1), (10, 1)]
    assert counted(table, "svm", "pattern", "a, b") == [(14, 1), (10, 0)]
    assert counted(table, "both", "any", "any column") == [(14, 2), (10, 3)]
    assert counted(table, "both", "pattern", "sex, a, b") == [(14, 1), (10, 0)]
    patterns = table[(table["model"] == "both") & (table["lacking"] == "pattern")]
    assert patterns["n_missing"].sum() == 5 and patterns["p"].isna().all()
    assert set(table.loc[table["model"] == "both", "missing"]) == {"impute"}
    own = table[(table["model"] == "both") & (table["lacking"] == "any")]
    assert own["p"].to_numpy() == pytest.approx(fisher_exact([[2, 12], [3, 7]]).pvalue)
    assert "age" not in set(table["columns"])
    write_table(table, tmp_path / "missing.tsv", resource("columns/statistics.tsv"))


def test_nothing_missing_is_said():
    inputs = {name: {"columns": columns} for name, columns in INPUTS.items()}
    table = missing_data(*tables(design=FOLDS), MODELS, inputs, CLASSES)
    assert len(table) == 4 and (table["n_missing"] == 0).all() and (table["p"] == 1).all()
    assert isinstance(table, pd.DataFrame)
