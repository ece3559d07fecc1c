import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.describe_sides import describe_sides


def test_every_participant_counts_once_on_its_side_of_each_split(tmp_path):
    people = [f"sub-{number}" for number in range(6)]
    clinical = pd.DataFrame(
        {
            "participant_id": [*people, "sub-0"],
            "session_id": ["ses-1"] * 6 + ["ses-2"],
            "age": [20.0, 30.0, 40.0, 50.0, np.nan, 70.0, 99.0],
            "sex": ["F", "M", "F", "F", "M", "F", "F"],
            "smoking": [0.0, 1.0, 1.0, np.nan, 0.0, 1.0, 0.0],
        }
    )
    scans = clinical[["participant_id", "session_id"]]
    roles = {
        1: ["train"] * 4 + ["test", "rest", "train"],
        2: ["test"] * 2 + ["train"] * 4 + ["test"],
    }
    splits = pd.concat(
        [scans.assign(split=split, label="a", role=role, weight=1) for split, role in roles.items()]
    )
    table = describe_sides(splits, clinical, ["age", "sex", "smoking"])
    write_table(table, tmp_path / "sides.tsv", resource("columns/statistics.tsv"))
    rows = table.set_index(["split", "role", "variable", "level"]).sort_index()
    age = rows.loc[(1, "train", "age")].iloc[0]
    assert age[["participants", "missing", "mean", "sd"]].tolist() == [
        4,
        0,
        35,
        np.std([20, 30, 40, 50], ddof=1),
    ]
    second = rows.loc[(2, "train", "age")].iloc[0]
    assert second[["participants", "missing", "mean"]].tolist() == [4, 1, pytest.approx(160 / 3)]
    women = rows.loc[(1, "train", "sex", "F")]
    assert women[["count", "percent"]].tolist() == [3, 75]
    smokers = rows.loc[(1, "train", "smoking", "1")]
    assert smokers[["count", "missing", "percent"]].tolist() == [2, 1, pytest.approx(200 / 3)]
    alone = rows.loc[(1, "test")]
    assert alone.loc[("sex", "F"), "count"] == 0 and alone.loc[("sex", "M"), "percent"] == 100
    assert not (table["role"] == "rest").any()
    assert (table.groupby(["split", "role"]).size() == 5).all()  # age, F, M, 0, 1


def test_difference_to_the_training_side_by_hand():
    """Means 3 and 7, variances 2 and 2: 4 / sqrt 2. Shares 0 and 1/2: 1/2 / sqrt(1/4)."""
    people = pd.DataFrame({"participant_id": [f"sub-{i}" for i in range(5)], "session_id": "ses-1"})
    clinical = people.assign(age=[2.0, 4, 6, 8, 99], sex=list("FFFMM"), flat="A")
    clinical["none"] = [1.0, 2, np.nan, np.nan, 3]
    splits = pd.concat(
        [
            people.assign(split=1, role=["train", "train", "test", "test", "rest"]),
            people.assign(split=2, role=["test", "test", "train", "train", "external"]),
        ]
    )
    twice = pd.concat([splits, splits.assign(session_id="ses-2")])
    table = describe_sides(splits, clinical, ["age", "sex", "flat", "none"])
    both = pd.concat([clinical, clinical.assign(session_id="ses-2", age=0.0)])
    again = describe_sides(twice, both, ["age", "sex", "flat", "none"])
    rows = table.set_index(["split", "role", "variable"])["standardized_difference"].sort_index()
    assert rows[1, "test", "age"] == -rows[2, "test", "age"]
    assert rows[1, "test", "age"] == pytest.approx(8**0.5)
    assert sorted(rows[1, "test", "sex"]) == pytest.approx([-1, 1])
    for name in ("flat", "none"):
        assert table.loc[table["variable"] == name, "standardized_difference"].isna().all()
    assert rows[2, "external"].isna().all() and rows[1, "train"].isna().all()
    pd.testing.assert_frame_equal(again, table)
