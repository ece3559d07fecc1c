import copy
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.browser import CHROMIUM, check_page
from tests.report.example import CONFIG, FIGURES, example
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.text import interval, number, p_value, spread
from workflow_scripts.report.write_report import embed, render

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
HOSTILE = "<script>alert(1)</script>\"'&$x^2$"


@pytest.fixture(scope="session")
def picture():
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "WEBP", quality=50)
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path, picture):
    return example(tmp_path, picture)


@pytest.fixture(scope="session")
def page(tmp_path_factory, picture):
    return render(example(tmp_path_factory.mktemp("page"), picture), CONFIG)


def edit(path, column, value, row=0):
    """Replace one cell of a table."""
    table = read_table(path).astype(object)
    table.loc[row, column] = value
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def of(source, name):
    return next(path for path in source.studies if path.endswith(f"/{name}.tsv"))


def test_every_section_and_figure_is_there(page):
    for section in ("overview", "scans", "qc", "outliers", "study-example", "example-table1",
                    "example-fractions", "example-regions", "example-metrics", "truth",
                    "methods", "software", "configuration"):  # fmt: skip
        assert f'id="{section}"' in page
    for figure in FIGURES:
        assert page.count(f'id="{figure}"') == 1
    assert "n = 14" in page
    assert "excluded: motion" in page
    assert "no T1w in the dataset" in page
    assert "0.75 (0.50 to 0.90)" in page
    assert "deepbet 9.8.7" in page
    assert "non-commercial" in page
    assert "qc_subjects: 200" in page
    assert "&lt;0.001" in page


def test_the_same_bytes_for_the_same_input(source, page):
    assert page == render(source, CONFIG)
    assert not re.search(r"20\d\d-\d\d-\d\dT", page)


def test_flagged_sessions_come_first_and_the_rest_is_capped(source):
    config = copy.deepcopy(CONFIG)
    config["report"]["qc_subjects"] = 2
    page = render(source, config)
    shown = re.findall(r'<img id="figure-qc-([^"]*)"', page)
    assert shown == ["sub-05", "sub-01"]
    assert "2 of 12 sessions" in page


def test_without_truth_there_is_no_such_section(source):
    source.recovered = []
    page = render(source, CONFIG | {"bids_dir": "/data/study"})
    assert "Recovered and true" not in page
    assert "simulated" not in page.split("<main>")[1].split('id="configuration"')[0]


def test_hostile_text_is_escaped_everywhere(source, tmp_path):
    edit(source.status, "reason", HOSTILE, row=12)
    edit(source.status, "participant_id", f"sub-{HOSTILE}", row=13)
    edit(source.outliers, "reason", HOSTILE)
    edit(of(source, "flow"), "reason", HOSTILE, row=1)
    edit(of(source, "table1"), "variable", HOSTILE)
    config = copy.deepcopy(CONFIG)
    config["report"]["title"] = HOSTILE
    for table in source.studies:
        text = Path(table).read_text().replace("patients", "<b>$p$</b>&")
        Path(table).write_text(text)
    config = json.loads(json.dumps(config).replace("patients", "<b>$p$</b>&"))
    page = render(source, config)
    assert "<script" not in page
    assert "<b>$p$" not in page
    assert "&lt;b&gt;$p$&lt;/b&gt;&amp;" in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    if CHROMIUM:
        (tmp_path / "page.html").write_text(page)
        assert check_page(tmp_path / "page.html", FIGURES) == []


@pytest.mark.parametrize("name", ["flow", "table1", "fractions", "regions", "metrics",
                                  "permutation_test", "features", "split-1_trials",
                                  "model-features_predictions",
                                  "model-oneclasssvm_predictions"])  # fmt: skip
def test_a_missing_study_table_fails(source, name):
    path = of(source, name)
    Path(path).unlink()
    with pytest.raises(InputError, match=f"{name}.tsv: is missing"):
        render(source, CONFIG)
    source.studies.remove(path)
    with pytest.raises(InputError, match=f"{name}.tsv: was not given"):
        render(source, CONFIG)


@pytest.mark.parametrize("name", ["status", "features", "outliers"])
def test_a_missing_cohort_table_fails(source, name):
    Path(getattr(source, name)).unlink()
    with pytest.raises(InputError, match=f"{name}.tsv: is missing"):
        render(source, CONFIG)


