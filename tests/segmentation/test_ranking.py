"""Ranks of engines whose Dice are made up."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.segmentation.ranking import RANKING, ranking_table


def overlaps(dice: dict) -> pd.DataFrame:
    """Rows of overlap.tsv of one rater, from the Dice of each engine in each participant."""
    rows = [
        {"participant_id": f"sub-{place:02d}", "session_id": "ses-1", "engine": name, "dice": value}
        for name, values in dice.items()
        for place, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(region="thalamus", reference="anna", side="both")


def engines_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["other"].isna()].set_index("engine")


def test_tests_are_those_of_friedman_and_wilcoxon_in_closed_form():
    """Six people, each with the engines in the same order: chi2 = 12, p of a pair 2 / 2^6."""
    steps = np.arange(6) / 100
    table = ranking_table(overlaps({"c": 0.7 + steps, "a": 0.9 + steps, "b": 0.8 + 2 * steps}))
    ranked = engines_of(table)
    assert list(ranked.index) == ["a", "b", "c"] and ranked["rank"].tolist() == [1, 2, 3]
    assert ranked["friedman_chi2"].tolist() == pytest.approx([12] * 3)
    assert ranked["friedman_p"].iloc[0] == pytest.approx(stats.chi2.sf(12, 2))
    assert ranked["share_best"].tolist() == [1, 0, 0] and ranked["rank_high"].tolist() == [1, 2, 3]
    pairs = table.dropna(subset="other")
    assert len(pairs) == 3
    assert pairs["p"].tolist() == pytest.approx([2 / 64] * 3)
    assert pairs["p_holm"].tolist() == pytest.approx([6 / 64] * 3)
    row = pairs.set_index(["engine", "other"]).loc[("c", "a")]
    assert row["difference"] == pytest.approx(-0.2) == row["difference_low"]


def test_people_whom_an_engine_lacks_take_no_part_and_are_not_made_up():
    values = np.linspace(0.8, 0.9, 8)
    some = np.where(np.arange(8) < 6, values - 0.01, np.nan)
    made = overlaps({"a": values, "b": some, "fs": np.full(8, np.nan)})
    again = made[(made["engine"] == "a") & (made["participant_id"] == "sub-00")]
    left = made[made["engine"] == "a"].assign(side="left", dice=0.0)
    rater = made[made["engine"] == "a"].assign(engine="anna", reference="ben", dice=1.0)
    second = again.assign(session_id="ses-2", dice=1.0)
    ranked = engines_of(of_anna := ranking_table(pd.concat([made, second, left, rater])))
    ranked = ranked[ranked["reference"] == "anna"]
    assert ranked["n"].to_dict() == {"a": 6, "b": 6, "fs": 0}
    assert ranked.at["a", "dice"] == pytest.approx((values[:6].sum() + 0.1) / 6)
    assert ranked.loc["fs", RANKING[5:]].isna().all()
    assert ranked["friedman_p"].isna().all(), "of two engines"
    assert "anna" not in set(of_anna["engine"])


def test_few_people_have_means_alone(tmp_path):
    table = ranking_table(overlaps({"a": [0.8, 0.9, 0.85, 0.9], "b": [0.8, 0.8, 0.8, 0.8]}))
    assert engines_of(table)["dice"].tolist() == pytest.approx([0.8625, 0.8])
    assert table[["dice_low", "p", "share_best"]].isna().all(axis=None)
    same = ranking_table(overlaps({"a": np.full(6, 0.8), "b": np.full(6, 0.8)}))
    assert same["p"].dropna().tolist() == [1.0]
    assert engines_of(same)["share_best"].tolist() == [0.5, 0.5]
    one = ranking_table(overlaps({"a": np.full(6, 0.8)}))
    assert one["rank"].tolist() == [1] and one["dice_low"].tolist() == pytest.approx([0.8])
    for content in (table, same, one, ranking_table(overlaps({"a": [0.8]}).iloc[:0])):
        write_table(content, tmp_path / "ranking.tsv", resource("columns/segmentation.tsv"))


def test_people_who_are_hard_for_all_do_not_widen_a_difference():
    """SD .05 between people, .005 of an engine: the pair's interval is that of .005 * sqrt(2)."""
    rng = np.random.default_rng(0)
    person = rng.normal(0.85, 0.05, 40)
    dice = {n: person + shift + rng.normal(0, 0.005, 40) for n, shift in (("a", 0), ("b", -0.01))}
    table = ranking_table(overlaps(dice))
    [pair] = table.dropna(subset="other").to_dict("records")
    width = pair["difference_high"] - pair["difference_low"]
    assert width == pytest.approx(2 * 1.96 * 0.005 * np.sqrt(2 / 40), rel=0.25)
    assert pair["difference_low"] < 0.01 < pair["difference_high"] and pair["p"] < 1e-6
    mean = engines_of(table).loc["a"]
    assert mean["dice_high"] - mean["dice_low"] == pytest.approx(2 * 1.96 * 0.05 / 40**0.5, rel=0.3)


@pytest.mark.full
def test_nothing_is_found_where_engines_are_alike():
    """Over 80 cohorts of 20: p of Friedman and of any pair below .05 in one of twenty at most."""
    found = np.zeros(2)
    for seed in range(80):
        rng = np.random.default_rng(seed)
        person = rng.normal(0.85, 0.05, 20)
        table = ranking_table(overlaps({n: person + rng.normal(0, 0.01, 20) for n in "abc"}))
        found += [table["friedman_p"].min() < 0.05, table["p_holm"].min() < 0.05]
    assert (found / 80 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)).all(), found / 80
