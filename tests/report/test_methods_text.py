"""Every sentence of the methods text is tied to the code or setting that it describes.

A tie is a phrase of the text and what must hold in the code for it to be true: a constant, the
functions that a script calls, a file of resources, or what a function does. A sentence without a
tie, a tie without a sentence, and a tie that does not hold are failures.
"""

import re

import pytest
import yaml

from tests.report.example import CONFIG
from tests.report.ties_of_associations import ASSOCIATIONS
from tests.report.ties_of_images import IMAGES
from tests.report.ties_of_metrics import METRICS
from tests.report.ties_of_segmentation import SEGMENTATION
from tests.report.ties_of_studies import STUDIES
from tests.report.ties_of_tables import TABLES
from workflow_scripts.cohort.config import check_config, load_schema
from workflow_scripts.common.resources import resource
from workflow_scripts.report.methods import Methods

TEXTS = yaml.safe_load(resource("report/methods.yaml").read_text())
TIES = ASSOCIATIONS | IMAGES | STUDIES | METRICS | TABLES | SEGMENTATION


def found_texts(part) -> list[str]:
    """All texts of the YAML, without what Jinja fills in."""
    if isinstance(part, list):
        return [text for entry in part for text in found_texts(entry)]
    if not isinstance(part, dict):
        return []
    own = [part["text"]] if "text" in part else []
    own += [text for key in ("texts", "engines") for text in part.get(key, {}).values()]
    own += [part[key] for key in ("drawn", "radiomics") if key in part]
    rest = [
        text
        for key, value in part.items()
        if key not in ("text", "texts", "engines", "drawn", "radiomics")
        for text in found_texts(value)
    ]
    return own + rest


def filled(code: re.Match) -> str:
    """What an expression of Jinja may print of its own: its texts of several words."""
    texts = [text for text in re.findall(r'"([^"]*)"', code[0]) if text.count(" ") > 1]
    return ". ".join(["", *texts, ""]) if texts else " "


def sentences() -> list[str]:
    """Sentences and their parts after semicolons, with white space evened out."""
    found = []
    for text in found_texts(TEXTS):
        plain = re.sub(r"\{\{.*?\}\}", filled, text, flags=re.DOTALL)
        plain = re.sub(r"\{%.*?%\}", " ", plain, flags=re.DOTALL)
        plain = re.sub(r"\([^()]*\)", lambda m: m[0].replace(";", ","), " ".join(plain.split()))
        parts = re.split(r"(?<!et al)(?<=[.;])\s+(?=[A-Za-z])", plain)
        found += [part for part in parts if len(re.findall(r"[A-Za-z]{2,}", part)) >= 3]
    return found


def test_every_sentence_is_tied():
    loose = [part for part in sentences() if not any(phrase in part for phrase in TIES)]
    assert loose == []


def test_no_evaluation_model_or_design_lacks_a_text():
    pieces = load_schema()["$defs"]
    asked = pieces["study"]["properties"]["evaluation"]["properties"]
    assert set(asked) == set(TEXTS["studies"]["evaluation"])
    for part, key in (("model", "models"), ("design", "design")):
        assert set(pieces[part]["kinds"]) == set(TEXTS["studies"][key])
    assert set(pieces["engine"]["kinds"]) == set(TEXTS["segmentation"]["engines"])


@pytest.mark.parametrize("phrase", TIES)
def test_tie_holds(phrase):
    assert any(phrase in part for part in sentences()), "no sentence has this phrase"
    assert TIES[phrase](), "the code does otherwise"


def made(kind: str, fields: dict, **anatomical) -> str:
    """Methods text on the T1w of a session with such a sidecar."""
    config = CONFIG | {"anatomical": CONFIG["anatomical"] | anatomical}
    steps = Methods({"sub-01": {kind: fields}}, config).images()["T1-weighted images"]
    return " ".join(text for _, text in steps)


def test_each_engine_has_its_text():
    engines = {
        "net": {"kind": "network", "weights": "/w"},
        "fs": {"kind": "import", "program": "freesurfer", "files": "/a/{prefix}"},
        "other": {"kind": "import", "labels": [24, 25], "files": "/a/{prefix}"},
        "mean": {"kind": "mean", "of": ["net", "fs"]},
    }
    section = {"regions": {"thalamus": {"engines": engines}}, "manual": None}
    steps = Methods({}, CONFIG | {"segmentation": section}).images()["Regions by several engines"]
    text = dict(steps)
    assert list(text) == [f"Thalamus, {name}" for name in engines]
    assert "weights in /w" in text["Thalamus, net"]
    assert "Results of freesurfer, labels 10, 49," in text["Thalamus, fs"]
    assert "Results of another program, labels 24, 25," in text["Thalamus, other"]
    assert "of net, fs were averaged" in text["Thalamus, mean"]
    section["manual"] = "/manual"
    steps = Methods({}, CONFIG | {"segmentation": section}).images()["Regions by several engines"]
    assert "Hausdorff" in dict(steps)["Comparison"]
    assert "Regions by several engines" not in Methods({}, CONFIG).images()


