from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.adjust_groups import adjusted_tests
from workflow_scripts.statistics.compare_groups import compare_groups, compare_pair, main
from workflow_scripts.statistics.correction import corrected
from workflow_scripts.statistics.effect_size import epsilon_limits

GROUPS = ["control", "non-NPSLE", "NPSLE"]


def cohort(seed=0, sizes=(7, 11, 9), shift=0.0):
    rng = np.random.default_rng(seed)
    label = np.repeat(GROUPS, sizes)
    people = pd.DataFrame(
        {"participant_id": [f"sub-{i:02d}" for i in range(len(label))], "label": label}
    )
    values = pd.DataFrame(
        {
            "alps": rng.normal(size=len(label)) + shift * (label == "NPSLE"),
            "nwi": rng.integers(0, 5, len(label)).astype(float),
        },
        index=people["participant_id"],
    )
    return people, values


def compare(people, values, correction="holm", bootstraps=200):
    return compare_groups(people, values, GROUPS, correction, bootstraps, seed=1)


def nine(values):
    people = pd.DataFrame({"participant_id": list("abcdefghi"), "label": np.repeat(GROUPS, 3)})
    return people, pd.DataFrame({"x": values}, index=people["participant_id"])


def test_three_by_three_by_hand(tmp_path):
    """Ranks 1..9 in order: H = 12 / (9 * 10) * 3 * (3^2 + 0 + 3^2) = 7.2."""
    groups, pairs = compare(*nine(np.arange(9.0)))
    row = groups.iloc[0]
    assert row["group"] == "all" and row["n"] == 9 and row["df"] == 2
    assert row["h"] == pytest.approx(7.2)
    assert row["p"] == pytest.approx(np.exp(-3.6))
    assert row["epsilon_squared"] == pytest.approx(0.9)
    assert groups["median"].tolist() == [4, 1, 4, 7]
    assert groups["q1"].tolist() == [2, 0.5, 3.5, 6.5]
    assert groups["group"].tolist() == ["all", *GROUPS]
    assert pairs["z"].tolist() == pytest.approx([3 / 5**0.5, 6 / 5**0.5, 3 / 5**0.5])
    assert pairs["median_difference"].tolist() == [3, 6, 3]
    assert (pairs["cliffs_delta"] == 1).all() and (pairs["cliffs_delta_high"] == 1).all()
    assert pairs["cliffs_delta_low"].between(0, 0.99).all()
    described = resource("columns/statistics.tsv")
    write_table(groups, tmp_path / "groups.tsv", described)
    write_table(pairs, tmp_path / "groups_pairwise.tsv", described)


@pytest.mark.parametrize("seed", range(3))
def test_tests_agree_with_scipy_and_scikit_posthocs_with_ties(seed):
    people, values = cohort(seed)
    groups, pairs = compare(people, values)
    for name in values:
        samples = [values.loc[(people["label"] == g).to_numpy(), name] for g in GROUPS]
        h, p = stats.kruskal(*samples)
        row = groups[(groups["feature"] == name) & (groups["group"] == "all")].iloc[0]
        assert row["h"] == pytest.approx(h) and row["p"] == pytest.approx(p)
        assert row["epsilon_squared"] == pytest.approx(h / (len(people) - 1))
        judge = scikit_posthocs.posthoc_dunn([s.to_numpy() for s in samples]).to_numpy()
        mine = pairs[pairs["feature"] == name]
        assert mine["p"].tolist() == pytest.approx([judge[0, 1], judge[0, 2], judge[1, 2]])
    holm = multipletests(pairs["p"], method="holm")[1]
    of_all = groups.dropna(subset="p").set_index("feature")["p_corrected"]
    least = pairs["feature"].map(of_all)
    assert pairs["p_corrected"].tolist() == pytest.approx(np.maximum(holm, least).tolist())
    assert (pairs["n_tests"] == 6).all()


def test_features_are_corrected_together_by_the_named_method():
    people, values = cohort(shift=2.0)
    groups, _ = compare(people, values, correction="bonferroni")
    first = groups[groups["group"] == "all"]
    assert first["p_corrected"].tolist() == pytest.approx(np.minimum(first["p"] * 2, 1).tolist())
    assert (first["correction"] == "bonferroni").all() and (first["n_tests"] == 2).all()
    assert groups.loc[groups["group"] != "all", "p"].isna().all()


