"""How many values the models' columns lack, in which class, and which are missing together."""

import pandas as pd
from scipy.stats import fisher_exact

from workflow_scripts.common.people import columns_of
from workflow_scripts.common.splits import SCAN

COLUMNS = ["model", "missing", "lacking", "columns", "label", "n", "n_missing", "p"]
ANY = "any column"


def lacking(values: pd.DataFrame) -> pd.Series:
    """Names of the columns that each row lacks, joined by commas; empty where none."""
    return values.isna().apply(lambda row: ", ".join(values.columns[row]), axis=1)


def count_missing(values: pd.DataFrame, label: pd.Series, classes: list[str]) -> pd.DataFrame:
    """Scans of each class that lack a value: of each column, of any, and by pattern.

    Parameters
    ----------
    values : DataFrame, (N, F)
        Columns of a model, missing values as NaN or None.
    label : Series, (N,)
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        lacking (column, any or pattern), columns, label, n, n_missing, and p: Fisher's exact test
        of whether the classes lack as many; n/a for a pattern. Columns and patterns that nobody
        lacks are left out.
    """
    pattern = lacking(values)
    found = {("any", ANY): pattern != ""}
    found |= {("column", name): values[name].isna() for name in values if values[name].isna().any()}
    found |= {("pattern", name): pattern == name for name in sorted(set(pattern) - {""})}
    rows = []
    for (kind, name), absent in found.items():
        counts = {
            one: (int((label == one).sum()), int(absent[label == one].sum())) for one in classes
        }
        table = [[missing, n - missing] for n, missing in counts.values()]
        p = None if kind == "pattern" else float(fisher_exact(table).pvalue)
        for one, (n, missing) in counts.items():
            rows.append([kind, name, one, n, missing, p])
    return pd.DataFrame(rows, columns=COLUMNS[2:])


def missing_data(
    splits: pd.DataFrame,
    features: pd.DataFrame,
    clinical: pd.DataFrame,
    models: dict,
    inputs: dict,
    classes: list[str],
) -> pd.DataFrame:
    """Missing values of every model that reads tables.

    Parameters
    ----------
    splits, features, clinical : tables of the study
    models : settings by name; those without the key missing read no tables
    inputs : of the study, by name
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``, for each model those of `count_missing`; missing is what it does.
    """
    scans = splits.drop_duplicates(SCAN)[[*SCAN, "label"]].reset_index(drop=True)
    tables = []
    for name, model in models.items():
        if "missing" not in model:
            continue
        columns = [c for key in model["inputs"] for c in inputs[key]["columns"]]
        own = [c for c in columns if c in clinical]
        parts = [
            columns_of(scans, table, chosen, "inputs", file).reset_index(drop=True)
            for table, chosen, file in (
                (clinical, own, "clinical.tsv"),
                (features, [c for c in columns if c not in own], "features.tsv"),
            )
        ]
        counts = count_missing(pd.concat(parts, axis=1)[columns], scans["label"], classes)
        tables.append(counts.assign(model=name, missing=model["missing"]))
    return pd.concat(tables, ignore_index=True)[COLUMNS]
