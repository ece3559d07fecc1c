from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import LeakageError
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_classes import (
    FRACTIONS,
    REGIONS,
    bonferroni,
    compare_classes,
    compare_measures,
    main,
    region_fractions,
)

CLASSES = ["healthy", "ill"]


def study(n=12, splits=6, seed=0):
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02d}" for i in range(2 * n)],
            "session_id": np.nan,
            "label": np.repeat(CLASSES, n),
        }
    )
    features = people[["participant_id", "session_id"]].copy()
    for name in FRACTIONS:
        features[name] = rng.normal(0.4, 0.03, 2 * n)
    tables = []
    for split in range(1, splits + 1):
        role = rng.permuted(np.tile(["test"] * 4 + ["train"] * (n - 4), (2, 1)), axis=1).ravel()
        tables.append(people.assign(split=split, role=role))
    return features, pd.concat(tables, ignore_index=True)


def test_two_classes_by_hand():
    """1 2 3 against 4 5 6: pooled variance 1, t = 3 / sqrt(2/3), df 4."""
    row = compare_classes(np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))
    assert (row["n_negative"], row["n_positive"]) == (3, 3)
    assert (row["mean_negative"], row["mean_positive"]) == (2, 5)
    assert row["sd_negative"] == row["sd_positive"] == 1
    assert row["t"] == pytest.approx(3 / np.sqrt(2 / 3))
    assert row["df"] == 4
    assert row["p"] == pytest.approx(2 * stats.t.sf(3 / np.sqrt(2 / 3), 4))
    half = stats.t.ppf(0.975, 4) * np.sqrt(2 / 3)
    assert row["difference"] == 3
    assert row["difference_low"] == pytest.approx(3 - half)
    assert row["difference_high"] == pytest.approx(3 + half)
    assert row["hedges_g"] == pytest.approx(3 * (1 - 3 / (4 * 6 - 9)))
    assert row["hedges_g_low"] < row["hedges_g"] < row["hedges_g_high"]
    assert row["shapiro_w_negative"] == pytest.approx(1)


def test_welch_by_its_formula_and_shapiro_by_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 9), rng.normal(0.5, 3, 14)
    row = compare_classes(a, b)
    va, vb = a.var(ddof=1) / 9, b.var(ddof=1) / 14
    df = (va + vb) ** 2 / (va**2 / 8 + vb**2 / 13)
    assert row["welch_p"] == pytest.approx(
        2 * stats.t.sf(abs(b.mean() - a.mean()) / np.sqrt(va + vb), df)
    )
    assert row["welch_p"] != pytest.approx(row["p"], rel=1e-3)
    assert (row["shapiro_w_positive"], row["shapiro_p_positive"]) == tuple(stats.shapiro(b))


def test_published_trial_5_gives_the_t_of_its_means_and_sds():
    """Inglese 2022, Table 3, trial 5, GM: .37+-.03 and .41+-.02, 9 + 9."""

    def sample(mean, sd):
        z = np.linspace(-1, 1, 9)
        return mean + sd * z / z.std(ddof=1)

    row = compare_classes(sample(0.41, 0.02), sample(0.37, 0.03))
    assert row["t"] == pytest.approx(-0.04 / np.sqrt((0.02**2 + 0.03**2) / 9))
    assert row["df"] == 16


def test_too_few_or_constant_values_are_undefined_not_zero():
    row = compare_classes(np.array([1.0, 2.0]), np.array([3.0, 5.0, 4.0]))
    assert np.isnan(row["shapiro_w_negative"]) and np.isnan(row["shapiro_p_negative"])
    assert np.isfinite(row["shapiro_w_positive"]) and np.isfinite(row["p"])
    row = compare_classes(np.array([1.0]), np.array([3.0, 5.0]))
    assert np.isnan(row["p"]) and np.isnan(row["sd_negative"])
    assert row["difference"] == 3
    row = compare_classes(np.ones(4), np.ones(4))
    assert np.isnan(row["p"]) and np.isnan(row["hedges_g"])


def test_bonferroni_by_hand():
    np.testing.assert_allclose(bonferroni([0.001, 0.01, 0.5, np.nan], 18), [0.018, 0.18, 1, np.nan])


def test_table_counts_6_x_3_tests_and_3_over_the_population(tmp_path):
    features, splits = study()
    table = compare_measures(features, splits, FRACTIONS, CLASSES, per_split=True)
    assert len(table) == 21
    assert table["split"].unique().tolist() == ["1", "2", "3", "4", "5", "6", "all"]
    overall = table["split"] == "all"
    assert (table.loc[~overall, "n_tests"] == 18).all()
    assert (table.loc[overall, "n_tests"] == 3).all()
    assert (table.loc[~overall, "n_negative"] == 4).all()
    assert (table.loc[overall, "n_positive"] == 12).all()
    np.testing.assert_allclose(table["p_bonferroni"], np.minimum(1, table["p"] * table["n_tests"]))
    values = features.set_index("participant_id")["wm_fraction"]
    tested = splits[(splits["split"] == 2) & (splits["role"] == "test")]
    judge = stats.ttest_ind(
        *(
            values[tested.loc[tested["label"] == name, "participant_id"]]
            for name in ("ill", "healthy")
        )
    )
    row = table.set_index(["split", "measure"]).loc[("2", "wm_fraction")]
    assert (row["t"], row["p"]) == pytest.approx((judge.statistic, judge.pvalue))
    write_table(table, tmp_path / "fractions.tsv", resource("columns/statistics.tsv"))


