"""The part on radiomics, from small tables and models with known answers."""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from tests.baselines.test_stable import LASSO, built, cohort, fitted
from tests.report.browser import CHROMIUM
from tests.report.devtools import Page
from workflow_scripts.common.resources import resource
from workflow_scripts.common.stability import MASKS
from workflow_scripts.common.tables import write_table
from workflow_scripts.report.pages import script_of
from workflow_scripts.report.radiomics import fates, radiomics_section, reasons
from workflow_scripts.report.study import reader
from workflow_scripts.report.write_report import templates

NAME, REGION = "s", "sacroiliac_joints"
STABILITY = {
    "STIR_cm_energy_d1": (7, 0.2),
    "STIR_stat_mean": (6, np.nan),
    "T1w_cm_energy_d1": (8, 0.5),
    "T1w_morph_volume": (8, 0.9),
    "T1w_new_thing": (8, 0.8),
    "T1w_stat_mean": (8, 0.75),
}
# Split: coefficients by feature, those that are unstable, and those that were screened out.
SPLITS = {
    1: ({"T1w_morph_volume": 0.5, "T1w_stat_mean": -1.0}, ["STIR_stat_mean"], []),
    2: ({"T1w_morph_volume": 0.25}, ["STIR_stat_mean", "STIR_cm_energy_d1"], ["T1w_new_thing"]),
    3: ({"T1w_morph_volume": -0.25}, ["STIR_stat_mean", "T1w_stat_mean"], []),
}
REASON = "{} % of the dilated mask lie outside of the STIR: measured on the rest"
TOLD = [("1", REASON.format(3)), ("2", REASON.format(12)), ("9", "no STIR"), ("8", "no STIR")]
TOLD += [("7", "fs: no /data/sub-7/ses-a/aseg.mgz"), ("6", "fs: no /data/sub-6/ses-a/aseg.mgz")]
PAGE = """<html lang="en"><head><title>x</title><style>{% include "report.css" %}</style></head>
<main><h1>x</h1><h2>x</h2>{% include "radiomics.html.j2" %}</main>
<script>{{ script.text }}</script>"""


def measured(told=TOLD) -> pd.DataFrame:
    """Five sessions with all features, the fifth without those of STIR; and reasons."""
    rows = [
        {"participant_id": f"sub-{number}", "feature": feature} | dict.fromkeys(MASKS, 1.0)
        for number in range(1, 6)
        for feature in STABILITY
        if number < 5 or feature.startswith("T1w")
    ]
    rows += [{"participant_id": f"sub-{number}", "reason": reason} for number, reason in told]
    columns = ["participant_id", "session_id", "feature", *MASKS, "reason"]
    return pd.DataFrame(rows, columns=columns).assign(session_id="ses-a")


def model_of(splits=SPLITS, features=STABILITY) -> dict:
    """A model that reads, beside the features, a column whose name begins as theirs do."""
    terms = [f"{REGION}_volume_ml", *(f"{REGION}_{feature}" for feature in features)]
    return {
        "models": [
            {
                "split": split,
                "terms": terms,
                "coefficients": [3.0, *(found.get(feature, 0.0) for feature in features)],
                "unstable": [f"{REGION}_{feature}" for feature in unstable],
            }
            | ({"screened_out": [f"{REGION}_{feature}" for feature in out]} if out else {})
            for split, (found, unstable, out) in splits.items()
        ]
    }


def study(least=0.75, design="folds", **models) -> dict:
    models = models or {"lasso": {"kind": "logistic", "penalty": "l1"}}
    return {
        "inputs": {
            "made": {"radiomics": {"region": REGION, "stable": least}},
            "brain": {"channels": ["T1w"]},
        },
        "models": {
            "net": {"kind": "cnn", "inputs": ["brain"]},
            "most": {"kind": "majority"},
            **{name: one | {"inputs": ["made"]} for name, one in models.items()},
        },
        "design": {"kind": design, "classes": ["control", "axSpA"]},
    }


