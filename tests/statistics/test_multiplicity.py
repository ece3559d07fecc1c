from types import SimpleNamespace

import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from tests.statistics.predicted import MODELS, of_folds
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.permutation_test import main


def test_p_of_permutations_is_corrected_over_the_models_of_each_metric(tmp_path):
    predictions = of_folds(n=24, repeats=1, apparent=False).replace(
        {"model": dict(zip(MODELS, "abc", strict=True))}
    )
    predictions.to_csv(tmp_path / "predictions.tsv", sep="\t", index=False, na_rep="n/a")
    observed, paths = [], []
    for place, model in enumerate("abc"):
        for metric, value in (("auc", 0.9 - 0.1 * place), ("balanced_accuracy", 0.5)):
            observed.append({"model": model, "split": "all", "estimate": "test", "metric": metric,
                             "value": value})  # fmt: skip
        null = pd.DataFrame(
            [{"model": model, "split": split, "repeat": 1, "permutation": number,
              "n_positive": 3, "n_negative": 4, "sensitivity": 0.5, "specificity": 0.5,
              "auc": 0.55 + 0.02 * number}
             for number in range(1, 20) for split in (1, 2, 3)]
        )  # fmt: skip
        paths.append(tmp_path / f"{model}.tsv")
        null.to_csv(paths[-1], sep="\t", index=False)
    pd.DataFrame(observed).to_csv(tmp_path / "metrics.tsv", sep="\t", index=False)
    source = SimpleNamespace(
        metrics=tmp_path / "metrics.tsv",
        permutations=paths,
        predictions=tmp_path / "predictions.tsv",
    )
    out = SimpleNamespace(table=tmp_path / "tests.tsv")
    main(source, out, SimpleNamespace())
    table = read_table(out.table)
    for _, rows in table.groupby("metric"):
        judge = multipletests(rows["p"], method="holm")[1]
        assert rows["p_holm"].to_numpy() == pytest.approx(judge)
    assert table.loc[table["metric"] == "auc", "p_holm"].nunique() > 1
