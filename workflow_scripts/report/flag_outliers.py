"""Flag sessions whose numbers are out of line, or whose processing was in doubt."""

import json
import re
from collections import ChainMap
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report.sessions import SESSION, prefixes, read_sidecars, sort_sidecars

THRESHOLD = 3.5
FEWEST = 5
COLUMNS = [*SESSION, "measure", "level", "common", "value", "median", "robust_z", "low", "high"]
COLUMNS.append("reason")
STEP_LEVELS = {"Flags": "doubtful", "Notes": "note"}
T1W = "desc-preproc_T1w"


def robust_z(values: np.ndarray) -> np.ndarray:
    """Modified z-scores 0.6745 (x - median) / MAD.

    Parameters
    ----------
    values : float array, (N,), NaN where missing

    Returns
    -------
    float array, (N,)
        All NaN with less than 5 values or where the median absolute deviation is 0.

    Notes
    -----
    Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers; 0.6745 makes it
    a z-score for a normal distribution.
    """
    values = np.asarray(values, float)
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.full(len(values), np.nan)
    centre = np.median(known)
    mad = np.median(np.abs(known - centre))
    return 0.6745 * (values - centre) / mad if mad > 0 else np.full(len(values), np.nan)


def expected_sessions(measure: str, sidecars: dict[str, dict]) -> set[str]:
    """Sessions that went through the step that gives a measure.

    Parameters
    ----------
    measure : key of the sidecars' ``Measures``
    sidecars : as from `read_sidecars`
    """
    steps = {
        kind
        for kinds in sidecars.values()
        for kind, content in kinds.items()
        if measure in content.get("Measures", {})
    }
    return {prefix for prefix, kinds in sidecars.items() if steps & kinds.keys()}


def flag_measures(features: pd.DataFrame, limits: pd.DataFrame, sidecars: dict) -> pd.DataFrame:
    """Sessions with a robust z beyond 3.5 or a value outside the plausible limits.

    A missing value is flagged where the session went through the step that
    measures it; a measure that no session has is passed over. What is unlike the cohort is
    doubtful; a value that is missing or outside the limits is unusable, as it stands.

    Parameters
    ----------
    features : DataFrame
        participant_id, session_id and the measures; one row per session.
    limits : DataFrame
        measure; side, on which a robust z counts (both, low, high, none); low
        and high, missing where there is no limit.
    sidecars : as from `read_sidecars`

    Returns
    -------
    DataFrame
        Columns `COLUMNS` but ``common``, a row per session and flagged measure.

    Raises
    ------
    InputError
        If a measure of the sidecars is not a column of the features.
    """
    tables, names = [], prefixes(features)
    for rule in limits.itertuples():
        expected = names.isin(expected_sessions(rule.measure, sidecars))
        if not expected.any():
            continue
        if rule.measure not in features:
            raise InputError(
                f"cohort/features.tsv: has no column {rule.measure}; rebuild the table"
            )
        value = features[rule.measure].astype(float)
        z = pd.Series(robust_z(value.to_numpy()), features.index)
        score = {"both": z.abs(), "low": -z, "high": z, "none": 0 * z}[rule.side]
        implausible = (value < rule.low) | (value > rule.high)
        unlike = f"unlike the cohort: |robust z| > {THRESHOLD}"
        bounds = [f"{rule.low:g}", f"{rule.high:g}"]
        outside = f"implausible: outside {' to '.join(bounds)}"
        if pd.isna(rule.high):
            outside = f"implausible: below {bounds[0]}"
        elif pd.isna(rule.low):
            outside = f"implausible: above {bounds[1]}"
        reasons = {1: unlike, 2: outside, 3: f"{outside}; {unlike}", 4: "no value"}
        code = (score > THRESHOLD) + 2 * implausible + 4 * (value.isna() & expected)
        table = features[SESSION].assign(
            measure=rule.measure,
            value=value,
            median=value.median(),
            robust_z=z,
            low=rule.low,
            high=rule.high,
            level=np.where(code == 1, "doubtful", "unusable"),
            reason=code.map(reasons),
        )
        tables.append(table[code > 0])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def flag_steps(features: pd.DataFrame, sidecars: dict[str, dict]) -> pd.DataFrame:
    """What the steps themselves say makes a session doubtful.

    The texts in ``Flags`` of any sidecar, which are doubtful, and in ``Notes``; and a brain mask
    that is the template's because deepbet's was implausible.

    Parameters
    ----------
    features : DataFrame with participant_id, session_id
    sidecars : as from `read_sidecars`

    Returns
    -------
    DataFrame
        participant_id, session_id, measure (the sidecar without session and
        ending), level, reason.

    Raises
    ------
    InputError
        If a session has no sidecar, or one of a T1w does not say how the brain
        was extracted.
    """
    rows = []
    for prefix, session in zip(prefixes(features), features[SESSION].to_numpy(), strict=True):
        if prefix not in sidecars:
            raise InputError(f"{prefix}: has features but no sidecar; rebuild the table")
        for kind, content in sidecars[prefix].items():
            rows += [
                (*session, kind, level, text)
                for key, level in STEP_LEVELS.items()
                for text in content.get(key, [])
            ]
            if kind != T1W or "BodyPart" in content:  # of another part than the head
                continue
            if "BrainExtraction" not in content:
                raise InputError(
                    f"{prefix}_{T1W}.json: lacks BrainExtraction; run prepare_t1w again"
                )
            how = content["BrainExtraction"]
            if how.startswith("template ("):
                extraction = f"brain extraction: {how}"
                rows.append((*session, "brain_extraction", "doubtful", extraction))
    return pd.DataFrame(rows, columns=[*SESSION, "measure", "level", "reason"])


