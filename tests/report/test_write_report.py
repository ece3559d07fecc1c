import copy
import io
import json
import re
import shutil
from base64 import b64decode
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from PIL import Image

from tests.report.browser import CHROMIUM, check_page
from tests.report.devtools import Page
from tests.report.example import CONFIG, FIGURES, SIDECARS, example
from workflow_scripts.common.job import InputError
from workflow_scripts.common.record import checksum
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report import plots, plots_classifiers, qc, write_report
from workflow_scripts.report.methods import Methods
from workflow_scripts.report.pages import script_of
from workflow_scripts.report.study import study_section
from workflow_scripts.report.text import interval, number, p_value, reading, spread

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
HOSTILE = "<script>alert(1)</script>\"'&$x^2$"


def render(source, config) -> str:
    """The page alone."""
    return write_report.render(source, config)[0]


@pytest.fixture(scope="session")
def picture():
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "WEBP", quality=50)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def original(tmp_path_factory, picture):
    """Folder and inputs of the example, which no test changes."""
    folder = tmp_path_factory.mktemp("original")
    return folder, example(folder, picture)


@pytest.fixture
def source(tmp_path, original):
    """A copy of the example."""
    folder, made = original
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    moved = json.loads(json.dumps(vars(made)).replace(str(folder), str(tmp_path)))
    return SimpleNamespace(**moved)


@pytest.fixture
def undrawn(monkeypatch):
    """The report without its plots, which take most of the time."""
    figures = {
        plots: ["distributions", "measures", "recovered", "correlations"],
        plots_classifiers: [
            "split_roc",
            "scores",
            "roc",
            "calibration",
            "decision",
            "coefficients",
        ],
    }
    for module, names in figures.items():
        for name in names:
            monkeypatch.setattr(module, name, lambda *_, name=name, **__: Markup(f"[{name}]"))


@pytest.fixture(scope="session")
def page(original):
    return render(original[1], CONFIG)


def edit(path, column, value, row=0):
    """Replace one cell of a table."""
    table = read_table(path).astype(object)
    table.loc[row, column] = value
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def of(source, name, study=""):
    wanted = f"{study}/{name}.tsv"
    return next(path for path in source.studies if path.endswith(wanted))


def test_every_section_and_figure_is_there(page):
    for section in ("overview", "scans", "qc", "outliers", "study-example", "example-table1",
                    "example-design", "example-fractions", "example-regions",
                    "example-classifiers", "example-repeated_measures", "example-published",
                    "study-multimodal", "multimodal-table1", "multimodal-groups",
                    "multimodal-correlations", "multimodal-classifiers", "truth", "methods",
                    "software", "configuration", "origin"):  # fmt: skip
        assert f'id="{section}"' in page
    for figure in FIGURES:
        assert page.count(f'id="{figure}"') == 1
    assert re.search('Comparison, tables: [^\n]*<a href="../studies/multimodal/groups.tsv">', page)
    assert "n = 14" in page
    assert "excluded: motion" in page
    assert "no T1w in the dataset" in page
    assert "1 scans with a note" in page
    assert page.count("age 3 years: templates are those of adults") == 1
    assert "0.75 (0.50 to 0.90)" in page
    assert "deepbet 9.8.7" in page
    assert "non-commercial" in page
    assert "qc_subjects: 200" in page
    assert "&lt;0.001" in page


def test_the_same_bytes_for_the_same_input(source, page):
    def study(html):
        return html[html.index('<section id="study-multimodal"') : html.index('id="truth"')]

    assert study(page) == study(render(source, only(source, "multimodal")))
    assert not re.search(r"20\d\d-\d\d-\d\dT", page)


def test_every_table_of_a_number_is_named_with_its_checksum(source, page):
    origin = page.split('id="origin"')[1]
    for path in (source.scans, source.features, *source.studies):
        digest = checksum(path)["sha256"][:16]
        assert f"/{Path(path).name}</a></td><td><code>{digest}</code>" in origin


