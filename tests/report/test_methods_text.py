"""Every sentence of the methods text is tied to the code or setting that it describes.

A tie is a phrase of the text and what must hold in the code for it to be true: a constant, the
functions that a script calls, a file of resources, or what a function does. A sentence without a
tie, a tie without a sentence, and a tie that does not hold are failures.
"""

import re

import pytest
import yaml

from tests.report.example import CONFIG
from tests.report.ties_of_images import IMAGES
from tests.report.ties_of_studies import STUDIES
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.resources import resource
from workflow_scripts.report.methods import Methods

TEXTS = yaml.safe_load(resource("report/methods.yaml").read_text())
TIES = IMAGES | STUDIES


def found_texts(part) -> list[str]:
    """All texts of the YAML, without what Jinja fills in."""
    if isinstance(part, list):
        return [text for entry in part for text in found_texts(entry)]
    if not isinstance(part, dict):
        return []
    own = [part["text"]] if "text" in part else []
    own += list(part.get("texts", {}).values())
    rest = [
        text
        for key, value in part.items()
        if key not in ("text", "texts")
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


@pytest.mark.parametrize("phrase", TIES)
def test_tie_holds(phrase):
    assert any(phrase in part for part in sentences()), "no sentence has this phrase"
    assert TIES[phrase](), "the code does otherwise"


def made(kind: str, fields: dict, **anatomical) -> str:
    """Methods text on the T1w of a session with such a sidecar."""
    config = CONFIG | {"anatomical": CONFIG["anatomical"] | anatomical}
    steps = Methods({"sub-01": {kind: fields}}, config).images()["T1-weighted images"]
    return " ".join(text for _, text in steps)


def test_tissues_without_shares_and_labels_of_a_network_are_said():
    fields = {"TissueSegmentation": "atropos", "PartialVolumes": True, "Labels": "atlas"}
    text = made("dseg", fields)
    assert "mixtures of two" in text and "Harvard-Oxford" in text and "they are flagged" not in text
    text = made("dseg", fields | {"PartialVolumes": False, "Labels": "network"}, network="mesh")
    assert "mixtures" not in text and "they are flagged" in text
    assert "the network's tissues as priors" in text and "weights in mesh" in text
    assert "Harvard" not in text
    text = made("dseg", fields | {"TissueSegmentation": "hmrf", "PartialVolumes": False},
                tissue_segmentation="hmrf")  # fmt: skip
    assert "no shares" in text and "Atropos" not in text


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
