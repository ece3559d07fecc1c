import pandas as pd
import pytest

from workflow_scripts.common.splits import LeakageError, blocks_of, check_splits, read_splits


def splits(*rows):
    return pd.DataFrame(rows, columns=["split", "participant_id", "session_id", "role"])


def test_leak_over_sessions_is_named(tmp_path):
    table = splits(
        (1, "sub-1", "ses-1", "train"),
        (1, "sub-1", "ses-2", "test"),
        (1, "sub-2", "ses-1", "test"),
        (2, "sub-1", "ses-1", "test"),
    )
    with pytest.raises(LeakageError, match=r"sub-1 \(split 1\)") as error:
        check_splits(table)
    assert "sub-2" not in str(error.value)
    check_splits(table[table["session_id"] == "ses-1"])
    table.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    with pytest.raises(LeakageError, match=r"sub-1 \(split 1\)"):
        read_splits(tmp_path / "splits.tsv")


@pytest.mark.parametrize("role", ["train", "test", "external"])
def test_validation_is_a_side_of_its_own_and_rest_is_none(role):
    with pytest.raises(LeakageError, match=r"sub-1 \(split 3\)"):
        check_splits(splits((3, "sub-1", "ses-1", "validation"), (3, "sub-1", "ses-2", role)))
    check_splits(splits((3, "sub-1", "ses-1", "rest"), (3, "sub-1", "ses-2", role)))


def test_external_person_never_trains_inside_in_another_split():
    table = splits((1, "sub-1", None, "external"), (1, "sub-2", None, "train"))
    check_splits(table)
    check_splits(pd.concat([table, splits((2, "sub-1", None, "rest"))]))
    for role in ("train", "validation", "test"):
        with pytest.raises(LeakageError, match="external participants train.*: sub-1"):
            check_splits(pd.concat([table, splits((2, "sub-1", None, role))]))


def sides(*tested):
    """Rows of splits 1, 2 ... that test the people of a text each."""
    rows = [(i, f"sub-{who}", None, "test") for i, side in enumerate(tested, 1) for who in side]
    return splits(*rows)


@pytest.mark.parametrize(
    ("tested", "blocks"),
    [
        (["ab", "cd", "ad", "bc"], [[1, 2], [3, 4]]),  # repeated folds
        (["a", "bcd"], [[1, 2]]),  # sites
        (["abcd"], [[1]]),  # holdout
        (["abcd", "abcd"], [[1], [2]]),  # external, by the models of two splits
        (["ab", "bc"], None),  # random trials
        (["ab", "cd", "ab"], None),  # the last repeat is not complete
        (["ab", "ac", "bd", "cd"], None),
    ],
)
def test_blocks_of_splits_that_test_everybody_once(tested, blocks):
    assert blocks_of(sides(*tested)) == blocks


def test_repeats_of_a_training_and_sessions_do_not_break_blocks():
    once = sides("ab", "cd")
    assert blocks_of(pd.concat([once, once])) == [[1, 2]]
    both = pd.concat([once.assign(session_id=name) for name in ("ses-1", "ses-2")])
    assert blocks_of(both) == [[1, 2]]
    assert blocks_of(both.iloc[:-1]) == [[1, 2]]
    assert blocks_of(pd.concat([both, both.iloc[[-1]].assign(split=3)])) is None