def test_correction_leaves_undefined_out():
    assert corrected([0.01, np.nan, 0.04], "bonferroni")[[0, 2]].tolist() == [0.02, 0.08]
    assert np.isnan(corrected([np.nan], "holm")).all()


def test_effect_sizes_of_a_pair_by_hand():
    """Differences b - a: 1, 0, 4, 3; three above zero, none below."""
    a, b = np.array([1.0, 2.0]), np.array([2.0, 5.0])
    found = compare_pair(a, b, np.array([[1.0, 1.0]]), np.array([[5.0, 5.0]]))
    assert found["cliffs_delta"] == 0.75
    assert found["median_difference"] == 2.0
    assert found["hodges_lehmann"] == 2.0
    assert found["median_difference_low"] == found["median_difference_high"] == 4.0


def test_planted_shift_lies_within_the_limits():
    people, values = cohort(seed=3, sizes=(40, 40, 40), shift=2.0)
    groups, pairs = compare(people, values, bootstraps=500)
    row = groups.iloc[0]
    assert row["p_corrected"] < 1e-6
    assert row["epsilon_squared_low"] < row["epsilon_squared"] < row["epsilon_squared_high"]
    pair = pairs[pairs["feature"] == "alps"].iloc[2]
    assert pair["median_difference_low"] < 2 < pair["median_difference_high"]
    delta = 2 * stats.norm.cdf(2 / np.sqrt(2)) - 1
    assert pair["cliffs_delta_low"] < delta < pair["cliffs_delta_high"]
    assert pair["z"] > 0


def called_different(groups, pairs):
    return (groups["p_corrected"] < 0.05).any() or (pairs["p_corrected"] < 0.05).any()


@pytest.mark.parametrize("seed", [49, 78, 97])
def test_no_pair_differs_where_no_difference_between_all_is_shown(seed):
    """Cohorts without a difference, with a pair below .05 by Holm over those of its feature."""
    groups, pairs = compare(*cohort(seed, sizes=(12, 12, 12)), bootstraps=2)
    within = pairs.groupby("feature")["p"].transform(lambda p: corrected(p, "holm"))
    assert (within < 0.05).any()
    assert not called_different(groups, pairs)


def test_limits_of_epsilon_squared_are_those_of_the_sizes_that_could_give_it():
    people, values = cohort(seed=2, sizes=(30, 30, 30))
    rows = compare(people, values, bootstraps=400)[0].query("group == 'all'")
    assert (rows["epsilon_squared_low"] == 0).all()
    assert (rows["epsilon_squared_high"] >= rows["epsilon_squared"]).all()
    assert (rows["epsilon_squared_high"] < 0.25).all()
    steps = [np.zeros(4), np.ones(4), np.full(4, 2.0)]
    assert np.isnan(epsilon_limits(steps, 50, seed=1)).all()
    apart = [np.arange(10.0), np.arange(10.0) + 100]
    low, high = epsilon_limits(apart, 400, seed=1)
    assert 0.4 < low < high and high == pytest.approx(0.75, abs=0.01)  # 12 / 4 * .5^2


@pytest.mark.full
@pytest.mark.parametrize(("draw", "shift"), [("normal", 0), ("exponential", 1.2)])
def test_limits_of_epsilon_squared_cover_it(draw, shift):
    """Percentiles of bootstrap samples cover none at 0, and .80 to .90 beyond."""
    sizes, shifts = np.array([20, 30, 25]), shift * np.arange(3) / 2
    rng = np.random.default_rng(5)
    copies = [getattr(rng, draw)(size=4000) + one for one in shifts]
    larger = [[(np.sort(b).searchsorted(a)).mean() / 4000 for b in copies] for a in copies]
    np.fill_diagonal(larger := np.array(larger), 0.5)
    share = sizes / sizes.sum()
    true = 12 * share @ (larger @ share - 0.5) ** 2
    covered = 0
    for _ in range(300):
        samples = [getattr(rng, draw)(size=n) + d for n, d in zip(sizes, shifts, strict=True)]
        low, high = epsilon_limits(samples, 300, seed=1)
        covered += low <= true <= high
    assert 0.915 <= covered / 300 <= 0.985