def test_what_most_sessions_have_in_common_is_told_once_and_a_note_flags_nothing(undrawn, source):
    table = read_table(source.outliers)
    sessions = read_table(source.features)[["participant_id", "session_id"]]
    blank = dict.fromkeys(["value", "median", "robust_z", "low", "high"])
    common = sessions.assign(
        measure="vesselwall", level="doubtful", common="yes", reason="thin walls", **blank
    )
    note = sessions.iloc[[0]].assign(
        measure="desc-preproc_dwi", level="note", common="no", reason="no phase encoding", **blank
    )
    rows = pd.concat([table, common, note])
    write_table(rows[table.columns], source.outliers, resource("columns/report.tsv"))
    page = render(source, CONFIG)
    assert "1 of 12 sessions are flagged" in page
    assert page.count("thin walls") == 1 and f"{len(sessions)} sessions, doubtful" in page
    assert page.count('<details class="flagged"') + page.count("class=flagged") == 1
    assert re.search("To be known: [^;<]*: no phase encoding</p>", page)


def test_flagged_sessions_come_first_and_the_rest_is_capped(undrawn, source):
    config = copy.deepcopy(CONFIG)
    config["report"]["qc_subjects"] = 2
    page = render(source, config)
    shown = re.findall(r'<img id="figure-qc-([^"]*)"', page)
    assert shown == [
        "sub-05-T1w", "sub-05-dwi", "sub-05-vesselwall",
        "sub-01-T1w", "sub-01-dwi", "sub-01-vesselwall",
    ]  # fmt: skip
    assert "2 of 12 sessions" in page


def test_without_truth_there_is_no_such_section(undrawn, source):
    source.recovered = []
    page = render(source, CONFIG | {"bids_dir": "/data/study"})
    assert "Recovered and true" not in page
    assert "The cohort is simulated" not in page


def test_hostile_text_is_escaped_everywhere(source, tmp_path):
    edit(source.scans, "reason", HOSTILE, row=12)
    edit(source.scans, "participant_id", f"sub-{HOSTILE}", row=13)
    edit(source.outliers, "reason", HOSTILE)
    edit(of(source, "flow"), "reason", HOSTILE, row=1)
    edit(of(source, "table1"), "variable", HOSTILE, row=2)
    edit(of(source, "correlations"), "covariates", HOSTILE)
    edit(of(source, "comparisons"), "note", HOSTILE)
    config = copy.deepcopy(CONFIG)
    config["report"]["title"] = HOSTILE
    for table in source.studies:
        text = Path(table).read_text().replace("patients", "<b>$p$</b>&")
        Path(table).write_text(text)
    config = json.loads(json.dumps(config).replace("patients", "<b>$p$</b>&"))
    page = render(source, config)
    assert page.count("<script") == 1 and "<script>alert" not in page
    assert "<b>$p$" not in page
    assert "&lt;b&gt;$p$&lt;/b&gt;&amp;" in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    if CHROMIUM:
        (tmp_path / "page.html").write_text(page)
        assert check_page(tmp_path / "page.html", FIGURES) == []


@pytest.mark.parametrize("name", ["flow", "table1", "fractions", "regions", "metrics",
                                  "permutation_test", "strategies", "features",
                                  "split-1_population", "split-1_splits", "predictions",
                                  "groups", "groups_pairwise", "correlations", "comparisons",
                                  "roc", "calibration", "calibration_figures", "decision_curve",
                                  "optimism", "coefficients", "sides"])  # fmt: skip
def test_a_missing_study_table_fails(undrawn, source, name):
    path = of(source, name)
    study = Path(path).parent.name
    settings = CONFIG["studies"][study]
    tables = {path: path for path in [source.scans, *source.studies]}
    assert study_section(study, settings, tables, source.gradcam)["name"] == study
    Path(path).unlink()
    with pytest.raises(InputError, match=f"{name}.tsv: is missing"):
        study_section(study, settings, tables, source.gradcam)
    del tables[path]
    with pytest.raises(InputError, match=f"{name}.tsv: was not given"):
        study_section(study, settings, tables, source.gradcam)


@pytest.mark.parametrize("name", ["scans", "features", "outliers"])
def test_a_missing_cohort_table_fails(undrawn, source, name):
    Path(getattr(source, name)).unlink()
    with pytest.raises(InputError, match=f"{name}.tsv: is missing"):
        render(source, CONFIG)


def test_a_missing_column_fails(undrawn, source):
    path = of(source, "metrics")
    table = read_table(path).drop(columns="ci_method")
    table.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="no column ci_method"):
        render(source, CONFIG)


def test_a_missing_or_broken_picture_fails(undrawn, source, picture):
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


