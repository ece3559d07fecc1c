from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.statistics.evaluate_frozen import evaluate_frozen, main

CLASSES = ["mild", "severe"]


@pytest.fixture
def sessions():
    """Two networks of one model, by which 20 people are scored; the first was trained on two."""
    rng = np.random.default_rng(0)
    truth, tables = np.arange(20) % 2 == 0, []
    for split in (1, 2):
        probability = rng.uniform(size=20) * 0.6 + 0.3 * truth
        table = pd.DataFrame(
            {
                "participant_id": [f"sub-{i:02d}" for i in range(20)],
                "session_id": "ses-1",
                "model": f"model-net+flip_split-{split}_repeat-1",
                "label": np.where(truth, *CLASSES[::-1]),
                "negative": CLASSES[0],
                "positive": CLASSES[1],
                "score": np.log(probability / (1 - probability)),
                "probability": probability,
                "predicted": np.where(probability > 0.5, *CLASSES[::-1]),
            }
        )
        tables.append(table)
    tables[0].loc[:1, ["score", "probability", "predicted"]] = np.nan
    return pd.concat(tables, ignore_index=True)


def test_each_network_and_their_mean_are_judged_on_people_they_do_not_know(sessions):
    found = evaluate_frozen(sessions)
    assert set(found["model"]) == {"net+flip"}
    auc = found[found["metric"] == "auc"].set_index(["estimate", "split"])
    for split, rows in sessions.dropna(subset="score").groupby("model"):
        expected = roc_auc_score(rows["label"] == "severe", rows["probability"])
        row = auc.loc[("external", split[-10])]
        assert row["value"] == pytest.approx(expected) and row["n"] == len(rows)
    mean = sessions.groupby("participant_id").agg({"probability": "mean", "label": "first"})
    expected = roc_auc_score(mean["label"] == "severe", mean["probability"])
    assert auc.loc[("external_averaged", "all"), "value"] == pytest.approx(expected)
    assert {"brier", "calibration_slope", "calibration_intercept"} <= set(found["metric"])


def test_brier_score_of_one_network(sessions):
    rows = sessions[sessions["model"].str.contains("split-2")]
    found = evaluate_frozen(rows).set_index("metric")
    expected = brier_score_loss(rows["label"] == "severe", rows["probability"])
    assert found.at["brier", "value"] == pytest.approx(expected)


def test_other_labels_take_no_part_and_none_at_all_is_refused(sessions, caplog, tmp_path):
    sessions.loc[3, "label"] = "control"
    found = evaluate_frozen(sessions)
    assert "1 scores of sessions with another label" in caplog.text
    assert found[(found["split"] == "1")]["n"].iloc[0] == 17
    path, out = tmp_path / "s.tsv", SimpleNamespace(table=tmp_path / "metrics.tsv")
    sessions.to_csv(path, sep="\t", index=False, na_rep="n/a")
    main(SimpleNamespace(predictions=[path]), out, None)
    assert len(read_table(out.table)) == len(found)
    with pytest.raises(InputError, match="frozen_label: no session"):
        evaluate_frozen(sessions.assign(label=None))


def test_people_of_one_class_have_no_calibration_and_a_single_person_no_limits(sessions, caplog):
    mild = sessions[sessions["label"] == "mild"].dropna(subset="score")
    found = evaluate_frozen(mild)
    assert "all labels are mild" in caplog.text
    assert not {"brier", "calibration_slope"} & set(found["metric"])
    assert found.loc[found["metric"] == "auc", "value"].isna().all()
    visits = sessions[sessions["participant_id"].isin(["sub-04", "sub-05"])]
    single = evaluate_frozen(
        visits.assign(session_id=visits["participant_id"], participant_id="sub-01")
    )
    rows = single[single["metric"] == "calibration_intercept"]
    assert rows["value"].notna().all() and rows[["ci_low", "ci_high"]].isna().all(axis=None)
