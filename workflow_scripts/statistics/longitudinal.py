"""Change of features between sessions, in those whose outcome worsened and in the others."""

import logging
import warnings

import numpy as np
import pandas as pd
import pingouin
import statsmodels.formula.api as smf
from scipy import stats

from workflow_scripts.statistics.correction import corrected

COLUMNS = ["feature", "n", "n_worsened", "n_stable", "n_one_session", "n_short", "n_no_outcome"]
COLUMNS += [f"change{part}{end}" for part in ("", "_worsened", "_stable", "_difference")
            for end in ("", "_low", "_high")]  # fmt: skip
COLUMNS += ["change_p", "hedges_g", "hedges_g_low", "hedges_g_high"]
COLUMNS += [f"{part}{end}" for part in ("slope_stable", "slope_difference")
            for end in ("", "_low", "_high")]  # fmt: skip
COLUMNS += ["p", "p_corrected", "correction", "n_tests", "note"]
CORRECTION = "fdr_bh"
LEAST_YEARS = 0.25
FEWEST = 3  # worsened, and stable
LOG = logging.getLogger(__name__)


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Annualized change of a feature of each participant between its first and last session.

    Parameters
    ----------
    rows : trajectories of one feature

    Returns
    -------
    DataFrame
        Index participant_id; sessions, years between, change in % of the first value per year
        (missing where they are less than `LEAST_YEARS` apart), worsened.
    """
    people = rows.groupby("participant_id")
    ends = people[["years", "value"]].agg(["first", "last"])
    found = pd.DataFrame({"sessions": people.size(), "worsened": people["worsened"].first()})
    found["years"] = ends["years", "last"] - ends["years", "first"]
    first, last = (ends["value", end] for end in ("first", "last"))
    years = found["years"].where(found["years"] >= LEAST_YEARS)
    return found.assign(change=100 * (last / first - 1) / years)


def longitudinal(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Change of each feature, and how it differs where the outcome worsened.

    Parameters
    ----------
    trajectories : as of `trajectories.trajectories`

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. Annualized change with limits (t), its difference between those who
        worsened and the others by Welch's t-test and Hedges' g; and of a mixed model of the
        values on time, worsening and their product with a random intercept of the participant
        the slope of the stable, and what those who worsened have more.
    """
    rows = []
    for name, sessions in trajectories.groupby("feature", sort=False):
        people = changes(sessions)
        known = people.dropna(subset=["change", "worsened"])
        groups = [known.loc[known["worsened"] == word, "change"] for word in ("yes", "no")]
        row = {"feature": name, "n": len(known), "n_one_session": (people["sessions"] == 1).sum()}
        row |= {"n_worsened": len(groups[0]), "n_stable": len(groups[1])}
        row["n_short"] = ((people["sessions"] > 1) & people["change"].isna()).sum()
        row["n_no_outcome"] = (people["change"].notna() & people["worsened"].isna()).sum()
        parts = zip(("", "_worsened", "_stable"), (known["change"], *groups), strict=True)
        for part, values in parts:
            row |= _mean(f"change{part}", values)
        if min(map(len, groups)) >= FEWEST:
            row |= _difference(*groups)
            row |= mixed_model(sessions[sessions["participant_id"].isin(known.index)])
        else:
            row["note"] = f"not tested: fewer than {FEWEST} worsened, or are stable"
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table["p_corrected"] = corrected(table["p"], CORRECTION)
    return table.assign(correction=CORRECTION, n_tests=table["p"].notna().sum())


def _mean(name: str, values: pd.Series) -> dict:
    found, n = {name: values.mean()}, len(values)
    if n >= FEWEST:
        half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
        found |= {f"{name}_low": found[name] - half, f"{name}_high": found[name] + half}
    return found


def _difference(bad: pd.Series, stable: pd.Series) -> dict:
    """Change of those who worsened less that of the stable."""
    test = stats.ttest_ind(bad, stable, equal_var=False)
    low, high = test.confidence_interval()
    g = pingouin.compute_effsize(bad, stable, eftype="hedges")
    limits = pingouin.compute_esci(g, len(bad), len(stable), decimals=6)
    return {
        "change_difference": bad.mean() - stable.mean(),
        "change_difference_low": low,
        "change_difference_high": high,
        "change_p": test.pvalue,
        "hedges_g": g,
        "hedges_g_low": limits[0],
        "hedges_g_high": limits[1],
    }


def mixed_model(sessions: pd.DataFrame) -> dict:
    """Slope of the stable and what those who worsened have more, in units of the feature a year.

    value ~ years * worsened with a random intercept of the participant, by restricted maximum
    likelihood; limits and p by t with as many degrees of freedom as participants less two.

    Parameters
    ----------
    sessions : trajectories of one feature, of people with a known worsening
    """
    data = sessions.assign(bad=(sessions["worsened"] == "yes").astype(float))
    mean, sd = data["value"].mean(), data["value"].std(ddof=1)
    data["value"] = (data["value"] - mean) / sd
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = smf.mixedlm("value ~ years * bad", data, groups=data["participant_id"]).fit(reml=True)
    terms = {"slope_stable": "years", "slope_difference": "years:bad"}
    if not fit.converged or not np.isfinite(fit.bse[list(terms.values())]).all():
        LOG.warning("%s: %s", data["feature"].iloc[0], "; ".join(str(one.message) for one in said))
        return {"note": "the mixed model did not converge"}
    freedom, found = data["participant_id"].nunique() - 2, {}
    for name, term in terms.items():
        value, half = fit.params[term], stats.t.ppf(0.975, freedom) * fit.bse[term]
        limits = {f"{name}_low": value - half, f"{name}_high": value + half}
        found |= {key: sd * number for key, number in ({name: value} | limits).items()}
    t = fit.params["years:bad"] / fit.bse["years:bad"]
    return found | {"p": 2 * stats.t.sf(abs(t), freedom)}
