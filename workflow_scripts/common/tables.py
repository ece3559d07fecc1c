"""TSV tables with their BIDS data dictionaries."""

import json
from pathlib import Path

import pandas as pd

MISSING = "n/a"


def read_table(path) -> pd.DataFrame:
    """Read a TSV; ``n/a`` and empty cells are missing, ``*_id`` columns stay text."""
    header = pd.read_csv(path, sep="\t", nrows=0).columns
    text = {name: str for name in header if name.endswith("_id")}
    return pd.read_csv(
        path,
        sep="\t",
        dtype=text,
        na_values=[MISSING],
        keep_default_na=False,
    )


def write_table(table: pd.DataFrame, path, columns: Path) -> None:
    """Write ``table`` as TSV and its data dictionary as JSON beside it.

    Parameters
    ----------
    table : DataFrame
    path : path ending in .tsv
    columns : path of a TSV in ``resources/columns`` with the fields ``column``,
        ``units``, ``description`` and ``source``.

    Raises
    ------
    KeyError
        If a column of ``table`` is not described there.
    """
    path = Path(path)
    described = pd.read_csv(columns, sep="\t", keep_default_na=False).set_index("column")
    unknown = [name for name in table.columns if name not in described.index]
    if unknown:
        raise KeyError(f"{path.name}: columns {unknown} are not described in {columns}")
    dictionary = {}
    for name in table.columns:
        row = described.loc[name]
        entry = {"Description": row["description"]}
        if row["units"]:
            entry["Units"] = row["units"]
        if row["source"]:
            entry["Source"] = row["source"]
        dictionary[name] = entry
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep=MISSING, lineterminator="\n")
    path.with_suffix(".json").write_text(json.dumps(dictionary, indent=2) + "\n")