def kinds_of(flags: pd.DataFrame) -> pd.Series:
    """What each flag says, its numbers aside: the same text for the same kind of flag."""
    texts = flags["reason"].map(lambda text: re.sub(r"\d[\d.]*", "#", text))
    return flags["measure"] + ": " + texts


def are_common(flags: pd.DataFrame, sidecars: dict[str, dict]) -> pd.Series:
    """Whether each flag is of a kind that more than half of the sessions have, at least 5.

    Of the sessions that went through the step. Bool, by the index of the flags.
    """
    been = {"brain_extraction": {p for p, kinds in sidecars.items() if T1W in kinds}}
    for name in flags["measure"].unique():
        through = {prefix for prefix, kinds in sidecars.items() if name in kinds}
        been.setdefault(name, through or expected_sessions(name, sidecars))
    sessions = prefixes(flags).groupby(kinds_of(flags)).transform("nunique")
    return (sessions > flags["measure"].map(lambda name: len(been[name]) / 2)) & (
        sessions >= FEWEST
    )


def flag(features: pd.DataFrame, limits: pd.DataFrame, sidecars: dict) -> pd.DataFrame:
    """All flags, ordered by participant, session and measure."""
    tables = [flag_measures(features, limits, sidecars), flag_steps(features, sidecars)]
    table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    if len(table):
        table["common"] = np.where(are_common(table, sidecars), "yes", "no")
    return table.reindex(columns=COLUMNS).sort_values([*SESSION, "measure"], ignore_index=True)


def flags_of_run(root: Path, paths: list[str]) -> str | None:
    """What is doubtful in a run for some participants, who are not compared with the cohort.

    Parameters
    ----------
    root : output folder
    paths : sidecars there, of which those not made are passed over

    Returns
    -------
    Text with a line for each session and flag, None where there is none
    """
    made = {
        path: json.loads((root / path).read_text()) for path in paths if (root / path).is_file()
    }
    sidecars, rows = sort_sidecars(made), []
    for prefix, kinds in sidecars.items():
        measures = [content.get("Measures", {}) for content in kinds.values()]
        session = dict(zip(SESSION, (*prefix.split("_"), None), strict=False))
        rows.append(dict(ChainMap(session, *measures)))
    if not rows:
        return None
    limits = read_table(resource("report/limits.tsv")).assign(side="none")
    table = flag(pd.DataFrame(rows), limits, sidecars)
    lines = [
        f"  {prefix} {row.measure}{'' if pd.isna(row.value) else f' {row.value:.4g}'}: "
        f"{row.reason} ({row.level})"
        for prefix, row in zip(prefixes(table), table.itertuples(), strict=True)
    ]
    head = (
        "Flagged, look at the pictures (limits alone; a run of the whole cohort compares it too):"
    )
    return "\n".join([head, *lines]) if lines else None


def main(source, out, params):
    """Write the flags of all sessions."""
    table = flag(
        read_table(source.features),
        read_table(resource("report/limits.tsv")),
        read_sidecars(source.sidecars),
    )
    write_table(table.round(4), out.table, resource("columns/report.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
