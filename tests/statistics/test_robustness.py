import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from tests.baselines.cohorts import CLASSES, FOLDS, SVM, tables
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.robustness import sensitivity, site_metrics

DESIGN = FOLDS | {"repeats": 1}
SETTINGS = {"classes": CLASSES, "bootstraps": 50, "seed": 1, "design": DESIGN}
MODELS = {"svm": SVM, "net": {"kind": "cnn", "inputs": ["brain"]}, "most": {"kind": "majority"}}


def scored(seed=0, models=("svm", "net", "most")):
    """Predictions of models of the folds' test sides, half right."""
    rng = np.random.default_rng(seed)
    splits, *_ = tables(design=DESIGN)
    rows = splits[splits["role"] == "test"].drop(columns="weight")
    made = []
    for model in models:
        score = rng.normal(size=len(rows)) + (rows["label"] == "ill")
        made.append(rows.assign(model=model, repeat=1, score=score, threshold=0.5,
                                probability=np.nan,
                                predicted=np.where(score > 0.5, "ill", "healthy")))  # fmt: skip
    return pd.concat(made, ignore_index=True)


def test_each_site_has_the_figures_of_its_scans(tmp_path):
    predictions = scored(models=["svm"])
    people = predictions.drop_duplicates(SCAN)[SCAN].sort_values("participant_id")
    number = np.arange(len(people))
    names = pd.Series(np.where(number < 3, None, np.array(["A", "B"])[number % 2]), people.index)
    clinical = people.assign(session_site=names)
    harmonized = pd.DataFrame(
        {"model": "svm", "split": [1, 2], "term": "a", "n_sites": [2, 0], "n_left": [1, 2], "n": 12,
         "site_share": [0.4, 0.6], "site_share_harmonized": [0.1, 0.0]}
    )  # fmt: skip
    table = site_metrics(predictions, clinical, [harmonized], SETTINGS)
    assert set(table["site"]) == {"A", "B", "unknown", "all"}
    own = predictions.merge(clinical, on=SCAN)
    own = own[own["session_site"] == "A"]
    found = table[table["site"] == "A"].set_index("metric")
    judge = balanced_accuracy_score(own["label"], own["predicted"])
    assert found.at["balanced_accuracy", "value"] == pytest.approx(judge)
    pairs = [
        (p > n) for _, f in own.groupby("split")
        for p in f.loc[f["label"] == "ill", "score"] for n in f.loc[f["label"] != "ill", "score"]
    ]  # fmt: skip
    assert found.at["auc", "value"] == pytest.approx(np.mean(pairs))
    assert found.at["auc", "n"] == own["participant_id"].nunique()
    alone = table[table["site"] == "unknown"].set_index("metric")  # three healthy people
    assert np.isnan(alone.at["auc", "value"]) and np.isfinite(alone.at["specificity", "value"])
    whole = table[table["site"] == "all"].set_index("metric")["value"]
    assert whole["site_share"] == 0.5 and whole["site_share_harmonized"] == pytest.approx(0.05)
    assert whole["unharmonized_scans"] == 3 / 24 and whole["unharmonized_splits"] == 0.5
    write_table(table, tmp_path / "sites.tsv", resource("columns/statistics.tsv"))


def test_other_ways_stand_beside_the_configured_one(tmp_path):
    predictions, other = scored(), scored(1, ["svm"])
    other = other[other["participant_id"] != "sub-h00"]
    flagged = pd.DataFrame({"participant_id": ["sub-i00", "sub-i00"], "session_id": None})
    table = sensitivity(
        predictions, other.assign(variant="impute"), flagged, SETTINGS | {"models": MODELS}
    )
    assert list(dict.fromkeys(zip(table["model"], table["variant"], strict=True))) == [
        ("svm", "as_configured"), ("svm", "impute"), ("svm", "not_flagged"),
        ("net", "as_configured"), ("net", "flagged_not_tested"), ("most", "as_configured"),
    ]  # fmt: skip
    auc = table[table["metric"] == "auc"].set_index(["model", "variant"])
    assert (
        auc.loc[("svm", "impute"), "n"] == 23 and auc.loc[("net", "flagged_not_tested"), "n"] == 23
    )
    first, second = auc.at[("svm", "as_configured"), "value"], auc.at[("svm", "impute"), "value"]
    assert auc.at[("svm", "impute"), "difference"] == pytest.approx(second - first)
    assert auc["difference"].isna().sum() == 4
    alone = auc.loc[("svm", "not_flagged")]  # was not possible
    assert alone["n"] == 0 and np.isnan(alone["value"])
    kept = predictions.query("model == 'net' and participant_id != 'sub-i00'")
    judge = np.average(
        [roc_auc_score(f["label"] == "ill", f["score"]) for _, f in kept.groupby("split")],
        weights=[(f["label"] == "ill").sum() * (f["label"] != "ill").sum()
                 for _, f in kept.groupby("split")],
    )  # fmt: skip
    assert auc.at[("net", "flagged_not_tested"), "value"] == pytest.approx(judge)
    write_table(table, tmp_path / "sensitivity.tsv", resource("columns/statistics.tsv"))


def test_repeats_of_folds_and_trainings_stand_alone():
    """Four splits are two repeats of two folds; the network was trained twice, once as perfect."""
    splits = pd.concat([scored(seed).assign(split=seed + 1) for seed in range(4)])
    net = splits["model"] == "net"
    again = splits[net].assign(repeat=2, score=(splits.loc[net, "label"] == "ill").astype(float))
    settings = SETTINGS | {"models": MODELS, "design": {"kind": "folds", "folds": 2, "repeats": 2}}
    table = sensitivity(
        pd.concat([splits, again]),
        pd.DataFrame(columns=["model", "variant"]),
        pd.DataFrame(columns=SCAN),
        settings,
    )
    auc = table[table["metric"] == "auc"].set_index(["model", "variant"])
    assert auc.at[("net", "training_2"), "value"] == 1
    assert ("svm", "training_1") not in auc.index
    own = splits[(splits["model"] == "svm") & (splits["split"] > 2)]
    aucs = [roc_auc_score(f["label"] == "ill", f["score"]) for _, f in own.groupby("split")]
    assert auc.at[("svm", "repeat_2"), "value"] == pytest.approx(np.mean(aucs))


def test_where_no_way_differs_the_configured_one_stands_alone():
    nobody = pd.DataFrame(columns=SCAN)
    table = sensitivity(
        scored(), pd.DataFrame(columns=["model", "variant"]), nobody, SETTINGS | {"models": MODELS}
    )
    assert set(table["variant"]) == {"as_configured"}