def rewrite_sidecars(source, change):
    """Replace each of the collected sidecars by what a function of name and content makes of it."""
    path = Path(source.sidecars)
    changed = {name: change(name, old) for name, old in json.loads(path.read_text()).items()}
    path.write_text(json.dumps({name: new for name, new in changed.items() if new is not None}))


def test_a_sidecar_that_says_nothing_or_something_new_fails(undrawn, source):
    def segmented(names, fields):
        def change(name, old):
            return fields if name.endswith("dseg.json") and names in name else old

        rewrite_sidecars(source, change)

    segmented("sub-01", {"TissueSegmentation": "magic"})
    with pytest.raises(InputError, match="'magic'"):
        render(source, CONFIG)
    segmented("", {})
    with pytest.raises(InputError, match="TissueSegmentation"):
        render(source, CONFIG)


def test_methods_count_what_was_done(undrawn, source):
    fallen = {
        "BrainExtraction": "template (deepbet gave 90 mL)",
        "Software": {"antspyx": "0.5"},
    }
    rewrite_sidecars(
        source, lambda name, old: fallen if name.endswith("sub-02_desc-preproc_T1w.json") else old
    )
    page = render(source, CONFIG)
    assert "implausible volume" in page
    assert "Brain mask (10 sessions)." in page
    assert "Brain mask (1 session)." in page
    assert "antspyx 0.5 and 0.6.1" in page


def only(source, study):
    """Inputs and configuration with one of the studies alone."""
    config = copy.deepcopy(CONFIG)
    config["studies"] = {study: config["studies"][study]}
    kept = (f"/studies/{study}/", "/published/")
    source.studies = [path for path in source.studies if any(part in path for part in kept)]
    return config


@pytest.mark.parametrize(
    ("study", "absent"),
    [
        ("example", ["multimodal", "Comparison of the classes", "Decision curves"]),
        ("multimodal", ["one-class", "random sub-sampling", "Tissue fractions"]),
    ],
)
def test_a_study_asks_for_the_tables_of_its_parts_alone(undrawn, source, study, absent):
    page = render(source, only(source, study))
    assert f'id="study-{study}"' in page
    for text in absent:
        assert text not in page


def test_one_class_svm_shows_what_is_outside_by_construction(page):
    shown = text_of(page)
    assert "0 of 9 + 9 outside, 10 times, after training on 68; nu is not printed" in shown
    shares = {nu: [row for row in cells(page, nu) if "%" in row[1]] for nu in ("0.100", "0.500")}
    assert shares["0.100"] == [["0.100", "5 %", "80 %", "75 %", "100 %"]]
    assert shares["0.500"] == [["0.500", "25 %", "80 %", "75 %", "100 %"]]
    assert re.search(r'class="n strong">0\.500</td>', page)