@pytest.mark.parametrize("kind", load_schema()["$defs"]["engine"]["kinds"])
def test_an_engine_that_says_no_more_than_it_must_has_its_text(kind):
    given = {"weights": "/w", "files": "/a/{prefix}", "rater": "anna", "of": ["atlas", "other"]}
    given |= {"program": "samseg"}
    schema = load_schema()["$defs"]["engine"]["kinds"][kind]
    needed = {*schema.get("required", []), *(["program"] if kind in ("import", "command") else [])}
    engines = {name: {"kind": "atlas"} for name in ("atlas", "other")}
    engines["e"] = {"kind": kind} | {key: given[key] for key in needed}
    section = {"regions": {"thalamus": {"engines": engines}}, "manual": "/m"}
    config = {"output_dir": "x", "anatomical": {}, "studies": {}, "segmentation": section}
    section = check_config(config)["segmentation"]
    pretrained = {"channels": ["T1w"], "spacing": 2} if kind == "pretrained_unet" else {}
    section["regions"]["thalamus"]["engines"]["e"] |= pretrained
    steps = Methods({}, CONFIG | {"segmentation": section}).images()["Regions by several engines"]
    assert dict(steps)["Thalamus, e"]


@pytest.mark.parametrize(
    ("given", "found", "says"),
    [
        ({"kind": "unet", "rater": "anna"}, {}, "by the network of the other folds, of 5."),
        ({"kind": "unet", "rater": "anna"}, {"study": "s", "splits": 3}, "Each of the 3 splits"),
        ({"kind": "command", "program": "synthseg"}, {}, "synthseg was run on the T1w after"),
    ],
)
def test_keys_of_an_engine_that_are_not_given_are_not_told(given, found, says):
    section = {"manual": "/m", "regions": {"thalamus": {"engines": {"e": given}}}}
    checked = check_config({"output_dir": "r", "studies": {}, "segmentation": section})
    checked["segmentation"]["regions"]["thalamus"]["engines"]["e"] |= found
    steps = Methods({}, checked).images()["Regions by several engines"]
    assert says in dict(steps)["Thalamus, e"]
    assert ("Nobody whom the study s tests" in dict(steps)["Thalamus, e"]) == bool(found)


def test_tissues_without_shares_and_labels_of_a_network_are_said():
    fields = {"TissueSegmentation": "atropos", "PartialVolumes": True, "Labels": "atlas"}
    fields["LesionsFilled"] = False
    text = made("dseg", fields)
    assert "mixtures of two" in text and "Harvard-Oxford" in text and "they are flagged" not in text
    text = made("dseg", fields | {"PartialVolumes": False, "Labels": "network"}, network="mesh")
    assert "mixtures" not in text and "they are flagged" in text
    assert "the network's tissues as priors" in text and "weights in mesh" in text
    assert "Harvard" not in text
    text = made("dseg", fields | {"TissueSegmentation": "hmrf", "PartialVolumes": False},
                tissue_segmentation="hmrf")  # fmt: skip
    assert "no shares" in text and "Atropos" not in text


def test_lesions_are_said_to_be_filled_or_not_accounted_for():
    fields = {"TissueSegmentation": "atropos", "PartialVolumes": True, "Labels": "atlas"}
    dsegs = [{"dseg": fields | {"LesionsFilled": done}} for done in (True, True, False)]
    dsegs[0] |= {"lesions": {}, "space-T1w_label-lesion_probseg": {}}
    sidecars = {f"sub-{number}": kinds for number, kinds in enumerate(dsegs)}
    texts = Methods(sidecars, CONFIG).images()["T1-weighted images"]
    said = {title: text for title, text in texts if title.startswith(("Lesions", "Volumes of"))}
    assert "filled with" in said["Lesions (2 sessions)"]
    assert "not accounted for" in said["Lesions (1 session)"]
    assert "interpolated linearly" in said["Lesions drawn on another contrast (1 session)"]
    assert "(periventricular)" in said["Volumes of lesions (1 session)"]


TRIALS = {
    "kind": "random_trials", "trials": 4, "train": {"a": 3, "b": 3}, "test": {"a": 2, "b": 2},
}  # fmt: skip


def of_study(**changed) -> dict[str, str]:
    """Methods texts by title of a study of tables with these keys."""
    study = {
        "label": "group", "classes": ["a", "b"], "site": "centre", "table1": ["age"],
        "inputs": {"mri": {"columns": ["alps"]}}, "design": {"kind": "folds", "folds": 3},
        "models": {"line": {"kind": "svm", "inputs": ["mri"]}}, "evaluation": {"metrics": None},
    }  # fmt: skip
    studies = {"s": study | changed}
    config = check_config({"output_dir": "x", "anatomical": {}, "studies": studies})
    return dict(Methods({}, CONFIG).study(config["studies"]["s"]))


