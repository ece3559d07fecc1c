"""Balance of the training and the test side of every split in the columns of Table 1."""

import numpy as np
import pandas as pd

from workflow_scripts.common.people import MOST_LEVELS, as_terms
from workflow_scripts.common.splits import SCAN

COLUMNS = ["split", "term", "n_train", "mean_train", "sd_train", "n_test", "mean_test", "sd_test"]
COLUMNS += ["standardized_difference"]


def terms_of(clinical: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns as numbers, without those that do not vary and texts of many different values."""
    kept = [
        name
        for name in columns
        if clinical[name].nunique() > 1
        and (
            pd.api.types.is_numeric_dtype(clinical[name]) or clinical[name].nunique() <= MOST_LEVELS
        )
    ]
    return as_terms(clinical[kept], "table1", "clinical.tsv")


def describe_balance(splits: pd.DataFrame, terms: pd.DataFrame) -> pd.DataFrame:
    """Means of both sides of every split, by participant, and their standardized difference.

    Parameters
    ----------
    splits : DataFrame
        Columns of `common.splits`.
    terms : DataFrame
        Index participant_id; the share of a category is the mean of its 0 and 1.

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``. The difference is test minus training mean over the root of the mean
        of both variances; missing where a side has less than two values or none vary.

    Notes
    -----
    Austin 2009, 10.1002/sim.3697.
    """
    rows = []
    for split, people in splits.groupby("split"):
        sides = {
            role: terms.loc[people.loc[people["role"] == role, "participant_id"].unique()]
            for role in ("train", "test")
        }
        for name in terms:
            row = {"split": split, "term": name}
            for role, values in sides.items():
                row[f"n_{role}"] = values[name].count()
                row[f"mean_{role}"], row[f"sd_{role}"] = values[name].mean(), values[name].std()
            spread = np.sqrt((row["sd_train"] ** 2 + row["sd_test"] ** 2) / 2)
            difference = row["mean_test"] - row["mean_train"]
            row["standardized_difference"] = difference / spread if spread > 0 else np.nan
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def balance_of(splits: pd.DataFrame, clinical: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """`describe_balance` of these columns of clinical.tsv, at each participant's first session."""
    inside = splits[SCAN].drop_duplicates("participant_id")
    people = inside.merge(clinical, on=SCAN, how="left").set_index("participant_id")
    return describe_balance(splits, terms_of(people, columns))
