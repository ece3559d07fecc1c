"""Agreement of a feature between two scans of the same people, or two raters of one scan."""

import pandas as pd

from workflow_scripts.common.agreement import agreement
from workflow_scripts.common.columns import SECOND_RATER
from workflow_scripts.common.job import InputError

COLUMNS = ["feature", "session_a", "session_b", "n", "icc", "icc_low", "icc_high", "sd_within"]
COLUMNS += ["cv_within", "bias", "bias_low", "bias_high", "agreement_low", "agreement_high"]
COLUMNS += ["agreement_error", "slope_p"]
FEWEST = 5


def pairs_of(features: pd.DataFrame, feature: str, sessions: list[str] | None) -> pd.DataFrame:
    """Values of two sessions of each participant who has both: columns a and b.

    Parameters
    ----------
    features : DataFrame
        participant_id, session_id, in the order of the sessions, and the feature.
    sessions : names of the two; None for the first two of each participant that have a value
    """
    rows = features.dropna(subset=[feature])
    if sessions:
        wide = rows.pivot(index="participant_id", columns="session_id", values=feature)
        return wide.reindex(columns=sessions).dropna().set_axis(["a", "b"], axis=1)
    number = rows.groupby("participant_id").cumcount()
    wide = rows.assign(number=number).pivot(
        index="participant_id", columns="number", values=feature
    )
    return wide.reindex(columns=[0, 1]).dropna().set_axis(["a", "b"], axis=1)


def readings_of(features: pd.DataFrame, feature: str) -> pd.DataFrame:
    """Values by two raters in the first session of each participant that has both: a and b."""
    columns = [feature, f"{SECOND_RATER}{feature}"]
    if columns[1] not in features:
        return pd.DataFrame(columns=["a", "b"])
    both = features.dropna(subset=columns).drop_duplicates("participant_id")
    return both[columns].set_axis(["a", "b"], axis=1)


def reliability(features: pd.DataFrame, asked: dict, key: str) -> pd.DataFrame:
    """Agreement of features between two sessions of the participants, and between two raters.

    Parameters
    ----------
    features : features.tsv of the study
    asked : features, and sessions (two names) where they are not the first two of each
    key : of ``asked`` in the configuration, for messages

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``.

    Raises
    ------
    InputError
        If a feature is no column, or too few participants have two values.
    """
    rows, sessions = [], asked.get("sessions")
    for name in asked["features"]:
        if name not in features:
            raise InputError(f"{key}.features: features.tsv has no column {name}; correct it")
        pairs, readings = pairs_of(features, name, sessions), readings_of(features, name)
        if len(readings) >= FEWEST:
            raters = {"session_a": "first rater", "session_b": "second rater"}
            rows.append({"feature": name} | raters | agreement(readings))
        if len(pairs) < FEWEST and not sessions and len(readings) >= FEWEST:
            continue
        if len(pairs) < FEWEST:
            raise InputError(
                f"{key}.features: {len(pairs)} participants have {name} in two sessions"
                f"{' (' + ' and '.join(sessions) + ')' if sessions else ''}, and {len(readings)} "
                f"by two raters, {FEWEST} are needed; take it out, or name other sessions"
            )
        first, second = sessions or ("first", "second")
        rows.append({"feature": name, "session_a": first, "session_b": second} | agreement(pairs))
    return pd.DataFrame(rows, columns=COLUMNS)
