"""Agreement of a feature between two scans of the same people."""

import numpy as np
import pandas as pd
import pingouin as pg
from scipy import stats

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


def agreement(pairs: pd.DataFrame) -> dict:
    """Intraclass correlation and limits of agreement of two scans.

    Parameters
    ----------
    pairs : DataFrame, (N, 2)
        Columns a and b.

    Returns
    -------
    dict
        n; icc: ICC(A,1), two-way random, absolute agreement of single scans, with 95 % limits;
        sd_within (of a single scan) and cv_within (of the mean); bias (b - a) with limits;
        agreement_low, agreement_high: bias -+ 1.96 SD of the differences, and agreement_error,
        the half width of their 95 % interval; slope_p: of the difference on the mean.

    Notes
    -----
    McGraw & Wong 1996, 10.1037/1082-989X.1.1.30; Bland & Altman 1999,
    10.1177/096228029900800204.
    """
    n = len(pairs)
    a, b = pairs["a"].to_numpy(float), pairs["b"].to_numpy(float)
    difference, middle = b - a, (a + b) / 2
    sd, bias = difference.std(ddof=1), difference.mean()
    t = stats.t.ppf(0.975, n - 1)
    long = pd.DataFrame({"who": np.tile(np.arange(n), 2), "scan": np.repeat([0, 1], n)})
    long["value"] = np.concatenate([a, b])
    icc = pg.intraclass_corr(long, "who", "scan", "value").set_index("Type").loc["ICC(A,1)"]
    within = np.sqrt((difference**2).mean() / 2)
    return {
        "n": n,
        "icc": icc["ICC"],
        "icc_low": icc["CI95"][0],
        "icc_high": icc["CI95"][1],
        "sd_within": within,
        "cv_within": within / abs(middle.mean()),
        "bias": bias,
        "bias_low": bias - t * sd / np.sqrt(n),
        "bias_high": bias + t * sd / np.sqrt(n),
        "agreement_low": bias - 1.96 * sd,
        "agreement_high": bias + 1.96 * sd,
        "agreement_error": t * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1))),
        "slope_p": stats.linregress(middle, difference).pvalue,
    }


def reliability(features: pd.DataFrame, asked: dict, key: str) -> pd.DataFrame:
    """Agreement of features between two sessions of the participants.

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
        pairs = pairs_of(features, name, sessions)
        if len(pairs) < FEWEST:
            raise InputError(
                f"{key}.features: {len(pairs)} participants have {name} in two sessions"
                f"{' (' + ' and '.join(sessions) + ')' if sessions else ''}, {FEWEST} are needed; "
                "take it out, or name other sessions"
            )
        first, second = sessions or ("first", "second")
        rows.append({"feature": name, "session_a": first, "session_b": second} | agreement(pairs))
    return pd.DataFrame(rows, columns=COLUMNS)