@pytest.mark.full
def test_family_wise_error_of_what_is_called_a_difference():
    """80 null cohorts, six correlated features, to three standard errors.

    Holm over the pairs of a feature alone: .24.
    """
    wrong = 0
    for seed in range(80):
        people, _ = cohort(sizes=(15, 20, 20))
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(55, 6)) + 0.5 * rng.normal(size=(55, 1))
        values = pd.DataFrame(values, people["participant_id"]).add_prefix("f")
        wrong += called_different(*compare(people, values, bootstraps=2))
    assert wrong / 80 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)


def confounded(rng, n=120):
    """Age drives both the class and the feature; the class adds nothing."""
    age = rng.normal(45, 12, n)
    label = np.array(GROUPS)[np.digitize(age + rng.normal(0, 8, n), [40, 50])]
    people = pd.DataFrame({"participant_id": [f"sub-{i:03d}" for i in range(n)], "label": label})
    values = pd.DataFrame({"alps": -0.02 * age + rng.normal(0, 0.3, n)}, people["participant_id"])
    return people, values, pd.DataFrame({"age": age}, people["participant_id"])


def test_adjusted_tests_hold_their_level_where_age_drives_both():
    rng, p, covered = np.random.default_rng(0), [], []
    for _ in range(250):
        people, values, age = confounded(rng)
        label = people["label"].set_axis(age.index)
        test, pairs = adjusted_tests(values["alps"], label, age, GROUPS)
        plain = stats.kruskal(*(values["alps"][label == name] for name in GROUPS)).pvalue
        p.append((plain, test["adjusted_p"], test["adjusted_rank_p"]))
        limits = [(x["adjusted_difference_low"], x["adjusted_difference_high"]) for x in pairs]
        covered += [low < 0 < high for low, high in limits]
    plain, linear, ranks = (np.array(p) < 0.05).mean(0)
    assert plain > 0.9
    assert 0.02 < linear < 0.085 and 0.02 < ranks < 0.085
    assert 0.92 < np.mean(covered) < 0.975


def test_adjusted_figures_agree_with_a_formula_of_statsmodels():
    people, values, age = confounded(np.random.default_rng(3))
    values.iloc[3] = np.nan
    age = age.assign(sex_M=np.arange(len(age)) % 2.0, site=1.0)
    age.iloc[5, 0] = np.nan
    groups, pairs = compare_groups(people, values, GROUPS, "holm", 2, 1, age)
    data = age.assign(alps=values["alps"], label=people["label"].to_numpy())
    judge = smf.ols("alps ~ C(label, Treatment('control')) + age + sex_M", data).fit()
    row = groups.iloc[0]
    table = anova_lm(judge, typ=2)
    assert row["adjusted_f"] == pytest.approx(table["F"].iloc[0])
    assert row["adjusted_p"] == pytest.approx(table["PR(>F)"].iloc[0])
    assert row["adjusted_n"] == 118 and row["adjusted_for"] == "age, sex_M, site"
    name = "C(label, Treatment('control'))[T.NPSLE]"
    pair = pairs.iloc[1]
    assert pair["adjusted_difference"] == pytest.approx(judge.params[name])
    limits = pair[["adjusted_difference_low", "adjusted_difference_high"]].tolist()
    assert limits == pytest.approx(judge.conf_int().loc[name].tolist())
    assert pair["adjusted_p"] == pytest.approx(judge.pvalues[name])
    assert pair["adjusted_p_corrected"] >= row["adjusted_p_corrected"]


def test_covariate_that_is_the_class_leaves_nothing_to_test():
    people, values = cohort()
    same = pd.DataFrame({"site": people["label"].eq("control").to_numpy(float)}, values.index)
    groups, pairs = compare_groups(people, values, GROUPS, "holm", 2, 1, same)
    assert groups.loc[groups["group"] == "all", "adjusted_p"].isna().all()
    assert groups.loc[0, "p"] == pytest.approx(compare(people, values)[0].loc[0, "p"])
    assert pairs[["adjusted_difference", "adjusted_p_corrected"]].isna().all(axis=None)


def test_missing_values_cost_that_feature_only_and_an_empty_group_is_not_tested(caplog):
    people, values = cohort()
    values.iloc[0, 0] = np.nan
    values.loc[(people["label"] == "NPSLE").to_numpy(), "nwi"] = np.nan
    groups, pairs = compare(people, values)
    table = groups.set_index(["feature", "group"])
    assert table.loc[("alps", "control"), "n"] == 6
    assert table.loc[("nwi", "control"), "n"] == 7
    assert table.loc[("nwi", "NPSLE"), "n"] == 0 and np.isnan(table.loc[("nwi", "all"), "p"])
    assert table.loc[("alps", "all"), "n_tests"] == 1
    assert pairs.loc[pairs["feature"] == "nwi", ["z", "p", "p_corrected"]].isna().all(axis=None)
    assert "nwi is not tested" in caplog.text


