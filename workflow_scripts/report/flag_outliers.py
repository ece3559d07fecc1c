"""Flag sessions whose numbers are out of line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

THRESHOLD = 3.5
FEWEST = 5
SESSION = ["participant_id", "session_id"]
COLUMNS = [*SESSION, "measure", "value", "median", "robust_z", "low", "high", "reason"]
SIDECAR = "_desc-preproc_T1w.json"


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


def flag_measures(features: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Sessions with a robust z beyond 3.5 or a value outside the plausible limits.

    Parameters
    ----------
    features : DataFrame
        participant_id, session_id and the measures; one row per session.
    limits : DataFrame
        measure, side (both, or low: large values are never flagged), low, high.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, a row per session and flagged measure.

    Raises
    ------
    InputError
        If a measure is not a column of the features.
    """
    absent = [name for name in limits["measure"] if name not in features]
    if absent:
        raise InputError(
            f"cohort/features.tsv: has no column {', '.join(absent)}; rebuild the table"
        )
    tables = []
    for rule in limits.itertuples():
        value = features[rule.measure].astype(float)
        z = pd.Series(robust_z(value.to_numpy()), features.index)
        far = (z.abs() if rule.side == "both" else -z) > THRESHOLD
        implausible = (value < rule.low) | (value > rule.high)
        unlike = f"unlike the cohort: |robust z| > {THRESHOLD}"
        outside = f"implausible: outside {rule.low:g} to {rule.high:g}"
        reasons = {1: unlike, 2: outside, 3: f"{outside}; {unlike}"}
        code = far + 2 * implausible + 4 * value.isna()
        table = features[SESSION].assign(
            measure=rule.measure,
            value=value,
            median=value.median(),
            robust_z=z,
            low=rule.low,
            high=rule.high,
            reason=code.map(reasons | {4: "no value"}),
        )
        tables.append(table[code > 0])
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def flag_extractions(features: pd.DataFrame, sidecars: dict[str, dict]) -> pd.DataFrame:
    """Sessions whose brain mask is the template's because deepbet's was implausible.

    Parameters
    ----------
    features : DataFrame with participant_id, session_id
    sidecars : content of the T1w's sidecar, by ``sub-X[_ses-Y]``

    Raises
    ------
    InputError
        If a session has no sidecar, or it does not say how the brain was extracted.
    """
    rows = []
    for participant, session in features[SESSION].itertuples(index=False):
        prefix = session_prefix(participant, None if pd.isna(session) else session)
        how = sidecars.get(prefix, {}).get("BrainExtraction")
        if how is None:
            raise InputError(
                f"{prefix}{SIDECAR}: is missing or lacks BrainExtraction; run prepare_t1w again"
            )
        if how.startswith("template ("):
            rows.append((participant, session, "brain_extraction", f"brain extraction: {how}"))
    table = pd.DataFrame(rows, columns=[*SESSION, "measure", "reason"])
    return table.reindex(columns=COLUMNS)


def flag(features: pd.DataFrame, limits: pd.DataFrame, sidecars: dict) -> pd.DataFrame:
    """All flags, ordered by participant, session and measure."""
    tables = [flag_measures(features, limits), flag_extractions(features, sidecars)]
    table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    return table.sort_values([*SESSION, "measure"], ignore_index=True)


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        table = flag(
            read_table(snakemake.input.features),  # noqa: F821
            pd.read_csv(resource("report/limits.tsv"), sep="\t"),
            {
                Path(path).name.removesuffix(SIDECAR): json.loads(Path(path).read_text())
                for path in snakemake.input.sidecars  # noqa: F821
            },
        )
        write_table(table.round(4), snakemake.output.table, resource("columns/report.tsv"))  # noqa: F821
