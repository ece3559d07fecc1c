"""Sections of studies: every design, and every combination of what a study can ask for."""

import re
from html import unescape

import pytest
from markupsafe import Markup

from tests.report import external
from tests.report.example import CONFIG, WEBP, example, write
from workflow_scripts.cohort.config import NEEDS, check_config
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table
from workflow_scripts.report import plots, plots_classifiers
from workflow_scripts.report.acquisition import TAKEN
from workflow_scripts.report.design import word
from workflow_scripts.report.methods import Methods, shared
from workflow_scripts.report.study import study_section
from workflow_scripts.report.write_report import PARTS, templates
from workflow_scripts.statistics.compare_classes import compare_measures
from workflow_scripts.statistics.split_metrics import evaluate

# Tables of each evaluation, and those of every study with a design and models.
TABLES = {
    "calibration": ["calibration", "calibration_figures"],
    "optimism": ["optimism", "coefficients", "instability", "sample_size"],
    "permutation": ["permutation_test"],
    "repeated_measures": ["strategies"],
    "groups": ["groups", "groups_pairwise"],
    "gradcam": [
        f"gradcam/model-{name}_{table}"
        for name in ("crop", "crop+flip", "crop+flip+rotate")
        for table in ("regions", "agreement")
    ],
    "published": ["published/inglese2022", "published/inglese2022_strategies"],
}
ALWAYS = ["flow", "table1", "sides", "features", "predictions", "population", "splits"]
ALWAYS.append("models/model-one_class_svm_desc-nu_shares")
STUDIES = CONFIG["studies"] | {"sites": external.STUDY}
CLASSES = external.CLASSES
DESIGNS = {
    "random_trials": {"trials": 3, "train": {"mild": 4, "severe": 3},
                      "test": {"mild": 2, "severe": 2}},
    "folds": {"folds": 4, "repeats": 2},
    "holdout": {"test": 0.25, "validation": 0.25},
    "leave_site_out": {"column": "site"},
    "given": {"table": "mine.tsv"},
}  # fmt: skip


@pytest.fixture
def undrawn(monkeypatch):
    """Sections without their plots, which take most of the time."""
    for module in (plots, plots_classifiers):
        for name, function in vars(module).copy().items():
            if getattr(function, "__module__", "") == module.__name__ and name in (
                "distributions", "correlations", "split_roc", "scores", "roc", "calibration",
                "decision", "coefficients",
            ):  # fmt: skip
                monkeypatch.setattr(module, name, lambda *_, name=name, **__: Markup(f"[{name}]"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Tables of the example's studies and of one with external people, and pictures."""
    folder = tmp_path_factory.mktemp("studies")
    source = example(folder, WEBP)
    for name, (wing, table) in external.tables().items():
        source.studies.append(write(table, folder / f"studies/sites/{name}.tsv", wing))
    return source


def pages(name, study, tables, pictures=()):
    """Text of a study's section, its overview and its methods."""
    section = study_section(name, study, tables, pictures)
    found = [
        templates().get_template(f"{part}.html.j2").render(study=section)
        for part in ("study", "overview")
    ]
    steps = Methods({}, CONFIG).study(study)
    found.append(" ".join(f"{title}. {text}" for title, text in steps))
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split()) for page in found]


def chosen(source, study, evaluation):
    """Paths of the tables that a study with this evaluation gives to the report."""
    names = [t for key in evaluation for t in TABLES.get(key, [key])] + ALWAYS
    return {
        path: path
        for path in source.studies
        if (f"/{study}/" in path or "/published/" in path)
        and any(path.removesuffix(".tsv").endswith((f"/{name}", f"_{name}")) for name in names)
    } | {source.scans: source.scans}