def test_order_of_rows_and_of_features_does_not_matter():
    people, values = cohort()
    once = compare(people, values)[0].set_index(["feature", "group"])
    again = compare(people[::-1], values[["nwi", "alps"]])[0].set_index(["feature", "group"])
    pd.testing.assert_frame_equal(
        once.drop(columns=["p_corrected"]), again.loc[once.index].drop(columns=["p_corrected"])
    )


@pytest.fixture
def files(tmp_path):
    """Two sessions each, the second absurd, and an external person."""
    people, values = cohort()
    first = people.assign(session_id="ses-1", external="no")
    outside = pd.DataFrame([{"participant_id": "sub-99", "label": "NPSLE", "external": "yes"}])
    population = pd.concat([first, outside.assign(session_id="ses-1")], ignore_index=True)
    population = pd.concat([population, first.assign(session_id="ses-2")]).sort_values(
        ["participant_id", "session_id"]
    )
    table = values.reindex(population["participant_id"]).to_numpy(float).copy()
    table[(population["session_id"] == "ses-2").to_numpy()] = -50
    table[(population["external"] == "yes").to_numpy()] = 50
    features = population[["participant_id", "session_id"]].assign(
        alps=table[:, 0], nwi=table[:, 1], text="a", flat=1.0
    )
    features.iloc[4, 4] = "b"  # a first session
    clinical = features[["participant_id", "session_id"]].assign(age=np.arange(len(features)) % 7)
    tables = {"features": features, "population": population, "clinical": clinical}
    source = SimpleNamespace(**{name: tmp_path / f"{name}.tsv" for name in tables})
    for name, rows in tables.items():
        path = getattr(source, name)
        rows.to_csv(path, sep="\t", index=False, na_rep="n/a")
    out = SimpleNamespace(groups=tmp_path / "groups.tsv", pairwise=tmp_path / "pairs.tsv")
    return source, out


def run(files, classes=GROUPS, features=("alps", "nwi"), adjust=()):
    groups = {"features": list(features), "correction": "holm", "adjust": list(adjust)}
    params = SimpleNamespace(classes=classes, groups=groups, bootstraps=50, seed=1, key="studies.s")
    main(*files, params)
    return [read_table(path) for path in (files[1].groups, files[1].pairwise)]


def test_first_sessions_of_people_inside_are_compared(files):
    found = run(files)
    for mine, expected in zip(found, compare(*cohort(), bootstraps=50), strict=True):
        pd.testing.assert_frame_equal(mine, expected, check_dtype=False)


def test_unusable_columns_and_classes_name_their_key(files):
    key = "studies.s.evaluation.groups.features"
    with pytest.raises(InputError, match=f"{key}: text of features.tsv is '.' in sub-"):
        run(files, features=["text"])
    with pytest.raises(InputError, match=f"{key}: flat of features.tsv is the same for all"):
        run(files, features=["flat"])
    with pytest.raises(InputError, match=f"{key[:-8]}adjust: no column differs"):
        run(files, features=["alps"], adjust=["flat"])
    with pytest.raises(InputError, match=f"{key}: features.tsv has no column md"):
        run(files, features=["md"])
    with pytest.raises(InputError, match="studies.s.classes: .*no participant of"):
        run(files, classes=["control", "SLE"])


def test_covariates_come_from_either_table(files):
    groups, pairs = run(files, features=["alps"], adjust=["age", "nwi"])
    assert groups.loc[0, "adjusted_for"] == "nwi, age"
    assert groups.loc[0, "adjusted_p"] != groups.loc[0, "p"]
    assert pairs["adjusted_difference"].notna().all()
    key = "studies.s.evaluation.groups.adjust"
    with pytest.raises(InputError, match=f"{key}: nwi also stands in features"):
        run(files, adjust=["nwi"])
    with pytest.raises(InputError, match=f"{key}: clinical.tsv has no column bmi"):
        run(files, adjust=["bmi"])
