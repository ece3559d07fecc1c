from types import SimpleNamespace

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.correlate_features import (
    check_names,
    correlate,
    correlate_features,
    interval,
    main,
)


def cohort(n=40, seed=0):
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(40, 10, n), (rng.random(n) < 0.4).astype(float)
    return pd.DataFrame(
        {
            "alps": 0.05 * age + sex + rng.normal(size=n),
            "nwi": rng.normal(size=n),
            "sledai": -0.05 * age + sex + rng.normal(size=n),
            "age": age,
            "sex_M": sex,
        },
        index=[f"sub-{i:02d}" for i in range(n)],
    )


def residuals(y, covariates):
    x = np.column_stack([np.ones(len(y)), covariates])
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_agrees_with_the_correlation_of_residuals(method):
    cases = cohort()
    found = correlate(cases, "alps", "sledai", ["age", "sex_M"], method)
    data = cases.rank() if method == "spearman" else cases
    covariates = data[["age", "sex_M"]].to_numpy()
    r = np.corrcoef(residuals(data["alps"], covariates), residuals(data["sledai"], covariates))
    t = r[0, 1] * np.sqrt(36 / (1 - r[0, 1] ** 2))
    assert found["n"] == 40 and found["df"] == 36
    assert found["r"] == pytest.approx(r[0, 1])
    assert found["p"] == pytest.approx(2 * stats.t.sf(abs(t), 36))


def test_limits_of_pearson_are_fishers_with_the_covariates_counted():
    """atanh(0.5) = 0.549306; n = 30 less 2 covariates and 3: half-width 1.959964 / 5."""
    low, high = interval(0.5, 30, 2, "pearson")
    assert np.arctanh([low, high]) == pytest.approx([0.157313, 0.941299], abs=1e-6)
    judge = pingouin.compute_esci(stat=0.5, nx=28, ny=28, eftype="r", decimals=8)
    assert [low, high] == pytest.approx(list(judge))
    assert np.isnan(interval(0.5, 6, 3, "pearson")).all()


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_limits_cover_the_true_partial_correlation(method):
    rng, covered = np.random.default_rng(1), 0
    true = 0.7 if method == "pearson" else 6 / np.pi * np.arcsin(0.35)
    for _ in range(800):
        x = rng.normal(size=25)
        y = 0.7 * x + np.sqrt(1 - 0.49) * rng.normal(size=25)
        r = (stats.spearmanr if method == "spearman" else stats.pearsonr)(x, y).statistic
        low, high = interval(r, 25, 0, method)
        covered += low < true < high
    assert 0.925 < covered / 800 < 0.975


def test_what_is_a_difference_of_the_classes_alone_is_not_within_them():
    """Both columns are higher in one class and unrelated in each."""
    rng, label = np.random.default_rng(2), pd.Series(["a", "b", "c"] * 20)
    shift, covered, pooled, small = label.map({"a": 0, "b": 2, "c": 4}), 0, [], 0
    for _ in range(25):
        x, y = (pd.DataFrame({name: shift + rng.normal(size=60)}) for name in ("alps", "moca"))
        row = correlate_features(x, y, pd.DataFrame(index=x.index), label, "spearman", "holm").iloc[
            0
        ]
        pooled.append(row["r"])
        covered += row["r_within_low"] < 0 < row["r_within_high"]
        small += row["within_p"] < 0.05
    assert min(pooled) > 0.5
    assert covered >= 21 and small <= 4


def test_correlation_within_classes_is_that_of_deviations_from_their_means():
    cases = cohort()
    label = pd.Series(np.arange(40) % 3, cases.index).map({0: "a", 1: "b", 2: "c"})
    parts = cases[["alps"]], cases[["sledai"]], cases[[]]
    row = correlate_features(*parts, label, "pearson", "holm").iloc[0]
    inside = cases - cases.groupby(label).transform("mean")
    assert row["r_within"] == pytest.approx(inside["alps"].corr(inside["sledai"]))
    assert pd.isna(row["covariates"])


def test_confounded_association_vanishes_when_adjusted():
    cases = cohort(n=2000)
    assert correlate(cases, "alps", "sledai", ["sex_M"], "pearson")["p"] < 1e-6
    adjusted = correlate(cases, "alps", "sledai", ["age", "sex_M"], "pearson")
    assert abs(adjusted["r"]) < 4 / np.sqrt(2000)


def test_without_covariates_it_is_the_plain_correlation():
    cases = cohort()
    found = correlate(cases, "alps", "sledai", [], "pearson")
    judge = stats.pearsonr(cases["alps"], cases["sledai"])
    assert found["r"] == pytest.approx(judge.statistic) and found["p"] == pytest.approx(
        judge.pvalue
    )
    assert [found["r_low"], found["r_high"]] == pytest.approx(list(judge.confidence_interval()))
    assert found["covariates"] is None