@pytest.mark.parametrize(
    ("study", "key"),
    [(name, key) for name, study in STUDIES.items() for key in study["evaluation"]],
)
def test_every_evaluation_can_stand_alone(undrawn, source, study, key):
    settings = STUDIES[study]
    keys = {key, *NEEDS.get(key, [])}
    asked = {name: value for name, value in settings["evaluation"].items() if name in keys}
    tables = chosen(source, study, asked)
    section, overview, methods = pages(
        study, settings | {"evaluation": asked}, tables, source.gradcam
    )
    titles = dict(PARTS)
    assert titles.get(key, titles["classifiers"]) in section
    assert "participants screened" in overview
    assert ("Negative control" in methods) == ("permutation" in asked)
    assert ("balanced accuracy" in overview) == ("metrics" in asked)
    assert ("Optimism-corrected" in overview) == ("optimism" in asked)


def designed(folder, kind, sessions):
    """A study of a design that asks for metrics alone, its tables, and its splits."""
    design = {"kind": kind} | DESIGNS[kind]
    study = {"label": "group", "classes": CLASSES, "sessions": sessions, "requires": ["dwi"],
             "inputs": {"mri": {"columns": ["alps"]}}, "design": design,
             "models": {"line": {"kind": "svm", "inputs": ["mri"]}, "most": {"kind": "majority"}},
             "evaluation": {"metrics": None, "fractions": None}}  # fmt: skip
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": study}}
    study = check_config(config)["studies"]["s"]
    people = external.population().assign(external="no")
    people["site"] = [f"Site {int(name[-2:]) % 3}" for name in people["participant_id"]]
    if sessions == "first":
        people = people.drop_duplicates("participant_id")
    given = None
    if kind == "given":
        given = people[["participant_id"]].drop_duplicates().assign(split=1)
        given["role"] = ["test"] * 6 + ["train"] * 18
    splits = draw_splits(people, study["design"], 1, "design", given)
    scored = external.predictions(splits, CLASSES, {"line": 1.0, "most": 0.0})
    made = external.tables() | {
        "predictions": ("statistics", scored),
        "metrics": ("statistics", evaluate(scored, CLASSES)),
        "split-1_population": ("cohort", people),
        "split-1_splits": ("cohort", splits),
    }
    made["scans"] = (
        "cohort",
        people[SCAN].assign(**dict.fromkeys(TAKEN), suffix="dwi", status="AVAILABLE"),
    )
    features = made["features"][1].assign(gm_fraction=0.4, csf_fraction=range(48))
    names = ["gm_fraction", "csf_fraction"]
    fractions = compare_measures(features, splits, names, CLASSES, kind == "random_trials")
    made["fractions"] = "statistics", fractions
    paths = [write(table, folder / f"{name}.tsv", wing) for name, (wing, table) in made.items()]
    named = {path.replace(str(folder), "studies/s"): path for path in paths}
    named["cohort/scans.tsv"] = named.pop("studies/s/scans.tsv")
    return study, named, splits


@pytest.mark.parametrize(
    ("kind", "sessions"),
    [
        ("random_trials", "first"),
        ("folds", "all"),
        ("holdout", "first"),
        ("leave_site_out", "all"),
        ("given", "first"),
    ],
)
def test_every_design_in_its_own_words(undrawn, tmp_path, kind, sessions):
    study, tables, splits = designed(tmp_path, kind, sessions)
    section, overview, methods = pages("s", study, tables)
    assert ("trial" in f"{section} {overview} {methods}".lower()) == (kind == "random_trials")
    sentence = {
        "random_trials": "3 random trials of 24 participants{}; for each trial 4 mild and 3 severe "
        "train, 2 mild and 2 severe are tested; those of the smaller training class count twice.",
        "folds": "4-fold cross-validation of 24 participants{}, repeated 2 times with other folds; "
        "for each fold 9 mild and 9 severe train, 3 mild and 3 severe are tested.",
        "holdout": "One random test side of 24 participants{}; 6 mild and 6 severe train, 3 mild "
        "and 3 severe are kept apart for validation, 3 mild and 3 severe are tested.",
        "leave_site_out": "3 sites (site) of 24 participants{}, each tested by the others; for "
        "each site 8 mild and 8 severe train, 4 mild and 4 severe are tested.",
        "given": "1 split of 24 participants{} as a table of the user's says; 9 mild and 9 severe "
        "train, 3 mild and 3 severe are tested.",
    }[kind]
    assert sentence.format(" (48 sessions)" if sessions == "all" else "") in section
    assert f"Each {word(study)}" in section
    assert ("Site 2" in section) == (kind == "leave_site_out")
    assert ("(48 sessions)" in overview) == (sessions == "all")
    over = "on the test side" if splits["split"].nunique() == 1 else f"over the {word(study)}s"
    assert f"severe against mild, {over} (95 % interval)." in overview
    assert "permuted labels" not in overview + methods
    assert ("Sessions of a participant are averaged" in methods) == (sessions == "all")


