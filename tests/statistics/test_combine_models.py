from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.statistics.predicted import CLASSES, of_folds
from workflow_scripts.common.job import InputError
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.combine_models import combine, main
from workflow_scripts.statistics.split_metrics import evaluate

MEMBERS = ["clinical", "mri", "combined"]


@pytest.fixture
def members():
    table = of_folds(n=24, repeats=1, apparent=False)
    return [table[table["model"] == name].reset_index(drop=True) for name in MEMBERS]


def test_mean_of_the_probabilities(members):
    found = combine(members, "mean", CLASSES)
    mean = np.mean([table["probability"] for table in members], axis=0)
    np.testing.assert_allclose(found["probability"], mean)
    assert found["predicted"].tolist() == np.where(mean > 0.5, CLASSES[1], CLASSES[0]).tolist()


def test_majority_of_the_predictions_and_a_tie_is_negative(members):
    votes = np.sum([table["predicted"] == CLASSES[1] for table in members], axis=0)
    found = combine(members, "majority", CLASSES)
    np.testing.assert_allclose(found["score"], votes / 3)
    assert ((found["predicted"] == CLASSES[1]) == (votes >= 2)).all()
    assert found["probability"].isna().all()
    tied = [members[0].assign(predicted=name) for name in CLASSES]
    assert (combine(tied, "majority", CLASSES)["predicted"] == CLASSES[0]).all()


def test_scans_that_one_member_lacks_are_left_out(members):
    found = combine([members[0], members[1].iloc[3:]], "mean", CLASSES)
    assert len(found) == len(members[0]) - 3
    with pytest.raises(InputError, match="of: no scan"):
        combine([members[0], members[1].assign(split=99)], "mean", CLASSES)


def test_an_ensemble_is_evaluated_as_any_model(members, tmp_path):
    pd.concat(members).to_csv(tmp_path / "p.tsv", sep="\t", index=False, na_rep="n/a")
    out = SimpleNamespace(predictions=tmp_path / "e.tsv")
    params = SimpleNamespace(settings={"of": ["mri", "combined"], "by": "mean"}, classes=CLASSES)
    main(SimpleNamespace(members=[tmp_path / "p.tsv"]), out, params, SimpleNamespace(model="both"))
    table = read_table(out.predictions)
    assert list(table) == PREDICTIONS and set(table["model"]) == {"both"}
    assert len(table) == len(members[0])
    metrics = evaluate(table, CLASSES)
    assert metrics["value"].notna().all()
