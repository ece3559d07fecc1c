"""Tables of the page: sorted with mouse and keyboard, filtered, with their files."""

import pytest

from tests.report.browser import CHROMIUM
from tests.report.devtools import Page
from workflow_scripts.common.resources import resource
from workflow_scripts.report.pages import script_of
from workflow_scripts.report.write_report import templates

PEOPLE = [f"sub-{number}" for number in range(1, 26)]
SIZES = ["n/a", "<0.001", "10.5 (9 to 12)", "9", "-3"]
PAGE = """{% from "parts.html.j2" import table %}
<head><style>{% include "report.css" %}</style></head>
<main>{{ table(content, "Sizes.") }}</main><script>{{ script.text }}</script>"""


def content(rows, path="cohort/sizes.tsv"):
    head = [{"label": "who", "units": "", "note": "", "text": True}]
    head += [{"label": "size", "units": "mL", "note": "", "text": False}]
    return {"head": head, "rows": rows, "path": path}


def text_of(rows, path="cohort/sizes.tsv", root="."):
    return (
        templates(root)
        .from_string(PAGE)
        .render(
            content=content(rows, path), script=script_of(resource("report/report.js").read_text())
        )
    )


@pytest.fixture
def page(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    rows = [(who, SIZES[place % 5]) for place, who in enumerate(PEOPLE)]
    (tmp_path / "page.html").write_text(text_of(rows[::-1]))
    with Page(tmp_path / "page.html", 400) as page:
        yield page
        assert page.problems == []


def column(page, number, shown=5):
    cells = f"[...document.querySelectorAll('tbody tr:not([hidden]) td:nth-child({number})')]"
    return page.evaluate(f"{cells}.map(cell => cell.textContent)")[:shown]


def sorts(page):
    heads = "[...document.querySelectorAll('th')]"
    return page.evaluate(f"{heads}.map(head => head.getAttribute('aria-sort'))")


def test_names_sort_by_their_numbers_and_back(page):
    page.evaluate("document.querySelector('th button').click()")
    assert column(page, 1) == PEOPLE[:5] and sorts(page) == ["ascending", "none"]
    page.evaluate("document.querySelector('th button').click()")
    assert column(page, 1) == PEOPLE[::-1][:5] and sorts(page) == ["descending", "none"]
    page.evaluate("document.querySelectorAll('th button')[1].click()")
    assert sorts(page) == ["none", "ascending"]


def test_numbers_sort_as_numbers_by_keyboard_and_missing_ones_last(page):
    page.evaluate("document.querySelectorAll('th button')[1].focus()")
    page.press("Enter")
    found = column(page, 2, 25)
    assert found == [
        size for size in ("-3", "<0.001", "9", "10.5 (9 to 12)", "n/a") for _ in "12345"
    ]
    page.press("Enter")
    assert column(page, 2, 25)[-5:] == 5 * ["n/a"]
    assert column(page, 2, 25)[0] == "10.5 (9 to 12)"
    page.press("Enter")
    assert sorts(page) == ["none", "none"] and column(page, 1) == PEOPLE[::-1][:5]


def test_long_tables_are_filtered(page):
    page.evaluate("document.querySelector('.filter input').focus()")
    page.write("sub-2 9")
    assert column(page, 1) == ["sub-24", "sub-23"]  # one of them in its size
    said = "document.querySelector('[role=status]').textContent"
    assert page.evaluate(said) == "2 of 25 rows"


def test_short_tables_are_left_alone(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    (tmp_path / "page.html").write_text(text_of([("a", "1"), ("b", "2")]))
    with Page(tmp_path / "page.html") as page:
        assert page.evaluate("document.querySelectorAll('button, input').length") == 0


def test_a_table_links_to_its_file_where_there_is_one():
    assert '<a href="../cohort/sizes.tsv">TSV</a>' in text_of([])
    assert '<a href="../cohort/a%20b.tsv">' in text_of([], "/out/cohort/a b.tsv", "/out")
    assert "<a " not in text_of([], None)
    assert "<a " not in text_of([], "/elsewhere/x.tsv", "/out")
