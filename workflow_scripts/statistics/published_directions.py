"""Directions that a publication found between engines, beside those of this run."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table

COLUMNS = ["finding", "expected", "measure", "outcome", "engines", "here", "agrees", "reason"]
COLUMNS += ["source"]
# By what the publication found of its engines: of the figures there (f) and of the others (o).
HOLDS = {
    "highest": lambda f, o: f.min() > o.max(),
    "lowest": lambda f, o: f.max() < o.min(),
    "strongest": lambda f, o: f.abs().min() > o.abs().max(),
    "smallest": lambda f, o: f.abs().max() < o.abs().min(),
    "stronger": lambda f, o: f.abs().min() > o.abs().max(),
}
# By the 95 % interval of an engine's figure, or of what it has more than another (no gain).
LIMITS = {
    "no gain": lambda row: not row["low"] > 0,
    "above zero": lambda row: row["low"] > 0,
    "not zero": lambda row: row["low"] > 0 or row["high"] < 0,
}


def beside_directions(tables: dict, settings: dict, key: str) -> pd.DataFrame:
    """What a publication found of its engines, and whether this run's figures say the same.

    Directions between engines are those of the estimates alone: that one is higher here says
    nothing of whether it would be again. A bias, or a gain of one engine over another, is one
    whose 95 % interval does not hold zero.
    Without others to compare with, a finding is compared with all of other programs, whose names
    begin with another word.

    Parameters
    ----------
    tables : DataFrames ``overlap``, ``agreement`` and ``ranking`` (of all engines),
        ``associations`` and ``longitudinal`` (of the study)
    settings : ``of`` (publication of ``resources/published/directions.tsv``), ``rater`` and
        ``engines`` (this run's for each of the publication's)
    key : of the settings, for messages

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``, a row per finding, and per outcome where it is on associations;
        ``agrees`` is missing, with the reason, where this run has no such engines or figures.

    Raises
    ------
    InputError
        If an engine is none of the publication's or of the run's, or nobody is the rater.
    """
    found = read_table(resource("published/directions.tsv"))
    found = found[found["publication"] == settings["of"]]
    engines = settings["engines"]
    theirs = list(dict.fromkeys(", ".join(found["engines"]).split(", ")))
    _check(engines, "engines", theirs, f"{settings['of']}'s", key)
    ours = tables["overlap"]["engine"].unique()
    _check(engines.values(), "engines", ours, "the segmentation's", key)
    raters = tables["overlap"]["reference"].unique()
    _check([settings["rater"]], "rater", raters, "the segmentation's", key)
    rows = []
    for row in found.to_dict("records"):
        about, than = (_names(row[column]) for column in ("engines", "than"))
        lacking = [name for name in (*about, *than) if name not in engines]
        kept = {name: row[name] for name in ("finding", "expected", "measure", "source")}
        kept["engines"] = ", ".join(engines.get(name, "n/a") for name in about)
        if lacking:
            rows.append(kept | {"reason": f"no {', '.join(lacking)} here"})
            continue
        shown = [engines[name] for name in about]
        programs = {name.split()[0] for name in about}
        than = than or [name for name in engines if name.split()[0] not in programs]
        others = [engines[name] for name in than]
        figures = _figures(tables, row, settings["rater"], [*shown, *others])
        for outcome, of in figures.items():
            told = _judged(row["expected"], of, shown, others)
            if row["expected"] == "no gain":
                more = _difference(tables, row, settings["rater"], outcome, *shown, *others)
                agrees = {True: "yes", False: "no"}.get(more and LIMITS["no gain"](more))
                told |= {"agrees": agrees, "reason": None if more else "no interval of a gain"}
            rows.append(kept | {"outcome": outcome} | told)
    return pd.DataFrame(rows, columns=COLUMNS)


def _names(cell) -> list[str]:
    return [] if pd.isna(cell) else cell.split(", ")


def _check(given, part: str, known, whose: str, key: str) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise InputError(
            f"{key}.{part}: {', '.join(unknown)} is none of {whose} ({', '.join(known)}); "
            "correct it"
        )


def _figures(tables: dict, row: dict, rater: str, engines: list[str]) -> dict:
    """DataFrame of value, low and high of each engine that has them, by outcome (or None)."""
    table, measure = tables[row["table"]], row["measure"]
    if row["table"] == "overlap":
        table = table[(table["side"] == "both") & (table["reference"] == rater)]
        table = table[(table["region"] == row["region"]) & table["engine"].isin(engines)]
        wide = table.pivot_table(measure, "participant_id", "engine", dropna=False)
        wide = wide.dropna(axis=1, how="all").dropna()
        return {None: pd.DataFrame({"value": wide.mean()})}
    if row["table"] == "agreement":
        table = table[(table["side"] == "both") & (table["reference"] == rater)]
        table = table[table["region"] == row["region"]].set_index("engine")
    else:
        names = {f"{row['region']}_{engine}_volume_ml": engine for engine in engines}
        if "other" in table:
            table = table[table["other"].isna()]
        table = table[table["feature"].isin(names)]
        table = table.set_index(table["feature"].map(names))
    limits = {"bias_percent": "bias"}.get(measure, measure)
    ends = [measure, f"{limits}_low", f"{limits}_high"]
    outcomes = table["outcome"].unique() if "outcome" in table else [None]
    return {
        outcome: (table if outcome is None else table[table["outcome"] == outcome])[ends]
        .set_axis(["value", "low", "high"], axis=1)
        .dropna(subset="value")
        for outcome in outcomes
    }


def _difference(tables: dict, row: dict, rater: str, outcome, one: str, other: str) -> dict | None:
    """Limits of what one engine has more than another, in the direction of the latter's figure."""
    if row["table"] == "overlap":
        table, name, of = tables["ranking"], "difference", "engine"
        table = table[(table["reference"] == rater) & (table["region"] == row["region"])]
        names, sign = (one, other), 1
    else:
        table, name, of = tables["associations"], "beta_difference", "feature"
        table = table[table["outcome"] == outcome]
        names = [f"{row['region']}_{engine}_volume_ml" for engine in (one, other)]
        own = table.loc[table["other"].isna() & (table[of] == names[1]), "beta"]
        sign = -1 if (own < 0).any() else 1
    for first, second, turn in ((*names, sign), (*names[::-1], -sign)):
        pair = table[(table[of] == first) & (table["other"] == second)]
        limits = turn * pair[[f"{name}_low", f"{name}_high"]].dropna().to_numpy()
        if len(limits):
            return {"low": limits.min(), "high": limits.max()}
    return None


def _judged(expected: str, figures: pd.DataFrame, shown: list[str], others: list[str]) -> dict:
    order = [name for name in (*shown, *others) if name in figures.index]
    told = {"here": ", ".join(f"{e} {figures.loc[e, 'value']:.3g}" for e in order) or None}
    if lacking := [name for name in shown if name not in order]:
        return told | {"reason": f"{', '.join(lacking)}: no such figure"}
    if expected == "no gain":
        return told
    if expected in LIMITS and figures.loc[shown, "low"].isna().any():
        return told | {"reason": "no interval: too few participants"}
    if expected in LIMITS:
        holds = all(LIMITS[expected](figures.loc[name]) for name in shown)
    elif rest := [name for name in others if name in order]:
        holds = HOLDS[expected](figures.loc[shown, "value"], figures.loc[rest, "value"])
    else:
        return told | {"reason": "no other engine to compare with"}
    return told | {"agrees": "yes" if holds else "no"}
