import re
from html import unescape

import pytest

from tests.report import contrastive
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.report.published import published_section
from workflow_scripts.report.repeated_measures import repeated_measures_section
from workflow_scripts.report.text import load, number, p_value
from workflow_scripts.report.write_report import templates

CLASSES = ["non-NPSLE", "NPSLE"]
SECTIONS = {"repeated_measures": repeated_measures_section, "published": published_section}


def made(folder, **options):
    """Both parts and their page, from tables that went through files."""
    tables = contrastive.tables(CLASSES, **options)
    tables["sides"] = contrastive.sides()
    tables |= {f"published/{name}": table for name, table in contrastive.published().items()}
    for name, table in tables.items():
        write_table(table, folder / f"{name}.tsv", resource("columns/statistics.tsv"))

    def read(name, *columns):
        table, dictionary = load(folder / f"{name}.tsv")
        return table[list(columns)], dictionary

    study = {"name": "lupus", "word": "trial", "design": {"classes": CLASSES}, "fractions": None}
    study |= {name: section("lupus", study, read) for name, section in SECTIONS.items()}
    pages = {
        name: templates().get_template(f"{name}.html.j2").render(study=study) for name in SECTIONS
    }
    return study, tables, pages


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return made(tmp_path_factory.mktemp("published"))


def rows(page):
    """Texts of the cells of every row of a page."""
    for row in re.findall(r"<tr[^>]*>(<td.*?)</tr>", page, re.DOTALL):
        cells = re.findall(r"<td.*?</td>", row, re.DOTALL)
        yield [" ".join(unescape(re.sub(r"<[^>]*>", "", cell)).split()) for cell in cells]


def table_2a(page):
    """Rows of Table 2A."""
    sources = ("published", "this run")
    return [row for row in rows(page) if row[0].startswith("crop") and row[1] in sources]


def test_table_2a_stands_beside_this_run(example):
    _, tables, pages = example
    lines = table_2a(pages["published"])
    assert len(lines) == 6
    assert lines[0] == [
        "crop", "published", "9 + 9", "6, 5 (61.1)", "8, 6 (77.8)", "5, 9 (77.8)", "9, 9 (100.0)",
        "7, 9 (88.9)", "9, 8 (94.4)", "83.35 ≠ 83.33 (14.05)", "0.169",
    ]  # fmt: skip
    metrics = tables["metrics"]
    of = metrics[(metrics["model"] == "crop") & (metrics["metric"] == "accuracy")]
    of = of.set_index("split")
    cells = [
        f"{row.tn}, {row.tp} ({100 * row.value:.1f})" for row in of.loc[["1", "2"]].itertuples()
    ]
    mean = f"{100 * of.at['all', 'value']:.2f} ({100 * of.at['all', 'sd']:.2f})"
    assert lines[1][:10] == ["crop", "this run", "4 + 3", *cells, "", "", "", "", mean]


def test_table_2b_marks_what_the_counts_do_not_give(example):
    lines = [row for row in rows(example[2]["published"]) if row[0] == "crop+flip+rotate"]
    precision = next(row for row in lines if row[1:3] == ["printed as precision", "published"])
    assert precision[3:] == [
        "50.0", "38.5", "57.1", "50.0", "42.9", "52.9 ≠ 53.3", "48.6 (7)",
    ]  # fmt: skip
    recall = next(row for row in lines if row[1:3] == ["recall", "published"])
    assert recall[-2:] == ["100 ≠ 89", "79.7 ≠ 77.8 (19 ≠ 17)"]
    standard = next(row for row in lines if row[1:3] == ["precision", "from the counts"])
    assert standard[3] == "66.7"  # 6 of 6 + 3
    assert sum(row[2] == "this run" for row in lines) == 3


def test_contradictions_are_listed_and_counted(example):
    study, _, pages = example
    part = study["published"]
    listed = {(line["table"], line["strategy"], line["trial"]) for line in part["contradictions"]}
    assert ("2B", "crop+flip+rotate", "6") in listed and ("2A", "crop", "all") in listed
    # The disease activity disagrees in each of six trials, in a line of each table.
    assert len(part["contradictions"]) == part["judged"] - part["agreeing"] - 2 * 5
    assert f"{part['agreeing']} of {part['judged']}" in pages["published"]
    assert all(line["cell"]["note"] for line in part["contradictions"])
    lines = list(rows(pages["published"]))
    activity = [row for row in lines if row[3:4] == ["SLEDAI-2K, mean"]]
    assert [row[4] for row in activity] == ["2, 2, 2, 2, 2, 2 ≠ 5", "2, 1, 2, 2, 3, 3 ≠ 6"]
    text = [row for row in lines if row[3:4] == ["GM / TIV in the text"]]
    assert [row[2] + row[4] for row in text] == ["4differs ≠ no star"]


