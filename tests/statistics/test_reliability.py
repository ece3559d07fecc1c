import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.agreement import agreement
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.reliability import reliability

# Shrout & Fleiss 1979, six targets, judges 1 and 2 of their four.
SHROUT = pd.DataFrame({"a": [9, 6, 8, 7, 10, 6], "b": [2, 1, 4, 1, 5, 2]})


def two_sessions(n=200, within=0.5, bias=0.3, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.normal(10, 1, n)
    rows = [
        {"participant_id": f"sub-{i:03d}", "session_id": name, "alps": true[i] + shift + error}
        for i in range(n)
        for name, shift, error in zip(
            ("ses-1", "ses-2"), (0, bias), rng.normal(0, within, 2), strict=True
        )
    ]
    return pd.DataFrame(rows)


def test_icc_is_that_of_the_mean_squares():
    """ICC(A,1) = (MSR - MSE) / (MSR + MSE + 2 / n (MSC - MSE)), McGraw & Wong 1996."""
    values = SHROUT.to_numpy(float)
    n = len(values)
    rows = 2 * ((values.mean(1) - values.mean()) ** 2).sum() / (n - 1)
    columns = n * ((values.mean(0) - values.mean()) ** 2).sum()
    residual = values - values.mean(1)[:, None] - values.mean(0) + values.mean()
    error = (residual**2).sum() / (n - 1)
    expected = (rows - error) / (rows + error + 2 / n * (columns - error))
    found = agreement(SHROUT)
    assert found["icc"] == pytest.approx(expected)
    difference = SHROUT["b"] - SHROUT["a"]
    assert found["bias"] == difference.mean()
    assert found["agreement_high"] - found["agreement_low"] == pytest.approx(
        3.92 * difference.std(ddof=1)
    )


def test_simulated_reliability_is_recovered():
    """Variance 1 between, .25 within, bias .3: absolute agreement 1 / (1 + .25 + .3^2 / 2)."""
    [row] = reliability(two_sessions(), {"features": ["alps"]}, "k").to_dict("records")
    assert row["n"] == 200 and (row["session_a"], row["session_b"]) == ("first", "second")
    assert row["icc_low"] < 1 / (1.25 + 0.045) < row["icc_high"]
    assert row["bias_low"] < 0.3 < row["bias_high"]
    sd = np.sqrt(2) * 0.5
    assert abs(row["agreement_high"] - (0.3 + 1.96 * sd)) < row["agreement_error"]
    assert abs(row["agreement_low"] - (0.3 - 1.96 * sd)) < row["agreement_error"]
    assert row["sd_within"] == pytest.approx(np.sqrt(0.25 + 0.045), abs=0.05)


def test_two_raters_are_compared_in_one_session_of_each_participant():
    """The second reads 2 more and half as much again: bias 2 + .5 mean, of one session alone."""
    first = two_sessions(12).rename(columns={"alps": "nwi"})
    features = first.assign(second_rater_nwi=1.5 * first["nwi"] + 2)
    features.loc[features["session_id"] == "ses-2", "second_rater_nwi"] = 99
    one = features.drop_duplicates("participant_id")
    [row] = reliability(one, {"features": ["nwi"]}, "k").to_dict("records")
    assert (row["session_a"], row["session_b"], row["n"]) == ("first rater", "second rater", 12)
    assert row["bias"] == pytest.approx((0.5 * one["nwi"] + 2).mean())
    both = reliability(features, {"features": ["nwi"]}, "k")
    assert both["session_b"].tolist() == ["second rater", "second"]
    assert both.loc[0, "bias"] == row["bias"]
    few = one.assign(second_rater_nwi=one["second_rater_nwi"].where(one.index < one.index[4]))
    with pytest.raises(InputError, match="0 participants have nwi in two sessions, and 4 by two"):
        reliability(few, {"features": ["nwi"]}, "k")


@pytest.mark.full
def test_limits_cover_in_small_samples():
    """Those of the bias and of the upper limit of agreement, 20 people, 400 cohorts."""
    upper = 0.3 + 1.96 * np.sqrt(2) * 0.5
    hits = np.zeros(2)
    for seed in range(400):
        wide = two_sessions(20, seed=seed).pivot(
            index="participant_id", columns="session_id", values="alps"
        )
        found = agreement(wide.set_axis(["a", "b"], axis=1))
        hits += [
            found["bias_low"] < 0.3 < found["bias_high"],
            abs(found["agreement_high"] - upper) < found["agreement_error"],
        ]
    assert (hits / 400 > 0.92).all() and (hits / 400 < 0.98).all()


def test_sessions_are_paired_by_name_or_by_order(tmp_path):
    features = two_sessions(8)
    features.loc[0, "alps"] = np.nan  # sub-000 has its second session alone
    third = features.query("session_id == 'ses-1'").assign(session_id="ses-3")
    features = pd.concat([features, third]).sort_values(["participant_id", "session_id"])
    named = {"features": ["alps"], "sessions": ["ses-1", "ses-3"]}
    table = reliability(features, named, "k")
    assert table.loc[0, "n"] == 7 and table.loc[0, "bias"] == 0
    assert reliability(features, {"features": ["alps"]}, "k").loc[0, "n"] == 7
    write_table(table, tmp_path / "reliability.tsv", resource("columns/statistics.tsv"))


def test_too_few_pairs_and_unknown_columns_are_named():
    with pytest.raises(InputError, match=r"k.features: 4 participants have alps in two sessions"):
        reliability(two_sessions(4), {"features": ["alps"]}, "k")
    with pytest.raises(InputError, match="no column nwi"):
        reliability(two_sessions(9), {"features": ["nwi"]}, "k")