def test_a_missing_column_fails(source):
    path = of(source, "metrics")
    table = read_table(path).drop(columns="ci_method")
    table.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="no column ci_method"):
        render(source, CONFIG)


def test_a_missing_or_broken_picture_fails(source, picture):
    path = Path(source.pictures[3])
    path.write_bytes(picture[:-40])
    with pytest.raises(InputError, match="not a whole WebP"):
        render(source, CONFIG)
    path.unlink()
    with pytest.raises(InputError, match=r"sub-04_desc-qc_T1w\.webp: is missing"):
        render(source, CONFIG)
    del source.pictures[3]
    with pytest.raises(InputError, match="is not among the pictures"):
        render(source, CONFIG)


def test_a_sidecar_that_says_nothing_or_something_new_fails(source):
    segmented = [path for path in source.sidecars if path.endswith("dseg.json")]
    Path(segmented[0]).write_text('{"TissueSegmentation": "magic"}')
    with pytest.raises(InputError, match="'magic'"):
        render(source, CONFIG)
    for path in segmented:
        Path(path).write_text("{}")
    with pytest.raises(InputError, match="TissueSegmentation"):
        render(source, CONFIG)


def test_methods_count_what_was_done(source):
    masked = [path for path in source.sidecars if path.endswith("_desc-preproc_T1w.json")]
    fallen = {
        "BrainExtraction": "template (deepbet gave 90 mL)",
        "SoftwareVersions": {"antspyx": "0.5"},
    }
    Path(next(p for p in masked if "space-" not in p)).write_text(json.dumps(fallen))
    page = render(source, CONFIG)
    assert "implausible volume" in page
    assert "Brain mask (11 sessions)." in page
    assert "Brain mask (1 session)." in page
    assert "antspyx 0.5 and 0.6.1" in page


def test_numbers_as_text():
    assert [number(x) for x in (0.123456, 12.3456, 1234.56, 7.0, 0, None, np.nan, 0.00001234)] == [
        "0.123", "12.3", "1235", "7", "0", "n/a", "n/a", "1.23e-05",
    ]  # fmt: skip
    assert [p_value(p) for p in (0.0004, 0.0476, 1.0, np.nan)] == [
        "<0.001",
        "0.048",
        "1.000",
        "n/a",
    ]
    assert interval(0.8333, 0.7, 0.95, decimals=2) == "0.83 (0.70 to 0.95)"
    assert interval(-0.02, -0.051, 0.012) == "-0.0200 (-0.0510 to 0.0120)"
    assert interval(np.nan, np.nan, np.nan) == "n/a"
    assert spread(0.4, 0.021) == "0.400 ± 0.021"
    assert spread(1400.4, 82.2) == "1400 ± 82"


def test_embedded_picture_is_the_file(tmp_path, picture):
    (tmp_path / "a.webp").write_bytes(picture)
    assert embed(tmp_path / "a.webp").startswith("data:image/webp;base64,UklGR")
    (tmp_path / "a.webp").write_text("text")
    with pytest.raises(InputError, match="not a whole WebP"):
        embed(tmp_path / "a.webp")


@needs_browser
def test_page_in_a_browser(tmp_path, page):
    (tmp_path / "page.html").write_text(page)
    assert check_page(tmp_path / "page.html", FIGURES) == []


@needs_browser
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            lambda page: re.sub(r'<img id="figure-qc-sub-03"[^>]*>', "", page),
            "sub-03: is not there",
        ),
        (lambda page: re.sub(r"base64,[^\"]*", "base64,UklGRg==", page, count=1), "not decode"),
        (lambda page: re.sub(r'(?s)<svg id="figure-example-roc".*?</svg>', "", page), "roc"),
        (lambda page: page.replace("<head>", "<head><script>throw Error('boom')</script>"), "boom"),
        (lambda page: page.replace("</main>", '<img src="https://example.org/a.png">'), "outside"),
    ],
    ids=["picture removed", "picture broken", "plot removed", "script error", "from outside"],
)
def test_a_damaged_page_fails_the_same_check(tmp_path, page, damage, problem):
    (tmp_path / "page.html").write_text(damage(page))
    assert any(problem in found for found in check_page(tmp_path / "page.html", FIGURES))
