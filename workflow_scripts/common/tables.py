"""TSV tables with their BIDS data dictionaries."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.common.columns import described_as, holds_names

MISSING = "n/a"


def read_table(path) -> pd.DataFrame:
    """Read a TSV; ``n/a`` and empty cells are missing, ids and names of classes stay text."""
    header = pd.read_csv(path, sep="\t", nrows=0).columns
    text = {name: str for name in header if holds_names(name)}
    return pd.read_csv(
        path,
        sep="\t",
        dtype=text,
        na_values=[MISSING],
        keep_default_na=False,
    )


def write_table(table: pd.DataFrame, path, columns: Path, dictionary: bool = True) -> None:
    """Write ``table`` as TSV and its data dictionary as JSON beside it.

    Parameters
    ----------
    table : DataFrame
    path : path ending in .tsv
    columns : path of a TSV in ``resources/columns`` with the fields ``column``,
        ``units``, ``description`` and ``source``.
    dictionary : False for the tables of sessions, which share a dictionary in the
        dataset's root (BIDS inheritance), written by ``describe_dataset``

    Raises
    ------
    KeyError
        If a column of ``table`` is not described there.
    """
    path = Path(path)
    described = read_descriptions(columns)
    places = {name: described_as(name, described) for name in table.columns}
    unknown = [name for name, place in places.items() if place is None]
    if unknown:
        raise KeyError(f"{path.name}: columns {unknown} are not described in {columns}")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep=MISSING, lineterminator="\n")
    if dictionary:
        write_dictionary({name: described[place] for name, place in places.items()}, path)


def read_descriptions(columns: Path) -> dict[str, dict]:
    """BIDS entries of the columns that a TSV in ``resources/columns`` describes, by name."""
    rows = pd.read_csv(columns, sep="\t", keep_default_na=False).to_dict("records")
    fields = {"Description": "description", "Units": "units", "Source": "source"}
    return {
        row["column"]: {key: row[field] for key, field in fields.items() if row[field]}
        for row in rows
    }


def write_dictionary(described: dict[str, dict], table: Path) -> None:
    """Write the data dictionary of a table, whose name ends in .tsv, beside it."""
    table.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")
