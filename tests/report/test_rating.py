"""Rating in the page with the keyboard, and what the report shows of ratings."""

import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from markupsafe import Markup
from PIL import Image

from tests.common.test_ratings import ROW
from tests.report.browser import CHROMIUM
from tests.report.devtools import Page
from tests.report.example import CONFIG, cohort, write
from workflow_scripts.cohort.participants import check_exclusions, read_exclusions
from workflow_scripts.common.job import InputError
from workflow_scripts.common.ratings import SUFFIXES, is_void, picture_path, read_ratings
from workflow_scripts.common.resources import resource
from workflow_scripts.report import plots, write_report
from workflow_scripts.report.collect_ratings import agreement_table, rating_table
from workflow_scripts.report.qc import captions_of
from workflow_scripts.report.ratings import groups_of_sessions, identity, ratings_section

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
GROUPS = {"Class in x": {f"sub-{n:02d}": "patients" if n > 6 else "controls" for n in range(1, 13)}}
FOCUSED = "document.activeElement.dataset.name"
PROGRESS = "document.getElementById('rating-progress').textContent"
TOLD = "document.getElementById('rating-told').textContent"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Inputs of a report without studies, and function that writes its page."""
    folder = tmp_path_factory.mktemp("rating")
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 400, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "WEBP", quality=20)
    source = cohort(folder, buffer.getvalue())
    (folder / "report").mkdir()

    def page(name="index.html", **config):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plots, "measures", lambda *_: Markup("[plot]"))
            patch.setattr(write_report, "groups_of_sessions", lambda *_: GROUPS)
            html, *_ = write_report.render(source, CONFIG | {"studies": {}} | config)
        (folder / "report" / name).write_text(html)
        return folder / "report" / name

    return source, page, hashlib.sha256(buffer.getvalue()).hexdigest()


@pytest.fixture(scope="module")
def path(made):
    return made[1]()


def kept(page):
    """What the browser keeps."""
    return page.evaluate("JSON.stringify({...localStorage})")


@needs_browser
def test_three_sessions_are_rated_by_keyboard_and_read_back(made, path, tmp_path):
    """Flagged sub-05 comes first, then sub-01; pictures are T1w, dwi, vessel wall."""
    with Page(path) as page:
        assert page.evaluate(PROGRESS) == "0 of 27 rated"
        page.press("n", "3")
        assert page.evaluate(TOLD) == "Write your name first."
        page.write("Ana 3")
        page.press("Enter")
        assert page.evaluate(FOCUSED) == "sub-05, T1w"
        page.press("r")
        page.press("m")
        page.press("Escape", "t")
        page.call("Input.insertText", text='1 2 3 n "rings"\tof\nmotion')
        page.press("Escape", *4 * ["ArrowRight"], "2", "t")
        assert page.evaluate(FOCUSED) is None  # in the text field
        page.write("n/a? p13r")
        page.press("Escape", "p", "p", "p", "n", "n", "n", "n")
        assert page.evaluate(FOCUSED) == "sub-01, Vessel wall"
        page.press("n", "1", "n", "3", "0", "r")
        assert page.evaluate(TOLD) == "Rate the picture first: 1, 2 or 3."
        assert page.evaluate(PROGRESS) == "3 of 27 rated"
        page.load()
        assert page.evaluate(PROGRESS) == "3 of 27 rated"
        assert page.evaluate("document.getElementById('rater').value") == "Ana 3"
        page.press("n")
        assert page.evaluate(FOCUSED) == "sub-05, Diffusion"  # the first not rated
        files = [page.download(f"#download-{name}", f"{name}.tsv") for name in NAMES]
        assert files == [page.evaluate(f"{name}Table()") for name in NAMES]
        assert page.problems == []
        assert identity(CONFIG) in kept(page)
    for name, text in zip(NAMES, files, strict=True):
        (tmp_path / f"{name}.tsv").write_text(text)
    rows, _ = read_ratings([str(tmp_path / "ratings.tsv")])
    found = [(row["participant_id"], row["picture"], row["rating"]) for row in rows]
    assert found == [
        ("sub-01", "desc-qc_dwi", "doubtful"),
        ("sub-02", "desc-qc_T1w", "good"),
        ("sub-05", "desc-qc_T1w", "bad"),
    ]
    assert [row["reason"] for row in rows] == [None, None, "motion"]
    assert [row["comment"] for row in rows] == ["n/a? p13r", None, '1 2 3 n "rings" of motion']
    root = Path(made[0].scans).parents[1]
    assert {row["sha256"] for row in rows} == {made[2]}
    assert {row["rater"] for row in rows} == {"Ana 3"}
    assert not [row for row in rows if is_void(row, root)]
    exclusions = read_exclusions(tmp_path / "exclusions.tsv", {"sub-05"})
    [row] = exclusions
    assert row == dict(zip(row, ["sub-05", None, "T1w", "rated bad by Ana 3: motion"], strict=True))
    scan = {"participant_id": "sub-05", "session_id": None, "suffix": "T1w", "path": "x"}
    check_exclusions(exclusions, [scan])


@needs_browser
def test_a_closed_session_costs_no_controls_until_it_is_opened(path):
    with Page(path) as page:
        made = "document.querySelectorAll('.rating button').length / 3"
        assert page.evaluate(made) == 3  # of sub-05, the flagged one
        page.evaluate("document.querySelector('details:not([open]):has(.picture)').open = true")
        page.wait(f"{made} == 6")
        page.press("p", "p", "p")
        assert page.evaluate(made) == 6


NAMES = ("ratings", "exclusions")


def store(page, rows, rater="Ana"):
    """Keep ratings as if they had been given before, and open the page again."""
    rows = [{**ROW, "session_id": "n/a", "rater": rater} | row for row in rows]
    key = json.dumps(f"neuroimmune-mri ratings {identity(CONFIG)}")
    value = json.dumps(json.dumps({"rater": rater, "ratings": rows}))
    page.evaluate(f"localStorage.setItem({key}, {value})")
    page.load()


@needs_browser
def test_ratings_of_what_the_page_does_not_show_are_not_lost(made, path):
    """Of an excluded scan, whose picture is not there any more, and of an older picture."""
    with Page(path) as page:
        gone, older = {"participant_id": "sub-77"}, {"participant_id": "sub-01"}
        twice = {"participant_id": "sub-02", "rating": "good"}
        now = twice | {"sha256": made[2], "rating": "doubtful", "date": "2026-11-29T00:00:00Z"}
        store(page, [gone, older, twice, now])
        assert (
            page.evaluate(PROGRESS) == "1 of 27 rated; 1 of pictures that this page does not show"
        )
        first = "document.querySelector('[data-participant_id=sub-01]')"
        page.evaluate(f"{first}.closest('details').open = true")
        told = page.wait(f"{first}.querySelector('.older')?.textContent")
        assert told.startswith("You rated another version of this picture bad on 2026")
        lines = [line.split("\t") for line in page.evaluate("ratingsTable()").splitlines()[1:]]
        found = [(line[2], line[5], line[9]) for line in lines]
        assert found == [
            ("sub-01", "bad", ROW["sha256"]),
            ("sub-02", "doubtful", made[2]),
            ("sub-77", "bad", ROW["sha256"]),
        ]
        excluded = [line.split("\t")[0] for line in page.evaluate("exclusionsTable()").splitlines()]
        assert excluded == ["participant_id", "sub-77"]
        page.evaluate("document.getElementById('rater').focus()")
        page.evaluate("document.getElementById('rater').select()")
        page.write("Ben")
        page.press("Enter")
        assert page.evaluate(PROGRESS) == "0 of 27 rated"
        assert page.evaluate("ratingsTable()").count("\n") == 1
        page.press("n", "1")
        assert kept(page).count("sub-") == 5


@needs_browser
def test_pictures_are_filtered(made, path):
    with Page(path) as page:
        store(page, [{"participant_id": "sub-03", "sha256": made[2], "rating": "good"}])

        def choose(label, value):
            page.evaluate(
                "for (const label of document.querySelectorAll('#rating-filters label'))"
                f"if (label.textContent.startsWith({label!r})) {{"
                f"label.firstElementChild.value = {value!r};"
                "label.firstElementChild.dispatchEvent(new Event('change'))}"
            )
            return page.evaluate(PROGRESS).partition(", ")[2]

        assert choose("Session", "flagged") == "3 shown"
        page.press("n", "n", "n", "n")
        assert page.evaluate(TOLD) == "This is the last picture."
        assert choose("Session", "") == ""
        assert choose("Class in x", "controls") == "18 shown"
        assert choose("Picture", "Diffusion") == "6 shown"
        assert choose("Picture", "T1w") == "6 shown"
        assert choose("Rated", "good") == "1 shown"
        page.press("p")
        assert page.evaluate(FOCUSED) == "sub-03, T1w"
        assert choose("Rated", "none") == "5 shown"
        shut = "document.querySelectorAll('details[hidden]').length"
        assert page.evaluate(shut) == 7


@needs_browser
def test_storage_that_fails_is_said_and_loses_nothing(path):
    broken = "Storage.prototype.setItem = () => { throw Error('quota') }"
    with Page(path) as page:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=broken)
        page.load()
        page.press("n", "3")
        page.write("Ana")
        page.press("Enter", "n", "2")
        alarm = "document.getElementById('rating-alarm')"
        assert page.evaluate(f"{alarm}.hidden") is False
        assert "does not keep the ratings (quota). Download" in page.evaluate(
            f"{alarm}.textContent"
        )
        assert page.evaluate("ratingsTable()").count("Ana") == 2


@needs_browser
@pytest.mark.parametrize("width", [1300, 400])
def test_nothing_is_wider_than_the_window(path, width):
    with Page(path, width) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(excess) == 0
        assert page.problems == []


def test_only_the_pages_own_script_may_run(path):
    html = path.read_text()
    assert re.findall("<script", html) == ["<script"]
    text = html.split("<script>")[1].split("</script>")[0]
    assert text == resource("report/report.js").read_text()
    assert not re.search(r"https?:|fetch|import|eval", text)


def test_every_kind_of_picture_has_reasons():
    reasons = yaml.safe_load(resource("report/reasons.yaml").read_text())
    captions = captions_of({})
    assert list(reasons) == list(captions) == SUFFIXES
    assert all(len(set(listed)) == len(listed) >= 5 for listed in reasons.values())


def test_identity_is_the_datasets(tmp_path):
    assert identity(CONFIG) == identity(CONFIG | {"report": {"title": "another"}})
    assert identity(CONFIG) != identity(CONFIG | {"demo": {"seed": 2}})
    assert identity(CONFIG | {"bids_dir": "/a"}) != identity(CONFIG | {"bids_dir": "/b"})


@pytest.fixture
def rated(made, tmp_path):
    """Source of the report with ratings of two raters; one of them is void."""
    source, page, sha = made
    people = [f"sub-{number:02d}" for number in range(1, 8)]
    rows = [
        ROW | {"rater": rater, "participant_id": who, "session_id": None, "sha256": sha}
        | {"rating": "good" if who == "sub-02" else "bad", "comment": "<b>see</b>"}
        for rater in ("Ana", "Ben") for who in people
    ]  # fmt: skip
    rows[0]["sha256"] = "0" * 64
    table = rating_table(rows, {picture_path(rows[0]): sha})
    agreement = agreement_table(table)
    source.ratings = [
        write(table, tmp_path / "ratings.tsv", "report"),
        write(agreement, tmp_path / "ratings_agreement.tsv", "report"),
    ]
    yield source, page
    source.ratings = []


def test_report_shows_ratings_beside_the_pictures_and_names_void_ones(rated):
    html = rated[1]("rated.html", exclude_rated=["bad"]).read_text()
    figure = html.split('data-participant_id="sub-01"')[1].split("</figure>")[0]
    assert "2 ratings" in figure and "Ben: bad; motion; &lt;b&gt;see&lt;/b&gt;" in figure
    assert figure.count("Void: the picture has changed since.") == 1
    assert "Void" not in html.split('data-participant_id="sub-02"')[1].split("</figure>")[0]
    section = html.split('id="ratings"')[1].split("</section>")[0]
    assert "14 ratings of Ana, Ben; 1 of them void" in section
    assert "<li>sub-01, T1w: bad by Ana</li>" in section
    assert "anybody has rated bad are left out" in section
    assert "1.00 (interval n/a)" in section
    with pytest.raises(InputError, match="is missing"):
        ratings_section(["nowhere.tsv", "nowhere.tsv"], [])


def test_without_ratings_there_is_no_such_section(path):
    assert 'id="ratings"' not in path.read_text()


def test_pictures_can_be_filtered_by_class_and_site(tmp_path):
    people = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "session_id": ["ses-1", None]})
    studies, tables = {}, {}
    for name, labels in {"a": ["x", "y"], "same": ["x", "y"], "b": ["p", "q"]}.items():
        path = tmp_path / f"studies/{name}/split-1_population.tsv"
        tables[str(path)] = write(people.assign(label=labels), path, "cohort")
        studies[name] = {"split": 1}
    sites = tmp_path / "studies/b/clinical.tsv"
    people.assign(age=[1, 2], session_site=["7", None]).to_csv(
        sites, sep="\t", index=False, na_rep="n/a"
    )
    assert groups_of_sessions(studies, tables, [str(sites)]) == {
        "Class in a": {"sub-1_ses-1": "x", "sub-2": "y"},
        "Class in b": {"sub-1_ses-1": "p", "sub-2": "q"},
        "Site in b": {"sub-1_ses-1": "7"},
    }
