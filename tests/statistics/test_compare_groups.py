from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_groups import compare_groups, compare_pair, main
from workflow_scripts.statistics.correction import corrected

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
        holm = multipletests(mine["p"], method="holm")[1]
        assert mine["p_corrected"].tolist() == pytest.approx(list(holm))


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
    source = SimpleNamespace(
        features=tmp_path / "features.tsv", population=tmp_path / "population.tsv"
    )
    for path, rows in ((source.features, features), (source.population, population)):
        rows.to_csv(path, sep="\t", index=False, na_rep="n/a")
    out = SimpleNamespace(groups=tmp_path / "groups.tsv", pairwise=tmp_path / "pairs.tsv")
    return source, out


def run(files, classes=GROUPS, features=("alps", "nwi")):
    groups = {"features": list(features), "correction": "holm"}
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
    with pytest.raises(InputError, match=f"{key}: features.tsv has no column md"):
        run(files, features=["md"])
    with pytest.raises(InputError, match="studies.s.classes: .*no participant of"):
        run(files, classes=["control", "SLE"])
