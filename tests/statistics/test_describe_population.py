import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.describe_population import describe, flow

CLASSES = ["non-NPSLE", "NPSLE"]


def people():
    """Sex, smoking as published (Inglese 2022, Table 1A): 110/120 and 37/43 women, 34 and 12."""
    rng = np.random.default_rng(0)
    label = np.array(["non-NPSLE"] * 120 + ["NPSLE"] * 43)
    sex = ["F"] * 110 + ["M"] * 10 + ["F"] * 37 + ["M"] * 6
    smoking = [1.0] * 34 + [0.0] * 86 + [1.0] * 12 + [0.0] * 31
    table = pd.DataFrame(
        {"label": label, "sex": sex, "smoking": smoking, "age": rng.normal(41, 13, 163)}
    )
    table.loc[0, "smoking"] = np.nan
    return table


def test_published_counts_and_named_tests(tmp_path):
    known = people()
    table = describe(known, ["age", "sex", "smoking"], CLASSES)
    rows = table.set_index(["variable", "level"])
    total = table.iloc[0]
    assert (total["variable"], total["overall"], total["negative"], total["positive"]) == (
        "n", 163, 120, 43,
    )  # fmt: skip
    women = rows.loc[("sex", "F")]
    assert women[["overall", "negative", "positive"]].tolist() == [
        "147 (90.2)", "110 (91.7)", "37 (86.0)",
    ]  # fmt: skip
    smokers = rows.loc[("smoking", "1")]
    assert smokers["negative"] == "33 (27.7)"  # one unknown: of 119
    assert smokers["positive"] == "12 (27.9)"
    assert smokers["missing"] == 1
    assert set(table["variable"]) == {"n", "age", "sex", "smoking"}
    assert len(table) == 6

    age = table[table["variable"] == "age"].iloc[0]
    groups = [known.loc[known["label"] == name, "age"] for name in CLASSES]
    assert age["p"] == pytest.approx(stats.ttest_ind(*groups).pvalue)
    assert "T-test" in age["test"]
    assert age["negative"] == f"{groups[0].mean():.1f} ({groups[0].std():.1f})"
    # M: 10 and 6, expected 4.2 of 43: Fisher's exact test
    assert women["test"] == "Fisher's exact"
    assert women["p"] == pytest.approx(stats.fisher_exact([[110, 37], [10, 6]]).pvalue)
    judge = stats.chi2_contingency([[33, 12], [86, 31]]).pvalue
    assert "Chi-squared" in smokers["test"]
    assert smokers["p"] == pytest.approx(judge)
    write_table(table, tmp_path / "table1.tsv", resource("columns/statistics.tsv"))


def test_columns_without_values_or_no_columns_at_all():
    table = describe(people().assign(sdi=np.nan), ["sdi"], CLASSES)
    assert table["variable"].tolist() == ["n"]
    assert describe(people(), [], CLASSES)["overall"].tolist() == [163]


def cohort():
    participants = pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(9)],
            "diagnosis": ["a", "b", "a", "b", "a", "b", "c", np.nan, "a"],
        }
    )
    status = pd.DataFrame(
        [
            ("sub-0", "T1w", "AVAILABLE", np.nan),
            ("sub-0", "FLAIR", "MISSING", "no file"),
            ("sub-1", "T1w", "AVAILABLE", np.nan),
            ("sub-2", "T1w", "EXCLUDED", "motion"),
            ("sub-3", "T1w", "EXCLUDED", "infarct"),
            ("sub-4", "T1w", "MISSING", "no file"),
            ("sub-5", "T1w", "INVALID", "truncated"),
            ("sub-6", "T1w", "AVAILABLE", np.nan),
            ("sub-7", "T1w", "AVAILABLE", np.nan),
            ("sub-8", "T1w", "AVAILABLE", np.nan),
        ],
        columns=["participant_id", "suffix", "status", "reason"],
    )
    population = pd.DataFrame({"participant_id": ["sub-0", "sub-1"], "label": ["a", "b"]})
    return participants, status, population


def test_flow_adds_up_and_counts_each_participant_once(tmp_path):
    table = flow(*cohort(), "diagnosis", ["a", "b"])
    assert table.fillna("").values.tolist() == [
        ["screened", "", 9],
        ["excluded", "infarct", 1],
        ["excluded", "motion", 1],
        ["not in a class", "label c", 1],
        ["not in a class", "no label", 1],
        ["missing data", "T1w INVALID", 1],
        ["missing data", "T1w MISSING", 1],
        ["not in the frozen population", "T1w available, not part of this split", 1],
        ["analysed", "", 2],
    ]
    assert table["n"].iloc[0] == table["n"].iloc[1:].sum()
    write_table(table, tmp_path / "flow.tsv", resource("columns/statistics.tsv"))


def test_flow_of_the_published_study():
    """Inglese 2022: 216 screened, 28 undefined, 3 motion, 20 infarcts, 2 other, 163 analysed."""
    reasons = {"undefined diagnosis": 28, "motion": 3, "infarct": 20, "other disease": 2}
    left = [reason for reason, n in reasons.items() for _ in range(n)]
    ids = [f"sub-{i:03d}" for i in range(216)]
    participants = pd.DataFrame({"participant_id": ids, "diagnosis": ["a", "b"] * 108})
    status = pd.DataFrame(
        {
            "participant_id": ids,
            "suffix": "T1w",
            "status": ["EXCLUDED"] * 53 + ["AVAILABLE"] * 163,
            "reason": left + [np.nan] * 163,
        }
    )
    population = participants.iloc[53:].rename(columns={"diagnosis": "label"})
    table = flow(participants, status, population, "diagnosis", ["a", "b"])
    assert dict(zip(table["reason"].iloc[1:-1], table["n"].iloc[1:-1], strict=True)) == reasons
    assert (table["n"].iloc[0], table["n"].iloc[-1]) == (216, 163)


def test_one_usable_session_keeps_a_participant_from_counting_as_excluded():
    participants, status, population = cohort()
    extra = pd.DataFrame([("sub-2", "T1w", "AVAILABLE", np.nan)], columns=status.columns)
    table = flow(participants, pd.concat([status, extra]), population, "diagnosis", ["a", "b"])
    assert "motion" not in table["reason"].to_list()


def test_numeric_classes_are_recognized():
    participants, status, population = cohort()
    participants["diagnosis"] = [0, 1, 0, 1, 0, 1, 2, np.nan, 0]
    table = flow(participants, status, population, "diagnosis", ["0", "1"])
    assert table["reason"].to_list()[3:5] == ["label 2", "no label"]


def test_participant_without_a_row_is_named():
    participants, status, population = cohort()
    with pytest.raises(InputError, match="sub-1"):
        flow(participants.drop(index=1), status, population, "diagnosis", ["a", "b"])