def test_complete_cases_and_covariates_constant_among_them():
    cases = cohort()
    cases.loc[cases["sex_M"] == 1, "sledai"] = np.nan
    n = int((cases["sex_M"] == 0).sum())
    found = correlate(cases, "alps", "sledai", ["age", "sex_M"], "spearman")
    assert found["n"] == n and found["df"] == n - 3 and found["covariates"] == "age"
    alone = correlate(cases[cases["sex_M"] == 0], "alps", "sledai", ["age"], "spearman")
    assert found["r"] == pytest.approx(alone["r"])


def test_what_cannot_be_computed_is_missing(caplog):
    cases = cohort().assign(copy=lambda t: 2 * t["age"] + 1, same=1.0)
    for y, covariates in (("copy", ["age"]), ("same", ["age"]), ("sledai", ["age", "copy"])):
        assert np.isnan(correlate(cases, "alps", y, covariates, "pearson")["r"])
    assert np.isnan(correlate(cases[:3], "alps", "sledai", ["age"], "pearson")["p"])
    assert "cannot be tested" in caplog.text


def test_table_corrects_over_all_rows(tmp_path):
    cases = cohort()
    label = pd.Series("SLE", cases.index)
    parts = cases[["alps", "nwi"]], cases[["sledai"]], cases[["age", "sex_M"]]
    table = correlate_features(*parts, label, "pearson", "bonferroni")
    assert table["r_within"].tolist() == table["r"].tolist()  # of one class
    assert table[["feature", "clinical"]].to_numpy().tolist() == [
        ["alps", "sledai"],
        ["nwi", "sledai"],
    ]
    assert table["p_corrected"].tolist() == pytest.approx(np.minimum(2 * table["p"], 1).tolist())
    assert (table["n_tests"] == 2).all() and (table["covariates"] == "age, sex_M").all()
    path = tmp_path / "correlations.tsv"
    write_table(table.assign(classes="SLE"), path, resource("columns/statistics.tsv"))


def test_order_of_participants_does_not_matter():
    cases = cohort()
    assert correlate(cases, "alps", "sledai", ["age"], "spearman")["r"] == pytest.approx(
        correlate(cases[::-1], "alps", "sledai", ["age"], "spearman")["r"], rel=1e-12
    )


def test_a_column_in_two_roles_is_refused():
    block = {"features": ["alps"], "clinical": ["age"], "covariates": ["age"]}
    with pytest.raises(
        InputError, match=r"studies.s.evaluation.correlations: age stands in more than one"
    ):
        check_names(block, "studies.s.evaluation.correlations")


def test_first_sessions_of_the_named_classes_are_correlated(tmp_path):
    cases = cohort().rename(columns={"sex_M": "sex"})
    cases["sex"] = cases["sex"].map({0.0: "F", 1.0: "M"})
    keys = pd.DataFrame({"participant_id": cases.index, "session_id": "ses-1"})
    population = keys.assign(label="SLE", external="no")
    population.loc[38, "label"], population.loc[39, "external"] = "control", "yes"
    later = population.iloc[:5].assign(session_id="ses-2")
    population = pd.concat([population, later]).sort_values(["participant_id", "session_id"])
    rows = pd.concat([cases.reset_index(drop=True), cases.iloc[:5] * 1], ignore_index=True)
    rows.loc[40:, ["alps", "sledai"]] = 99.0
    rows = pd.concat([pd.concat([keys, later[keys.columns]], ignore_index=True), rows], axis=1)
    tables = {
        "population": population,
        "features": rows[[*keys, "alps", "nwi"]],
        "clinical": rows[[*keys, "sledai", "age", "sex"]],
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    source = SimpleNamespace(**{name: tmp_path / f"{name}.tsv" for name in tables})
    out = SimpleNamespace(table=tmp_path / "correlations.tsv")
    block = {"features": ["alps", "nwi"], "clinical": ["sledai"], "covariates": ["age", "sex"]}
    block |= {"classes": ["SLE"], "method": "spearman", "correction": "holm"}
    main(source, out, SimpleNamespace(correlations=block, key="studies.s"))
    table = read_table(out.table)
    expected = correlate(cohort().iloc[:38], "alps", "sledai", ["age", "sex_M"], "spearman")
    assert (table["n"] == 38).all() and (table["classes"] == "SLE").all()
    assert table.loc[0, ["r", "p"]].tolist() == pytest.approx([expected["r"], expected["p"]])
    params = SimpleNamespace(correlations=block | {"classes": ["SLE2"]}, key="studies.s")
    with pytest.raises(InputError, match="studies.s.evaluation.correlations.classes: .*SLE2"):
        main(source, out, params)
