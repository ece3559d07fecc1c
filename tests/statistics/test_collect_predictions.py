from types import SimpleNamespace

import pandas as pd

from tests.statistics.predicted import of_folds
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.collect_predictions import main


def test_models_stand_one_after_the_other(tmp_path):
    predictions, paths = of_folds(apparent=False, n=8, repeats=1), []
    for name in ("mri", "clinical"):
        rows = predictions[predictions["model"] == name].assign(penalty_c=1.0)
        rows = pd.concat([rows, rows.head(2).assign(role="validation")])
        paths.append(tmp_path / f"{name}.tsv")
        rows.to_csv(paths[-1], sep="\t", index=False, na_rep="n/a")
    out = SimpleNamespace(table=tmp_path / "all.tsv", validation=tmp_path / "validation.tsv")
    main(paths, out, None)
    validating = read_table(out.validation)
    assert validating["model"].tolist() == ["mri", "mri", "clinical", "clinical"]
    assert (validating["role"] == "validation").all()
    table = read_table(out.table)
    assert list(table.columns) == PREDICTIONS
    assert table["model"].tolist() == ["mri"] * 8 + ["clinical"] * 8
    expected = pd.concat([predictions.query(f"model == '{m}'") for m in ("mri", "clinical")])
    assert table["score"].tolist() == expected["score"].tolist()