def test_a_model_of_fewer_splits_says_so(undrawn, tmp_path):
    study, tables, _ = designed(tmp_path, "folds", "first")
    path = next(path for path in tables.values() if path.endswith("/metrics.tsv"))
    metrics = read_table(path)
    chosen = (metrics["model"] == "line") & (metrics["split"] == "all")
    metrics.loc[chosen, "n_splits"] = 2
    metrics.to_csv(path, sep="\t", index=False, na_rep="n/a")
    _, overview, _ = pages("s", study, tables)
    assert "linear SVM, 2 of 8 folds" in overview and overview.count("of 8 folds") == 1


def test_people_of_another_cohort_stand_beside_the_test_sides(source):
    settings = external.STUDY
    tables = chosen(source, "sites", settings["evaluation"])
    section, overview, methods = pages("sites", settings, tables)
    assert "n = 24 (49 sessions)" in section and "n = 24 (48 sessions)" in section
    assert "24 analysed (48 sessions; 8 of the participants external)" in overview
    assert "of 16 participants (32 sessions); for each fold" in section
    assert "4 mild and 4 severe are external, scored by the models alone" in section
    metrics = external.tables()["metrics"][1]
    overall = metrics[(metrics["split"] == "all") & (metrics["model"] == "alps")]
    for metric in ("auc", "balanced_accuracy"):
        rows = overall[overall["metric"] == metric].set_index("estimate")
        assert list(rows.index) == ["test", "external", "external_averaged"]
        assert all(f"{rows.at[key, 'value']:.2f} (" in overview for key in ("test", "external"))
        assert f"{rows.at['external_averaged', 'value']:.2f} (" in section
    assert "column edss , severe from 3." in section
    assert "with B in site are external" in methods
    assert "test sides solid, external participants dash-dotted" in section
    assert "all, external" in section
    assert "in the first session of each participant, external ones among them" in section


def test_a_study_without_models_or_design(undrawn, source):
    settings = CONFIG["studies"]["multimodal"]
    kept = {key: settings["evaluation"][key] for key in ("groups", "correlations")}
    settings = {key: value for key, value in settings.items() if key != "design"}
    settings |= {"models": {}, "inputs": {}, "evaluation": kept}
    unneeded = re.compile("predictions|_splits")
    tables = chosen(source, "multimodal", kept)
    tables = {path: file for path, file in tables.items() if not unneeded.search(path)}
    section, overview, methods = pages("multimodal", settings, tables)
    assert "Comparison of the classes" in section and "Correlations" in section
    assert "Classifiers" not in section and "Design" not in section + methods
    assert "AUC" not in overview


def test_a_setting_is_named_once_or_by_model():
    models = {"a": {"epochs": 3, "b": {"c": [1, 2]}}, "d": {"epochs": 3, "b": {"c": [4]}}}
    assert shared(models, "epochs") == "3"
    assert shared(models, "epochs", {"3": "three"}) == "three"
    assert shared(models, "b.c") == "1, 2 (a); 4 (d)"
    named = {"crop": {"x": "crop"}, "flip": {"x": "flip"}}
    assert shared(named, "x") == "crop; flip"