def test_what_is_done_to_columns_is_said_where_it_is_done():
    plain = of_study()["Columns of the models"]
    assert "complete cases" in plain and "Bayesian" not in plain and "ComBat" not in plain
    way = {"kind": "svm", "inputs": ["mri"], "missing": "impute", "harmonize": True}
    other = of_study(models={"line": way})["Columns of the models"]
    assert "complete cases" not in other and "Bayesian ridge" in other and "ComBat in line" in other
    made = of_study(models={"most": {"kind": "majority"}})
    assert "Columns of the models" not in made
    made = of_study(confounds=["age", "sex"])
    assert "reads nothing but age and sex" in made["Logistic regression"]
    assert "regression in turn" in made["Columns of the models"]


@pytest.mark.parametrize(
    ("design", "means", "resampled"),
    [
        (TRIALS, "means over the trials", False),
        (TRIALS | {"trials": 1}, "of the test side", False),
        ({"kind": "folds", "folds": 3}, "A participant counts once", True),
        ({"kind": "holdout", "test": 0.3}, "of the test side", False),
        ({"kind": "leave_site_out", "column": "centre"}, "A participant counts once", True),
        ({"kind": "given", "table": "splits.tsv"}, "else the means over the splits", True),
    ],
)
def test_means_and_tests_are_those_of_the_design(design, means, resampled):
    made = of_study(design=design, evaluation={"metrics": None, "comparisons": None})
    assert means in made["Metrics"]
    assert "Newcombe" in made["Metrics"] and "Wilson" in made["Metrics"]
    assert ("corrected resampled t" in made["Comparisons of models"]) == resampled


@pytest.mark.parametrize(
    ("design", "best"),
    [
        (TRIALS, False),
        ({"kind": "folds", "folds": 3}, False),
        ({"kind": "folds", "folds": 3, "validation": True}, True),
        ({"kind": "holdout", "validation": 0.2}, True),
        ({"kind": "given", "table": "x.tsv"}, False),
    ],
)
def test_a_network_is_described_with_every_design(design, best):
    study = {
        "label": "group", "classes": ["a", "b"], "inputs": {"image": {"channels": ["T1w"]}},
        "design": design, "evaluation": {"metrics": None},
        "models": {"net": {"kind": "cnn", "inputs": ["image"]}},
    }  # fmt: skip
    config = check_config({"output_dir": "x", "anatomical": {}, "studies": {"s": study}})
    text = " ".join(text for _, text in Methods({}, CONFIG).study(config["studies"]["s"]))
    assert ("the weights are those of the epoch with the lowest" in text) == best


def test_evaluations_are_described_by_their_settings():
    groups, correlations = {"features": ["alps"]}, {"features": ["alps"], "clinical": ["age"]}
    asked = {"groups": groups, "correlations": correlations, "reliability": groups}
    made = of_study(evaluation=asked, sessions="all")
    assert "at equal" not in made["Comparison of the classes"]
    assert "correlation within the classes" in made["Correlations"]
    assert "(the first two)" in made["Reliability"]
    asked = {
        "groups": groups | {"adjust": ["age"]},
        "correlations": correlations | {"classes": ["b"]},
        "reliability": groups | {"sessions": ["ses-1", "ses-2"]},
    }
    asked["associations"] = {"features": ["alps"], "outcomes": ["edss"], "covariates": ["age"]}
    asked["longitudinal"] = {"features": ["alps"], "outcome": "edss"}
    made = of_study(evaluation=asked, sessions="all")
    assert "each in a model of its own, given age" in made["Associations"]
    assert "1.5 from 0, 1.0 from 0.5, 0.5 from 5.5 on at least" in made["Change over time"]
    assert "at equal age, by a linear model" in made["Comparison of the classes"]
    assert "correlation within the classes" not in made["Correlations"]
    assert "(ses-1 and ses-2)" in made["Reliability"]


def test_arteries_of_the_mean_are_named_where_they_are_declared():
    made = [
        Methods(
            {"sub-01": {"vesselwall": {"Vessels": {"BA": "binary"}}}},
            CONFIG | {"vessel_wall": wanted},
        ).images()["Vessel wall"][-1][1]
        for wanted in ({}, {"arteries": ["MCA_left", "BA"]})
    ]
    assert "the mean over its arteries" in made[0] and "mean over MCA left, BA, and" in made[1]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"channels": ["T1w"]}, False),
        ({"channels": ["T1w", "FLAIR"]}, True),
        (
            {"channels": ["FLAIR"], "space": "native", "shape": [8, 8, 8], "spacing": [1, 1, 1]},
            False,
        ),
    ],
)
def test_other_contrasts_are_described_where_they_were_brought_to_mni152(entry, said):
    study = {
        "label": "group", "classes": ["a", "b"], "inputs": {"image": entry},
        "design": {"kind": "folds", "folds": 3}, "evaluation": {"metrics": None},
        "models": {"net": {"kind": "cnn", "inputs": ["image"]}},
    }  # fmt: skip
    config = check_config({"output_dir": "x", "anatomical": {}, "studies": {"s": study}})
    study = config["studies"]["s"]
    text = " ".join(text for _, text in Methods({}, CONFIG).study(study))
    assert ("Contrasts other than the T1w" in text) == said
