import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.counts import compare_counts
from workflow_scripts.statistics.describe_population import describe, flow, main

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


def chi_squared(counts):
    """Pearson's p, by hand."""
    counts = np.array(counts, float)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return stats.chi2.sf(statistic, (counts.shape[0] - 1) * (counts.shape[1] - 1))


def all_tables(rows, columns):
    """Every table of counts with these margins, and its probability up to a factor."""
    if len(columns) == 1:
        yield [[n] for n in rows], math.prod(1 / math.factorial(n) for n in rows)
        return
    for first in itertools.product(*(range(n + 1) for n in rows)):
        if sum(first) == columns[0]:
            own = math.prod(1 / math.factorial(n) for n in first)
            left = [n - used for n, used in zip(rows, first, strict=True)]
            for rest, weight in all_tables(left, columns[1:]):
                yield [[a, *b] for a, b in zip(first, rest, strict=True)], own * weight


@pytest.mark.parametrize(
    "counts", [[[6, 1, 0], [2, 4, 5]], [[3, 0, 1], [0, 4, 2], [1, 1, 3]], [[9, 8, 1], [1, 2, 4]]]
)
def test_sparse_tables_of_three_classes_have_an_exact_test(counts):
    """Against every table with the same margins."""
    counts = np.array(counts)
    tables = list(all_tables(counts.sum(1).tolist(), counts.sum(0).tolist()))
    own = next(weight for table, weight in tables if np.array_equal(table, counts))
    extreme = sum(weight for _, weight in tables if weight <= own * (1 + 1e-9))
    exact = extreme / sum(weight for _, weight in tables)
    p, name = compare_counts(counts)
    assert name.startswith("Fisher-Freeman-Halton")
    error = 4 * np.sqrt(exact * (1 - exact) / 50000)
    assert p == pytest.approx(exact, abs=error) and compare_counts(counts)[0] == p


def test_sparse_column_of_three_classes_in_table_1():
    label = np.repeat(["control", "non-NPSLE", "NPSLE"], [6, 7, 7])
    known = pd.DataFrame({"label": label, "stage": list("aaaaabaaabbbbabbbbbb")})
    known.loc[0, "stage"] = None
    row = describe(known, ["stage"], ["control", "non-NPSLE", "NPSLE"]).iloc[2]
    assert row["test"].startswith("Fisher-Freeman-Halton") and row["missing"] == 1
    assert row["p"] == pytest.approx(compare_counts(np.array([[4, 3, 1], [1, 4, 6]]))[0])


def test_published_counts_and_named_tests(tmp_path):
    known = people()
    table = describe(known, ["age", "sex", "smoking"], CLASSES)
    rows = table.set_index(["variable", "level"])
    columns = ["variable", "overall", "class_1", "class_2"]
    assert table.loc[0, columns[2:]].tolist() == CLASSES
    assert table.loc[1, columns].tolist() == ["n", 163, 120, 43]
    women = rows.loc[("sex", "F")]
    assert women[columns[1:]].tolist() == [
        "147 (90.2)", "110 (91.7)", "37 (86.0)",
    ]  # fmt: skip
    smokers = rows.loc[("smoking", "1")]
    assert smokers["class_1"] == "33 (27.7)"  # one unknown: of 119
    assert smokers["class_2"] == "12 (27.9)"
    assert smokers["missing"] == 1
    assert set(table["variable"]) == {"class", "n", "age", "sex", "smoking"}
    assert len(table) == 7

    age = table[table["variable"] == "age"].iloc[0]
    groups = [known.loc[known["label"] == name, "age"] for name in CLASSES]
    assert age["p"] == pytest.approx(stats.ttest_ind(*groups).pvalue)
    assert "T-test" in age["test"]
    assert age["class_1"] == f"{groups[0].mean():.1f} ({groups[0].std():.1f})"
    # M: 10 and 6, expected 4.2 of 43: Fisher's exact test
    assert women["test"] == "Fisher's exact"
    assert women["p"] == pytest.approx(stats.fisher_exact([[110, 37], [10, 6]]).pvalue)
    judge = chi_squared([[33, 12], [86, 31]])
    assert smokers["test"] == "Chi-squared (Pearson)"
    assert smokers["p"] == pytest.approx(judge)
    write_table(table, tmp_path / "table1.tsv", resource("columns/statistics.tsv"))


