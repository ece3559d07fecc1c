"""The report's section on regions by several engines."""

from pathlib import Path

import pandas as pd

from workflow_scripts.common.bids import entities_of
from workflow_scripts.report import plots_segmentation
from workflow_scripts.report.sessions import SESSION, prefixes, split_name
from workflow_scripts.report.text import (
    ALPHA,
    in_words,
    interval,
    label,
    load,
    number,
    p_value,
    require,
    spread,
    tabulate,
)

SHOWN = 12
KEYS = ["engine", "reference", "side"]


def segmentation_section(tables: list, pictures: list) -> dict | None:
    """Volumes of each engine, its overlap, rank and agreement with each rater, and pictures.

    Parameters
    ----------
    tables : paths of volumes, overlap, ranking and agreement; none where nothing is segmented
    pictures : of sessions and regions

    Raises
    ------
    InputError
        If a table is missing or lacks a column.
    """
    if not tables:
        return None
    paths = {Path(path).stem: path for path in tables}
    (volumes, columns), (overlaps, _), (ranked, _), (agreed, dictionary) = (
        load(paths[name]) for name in ("volumes", "overlap", "ranking", "agreement")
    )
    require(volumes, paths["volumes"], [*SESSION, "region", "engine", "run", "volume_ml", "flags"])
    require(overlaps, paths["overlap"], [*SESSION, "region", *KEYS, "dice", "hd95_mm", "reason"])
    require(ranked, paths["ranking"], ["region", "engine", "other", "dice", "rank", "p_holm"])
    doubtful = volumes[(volumes["run"] == "no") | volumes["flags"].notna()]
    doubtful = doubtful[doubtful["kind"] != "manual"]
    drawn = {*prefixes(overlaps)}
    return {
        "regions": [
            region_part(region, volumes, overlaps, ranked, agreed)
            for region in volumes["region"].unique()
        ],
        "doubtful": tabulate(doubtful[[*SESSION, "region", "engine", "reason", "flags"]], columns),
        "agreement": tabulate(agreed.assign(region=agreed["region"].map(label)), dictionary),
        "pictures": chosen_pictures(pictures, drawn),
        "number": len(pictures),
    }


def region_part(region: str, volumes, overlaps, ranked, agreed) -> dict:
    """What the template shows of one region."""
    of = volumes[volumes["region"] == region]
    judged = overlaps[overlaps["region"] == region].dropna(subset="dice")
    pairs = agreed[agreed["region"] == region]
    return {
        "key": region,
        "name": label(region).capitalize(),
        "engines": [_engine_line(name, rows) for name, rows in of.groupby("engine", sort=False)],
        "overlap": [
            dict(zip(KEYS, names, strict=True)) | _overlap_line(rows)
            for names, rows in judged.groupby(KEYS, sort=False)
        ],
        "ranking": [
            {"reference": rater} | _ranking_part(rows)
            for rater, rows in ranked[ranked["region"] == region].groupby("reference", sort=False)
        ],
        "agreement": [_agreement_line(row) for row in pairs.to_dict("records")],
        "voxels": sorted(judged["voxel_size_mm"].unique()),
        "plots": plots_segmentation.figures(judged, region) if len(judged) else {},
    }


def _engine_line(name: str, rows: pd.DataFrame) -> dict:
    run = rows[rows["run"] == "yes"]
    return {
        "engine": name,
        "kind": label(rows["kind"].iloc[0]),
        "run": len(run),
        "not_run": len(rows) - len(run),
        "flagged": int(run["flags"].notna().sum()),
        "volume": spread(run["volume_ml"].mean(), run["volume_ml"].std()),
    }


def _overlap_line(rows: pd.DataFrame) -> dict:
    """Mean and SD over the participants, each with the mean of its sessions."""
    names = ["dice", "sensitivity", "precision", "hd95_mm"]
    people = rows.groupby("participant_id")[names].mean()
    found = {name: spread(people[name].mean(), people[name].std()) for name in names}
    lowest = number(round(float(rows["dice"].min()), 3))
    return found | {"n": len(people), "sessions": len(rows), "lowest": lowest}


def _ranking_part(rows: pd.DataFrame) -> dict:
    """Engines in the order of their Dice with a rater, and each two of them."""
    alone, pairs = (rows[rows["other"].isna() == whether] for whether in (True, False))
    tests = alone.dropna(subset="friedman_p")[["friedman_chi2", "friedman_p"]].to_dict("records")
    return {
        "n": int(alone["n"].max()),
        "friedman": [
            f"{number(t['friedman_chi2'])}, p {p_value(t['friedman_p'])}" for t in tests[:1]
        ],
        "engines": [
            {
                "engine": row.engine,
                "n": row.n,
                "dice": interval(row.dice, row.dice_low, row.dice_high, decimals=3),
                "rank": interval(row.rank, row.rank_low, row.rank_high, decimals=1),
                "best": number(row.share_best),
            }
            for row in alone.itertuples()
        ],
        "pairs": [
            {
                "pair": f"{row.engine} - {row.other}",
                "difference": interval(
                    row.difference, row.difference_low, row.difference_high, decimals=3
                ),
                "p": p_value(row.p),
                "corrected": p_value(row.p_holm),
                "significant": row.p_holm < ALPHA,
            }
            for row in pairs.itertuples()
        ],
    }


def _agreement_line(row: dict) -> dict:
    def with_limits(name: str, ends=("low", "high")) -> str:
        return interval(row[name], *(row[f"{name.removesuffix('_ml')}_{end}"] for end in ends))

    return {key: row[key] for key in ("engine", "reference", "side", "n")} | {
        "bias": with_limits("bias_ml"),
        "percent": number(row["bias_percent"]),
        "limits": "n/a"
        if pd.isna(row["agreement_low"])
        else f"{number(row['agreement_low'])} to {number(row['agreement_high'])}",
        "icc": with_limits("icc"),
        "slope": with_limits("slope"),
        "deming": with_limits("deming_slope"),
    }


def chosen_pictures(paths: list, drawn: set[str]) -> list[dict]:
    """At most `SHOWN` pictures, of sessions with a mask drawn by hand first."""
    found = [(split_name(path)[0], Path(path)) for path in paths]
    found.sort(key=lambda one: one[0] not in drawn)
    return [
        {
            "id": f"{prefix}-{entities_of(path.name)['label']}",
            "name": prefix.replace("_ses-", ", ses-"),
            "region": in_words(entities_of(path.name)["label"]),
            "path": path,
        }
        for prefix, path in found[:SHOWN]
    ]
