import re

import pytest
from markupsafe import Markup

from tests.report import external
from tests.report.example import CONFIG, WEBP, example, write
from tests.report.test_study import chosen
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report import plots, plots_classifiers
from workflow_scripts.report.checklist import ABSENT, AUTHOR, HERE, checklist_table, found_in
from workflow_scripts.report.study import study_section
from workflow_scripts.report.write_report import render

PLOTS = ["distributions", "measures", "recovered", "correlations", "split_roc", "scores", "roc"]
PLOTS += ["calibration", "decision", "coefficients"]
ITEMS = read_table(resource("report/checklist.tsv")).astype({"item": str})


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """Sections without their plots, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (plots, plots_classifiers):
            for name, function in vars(module).copy().items():
                if getattr(function, "__module__", "") == module.__name__ and name in PLOTS:
                    patch.setattr(module, name, lambda *_, **__: Markup("[plot]"))
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return example(tmp_path_factory.mktemp("checklist"), WEBP)


@pytest.fixture(scope="module")
def made(source):
    """Page and table of the example's two studies."""
    return render(source, CONFIG)[:2]


def status(table, study, checklist, item, asks=""):
    rows = table[(table["study"] == study) & (table["checklist"] == checklist)]
    rows = rows[(rows["item"] == item) & rows["asks"].str.contains(asks)]
    assert len(rows) == 1
    return rows["status"].iloc[0]


def test_all_items_of_both_checklists_are_there():
    claim = ITEMS[ITEMS["checklist"] == "CLAIM 2024"]
    assert claim["item"].astype(int).tolist() == list(range(1, 45))
    tripod = ITEMS[ITEMS["checklist"] == "TRIPOD+AI"]["item"]
    numbers = [int(re.match(r"\d+", item)[0]) for item in tripod]
    assert sorted(set(numbers)) == list(range(1, 28)) and tripod.nunique() == 52
    assert set(ITEMS["doi"]) == {"10.1148/ryai.240300", "10.1136/bmj-2023-078378"}


def test_every_item_is_judged_for_every_study_and_written(made, tmp_path):
    _, table = made
    assert len(table) == 2 * len(ITEMS)
    assert set(table["status"]) == {HERE, ABSENT, AUTHOR}
    assert (table["where"].notna() == (table["status"] == HERE)).all()
    write_table(table, tmp_path / "checklist.tsv", resource("columns/report.tsv"))


def test_every_place_in_the_page_exists(made):
    page, table = made
    places = table["where"].dropna()
    anchors = places[places.str.startswith("#")].str[1:]
    assert len(anchors) > 50
    assert [anchor for anchor in anchors.unique() if f'id="{anchor}"' not in page] == []
    assert "CLAIM 2024" in page and "10.1136/bmj-2023-078378" in page


def test_status_follows_what_each_study_has(made):
    _, table = made
    assert status(table, "example", "CLAIM 2024", "33") == ABSENT  # external data
    assert status(table, "example", "CLAIM 2024", "31") == HERE  # Grad-CAM
    assert status(table, "multimodal", "CLAIM 2024", "31") == ABSENT
    assert status(table, "multimodal", "TRIPOD+AI", "12e", "calibration") == HERE
    assert status(table, "example", "TRIPOD+AI", "12e", "calibration") == ABSENT
    assert status(table, "multimodal", "TRIPOD+AI", "22", "equation") == HERE
    assert status(table, "multimodal", "TRIPOD+AI", "22", "network") == ABSENT
    assert status(table, "example", "CLAIM 2024", "13") == HERE  # metadata of the scans
    assert status(table, "example", "CLAIM 2024", "44") == AUTHOR


def test_every_need_is_one_that_a_study_can_have(source):
    """A need that no study can have would be absent for ever without a word."""
    sites = CONFIG["studies"]["example"] | {"design": {"kind": "leave_site_out"}}
    paths = {path: path for path in [source.scans, *source.studies]}
    found = {"author"}
    for name, study in CONFIG["studies"].items():
        section = study_section(name, study, paths, source.gradcam, None, source.models)
        found |= found_in(study, section) | found_in(sites, section)
    assert set(ITEMS["needs"]) - found == {"external"}  # of which the next test is


def test_external_people_are_found_where_there_are_any(source, tmp_path):
    paths = {source.scans: source.scans}
    for name, (wing, table) in external.tables().items():
        path = write(table, tmp_path / f"studies/sites/{name}.tsv", wing)
        paths[path] = path
    section = study_section("sites", external.STUDY, paths)
    table = checklist_table({"sites": external.STUDY}, [section])
    assert status(table, "sites", "CLAIM 2024", "33") == HERE
    assert status(table, "sites", "TRIPOD+AI", "12d") == ABSENT  # no site is left out
    assert "acquisition" not in found_in(external.STUDY, section)


def test_a_study_that_asks_for_less_has_less(source):
    settings = CONFIG["studies"]["multimodal"]
    less = settings | {"evaluation": {"metrics": None}}
    tables = chosen(source, "multimodal", less["evaluation"])
    section = study_section("multimodal", less, tables)
    table = checklist_table({"multimodal": less}, [section])
    for item, asks in (("12e", "calibration"), ("12e", "utility"), ("12e", "Comparison")):
        assert status(table, "multimodal", "TRIPOD+AI", item, asks) == ABSENT
    assert status(table, "multimodal", "CLAIM 2024", "30") == ABSENT  # permuted labels
    assert status(table, "multimodal", "CLAIM 2024", "28") == HERE


def test_acquisition_is_counted_by_class(made):
    page, _ = made
    part = page[page.index('id="example-acquisition"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", part[: part.index("</details>")], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows[1:]]
    assert cells == [
        ["T1w", "Philips", "0.003", "1x1x1", "2", "4"],
        ["T1w", "Philips", "n/a", "1x1x1", "0", "1"],
        ["T1w", "Siemens", "0.003", "1x1x1", "5", "0"],
    ]
    assert "2 lines have scans of one class alone: there, class and acquisition cannot" in part
