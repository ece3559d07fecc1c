"""Points of the plots say what they are: as titles in the SVG, and where one points or steps."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from tests.report.browser import CHROMIUM
from tests.report.devtools import Page
from workflow_scripts.common.resources import resource
from workflow_scripts.report import plots
from workflow_scripts.report.pages import script_of
from workflow_scripts.report.plots_associations import spaghetti
from workflow_scripts.report.plots_classifiers import calibration
from workflow_scripts.report.plots_segmentation import bland_altman
from workflow_scripts.report.write_report import templates

PAGE = """<head><style>{% include "report.css" %}</style></head><main style="padding-top: 100px">
<figure>{{ plot }}</figure></main><script>{{ script.text }}</script>"""
PEOPLE = pd.DataFrame(
    {
        "participant_id": [f"sub-{number}" for number in range(1, 8)],
        "session_id": ["ses-a", np.nan, "ses-b", np.nan, np.nan, np.nan, np.nan],
        "label": ["patients"] * 3 + ["controls"] * 3 + ["others"],
        "alps": [1.5, 1.25, np.nan, 1.125, 1.75, 1.375, 1.4375],
    }
)
CLASSES = ["controls", "patients", "others"]
TEXTS = ["sub-4: 1.12", "sub-5: 1.75", "sub-6: 1.38", "sub-1, ses-a: 1.50", "sub-2: 1.25"]
TEXTS += ["sub-7: 1.44"]


def titles(svg) -> list[str]:
    return re.findall("<g><title>(.*?)</title>", svg)


def drawn(people=PEOPLE):
    return plots.distributions(people, {"alps": "1"}, ["alps"], CLASSES, "x")


@pytest.fixture
def page(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    script = script_of(resource("report/report.js").read_text())
    html = templates(".").from_string(PAGE).render(plot=drawn(), script=script)
    (tmp_path / "page.html").write_text(html)
    with Page(tmp_path / "page.html", 400) as page:
        yield page
        assert page.problems == []


def point_at(page, x, y):
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def told(page):
    return page.evaluate("document.getElementById('told').textContent")


def test_pointing_at_a_dot_tells_its_session_and_value(page):
    """Each at its height: the values are on one line with the pixels."""
    places = page.evaluate("""[...document.querySelectorAll("g > title")].map(title => {
        const box = title.parentNode.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2]; })""")
    known = PEOPLE.dropna(subset="alps").set_index("participant_id")["alps"]
    heights, values = [], []
    for x, y in places:
        point_at(page, x + 2, y - 1)
        text = told(page)
        heights.append(y)
        values.append(known.pop(re.match(r"sub-\d", text)[0]))
        assert text == TEXTS[len(values) - 1]
        assert page.evaluate("document.getElementById('told').getBoundingClientRect().bottom") < y
    assert known.empty
    assert np.corrcoef(heights, values)[0, 1] == pytest.approx(-1, abs=1e-4)
    point_at(page, 1, 1)
    assert told(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_arrow_keys_go_from_dot_to_dot(page):
    page.press("Tab")
    found = []
    for _ in TEXTS:
        page.press("ArrowRight")
        found.append(told(page))
    assert found == TEXTS
    page.press("ArrowRight")
    assert told(page) == TEXTS[-1]
    page.press("ArrowLeft")
    assert told(page) == TEXTS[-2]
    page.press("Escape")
    assert told(page) == ""


def test_text_of_a_dot_is_text():
    hostile = PEOPLE.assign(participant_id="sub-<b>'\"&", session_id=None)
    assert unescape(titles(drawn(hostile))[0]) == "sub-<b>'\"&: 1.12"
    assert "<a " not in drawn(hostile) and "</a>" not in drawn(hostile)


def test_a_figure_of_very_many_points_stays_small(monkeypatch):
    monkeypatch.setattr(plots, "TOLD", 5)
    assert titles(drawn()) == []
    assert drawn().count("<use") > 6


def test_points_of_other_figures():
    flags = PEOPLE.iloc[:3].assign(measure="alps", value=[0.2, np.nan, 2.5])
    assert titles(plots.measures(PEOPLE, {}, flags, ["alps"], "x")) == [
        "sub-1, ses-a: 0.200",
        "sub-3, ses-b: 2.50",
    ]
    truth = pd.DataFrame({"participant_id": ["sub-1"], "measure": "alps"})
    truth = truth.assign(true=1.5, recovered=1.25)
    [text] = titles(plots.recovered(truth, ["alps"], {}, "x"))
    assert text == "sub-1: recovered 1.25, true 1.50"
    found = pd.DataFrame({"feature": ["alps"], "clinical": "age", "n": 38, "p_corrected": 0.04})
    found = found.assign(r=-0.5, r_low=-0.75, r_high=-0.25)
    [text] = titles(plots.correlations(found, "x"))
    assert text == "age: -0.50 (-0.75 to -0.25), p corr. 0.040, n = 38"


def test_change_is_told_of_later_sessions():
    sessions = pd.DataFrame({"participant_id": ["sub-1", "sub-1"], "feature": "tiv_ml"})
    sessions = sessions.assign(session_id=["ses-1", "ses-2"], years=[0.0, 2.0], worsened="yes")
    [text] = titles(spaghetti(sessions.assign(value=[10.0, 9.0]), "x"))
    assert text == "sub-1, ses-2, 2 years: -10 %, 9"


def test_bins_of_calibration_and_volumes_of_engines():
    bins = {"model": ["svm"], "estimate": "test", "predicted_probability": 0.5, "n": 12.0}
    bins |= {"observed_share": 0.25, "ci_low": 0.125, "ci_high": 0.5}
    [text] = titles(calibration(pd.DataFrame(bins), ["svm"], "x"))
    assert text == "test: 0.25 (0.12 to 0.50) observed, 0.50 predicted, n = 12"
    rows = PEOPLE.assign(engine="net", reference="anna", volume_ml=12.0, reference_volume_ml=10.0)
    found = titles(bland_altman(rows, [("net", "anna")], "x"))
    assert found[0] == "sub-1, ses-a: net 12 mL, anna 10 mL" and len(found) == len(PEOPLE)
