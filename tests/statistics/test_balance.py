import numpy as np
import pandas as pd
import pytest

from workflow_scripts.statistics.balance import balance_of, describe_balance


def sides(*roles):
    ids = [f"sub-{i}" for i in range(len(roles[0]))]
    return pd.concat(
        [
            pd.DataFrame({"split": split, "participant_id": ids, "session_id": "ses-1", "role": r})
            for split, r in enumerate(roles, 1)
        ],
        ignore_index=True,
    ).assign(label="a", weight=1)


def test_balance_by_hand():
    """Means 3 and 7, variances 2 and 2: 4 / sqrt 2; the second split is the first turned round."""
    splits = sides(
        ["train", "train", "test", "test", "rest"], ["test", "test", "train", "train", "rest"]
    )
    terms = pd.DataFrame({"age": [2.0, 4, 6, 8, 99]}, [f"sub-{i}" for i in range(5)])
    table = describe_balance(splits, terms)
    assert table["standardized_difference"].tolist() == pytest.approx([8**0.5, -(8**0.5)])
    assert table.loc[0, ["n_train", "mean_train", "n_test", "mean_test"]].tolist() == [2, 3, 2, 7]
    twice = pd.concat([splits, splits.assign(session_id="ses-2")])
    pd.testing.assert_frame_equal(describe_balance(twice, terms), table)


def test_without_spread_or_values_there_is_no_difference():
    splits = sides(["train", "train", "test", "test"])
    terms = pd.DataFrame(
        {"flat": [1.0] * 4, "none": [1.0, 2, np.nan, np.nan]}, [f"sub-{i}" for i in range(4)]
    )
    table = describe_balance(splits, terms)
    assert table["standardized_difference"].isna().all()
    assert table["n_test"].tolist() == [2, 0]


def test_texts_are_shares_and_what_says_nothing_is_left_out():
    splits = sides(["train"] * 6 + ["test"] * 4)
    clinical = splits[["participant_id", "session_id"]].assign(
        age=np.arange(10), sex=list("FFMFMMFFMF"), note=list("abcdefghij"), site="A"
    )
    table = balance_of(splits, clinical, ["age", "sex", "note", "site"]).set_index("term")
    assert list(table.index) == ["age", "sex_M"]
    assert table.loc["sex_M", ["mean_train", "mean_test"]].tolist() == [0.5, 0.25]