def test_columns_without_values_or_no_columns_at_all():
    table = describe(people().assign(sdi=np.nan), ["sdi"], CLASSES)
    assert table["variable"].tolist() == ["class", "n"]
    assert describe(people(), [], CLASSES)["overall"].tolist()[1:] == [163]


def three_classes():
    rng = np.random.default_rng(1)
    label = np.repeat(["control", "non-NPSLE", "NPSLE"], [20, 30, 25])
    table = pd.DataFrame({"label": label, "age": rng.normal(40, 10, 75)})
    table["smoking"] = ["yes", "no", "no"] * 25
    table["sledai"] = np.where(label == "control", np.nan, rng.normal(6, 3, 75))
    table["sdi"] = np.where(label == "NPSLE", rng.normal(2, 1, 75), np.nan)
    return table, ["control", "non-NPSLE", "NPSLE"]


def test_three_classes_against_scipy(tmp_path):
    known, classes = three_classes()
    known.loc[[0, 30], "age"] = np.nan
    table = describe(known, ["age", "smoking", "sledai", "sdi"], classes)
    assert table.loc[0, ["class_1", "class_2", "class_3"]].tolist() == classes
    assert table.loc[1, ["overall", "class_1", "class_2", "class_3"]].tolist() == [75, 20, 30, 25]
    rows = table.drop_duplicates("variable").set_index("variable")
    groups = [known.loc[known["label"] == name, "age"].dropna() for name in classes]
    assert rows.at["age", "missing"] == 2
    assert rows.at["age", "test"] == "One-way ANOVA"
    assert rows.at["age", "p"] == pytest.approx(stats.f_oneway(*groups).pvalue)
    assert rows.at["age", "class_3"] == f"{groups[2].mean():.1f} ({groups[2].std():.1f})"
    counts = pd.crosstab(known["smoking"], known["label"])
    assert rows.at["smoking", "test"] == "Chi-squared (Pearson)"
    assert rows.at["smoking", "p"] == pytest.approx(stats.chi2_contingency(counts).pvalue)
    write_table(table, tmp_path / "table1.tsv", resource("columns/statistics.tsv"))


def test_class_without_values_takes_no_part_in_the_test():
    known, classes = three_classes()
    rows = describe(known, ["sledai", "sdi"], classes).set_index("variable")
    groups = [known.loc[known["label"] == name, "sledai"] for name in classes[1:]]
    assert rows.at["sledai", "p"] == pytest.approx(stats.ttest_ind(*groups).pvalue)
    assert rows.at["sledai", "test"] == "Pooled T-test, without control"
    assert rows.at["sledai", "missing"] == 20
    assert pd.isna(rows.at["sledai", "class_1"])
    assert pd.isna(rows.at["sdi", "p"]) and pd.isna(rows.at["sdi", "test"])
    mean = known["sdi"].mean()
    assert rows.at["sdi", "class_3"].startswith(f"{mean:.1f} (")
    assert rows.at["sdi", "overall"] == rows.at["sdi", "class_3"]


def test_too_many_classes_are_refused():
    with pytest.raises(InputError, match="9 are too many"):
        describe(people(), ["age"], list("abcdefghi"))


def cohort():
    labels = ["a", "b", "a", "b", "a", "b", "c", None, "a"]
    labels = {f"sub-{i}": {"": label} for i, label in enumerate(labels)}
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
    population["session_id"] = np.nan
    status["session_id"] = np.nan
    return labels, status, population