def text_of(page):
    """Text of a page without tags, white space made one."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def cells(page, first):
    """Cells of each table row that begins with this text."""
    rows = re.findall(r"<tr[^>]*>(<td.*?)</tr>", page, re.DOTALL)
    found = [[text_of(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]
    return [row for row in found if row and row[0] == first]


def test_groups_show_the_numbers_of_their_tables(undrawn, source, page):
    groups = read_table(of(source, "groups")).set_index(["feature", "group"])
    alps = groups.loc["alps"]
    line = next(row for row in cells(page, "ALPS") if len(row) == 11)
    median = f"{alps.at['NPSLE', 'median']:.2f} [{alps.at['NPSLE', 'q1']:.2f}, "
    assert line[5].startswith(median) and line[6] == "12"
    assert line[9] == p_value(alps.at["all", "p_corrected"])
    assert line[10].startswith(f"{alps.at['all', 'epsilon_squared']:.2f} (")
    assert "p corr.: Holm over 3 features" in text_of(page)
    assert "Holm over the 9 pairs of all features" in text_of(page)
    pair = read_table(of(source, "groups_pairwise")).iloc[1]
    row = next(row for row in cells(page, "ALPS") if row[1] == "NPSLE against control")
    assert row[5] == p_value(pair["p_corrected"])
    assert row[6].startswith(f"{pair['cliffs_delta']:.2f} (")
    assert any("lumen area, mm²" in row[0] for row in cells(page, "lumen area, mm²"))
    adjusted = next(row for row in cells(page, "ALPS") if row[3] == "NPSLE against control")
    assert adjusted[1] == "36" and adjusted[6] == p_value(pair["adjusted_p_corrected"])
    assert adjusted[2] == p_value(alps.at["all", "adjusted_p_corrected"])
    limits = interval(*pair[[f"adjusted_difference{end}" for end in ("", "_low", "_high")]])
    assert adjusted[4] == limits


def test_overview_never_says_that_there_is_no_difference(undrawn, source, page):
    """ALPS and NWI are planted, the lumen is not: its effect stands there with its interval."""
    row = read_table(of(source, "groups")).set_index(["feature", "group"])
    row = row.loc[("lumen_area_mm2", "all")]
    effect = interval(*row[[f"epsilon_squared{e}" for e in ("", "_low", "_high")]], decimals=2)
    overview = text_of(page[: page.index('id="scans"')])
    assert row["p_corrected"] > 0.05
    assert f"not shown, which is no proof of none, in lumen area {effect}" in overview
    assert "The classes differ in ALPS, NWI (Kruskal-Wallis" in overview
    assert "At equal age they differ in ALPS, NWI (linear model" in overview
    assert "no difference" not in overview


def test_overview_puts_the_test_side_before_the_optimism_corrected_figure(page):
    overview = page[: page.index('id="scans"')]
    heads = re.findall(r"<tr><th>Model.*?</tr>", overview, re.DOTALL)
    [head] = [text_of(row) for row in heads if "Optimism" in row]
    assert head.index("Test") < head.index("Optimism-corrected")
    assert "biased upwards (by 0.04 in simulation" in text_of(overview)
    assert "read the test side first" in text_of(overview)


def test_balance_of_the_sides_stands_with_the_design(source, page):
    table = read_table(of(source, "sides", "multimodal"))
    tests = table[table["role"] == "test"]
    row = tests.loc[tests["standardized_difference"].abs().idxmax()]
    widest = f"in fold {row['split']}, {number(row['standardized_difference'])} SD"
    assert "Balance of training and test sides; widest: " in page and widest in page
    [first] = [cell for cell in cells(page, str(table["split"].iloc[0])) if cell[1] == "age"]
    age = table[(table["split"] == 1) & (table["variable"] == "age")].set_index("role")
    assert first[2:] == [
        spread(*age.loc["train", ["mean", "sd"]]),
        spread(*age.loc["test", ["mean", "sd"]]),
        number(age.at["test", "standardized_difference"]),
    ]
    assert any(cell[1] == "sex: F" for cell in cells(page, "1"))


def test_table1_has_a_column_per_class(page):
    start = page.index('id="multimodal-table1"')
    head = re.findall(r"<th( [^>]*)?>(.*?)</th>", page[start : page.index("</thead>", start)])
    assert [text_of(cell) for _, cell in head] == [
        "variable", "level", "missing", "overall", "control", "non-NPSLE", "NPSLE", "p", "test",
    ]  # fmt: skip
    assert ["n", "", "", "36", "12", "12", "12", "", ""] in cells(page, "n")
    assert "Pooled T-test, without control" in page


def test_correlations_say_what_they_are_adjusted_for(undrawn, source, page):
    row = read_table(of(source, "correlations")).iloc[0]
    shown = next(line for line in cells(page, "ALPS") if line[1] == "MoCA")
    assert shown[2] == str(row["n"])
    assert shown[3] == f"{row['r']:.2f} ({row['r_low']:.2f} to {row['r_high']:.2f})"
    within = interval(*row[["r_within", "r_within_low", "r_within_high"]], decimals=2)
    assert shown[5:] == [p_value(row["p_corrected"]), within, "age"]
    assert "p corr.: Benjamini-Hochberg over 4 correlations" in text_of(page)


def test_models_lead_with_the_honest_figures(undrawn, source, page):
    study = page[page.index('id="study-multimodal"') : page.index('id="truth"')]
    metrics = read_table(of(source, "metrics", "multimodal"))
    auc = metrics[(metrics["metric"] == "auc") & (metrics["split"] == "all")]
    auc = auc.set_index("model")["value"]
    optimism = read_table(of(source, "optimism"))
    people = optimism[["n_negative", "n_positive"]].iloc[0].sum()
    rows = optimism[(optimism["metric"] == "auc") & (optimism["model"] == "mri")]
    rows = rows.set_index("estimate")
    text = text_of(study)
    assert f"An apparent AUC on {people} people is not a forecast for new patients." in text
    line = next(row for row in cells(study, "MRI") if len(row) == 6 and "(" in row[1])
    assert [line[i].split(" ")[0] for i in (1, 2, 3, 4)] == [
        f"{rows.at[estimate, column]:z.2f}"
        for estimate, column in [
            ("optimism_corrected", "value"), ("optimism_corrected", "optimism"),
            ("apparent", "value"), ("apparent", "null_mean"),
        ]
    ]  # fmt: skip
    overview = page[: page.index('id="scans"')]
    shown = cells(overview, "MRI logistic regression")[0]
    corrected = f"{rows.at['optimism_corrected', 'value']:.2f}"
    assert shown[1:3] == ["AUC", shown[2]] and shown[2].split(" ")[0] == f"{auc['mri']:.2f}"
    assert shown[5].split(" ")[0] == corrected
    assert text.index("Metrics over the folds") < text.index("Logistic models fitted to all")
    comparisons = text[text.index("Differences in AUC between") :]
    assert comparisons.index("Optimism-corrected") < comparisons.index("DeLong's test, for")
    assert "not valid: both models were fitted to these people" in comparisons
    assert shown[-1] == "too few permutations (3) to tell"


def test_reading_of_permutation_tests():
    both = {"AUC": 0.01, "balanced accuracy": 0.02}
    assert reading(both, 200) == "better than with permuted labels"
    assert reading({"AUC": 0.06, "balanced accuracy": 0.5}, 200) == (
        "not shown to be better than with permuted labels"
    )
    assert reading(both | {"AUC": 0.06}, 200) == (
        "better than with permuted labels in balanced accuracy alone"
    )
    assert reading({"AUC": 1 / 20}, 19) == "too few permutations (19) to tell"
    assert reading({"AUC": 1 / 21}, 20) == "better than with permuted labels"


def test_truth_shows_alps_with_and_without_turned_tensors(undrawn, source, page):
    errors = read_table(source.recovered[1]).set_index("measure")["mean_error_percent"]
    text = text_of(page)
    assert f"ALPS {errors['alps']:.2f} ±" in text
    assert f"ALPS, tensors not turned {errors['alps_native_unrotated']:.1f} ±" in text
    assert "chosen among five" in text and "not evidence of power" in text
    table = read_table(source.recovered[0])
    table[table["measure"].str.endswith(("_ml", "_dice"))].to_csv(
        source.recovered[0], sep="\t", index=False
    )
    assert "figure-truth-alps" not in render(source, CONFIG)


def test_sessions_show_the_pictures_that_they_have(undrawn, source, page):
    shown = re.findall(r'<img id="figure-qc-sub-12-([^"]*)"', page)
    assert shown == ["dwi"]
    path = next(path for path in source.pictures if path.endswith("sub-12_desc-qc_dwi.webp"))
    source.pictures.remove(path)
    with pytest.raises(InputError, match=r"sub-12_desc-qc_dwi\.webp: is not among"):
        render(source, CONFIG)


def test_a_cohort_without_t1w(source):
    """Diffusion alone: no anatomical methods, pictures or measures."""
    rewrite_sidecars(
        source, lambda name, old: old if re.search(r"dwi|alps", Path(name).name) else None
    )
    source.pictures = [p for p in source.pictures if p.endswith("_dwi.webp")]
    features = read_table(source.features)[["participant_id", "session_id", "alps", "dwi_snr"]]
    features = features.dropna(subset="alps")
    features.to_csv(source.features, sep="\t", index=False, na_rep="n/a")
    edit(source.outliers, "measure", "alps")
    source.recovered = source.studies = []
    page = render(source, CONFIG | {"studies": {}})
    assert "T1-weighted images" not in page
    assert "Vessel wall" not in page.split('id="qc"')[1].split("</section>")[0]
    assert "Diffusion and DTI-ALPS" in page
    assert "figure-qc-sub-12-dwi" in page
    if CHROMIUM:
        (Path(source.features).parent / "page.html").write_text(page)
        assert check_page(Path(source.features).parent / "page.html", ["figure-qc-measures"]) == []


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("pyhysco, with a_epi.nii.gz", "with PyHySCO"),
        ("fsl_topup, with a_epi.nii.gz", "FSL topup"),
        ("SyN to the T1w, phase axis alone", "free along the phase-encoding axis"),
        ("none: the phase-encoding direction is not known", "direction is not known"),
        ("none: switched off", "as the configuration says"),
        ("none: neither an image of reverse phase encoding nor a T1w", "neither an image"),
    ],
)
def test_methods_know_every_way_of_undistorting(method, text):
    fields = SIDECARS["dwi"]["desc-preproc_dwi"] | {"DistortionCorrection": method}
    made = Methods({"sub-01": {"desc-preproc_dwi": fields}}, CONFIG).images()
    assert list(made) == ["Diffusion and DTI-ALPS", "Checks"]
    entry = dict(made["Diffusion and DTI-ALPS"])
    assert text in entry["Susceptibility distortion (1 session)"]


def test_methods_name_the_regions_that_were_used():
    sidecars = {"sub-01": SIDECARS["dwi"]}
    own = CONFIG | {"diffusion": {"bval": 1000, "alps_rois": "mine.tsv"}}
    texts = [
        dict(Methods(sidecars, config).images()["Diffusion and DTI-ALPS"])["DTI-ALPS (1 session)"]
        for config in (CONFIG, own)
    ]
    assert "gbarisano/alps" in texts[0] and "preservation of the principal direction" in texts[0]
    assert "mine.tsv" in texts[1] and "gbarisano" not in texts[1]


def test_vessels_of_several_sources_are_counted_by_session():
    vessels = {
        "sub-01": SIDECARS["vesselwall"],
        "sub-02": {"vesselwall": {"Vessels": {"a": "binary"}}},
    }
    titles = [title for title, _ in Methods(vessels, CONFIG).images()["Vessel wall"]]
    assert titles == ["Boundaries (1 session)", "Boundaries (2 sessions)", "Measures"]


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
    assert interval(-0.001, -0.2, 0.3, decimals=2) == "0.00 (-0.20 to 0.30)"
    assert interval(np.nan, np.nan, np.nan) == "n/a"
    assert spread(0.4, 0.021) == "0.400 ± 0.021"
    assert spread(1400.4, 82.2) == "1400 ± 82"


def test_numbers_that_are_whole_but_for_their_last_bits_read_as_whole():
    assert [number(x) for x in (0.1 * 3 / 0.3, 1 - 1e-15, 0.9996)] == ["1", "1", "1.000"]


def test_labels_of_histograms_do_not_touch(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "to_svg", lambda figure, *_: figures.append(figure))
    rng = np.random.default_rng(0)
    names = ["template_correlation", "gm_fraction", "gradient_coherence_ratio", "tiv_ml"]
    centres = [0.9135, 0.452, 1.127, 1500]
    features = pd.DataFrame(
        {n: c * (1 + 0.004 * rng.standard_normal(18)) for n, c in zip(names, centres, strict=True)}
    )
    nothing = pd.DataFrame(columns=["participant_id", "session_id", "measure", "value"])
    plots.measures(features, {}, nothing, names, "measures")
    figures[0].canvas.draw()
    for axis in figures[0].axes[: len(names)]:
        low, high = axis.get_xlim()
        shown = [
            text.get_window_extent()
            for text in axis.get_xticklabels()
            if low <= text.get_position()[0] <= high
        ]
        gaps = [b.x0 - a.x1 for a, b in pairwise(shown)]
        assert min(gaps) > 10, axis.get_xlabel()


def test_a_picture_stands_inside_the_page_or_beside_it(tmp_path, picture):
    (tmp_path / "a.webp").write_bytes(picture)
    shown = qc.picture(tmp_path / "a.webp")
    assert b64decode(shown["source"].removeprefix("data:image/webp;base64,")) == picture
    assert (shown["width"], shown["height"], shown["beside"]) == (120, 60, False)
    linked = qc.picture(tmp_path / "a.webp", "../a.webp")
    assert linked == shown | {"source": "../a.webp", "beside": True}
    (tmp_path / "a.webp").write_text("text")
    with pytest.raises(InputError, match="not a whole WebP"):
        qc.picture(tmp_path / "a.webp", "../a.webp")


@needs_browser
def test_pictures_beside_the_page_are_loaded_when_they_are_looked_at(undrawn, source, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["report"]["single_file"] = False
    html = render(source, config)
    assert "data:image/webp" not in html
    path = tmp_path / "report/index.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(html)
    with Page(path) as page:
        images = "[...document.querySelectorAll('img.qc')]"
        assert page.evaluate(f"{images}.length") == len(source.pictures) + len(source.gradcam)
        loaded = f"{images}.filter(one => one.naturalWidth == 120).map(one => one.id)"
        assert "figure-qc-sub-01-T1w" not in page.evaluate(loaded)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for name in ("figure-qc-sub-01-T1w", page.evaluate(f"{images}.at(-1).id")):
            page.evaluate(f"document.getElementById('{name}').scrollIntoView()")
            page.wait(f"{loaded}.includes('{name}')")
        assert page.problems == []


def test_every_table_scrolls_inside_of_itself(page):
    body = page[page.index("<main>") :]
    assert body.count("<table>") > 30
    assert len(re.findall(r'<div class="wide">\s*<table>', body)) == body.count("<table>")


@needs_browser
def test_page_in_a_browser(tmp_path, page):
    (tmp_path / "page.html").write_text(page)
    assert check_page(tmp_path / "page.html", FIGURES) == []


def without_studies(page):
    return re.sub('(?s)<section id="study-.*(?=<section id="truth")', "", page)


@needs_browser
def test_nobody_is_kept_out(tmp_path, page):
    """Names, roles and keyboard of the whole page."""
    (tmp_path / "page.html").write_text(page)
    with Page(tmp_path / "page.html", 400) as opened:
        assert opened.barriers(contrast=False) == []


FAINT = '<p style="color: #999; background: #fff">faint words</p>'


@needs_browser
@pytest.mark.parametrize("part", [":not([id^=study-])", "#study-example", "#study-multimodal"])
def test_nobody_is_kept_out_by_colours(tmp_path, page, part):
    """Contrast, part by part, of the first rows of each table; what is faint is found."""
    (tmp_path / "page.html").write_text(page)
    with Page(tmp_path / "page.html", 400) as opened:
        opened.evaluate(
            f"document.querySelectorAll('main > section:not({part})').forEach(one => one.remove());"
            "document.querySelectorAll('tbody tr:nth-child(n+4)').forEach(one => one.remove());"
            f"document.querySelector('main > section').insertAdjacentHTML('beforeend', `{FAINT}`)"
        )
        assert opened.barriers() == [f"color-contrast: {FAINT}"]


@needs_browser
def test_barriers_are_found(tmp_path, page):
    damage = {
        "color-contrast": ("caption { font-size", "caption { background: #6a737d; font-size"),
        "link-in-text-block": ("main a { text-decoration: underline; ", "main a { "),
        "image-alt": (' alt="', ' data-alt="'),
        "scrollable-region-focusable": ("frames.observe(frame)", "frame"),
        "label": ("Rater <input", "<input"),
    }
    page = without_studies(page)
    for old, new in damage.values():
        assert old in page
        page = page.replace(old, new)
    script = re.search("(?s)<script>(.*)</script>", page)[1]
    page = re.sub("'sha256-[^']*'", f"'{script_of(script)['hash']}'", page)
    (tmp_path / "page.html").write_text(page)
    with Page(tmp_path / "page.html", 400) as opened:
        assert {line.split(":")[0] for line in opened.barriers()} == set(damage)


@needs_browser
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            lambda page: re.sub(r'<img id="figure-qc-sub-03-T1w"[^>]*>', "", page),
            "sub-03-T1w: is not there",
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


def test_links_to_tables_lead_to_them(original, page):
    """From the report's folder in the output folder."""
    linked = {unquote(href) for href in re.findall(r'href="\.\./([^"]+)"', page)}
    assert len(linked) > 20
    assert not [name for name in linked if not (original[0] / name).is_file()]


@needs_browser
def test_page_on_a_phone_scrolls_down_alone(tmp_path, page):
    (tmp_path / "page.html").write_text(page)
    with Page(tmp_path / "page.html", 400) as phone:
        phone.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        root = "document.documentElement"
        assert phone.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
        inside = "[...document.querySelectorAll('.wide')].some(one => one.scrollWidth > 400)"
        assert phone.evaluate(inside)
        assert phone.problems == []