@pytest.fixture
def drawn(tmp_path):
    """Function that gives the section of tables and models, and its page."""

    def made(asked, table=None, stability=None, **models):
        folder = tmp_path / f"studies/{NAME}"
        (folder / "models").mkdir(parents=True, exist_ok=True)
        stability = STABILITY if stability is None else stability
        lines = pd.DataFrame.from_dict(stability, orient="index", columns=["n", "icc"])
        lines = lines.rename_axis("feature").reset_index()
        parts = {"radiomics": measured() if table is None else table}
        parts["desc-stability_radiomics"] = lines
        paths = {}
        for ending, content in parts.items():
            path = folder / f"SacroiliacJoints_{ending}.tsv"
            write_table(content, path, resource("columns/radiomics.tsv"))
            paths[str(path)] = path
        files = []
        for name, content in models.items():
            files.append(folder / f"models/model-{name}_models.json")
            files[-1].write_text(json.dumps(content))
        section = radiomics_section(NAME, asked, reader(NAME, paths), files)
        shown = {"name": NAME, "word": "fold", "radiomics": section, "design": asked["design"]}
        script = script_of(resource("report/report.js").read_text())
        page = templates(tmp_path).from_string(PAGE).render(study=shown, script=script)
        return section, page

    return made


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def rows_of(page: str, first: str) -> list[list[str]]:
    """Cells of the table rows that begin with a text."""
    rows = re.findall(r"<tr[^>]*>(<td.*?)</tr>", page, re.DOTALL)
    found = [[text_of(c) for c in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]
    return [row for row in found if row[0] == first]


def test_stable_features_by_family_and_contrast(drawn):
    """One whose ICC is what is asked for is stable, one without an ICC is not."""
    [part], page = drawn(study(), lasso=model_of())
    text = text_of(page)
    assert "Sacroiliac joints: 3 of 6 features (50 %) reach the ICC(A,1) of 0.75" in text
    assert "the 6 to 8 sessions that have all three. Without an ICC, and so not stable: 1" in text
    assert "over all sessions of the study, those that are tested among them, and nothing" in text
    assert "which features a model reads is decided anew in each training side" in text
    shown = [[line["name"], *line["cells"]] for line in part["stability"]["lines"]]
    assert shown == [
        ["shape", "", "1 of 1", "1 of 1"],
        ["intensity", "0 of 1", "1 of 1", "1 of 2"],
        ["co-occurrence (GLCM)", "0 of 1", "0 of 1", "0 of 2"],
        ["new", "", "1 of 1", "1 of 1"],
    ]
    assert rows_of(page, "all") == [["all", "0 of 2", "3 of 4", "3 of 6", "0.75 (0.50 to 0.80)"]]
    [glcm] = rows_of(page, "co-occurrence (GLCM)")
    assert glcm[-1] == "0.35 (0.28 to 0.42)"


def test_of_one_contrast_there_is_no_column_of_all(drawn):
    alone = {name: found for name, found in STABILITY.items() if name.startswith("T1w")}
    _, page = drawn(study(0.6), stability=alone)
    assert rows_of(page, "all") == [["all", "3 of 4", "0.78 (0.69 to 0.83)"]]
    assert "Without an ICC" not in page and "figure-s-made-stability" in page


def test_points_tell_their_feature(drawn):
    _, page = drawn(study())
    assert sorted(re.findall("<title>(.*?)</title>", page)[1:]) == [
        "STIR cm_energy_d1: ICC 0.20, n = 7",
        "T1w cm_energy_d1: ICC 0.50, n = 8",
        "T1w morph_volume: ICC 0.90, n = 8",
        "T1w new_thing: ICC 0.80, n = 8",
        "T1w stat_mean: ICC 0.75, n = 8",
    ]


def test_where_no_mask_was_eroded_nothing_is_stable(drawn):
    """Nor drawn; and the models read nothing."""
    nothing = dict.fromkeys(STABILITY, (0, np.nan))
    out = {1: ({}, list(STABILITY), []), 2: ({}, list(STABILITY), [])}
    _, page = drawn(study(), stability=nothing, lasso=model_of(out))
    text = text_of(page)
    assert "0 of 6 features (0 %) reach" in text and "<svg" not in page
    assert rows_of(page, "unstable") == [["unstable", "6", "6", "0"]]
    assert "lasso kept no feature in 2 of the 2 folds." in text and "<details" not in page


def test_who_was_not_measured_and_why(drawn):
    """Reasons that differ in their numbers, or in the name of the session, are one."""
    _, page = drawn(study())
    text = text_of(page)
    assert "4 of 9 sessions have all features, 1 some of them, 4 none. Whoever lacks one" in text
    [told] = rows_of(page, REASON.format("3 to 12"))
    assert told[1:] == ["2", "sub-1, ses-a; sub-2, ses-a"]
    assert rows_of(page, "no STIR")[0][1] == "2"
    assert rows_of(page, "fs: no /data/sub-*/ses-*/aseg.mgz")[0][1] == "2"


def test_everybody_measured_needs_no_reasons(drawn):
    _, page = drawn(study(), measured([]).query("participant_id != 'sub-5'"))
    assert "<p>4 of 4 sessions have all features.</p>" in page
    assert "Why a session" not in page and "nothing is imputed" not in page


def test_reasons_without_sessions_come_by_frequency_and_long_lists_are_cut():
    rows = [{"participant_id": f"sub-{number}", "reason": "no T1w"} for number in range(10, 20)]
    rows = [{"participant_id": "sub-01", "reason": "no STIR"}, *rows]
    found = reasons(pd.DataFrame(rows).assign(session_id=np.nan))
    assert found["reason"].tolist() == ["no T1w", "no STIR"]
    assert found["sessions"].tolist() == [10, 1]
    assert found["who"].iloc[0].endswith("sub-17 and 2 more") and found["who"].iloc[1] == "sub-01"


def test_what_a_model_took(drawn):
    [part], page = drawn(study(), lasso=model_of())
    assert "6 features in the training sides of the 3 folds" in text_of(page)
    assert [(line["name"], line["each"], line["every"], line["some"])
            for line in part["models"][0]["lines"]] == [
        ("unstable", "1 to 2", 1, 2),
        ("screened out", "0 to 1", 0, 1),
        ("with a coefficient of 0", "2 to 3", 1, 3),
        ("kept", "1 to 2", 1, 1),
    ]  # fmt: skip
    assert "2 features that lasso kept in one fold or more" in text_of(page)
    assert rows_of(page, "T1w") == [
        ["T1w", "shape", "morph_volume", "3", "2", "1", "0.250"],
        ["T1w", "intensity", "stat_mean", "1", "0", "1", "-1"],
    ]
    assert page.index("<details") < page.index("morph_volume</td>")
    assert "log odds of axSpA per SD" in page


def test_one_split_is_a_sentence(drawn):
    one = {1: SPLITS[1]}
    _, page = drawn(study(design="holdout"), lasso=model_of(one))
    told = "6 features: 1 unstable, 3 with a coefficient of 0, 2 kept."
    assert f"lasso (logistic, penalty l1), {told}" in text_of(page)
    assert rows_of(page, "T1w")[0] == ["T1w", "intensity", "stat_mean", "-1"]


def test_a_penalty_that_keeps_everything_does_not_fill_the_page(drawn):
    many = {f"T1w_stat_{number}": (8, 0.9) for number in range(400)}
    kept = {name: 1 + place / 1000 for place, name in enumerate(many)}
    models = {"ridge": {"kind": "logistic"}, "line": {"kind": "svm"}}
    ridge = model_of({1: (kept, [], []), 2: ({}, [], [])}, many)
    [part], page = drawn(study(**models), stability=many, ridge=ridge)
    assert [model["name"] for model in part["models"]] == ["ridge"]  # the SVM has no such file
    assert "penalty l2" in page and "400 features that ridge kept" in text_of(page)
    assert len(rows_of(page, "T1w")) == 50 and rows_of(page, "T1w")[0][2] == "stat_399"
    assert "The 50 kept most often" in page


def test_features_of_real_models_are_counted_as_these_say(tmp_path):
    parts, table = cohort(signal=3.0)
    _, models = fitted(built(parts, table), LASSO)
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"models": models}))
    features = table["feature"].unique()
    coefficients, became = fates(path, "thalamus", features)
    assert became.shape == (len(models), len(features))
    for model in models:
        of_split = became.loc[model["split"]]
        assert (of_split == "unstable").sum() == len(model["unstable"]) > 0
        assert (of_split == "kept").sum() == np.count_nonzero(model["coefficients"])
        own = dict(zip(model["terms"], model["coefficients"], strict=True))
        assert coefficients.at[model["split"], "T1w_f0"] == own["thalamus_T1w_f0"] >= 0
    assert (coefficients["T1w_f0"] > 0).sum() >= 5


def test_a_study_that_reads_none_has_no_part(drawn):
    asked = study()
    asked["models"] = {"net": asked["models"]["net"]}
    assert drawn(asked)[0] == []


def test_what_a_table_tells_is_text(drawn):
    _, page = drawn(study(), measured([("1", "<b>no</b> STIR")]))
    assert "&lt;b&gt;no&lt;/b&gt; STIR" in page and "<b>no" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_part_fits_a_phone_and_keeps_nobody_out(drawn, tmp_path):
    _, page = drawn(study(), lasso=model_of())
    (tmp_path / "page.html").write_text(page)
    with Page(tmp_path / "page.html", 400) as shown:
        assert shown.barriers(contrast=False) == []
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert shown.problems == []
