"""Sentences of the folded checks."""

import pandas as pd
import pytest

from tests.report import multimodal
from tests.statistics.test_reliability import two_sessions
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_descriptions
from workflow_scripts.report.checks import (
    checks_section,
    missing_block,
    reliability_block,
    sensitivity_block,
    sites_block,
)
from workflow_scripts.report.classifiers import not_scored
from workflow_scripts.report.write_report import templates
from workflow_scripts.statistics.reliability import reliability

STUDY = {"models": {"svm": {"kind": "svm"}, "most": {"kind": "majority"}}}
LIMITS = {"ci_low": 0.1, "ci_high": 0.9}


def reader(**tables):
    dictionary = read_descriptions(resource("columns/statistics.tsv"))
    return lambda name, *columns: (tables[name], dictionary)


def test_missing_values_are_told_by_model_and_class():
    row = {"lacking": "any", "columns": "any column", "p": 1.0, "missing": "complete_cases"}
    table = pd.DataFrame(
        [{"model": m, "label": one, "n": 10, "n_missing": n} | row
         for m, counts in (("svm", (1, 2)), ("other", (0, 0)))
         for one, n in zip("ab", counts, strict=True)]
    )  # fmt: skip
    told = missing_block("s", STUDY, reader(missing=table))["sentence"]
    assert told == "A value is missing of SVM 3 of 20 scans (1 of 10 a, 2 of 10 b; left out)"
    table["n_missing"] = 0
    assert missing_block("s", STUDY, reader(missing=table))["sentence"] == "No model lacks a value"


def test_sites_are_told_from_worst_to_best_and_what_stays_unharmonized():
    auc = {"estimate": "test", "metric": "auc", "n": 9} | LIMITS
    rows = [{"model": "svm", "site": s, "value": v} | auc for s, v in (("A", 0.8), ("B", 0.6))]
    rows.append({"model": "most", "site": "A", "value": 0.5} | auc)
    for metric, value in (("site_share", 0.4), ("site_share_harmonized", 0.01)):
        rows.append({"model": "svm", "site": "all", "metric": metric, "term": "a", "value": value})
    rows.append({"model": "svm", "site": "all", "metric": "unharmonized_scans", "value": 0.25})
    rows.append({"model": "svm", "site": "all", "metric": "unharmonized_splits", "value": 0.5})
    block = sites_block("s", STUDY, reader(sites=pd.DataFrame(rows)))
    assert block["sentence"] == (
        "AUC by site: SVM 0.60 (B) to 0.80 (A); 25 % of the scans that SVM scores are of sites "
        "that did not train, and stay as they are; in 50 % of the splits of SVM too few sites had "
        "three training scans, and nothing was harmonized"
    )
    assert block["tables"][1][0]["rows"] == [("svm", "a", "0.400", "0.0100")]


def test_sensitivity_tells_the_largest_change():
    row = {"estimate": "test", "metric": "auc", "value": 0.7, "n": 9} | LIMITS
    table = pd.DataFrame(
        [{"model": "svm", "variant": v, "difference": d} | row
         for v, d in (("as_configured", None), ("impute", 0.02), ("not_flagged", -0.11))]
    )  # fmt: skip
    told = sensitivity_block("s", STUDY, reader(sensitivity=table))["sentence"]
    assert told == "The AUC changes by -0.11 at most, in SVM (without flagged sessions)"
    told = sensitivity_block("s", STUDY, reader(sensitivity=table[:1]))["sentence"]
    assert told.startswith("No other way")
    repeats = pd.DataFrame(
        [{"model": m, "variant": f"repeat_{n}", "difference": v - 0.7, "estimate": "test"} | row
         | {"value": v} for m, values in (("svm", (0.6, 0.8)), ("most", (0.5, 0.5)))
         for n, v in enumerate(values, 1)]
    )  # fmt: skip
    told = sensitivity_block("s", STUDY, reader(sensitivity=pd.concat([table, repeats])))
    assert told["sentence"].endswith(
        "flagged sessions); over 2 repetitions that of SVM goes from 0.60 to 0.80, the widest range"
    )
    table.loc[2, ["n", "value", "difference"]] = [0, None, None]
    told = sensitivity_block("s", STUDY, reader(sensitivity=table))["sentence"]
    assert told.endswith("without flagged sessions too few people are left to fit SVM")


def test_reliability_tells_the_icc():
    table = reliability(two_sessions(30), {"features": ["alps"]}, "k")
    told = reliability_block("s", STUDY, reader(reliability=table))["sentence"]
    assert told.startswith(f"ICC(A,1): ALPS {table.loc[0, 'icc']:.2f} (")


def test_scans_without_a_score_are_said():
    tables = {name: table for name, (_, table) in multimodal.tables().items()}
    predictions, splits = tables["predictions"], tables["split-2_splits"]
    told = ["clinical 1 of 24", "MRI 1 of 24", "combined 1 of 24"]  # NWI is missing of one
    assert not_scored(predictions, splits) == told
    once = predictions[predictions["split"] == 1]  # as of a network that trained on one split
    scored = once["participant_id"].nunique()
    tested = splits[(splits["split"] == 1) & (splits["role"] == "test")]
    lacking = len(tested) - scored
    assert len(not_scored(once, splits)) == 3 * (lacking > 0)
    everybody = splits[splits["participant_id"].isin(predictions["participant_id"])]
    assert not_scored(predictions, everybody) == []


def test_every_check_that_is_asked_for_is_a_folded_block():
    tables = {name: table for name, (_, table) in multimodal.tables().items()}
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": multimodal.STUDY}}
    study = check_config(config)["studies"]["s"]
    blocks = checks_section("s", study, reader(**tables))
    titles = ["Missing values", "Sites", "Sensitivity", "Added value", "Sample size and stability"]
    assert [block["title"] for block in blocks] == titles
    page = templates().get_template("checks.html.j2").render(study={"name": "s", "checks": blocks})
    assert page.count("<details>") == 5 and "AUC of combined" in page
    missing = next(block for block in blocks if block["title"] == "Missing values")
    assert "MRI 1 of 24 scans" in missing["sentence"]
    with pytest.raises(KeyError):
        checks_section("s", study, reader())
