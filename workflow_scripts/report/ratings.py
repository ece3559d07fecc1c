"""The report's section on the ratings of its pictures, and what these can be filtered by."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from workflow_scripts.common.ratings import RATINGS, suffix_of
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.collect_ratings import AGREEMENT, COLUMNS, FEWEST
from workflow_scripts.report.sessions import prefixes
from workflow_scripts.report.study import reader
from workflow_scripts.report.text import interval, load, require, tabulate


def identity(config: dict) -> str:
    """Under what a browser keeps the ratings of a dataset: 16 digits.

    The same for each report of a dataset, whose pictures are told apart by their checksums.
    """
    dataset = config["bids_dir"] or config["demo"]
    return hashlib.sha256(json.dumps(dataset, sort_keys=True).encode()).hexdigest()[:16]


def groups_of_sessions(studies: dict[str, dict], tables: dict, sites) -> dict[str, dict[str, str]]:
    """Class and site of the sessions in each study, by the name of the grouping.

    A grouping that is the same in several studies stands there once.

    Parameters
    ----------
    studies : configuration by name
    tables : path of each table that the report was given, as for `reader`
    sites : paths of the studies' clinical tables, of those that have sites
    """
    found: dict[str, pd.DataFrame] = {}
    for name, study in studies.items():
        people, _ = reader(name, tables)(f"split-{study['split']}_population", *SCAN, "label")
        found[f"Class in {name}"] = people.rename(columns={"label": "value"})
        for path in sites:
            if Path(path).parent.name == name:
                told = require(read_table(path), path, [*SCAN, "session_site"])
                found[f"Site in {name}"] = told.rename(columns={"session_site": "value"})
    groups: dict[str, dict[str, str]] = {}
    for name, table in found.items():
        table = table.dropna(subset="value")
        values = dict(zip(prefixes(table), table["value"].astype(str), strict=True))
        if values not in groups.values():
            groups[name] = values
    return groups


def ratings_by_picture(paths: list) -> dict[str, dict[str, list[dict]]]:
    """Ratings as text, ``text`` and ``void``, by session and picture.

    Parameters
    ----------
    paths : of the tables of ratings and of agreement, or none
    """
    found: dict[str, dict[str, list[dict]]] = {}
    for path in paths[:1]:
        table = require(load(path)[0], path, COLUMNS)
        for prefix, row in zip(prefixes(table), table.to_dict("records"), strict=True):
            said = [row[name] for name in ("reason", "comment") if pd.notna(row[name])]
            text = f"{row['rater']}: {row['rating']}" + "".join(f"; {part}" for part in said)
            line = {"text": text, "void": row["status"] == "void"}
            found.setdefault(prefix, {}).setdefault(row["picture"], []).append(line)
    return found


def ratings_section(paths: list, excluding: list[str]) -> dict | None:
    """Ratings by rater, those that are void, and how well raters agree; None without any.

    Parameters
    ----------
    paths : of the tables of ratings and of agreement, or none
    excluding : ratings that exclude a scan

    Raises
    ------
    InputError
        If a table is missing or lacks a column.
    """
    if not paths:
        return None
    ratings, dictionary = load(paths[0])
    require(ratings, paths[0], COLUMNS)
    agreement, units = load(paths[1])
    require(agreement, paths[1], AGREEMENT)
    agreement = agreement.assign(
        kappa=[
            interval(*row, decimals=2)
            for row in agreement[["kappa", "kappa_low", "kappa_high"]].to_numpy(float)
        ]
    )
    void = ratings[ratings["status"] == "void"]
    current = ratings[ratings["status"] == "current"]
    suffixes = pd.Series([suffix_of(row) for row in current.to_dict("records")], current.index)
    counts = pd.crosstab([current["rater"], suffixes.rename("suffix")], current["rating"])
    counts = counts.reindex(columns=RATINGS, fill_value=0).rename_axis(columns=None).reset_index()
    counts.attrs = ratings.attrs
    return {
        "n": len(ratings),
        "raters": sorted(ratings["rater"].unique()),
        "void": [
            f"{prefix}, {suffix_of(row)}: {row['rating']} by {row['rater']}"
            for prefix, row in zip(prefixes(void), void.to_dict("records"), strict=True)
        ],
        "excluding": excluding,
        "counts": tabulate(counts, dictionary),
        "agreement": tabulate(agreement.drop(columns=["kappa_low", "kappa_high"]), units),
        "fewest": FEWEST,
    }
