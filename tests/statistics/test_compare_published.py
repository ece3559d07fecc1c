"""The judges are the known contradictions of the paper, and figures made by hand."""

import numpy as np
import pytest
from scipy import stats

from tests.report.contrastive import published
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.compare_published import (
    agreement,
    half_unit,
    p_range,
    read_printed,
)

COUNTS = "counts of Table 2A"


@pytest.fixture(scope="module")
def table():
    return published()["inglese2022"]


def of(rows, **wanted):
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


def test_rounding_follows_the_printed_digits():
    assert [half_unit(text) for text in ("8", "50.0", ".43")] == pytest.approx([0.5, 0.05, 0.005])
    assert agreement("6", 6.498) == "yes"
    assert agreement("6", 6.51) == "no"
    assert agreement("49.3", 49.25) == "yes"  # half a unit can be rounded either way
    assert agreement("83.35", 250 / 3) == "no"
    assert agreement(np.nan, 1.0) is None


def test_precision_is_as_published_in_16_of_18_cells_and_never_the_standard_one(table):
    cells = of(table, table="2B", figure="precision_published")
    differ = cells[cells["agrees"] == "no"]
    assert len(cells) == 18
    assert differ[["strategy", "trial"]].to_numpy().tolist() == [
        ["crop", "6"], ["crop+flip+rotate", "6"],
    ]  # fmt: skip
    assert differ["recomputed"].tolist() == pytest.approx([100 * 8 / 17, 100 * 8 / 15])
    assert differ["note"].notna().all()
    standard = of(table, table="2B", figure="precision")
    assert len(standard) == 18 and (standard["agrees"] == "no").all()
    assert standard["recomputed"].iloc[0] == pytest.approx(100 * 5 / 8)  # 5 TP, 3 FP


def test_recall_contradicts_table_2a_in_the_last_cell_alone(table):
    cells = of(table, table="2B", figure="sensitivity")
    last = cells[cells["agrees"] == "no"]
    assert last[["strategy", "trial"]].to_numpy().tolist() == [["crop+flip+rotate", "6"]]
    assert last["recomputed"].iloc[0] == pytest.approx(100 * 8 / 9)
    mean = of(table, strategy="crop+flip+rotate", figure="sensitivity_mean").set_index("basis")
    assert mean["agrees"].to_dict() == {COUNTS: "no", "printed cells": "yes"}
    assert mean.at[COUNTS, "recomputed"] == pytest.approx(100 * 42 / 54)


def test_means_and_sds_of_the_accuracies(table):
    means = of(table, table="2A", figure="accuracy_mean")
    assert means["recomputed"].tolist() == pytest.approx([9000 / 108, 9000 / 108, 8600 / 108])
    assert means["agrees"].tolist() == ["no", "yes", "yes"]
    sds = of(table, table="2A", figure="accuracy_sd")
    assert sds["agrees"].tolist() == ["yes", "yes", "no"]
    variation = of(table, table="2A", figure="accuracy_sd_by_mean")
    assert variation["recomputed"].tolist() == pytest.approx(
        (sds["recomputed"].to_numpy() / means["recomputed"].to_numpy()).tolist()
    )
    inverse = of(table, table="2A", figure="accuracy_mean_by_sd")
    np.testing.assert_allclose(inverse["recomputed"] * variation["recomputed"].to_numpy(), 1)


def test_fractions_sum_to_one_and_give_the_t_test(table):
    for name in ("NPSLE", "non-NPSLE"):
        sums = of(table, table="3", figure=f"fractions_sum_{name}")
        assert len(sums) == 6 and (sums["agrees"] == "yes").all()
    t = of(table, figure="gm_fraction_t", trial="5")["recomputed"].iloc[0]
    assert t == pytest.approx(-0.04 / np.sqrt((0.02**2 + 0.03**2) / 9))
    p = of(table, figure="gm_fraction_p", trial="5")["recomputed"].iloc[0]
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 16))
    corrected = of(table, figure="gm_fraction_p_bonferroni", trial="5")["recomputed"].iloc[0]
    assert corrected == pytest.approx(18 * p)


def test_range_of_p_holds_every_p_that_rounds_to_the_printed_figures():
    row = read_printed(resource("published/inglese2022_table3.tsv")).iloc[12]
    low, high = p_range(row)
    rng = np.random.default_rng(0)
    shifts = rng.uniform(-0.005, 0.005, (500, 4))
    figures = row[["mean_positive", "sd_positive", "mean_negative", "sd_negative"]].astype(float)
    p = [
        stats.ttest_ind_from_stats(a, b, 9, c, d, 9).pvalue
        for a, b, c, d in figures.to_numpy() + shifts
    ]
    assert low <= min(p) < max(p) <= high
    assert low < min(p) / 2 or high > max(p) / 2


def test_percentages_of_table_1a(table):
    rows = of(table, table="1A").set_index("figure")
    assert rows.index[rows["agrees"] == "no"].tolist() == ["hypertension_percent_non-NPSLE"]
    assert rows.at["female_percent_NPSLE", "recomputed"] == pytest.approx(3700 / 43)


def test_every_note_belongs_to_a_row_and_every_disagreement_has_one(table):
    notes = read_printed(resource("published/inglese2022_notes.tsv"))
    assert notes["note"].isin(table["note"]).all()
    standard = table["figure"].str.fullmatch("precision(_mean|_sd)?")
    assert table.loc[(table["agrees"] == "no") & ~standard, "note"].notna().all()


def test_strategies_of_the_paper_do_not_differ():
    table = published()["inglese2022_strategies"]
    row = table[table["test"] == "sphericity_assumed"].iloc[0]
    # sums of squares of the counts 11 14 14 18 16 17 / 11 12 17 15 17 18 / 12 13 14 18 14 15
    assert row["f"] == pytest.approx((16 / 9 / 2) / (200 / 9 / 10))
    assert (row["df1"], row["df2"]) == (2, 10)
    assert row["p"] == pytest.approx(stats.f.sf(0.4, 2, 10))


def test_digits_survive_the_file(table, tmp_path):
    described = resource("columns/statistics.tsv")
    for name, made in published().items():
        write_table(made, tmp_path / f"{name}.tsv", described)
    text = (tmp_path / "inglese2022.tsv").read_text()
    assert "\t50.0\t1\t" in text and "\t16.10\t2\t" in text and "\t8\t0\t" in text
    assert read_table(tmp_path / "inglese2022.tsv")["agrees"].value_counts().to_dict() == (
        table["agrees"].value_counts().to_dict()
    )
