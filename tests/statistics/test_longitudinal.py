"""Change over time in closed form, and planted slopes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.cohort.config import load_schema
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.longitudinal import changes, longitudinal, mixed_model
from workflow_scripts.statistics.trajectories import trajectories, worsened, years_of

EVALUATIONS = load_schema()["$defs"]["study"]["properties"]["evaluation"]["properties"]
EDSS = EVALUATIONS["longitudinal"]["properties"]["worsening"]["default"]


@pytest.mark.parametrize(
    ("first", "least"), [(0, 1.5), (0.5, 1), (1, 1), (5, 1), (5.5, 0.5), (9, 0.5)]
)
def test_edss_worsens_by_steps_of_its_first_value(first, least):
    assert worsened(first, first + least, EDSS)
    assert not worsened(first, first + least - 0.5, EDSS)
    assert not worsened(first, first - 2, EDSS)


def sessions(**columns) -> pd.DataFrame:
    return pd.DataFrame({"feature": "v", "outcome": 1.0} | columns)


def test_change_is_that_between_first_and_last_by_the_years_between():
    """10 to 9 mL in two years, with 20 mL between: -5 % a year."""
    rows = sessions(participant_id="sub-1", years=[0, 1, 2.0], value=[10, 20, 9.0], worsened="yes")
    [row] = changes(rows).to_dict("records")
    assert (row["change"], row["years"], row["sessions"]) == (pytest.approx(-5), 2, 3)


def followed(n: int, seed: int, more=-0.2, years=None) -> pd.DataFrame:
    """Half of n people worsen; the stable lose .1 mL a year of 13, the others ``-more`` besides."""
    rng = np.random.default_rng(seed)
    bad = np.arange(n) % 2 == 0
    gap = np.ones(n) if years is None else rng.uniform(*years, n)
    first = rng.normal(13, 1.5, n)
    change = -0.1 + more * bad + rng.normal(0, 0.1, n)
    noise = rng.normal(0, 0.08, (2, n))
    rows = [
        sessions(participant_id=[f"sub-{i:03d}" for i in range(n)], years=when, value=values,
                 worsened=np.where(bad, "yes", "no"), session_id=name)
        for name, when, values in (("ses-1", 0.0, first + noise[0]),
                                   ("ses-2", gap, first + change * gap + noise[1]))
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def test_with_a_year_between_all_the_model_is_the_difference_of_the_mean_changes(tmp_path):
    rows = followed(40, 1)
    wide = rows.pivot(index="participant_id", columns="session_id", values="value")
    lost = wide["ses-2"] - wide["ses-1"]
    bad = rows.drop_duplicates("participant_id").set_index("participant_id")["worsened"] == "yes"
    found = mixed_model(rows)
    assert found["slope_stable"] == pytest.approx(lost[~bad].mean(), rel=1e-4)
    assert found["slope_difference"] == pytest.approx(
        lost[bad].mean() - lost[~bad].mean(), rel=1e-4
    )
    [row] = longitudinal(rows).to_dict("records")
    percent = 100 * lost / wide["ses-1"]
    test = stats.ttest_ind(percent[bad], percent[~bad], equal_var=False)
    assert (row["n_worsened"], row["n_stable"]) == (20, 20)
    assert row["change_difference"] == pytest.approx(percent[bad].mean() - percent[~bad].mean())
    assert row["change_p"] == pytest.approx(test.pvalue)
    assert row["change_stable_low"] < percent[~bad].mean() < row["change_stable_high"]
    assert row["hedges_g"] < 0 and row["p_corrected"] == row["p"] < 0.01
    assert row["slope_difference_low"] < -0.2 < row["slope_difference_high"]
    write_table(longitudinal(rows), tmp_path / "l.tsv", resource("columns/statistics.tsv"))


def test_who_takes_no_part_is_counted():
    rows = followed(20, 2)
    rows = rows.drop(rows.index[(rows["participant_id"] == "sub-000") & (rows["years"] == 0)])
    rows.loc[(rows["participant_id"] == "sub-001") & (rows["years"] == 1), "years"] = 0.01
    rows.loc[rows["participant_id"] == "sub-002", "worsened"] = None
    [row] = longitudinal(rows).to_dict("records")
    assert [row[f"n{part}"] for part in ("", "_one_session", "_short", "_no_outcome")] == [
        17,
        1,
        1,
        1,
    ]
    few = rows[rows["participant_id"].isin([f"sub-{n:03d}" for n in (3, 4, 5, 6, 7)])]
    [row] = longitudinal(few).to_dict("records")
    assert row["n"] == 5 and np.isnan(row["p"]) and row["note"].startswith("not tested")


def cohort(dates, edss, volumes) -> tuple:
    rows = [
        {"participant_id": person, "session_id": f"ses-{place}", "label": "a", "acq_time": date}
        | {"edss": score, "v": volume}
        for person in dates
        for place, (date, score, volume) in enumerate(
            zip(dates[person], edss[person], volumes[person], strict=True), 1
        )
    ]
    table = pd.DataFrame(rows)
    names = ["participant_id", "session_id"]
    return table[[*names, "v"]], table[[*names, "acq_time", "edss"]], table[[*names, "label"]]


SETTINGS = {
    "longitudinal": {"features": ["v"], "outcome": "edss", "time": "acq_time", "worsening": EDSS},
    "classes": ["a"],
    "key": "studies.s.evaluation.longitudinal",
}


def test_sessions_are_ordered_by_date_and_worsening_needs_two_scores(tmp_path):
    tables = cohort(
        {"sub-1": ["2001-01-01", "2000-01-01T09:00:00"], "sub-2": ["2000-01-01", "2001-01-01"],
         "sub-3": ["2000-01-01", None]},
        {"sub-1": [4.0, 3.0], "sub-2": [2.0, np.nan], "sub-3": [1.0, 3.0]},
        {"sub-1": [9.0, 10.0], "sub-2": [11.0, 12.0], "sub-3": [10.0, 9.0]},
    )  # fmt: skip
    found = trajectories(*tables, SETTINGS)
    people = found.groupby("participant_id")
    assert people["value"].agg(list).to_dict() == {
        "sub-1": [10, 9], "sub-2": [11, 12], "sub-3": [10],
    }  # fmt: skip
    assert found["worsened"].fillna("").tolist() == ["yes", "yes", "", "", ""]
    assert found["years"].tolist() == pytest.approx([0, 1, 0, 366 / 365.25, 0], abs=2e-3)
    write_table(found, tmp_path / "t.tsv", resource("columns/statistics.tsv"))


def test_times_that_are_none_and_scores_below_the_rule_are_named():
    with pytest.raises(InputError, match="k: acq_time is 'spring'; write dates"):
        years_of(pd.Series(["2000-01-01", "spring"], name="acq_time"), "k")
    assert years_of(pd.Series([1, 2.5]), "k").tolist() == [1, 2.5]
    tables = cohort(
        {"sub-1": [0, 1]}, {"sub-1": [-1.0, 3.0]}, {"sub-1": [9.0, 10.0]}
    )  # fmt: skip
    with pytest.raises(InputError, match="longitudinal.worsening: edss -1 lies below all steps"):
        trajectories(*tables, SETTINGS)


@pytest.mark.full
def test_intervals_hold_the_planted_slopes_and_the_null_is_held():
    """Over 80 cohorts of 60, followed .8 to 1.3 years, to three standard errors."""
    held, found, three = [], [], 3 * np.sqrt(0.05 * 0.95 / 80)
    for seed in range(80):
        made = mixed_model(followed(60, seed, years=(0.8, 1.3)))
        truth = {"slope_stable": -0.1, "slope_difference": -0.2}
        held.append([made[f"{k}_low"] < v < made[f"{k}_high"] for k, v in truth.items()])
        found.append(mixed_model(followed(60, seed, more=0.0, years=(0.8, 1.3)))["p"] < 0.05)
    assert (np.mean(held, 0) > 0.95 - three).all(), np.mean(held, 0)
    assert np.mean(found) < 0.05 + three, np.mean(found)