def test_flow_adds_up_and_counts_each_participant_once(tmp_path):
    table = flow(*cohort(), ["a", "b"], ["T1w"])
    assert table.pop("sessions").isna().all()
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
    labels = {name: {"": label} for name, label in zip(ids, ["a", "b"] * 108, strict=True)}
    status = pd.DataFrame(
        {
            "participant_id": ids,
            "session_id": np.nan,
            "suffix": "T1w",
            "status": ["EXCLUDED"] * 53 + ["AVAILABLE"] * 163,
            "reason": left + [np.nan] * 163,
        }
    )
    population = pd.DataFrame({"participant_id": ids[53:], "label": (["a", "b"] * 108)[53:]})
    population["session_id"] = np.nan
    table = flow(labels, status, population, ["a", "b"], ["T1w"])
    assert dict(zip(table["reason"].iloc[1:-1], table["n"].iloc[1:-1], strict=True)) == reasons
    assert (table["n"].iloc[0], table["n"].iloc[-1]) == (216, 163)


def test_one_usable_session_keeps_a_participant_from_counting_as_excluded():
    labels, status, population = cohort()
    extra = pd.DataFrame([("sub-2", "T1w", "AVAILABLE", np.nan)], columns=status.columns[:4])
    table = flow(labels, pd.concat([status, extra]), population, ["a", "b"], ["T1w"])
    assert "motion" not in table["reason"].to_list()


def test_flow_asks_for_the_scans_that_the_study_requires():
    labels, status, population = cohort()
    more = [
        ("sub-6", "dwi", "AVAILABLE", np.nan),
        ("sub-4", "dwi", "AVAILABLE", np.nan),
        ("sub-5", "dwi", "EXCLUDED", "wrong protocol"),
        ("sub-8", "dwi", "MISSING", "no file"),
    ]
    status = pd.concat([status, pd.DataFrame(more, columns=status.columns[:4])])
    table = flow(labels, status, population, ["a", "b"], ["dwi"])
    assert table.drop(columns="sessions").fillna("").values.tolist()[1:-1] == [
        ["excluded", "wrong protocol", 1],
        ["not in a class", "label c", 1],
        ["not in a class", "no label", 1],
        ["missing data", "dwi MISSING", 3],
        ["not in the frozen population", "dwi available, not part of this split", 1],
    ]
    both = flow(labels, status, population, ["a", "b"], ["T1w", "dwi"])
    reasons = both["reason"].tolist()
    assert "T1w MISSING" in reasons and "dwi MISSING" in reasons and "infarct" in reasons


def test_required_scans_of_different_sessions_are_missing_data():
    labels, status, population = cohort()
    status["session_id"] = "ses-1"
    row = pd.DataFrame([("sub-8", "dwi", "AVAILABLE", np.nan, "ses-2")], columns=status.columns)
    table = flow(labels, pd.concat([status, row]), population, ["a"], ["T1w", "dwi"])
    assert "T1w and dwi not in one session" in table["reason"].tolist()


def test_sessions_left_out_of_people_who_stay_are_counted_by_reason():
    """Ten sessions of four people: two have no label, of one the FLAIR is missing."""
    late = "more than 183 days from the scan"
    labels = {
        "sub-1": {"ses-1": "a", "ses-2": None, "ses-3": "b"},
        "sub-2": {"ses-1": "b", "ses-2": "b", "ses-3": late},
        "sub-3": {"ses-1": None, "ses-2": "c"},
        "sub-4": {"ses-1": "a", "ses-2": "a"},
    }
    status = pd.DataFrame(
        [(name, session, suffix) for name in labels for session in labels[name]
         for suffix in ("T1w", "FLAIR")],
        columns=["participant_id", "session_id", "suffix"],
    ).assign(status="AVAILABLE", reason=None)  # fmt: skip
    keys = status[["participant_id", "session_id", "suffix"]].agg("/".join, axis=1)
    status.loc[keys == "sub-2/ses-2/FLAIR", "status"] = "MISSING"
    status.loc[keys == "sub-4/ses-1/T1w", ["status", "reason"]] = "EXCLUDED", "motion"
    status.loc[keys == "sub-4/ses-2/FLAIR", "status"] = "INVALID"
    population = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1", "sub-2"],
            "session_id": ["ses-1", "ses-3", "ses-1"],
            "label": ["a", "b", "b"],
        }
    )
    table = flow(labels, status, population, ["a", "b"], ["T1w", "FLAIR"], all_sessions=True)
    assert table.fillna("").values.tolist() == [
        ["screened", "", 4, 10],
        ["excluded", "motion", 0, 1],
        ["not in a class", "label c", 1, 1],
        ["not in a class", f"label {late}", 0, 1],
        ["not in a class", "no label", 0, 2],
        ["missing data", "T1w and FLAIR not in one session", 1, 0],
        ["missing data", "FLAIR INVALID", 0, 1],
        ["missing data", "FLAIR MISSING", 0, 1],
        ["analysed", "", 2, 3],
    ]


