import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from scipy.linalg import helmert

from workflow_scripts.statistics.repeated_measures import compare_strategies, within_tests

RNG = np.random.default_rng(3)


def test_every_row_that_spss_prints():
    """UCLA, stats.idre.ucla.edu/spss, "Repeated measures ANOVA in SPSS", example 1: GLM output."""
    table = np.array([[100, 90, 130], [90, 100, 100], [110, 110, 109], [100, 90, 109],
                      [100, 100, 130]], float)  # fmt: skip
    printed = {
        "sphericity_assumed": (1, 4.725, 2, 8, 0.044),
        "greenhouse_geisser": (0.634, 4.725, 1.269, 5.075, 0.077),
        "huynh_feldt": (0.795, 4.725, 1.590, 6.361, 0.060),
    }
    rows = within_tests(table)
    for test, figures in printed.items():
        found = [rows[test][name] for name in ("value", "f", "df1", "df2", "p")]
        assert found == pytest.approx(figures, abs=0.0006)
    row = rows["multivariate"]
    assert row["value"] / 4 == pytest.approx(1.601, abs=0.0006)  # Hotelling's trace
    assert row["f"] == pytest.approx(2.401, abs=0.0006)
    assert (row["df1"], row["df2"]) == (2, 3)
    assert row["p"] == pytest.approx(0.238, abs=0.0006)
    row = rows["mauchly"]
    assert row["value"] == pytest.approx(0.424, abs=0.0006)
    assert row["p"] == pytest.approx(row["value"] ** 1.5)  # exact for three conditions
    assert all(row["note"] == "" for row in rows.values())


@pytest.mark.parametrize(("n", "k"), [(6, 3), (12, 4), (5, 5)])
def test_agrees_with_pingouin(n, k):
    values = RNG.normal(0, 1, (n, k)) + RNG.normal(0, 2, (n, 1)) + np.arange(k) / 2
    wide = pd.DataFrame(values)
    rows = within_tests(values)
    judge = pingouin.rm_anova(wide, correction=True).iloc[0]
    row = rows["sphericity_assumed"]
    assert [row["f"], row["df1"], row["df2"], row["p"]] == pytest.approx(
        judge[["F", "ddof1", "ddof2", "p_unc"]].tolist()
    )
    row = rows["greenhouse_geisser"]
    assert [row["value"], row["p"]] == pytest.approx(judge[["eps", "p_GG_corr"]].tolist())
    assert rows["huynh_feldt"]["value"] == pytest.approx(pingouin.epsilon(wide, correction="hf"))
    sphericity = pingouin.sphericity(wide)
    row = rows["mauchly"]
    assert [row["value"], row["df1"]] == pytest.approx([sphericity.W, sphericity.dof])
    assert row["p"] == pytest.approx(sphericity.pval, rel=0.05)  # R has 3k, Anderson 3(k - 1)
    hotelling = pingouin.multivariate_ttest(values @ helmert(k).T).iloc[0]
    row = rows["multivariate"]
    assert [row[name] for name in ("value", "f", "df1", "df2", "p")] == pytest.approx(
        hotelling[["T2", "F", "df1", "df2", "pval"]].tolist()
    )


def test_two_strategies_are_the_paired_t_test():
    values = RNG.normal([0, 0.8], 1, (7, 2))
    judge = stats.ttest_rel(values[:, 1], values[:, 0])
    rows = within_tests(values)
    for test in ("sphericity_assumed", "greenhouse_geisser", "huynh_feldt", "multivariate"):
        assert rows[test]["f"] == pytest.approx(judge.statistic**2)
        assert rows[test]["p"] == pytest.approx(judge.pvalue)
    assert np.isnan(rows["mauchly"]["p"]) and "always spherical" in rows["mauchly"]["note"]


def test_false_positives_are_as_many_as_announced():
    rng = np.random.default_rng(8)
    tests = ["sphericity_assumed", "multivariate", "mauchly"]
    drawn = [within_tests(rng.normal(0, 1, (7, 4))) for _ in range(1500)]
    p = np.array([[rows[test]["p"] for test in tests] for rows in drawn])
    np.testing.assert_allclose((p < 0.05).mean(axis=0), 0.05, atol=0.017)


def undefined(row):
    return all(np.isnan(row[name]) for name in ("value", "f", "df1", "df2", "p"))


def test_fewer_trials_than_strategies_leave_the_multivariate_test_undefined():
    rows = within_tests(RNG.normal(0, 1, (2, 3)))
    for test in ("multivariate", "mauchly"):
        assert undefined(rows[test]) and rows[test]["note"] == "fewer trials than strategies"
    assert rows["sphericity_assumed"]["p"] > 0
    assert rows["greenhouse_geisser"]["value"] == pytest.approx(0.5)  # lowest: 1 / (k - 1)
    assert undefined(rows["huynh_feldt"]) and "0/0" in rows["huynh_feldt"]["note"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.repeat(RNG.normal(0.8, 0.1, (6, 1)), 3, axis=1), "the same value in each trial"),
        (np.ones((6, 3)), "the same value in each trial"),
        (np.zeros((6, 3)), "the same value in each trial"),
        (RNG.normal(0.8, 0.1, (6, 1)) + np.array([0, 0.1, 0.1]), "the same amount in every trial"),
        (RNG.normal(0.8, 0.1, (6, 1)), "one strategy"),
        (RNG.normal(0.8, 0.1, (1, 3)), "fewer than two trials"),
        (np.empty((0, 3)), "fewer than two trials"),
    ],
)
def test_what_has_no_answer_says_so(values, reason):
    for row in within_tests(values).values():
        assert undefined(row)
        assert reason in row["note"]


def test_two_equal_strategies_among_three_leave_the_multivariate_test_undefined():
    values = RNG.normal(0.8, 0.1, (6, 2))[:, [0, 1, 1]]
    rows = within_tests(values)
    for test in ("multivariate", "mauchly"):
        assert undefined(rows[test]) and "collinear" in rows[test]["note"]
    wide = pd.DataFrame(values)
    judge = pingouin.rm_anova(wide, correction=False).iloc[0]
    assert rows["sphericity_assumed"]["p"] == pytest.approx(judge["p_unc"])
    assert rows["greenhouse_geisser"]["value"] == pytest.approx(0.5)


def test_table_describes_each_strategy_and_drops_incomplete_trials_from_the_tests():
    wide = pd.DataFrame({"crop": [0.5, 0.7, 0.9], "crop+flip": [0.6, np.nan, 0.8]}, index=[1, 2, 3])
    table = compare_strategies(wide).set_index("strategy")
    row = table.loc["crop"]
    assert (row["n_trials"], row["mean"], row["sd"]) == pytest.approx((3, 0.7, 0.2))
    assert row["cv"] == pytest.approx(0.2 / 0.7)
    assert table.loc["crop+flip", "n_trials"] == 2
    tests = table.loc["all"]
    assert (tests["n_trials"] == 2).all()
    assert tests["note"].str.contains("without trial 2, undefined").all()


def test_mean_of_zero_has_no_coefficient_of_variation():
    table = compare_strategies(pd.DataFrame({"crop": [0.0, 0.0], "crop+flip": [0.0, 0.5]}))
    assert np.isnan(table.loc[0, "cv"]) and table.loc[1, "cv"] == pytest.approx(2**0.5)