def test_sessions_of_a_participant_count_once():
    features, splits = study(splits=1)
    first, second = (part.assign(session_id=name) for part, name in
                     ((features, "ses-1"), (features, "ses-2")))  # fmt: skip
    second[FRACTIONS] += 0.02
    both = pd.concat([splits.assign(session_id=name) for name in ("ses-1", "ses-2")])
    table = compare_measures(pd.concat([first, second]), both, FRACTIONS, CLASSES, per_split=True)
    once = compare_measures(features, splits, FRACTIONS, CLASSES, per_split=True)
    np.testing.assert_array_equal(table["n_negative"], once["n_negative"])
    np.testing.assert_allclose(table["mean_negative"], once["mean_negative"] + 0.01)
    np.testing.assert_allclose(table["p"], once["p"])


def test_external_people_are_left_out():
    features, splits = study()
    once = compare_measures(features, splits, FRACTIONS, CLASSES, per_split=True)
    more = features.iloc[:6].assign(participant_id=[f"sub-9{i}" for i in range(6)])
    more[FRACTIONS] = 7.0
    rows = more[["participant_id", "session_id"]].assign(label="ill", role="external")
    both = pd.concat([splits, *(rows.assign(split=i) for i in range(1, 7))], ignore_index=True)
    table = compare_measures(pd.concat([features, more]), both, FRACTIONS, CLASSES, True)
    pd.testing.assert_frame_equal(table, once)


def test_both_tables_go_through_files(tmp_path):
    features, splits = study()
    features["tiv_ml"] = 1500.0
    for region in REGIONS:
        features[f"{region}_volume_ml"] = 30.0 + np.arange(len(features)) % 7
    columns = resource("columns/cohort.tsv")
    write_table(features, tmp_path / "features.tsv", columns)
    write_table(splits, tmp_path / "splits.tsv", columns)
    source = SimpleNamespace(features=tmp_path / "features.tsv", splits=tmp_path / "splits.tsv")
    out = SimpleNamespace(table=tmp_path / "table.tsv")
    fractions, regions = (SimpleNamespace(measures=name) for name in ("fractions", "regions"))
    for design, n in (("random_trials", 21), ("folds", 3)):
        params = SimpleNamespace(classes=CLASSES, design=design)
        main(source, out, params, fractions)
        assert len(read_table(out.table)) == n
    params = SimpleNamespace(classes=CLASSES, design="random_trials")
    main(source, out, params, regions)
    table = read_table(out.table)
    assert table["measure"].tolist() == [f"{region}_fraction" for region in REGIONS]
    assert set(table["split"]) == {"all"} and (table["n_tests"] == 6).all()
    leak = splits.assign(role=splits["role"].replace("train", "test"), session_id="ses-2")
    write_table(pd.concat([splits, leak]), tmp_path / "splits.tsv", columns)
    with pytest.raises(LeakageError, match=r"\(split 1\)"):
        main(source, out, params, regions)


def test_missing_value_costs_that_measure_only_and_missing_row_is_an_error():
    features, splits = study()
    features.loc[0, "gm_fraction"] = np.nan
    table = compare_measures(features, splits, FRACTIONS, CLASSES, per_split=False)
    assert table["n_negative"].tolist() == [11, 12, 12]
    with pytest.raises(InputError, match="sub-05"):
        compare_measures(features.drop(index=5), splits, FRACTIONS, CLASSES, per_split=False)


def test_enlarged_ventricles_are_found_and_only_they():
    _, splits = study()
    rng = np.random.default_rng(4)
    features = splits.loc[splits["split"] == 1, ["participant_id", "session_id", "label"]].copy()
    features["tiv_ml"] = rng.normal(1500, 100, len(features))
    for region in REGIONS:
        share = rng.normal(0.02, 0.002, len(features))
        if region == "ventricles":
            share += 0.01 * (features["label"] == "ill")
        features[f"{region}_volume_ml"] = share * features["tiv_ml"]
    fractions = region_fractions(features)
    measures = [f"{region}_fraction" for region in REGIONS]
    table = compare_measures(fractions, splits, measures, CLASSES, per_split=False)
    table = table.set_index("measure")
    assert (table["n_tests"] == 6).all()
    found = table["p_bonferroni"] < 0.05
    assert found[found].index.tolist() == ["ventricles_fraction"]
    assert table.loc["ventricles_fraction", "difference"] == pytest.approx(0.01, abs=0.003)