def test_table_3_has_the_printed_p_and_the_range_that_rounding_allows(example):
    page = example[2]["published"]
    lines = [row for row in rows(page) if len(row) == 15]
    assert [row[0] for row in lines] == [*"123456", "all"]
    assert lines[5][6:10] == ["0.33 ± 0.01", "0.37 ± 0.03", ".006*", "<0.001 to 0.031"]
    assert lines[4][4] == ".023*" and lines[4][8] == ".050"
    assert lines[6][1] == "120 + 43" and lines[6][4] == ".478"
    assert lines[5][-1] == "1.00, 1.01"
    part = page[page.index("Table 3 as printed") : page.index("Tables 1B and 1C")]
    assert 'class="n strong"' not in part and "0.108 after Bonferroni" in part


def test_analyses_of_variance_say_which_row_the_paper_took(example):
    study, tables, pages = example
    lines = [row for row in rows(pages["published"]) if row[0] == "recall" and len(row) == 7]
    assert lines == [
        ["recall", "counts of Table 2A", "0.483", "0.436", "0.451", "0.457", "0.686"],
        ["recall", "printed cells", "0.686", "0.604", "0.636", "0.686", "0.686"],
    ]
    assert study["published"]["analyses"]["matching"] == ["multivariate, Hotelling's T²"]
    own = tables["strategies"]
    own = own[(own["metric"] == "accuracy") & (own["test"] == "sphericity_assumed")].iloc[0]
    run = next(
        row for row in rows(pages["published"]) if row[1:2] == ["this run"] and len(row) == 7
    )
    assert run[0] == "accuracy" and run[2] == p_value(own["p"]) and run[-1] == ""


def test_populations_of_the_trials_stand_beside_those_of_this_run(example):
    page = example[2]["published"]
    lines = [row for row in rows(page[page.index("Tables 1B and 1C") :]) if len(row) == 9]
    assert lines[0] == [
        "train",
        "female",
        "Table 1B",
        *(f"{n} %" for n in (90, 91, 91, 93, 90, 89)),
    ]
    activity = next(row for row in lines if row[:3] == ["test", "SLEDAI-2K", "Table 1C"])
    assert activity[4] == "1 ± 1 ≠ 6"
    own = [row[:5] for row in lines if row[2] == "this run"]
    assert own == [
        ["train", "age", "this run", "40.0 ± 10.0", "42.0 ± 9.0"],
        ["train", "sex: F", "this run", "75 %", "50 %"],
        ["test", "age", "this run", "50.0 ± n/a", "n/a"],
        ["test", "sex: F", "this run", "100 %", "n/a"],
    ]


def test_repeated_measures_show_the_numbers_of_their_table(example):
    _, tables, pages = example
    table = tables["strategies"]
    lines = list(rows(pages["repeated_measures"]))
    crop = table[(table["metric"] == "auc") & (table["strategy"] == "crop")].iloc[0]
    expected = ["AUC", "crop", "2", *(number(crop[name]) for name in ("mean", "sd", "cv"))]
    assert expected in lines
    test = table[(table["metric"] == "auc") & (table["test"] == "sphericity_assumed")].iloc[0]
    expected = ["AUC", "univariate, sphericity assumed", "ε = 1", number(test["f"]), "2, 2"]
    assert [*expected, p_value(test["p"]), ""] in lines
    multivariate = ["AUC", "multivariate, Hotelling's T²", "n/a", "n/a", "n/a", "n/a"]
    assert [*multivariate, "fewer trials than strategies"] in lines


def test_more_trials_and_fewer_strategies_than_published(tmp_path):
    study, _, pages = made(tmp_path, trials=8, strategies=["crop"])
    part = study["published"]
    assert list(part["trials"]) == list(range(1, 9))
    lines = table_2a(pages["published"])
    assert [row[:2] for row in lines] == [
        ["crop", "published"], ["crop", "this run"], ["crop+flip", "published"],
        ["crop+flip+rotate", "published"],
    ]  # fmt: skip
    assert {len(row) for row in lines} == {13}
    assert "one strategy, nothing to compare" in pages["repeated_measures"]