def test_participant_without_a_row_is_named():
    labels, status, population = cohort()
    del labels["sub-1"]
    with pytest.raises(InputError, match="sub-1"):
        flow(labels, status, population, ["a", "b"], ["T1w"])


def test_sessions_count_participants_once():
    labels, status, population = cohort()
    sessions = pd.concat([population.assign(session_id=f"ses-{i}") for i in (1, 2)])
    once = flow(labels, status, population, ["a", "b"], ["T1w"])
    pd.testing.assert_frame_equal(flow(labels, status, sessions, ["a", "b"], ["T1w"]), once)


def test_first_session_of_everybody_stands_in_table_1(tmp_path):
    labels, status, _ = cohort()
    population = pd.DataFrame(
        {
            "participant_id": ["sub-0", "sub-0", "sub-1", "sub-8", "sub-3", "sub-5"],
            "session_id": ["ses-1", "ses-2", "ses-1", "ses-1", "ses-1", "ses-1"],
            "label": ["0", "1", "1", "0", "1", "1"],
            "external": ["no", "no", "no", "yes", "no", "no"],
        }
    )
    keys = population[["participant_id", "session_id"]]
    clinical = keys.assign(age=[30.0, 99.0, 40.0, 50.0, 60.0, 70.0])
    status = status[status["participant_id"].isin(population["participant_id"])].assign(
        session_id="ses-1", status="AVAILABLE", reason=None
    )
    tables = {"scans": status, "population": population, "clinical": clinical}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    out = SimpleNamespace(
        **{name: tmp_path / f"{name}.tsv" for name in ("table1", "flow", "sides")}
    )
    study = {
        "label": "diagnosis",
        "table1": ["diagnosis", "age"],
        "classes": ["0", "1"],
        "requires": ["T1w"],
        "sessions": "first",
    }
    main(
        SimpleNamespace(splits=[], **{name: tmp_path / f"{name}.tsv" for name in tables}),
        out,
        SimpleNamespace(study=study, labels=labels),
    )
    table = read_table(out.table1).set_index("variable")
    assert table.loc["n", ["overall", "class_1", "class_2"]].tolist() == ["5", "2", "3"]
    assert table.loc["age", "class_1"] == "40.0 (14.1)"  # 30 and 50
    assert table.loc["age", "p"] == pytest.approx(stats.ttest_ind([30, 50], [40, 60, 70]).pvalue)
    counted = read_table(out.flow)
    assert counted["n"].iloc[0] == 9 and counted["n"].iloc[-1] == 5
    assert read_table(out.sides).empty
    splits = keys.assign(
        split=1, label="0", role=["train", "train", "train", "test", "train", "test"]
    )
    splits.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    tables = [*tables, "splits"]
    main(
        SimpleNamespace(**{name: tmp_path / f"{name}.tsv" for name in tables}),
        out,
        SimpleNamespace(study=study, labels=labels),
    )
    sides = read_table(out.sides).set_index("role")
    assert sides[["variable", "participants"]].to_numpy().tolist() == [["age", 3], ["age", 2]]
    assert sides["mean"].tolist() == [pytest.approx(130 / 3), 60]
