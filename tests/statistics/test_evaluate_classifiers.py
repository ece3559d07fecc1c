import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.evaluate_classifiers import evaluate, permutation_test

CLASSES = ["non-NPSLE", "NPSLE"]
TABLE_2A = {  # Inglese 2022: correct non-NPSLE, NPSLE of 9 and 9 per trial; accuracy mean (SD)
    "crop": ([(6, 5), (8, 6), (5, 9), (9, 9), (7, 9), (9, 8)], 83.35, 14.05),
    "crop+flip": ([(7, 4), (6, 6), (8, 9), (7, 8), (8, 9), (9, 9)], 83.33, 16.10),
    "crop+flip+rotate": ([(6, 6), (8, 5), (6, 8), (9, 9), (8, 6), (7, 8)], 79.63, 11.47),
}


def published(correct, patients_per_class=43, seed=0):
    """Predictions with the printed numbers of correct patients."""
    rng = np.random.default_rng(seed)
    rows = []
    for trial, pair in enumerate(correct, start=1):
        for name, other, right in zip(CLASSES, CLASSES[::-1], pair, strict=True):
            who = rng.choice(patients_per_class, 9, replace=False)
            for i, person in enumerate(who):
                predicted = name if i < right else other
                rows.append(
                    {
                        "trial": trial, "model": "network", "participant_id": f"sub-{name}{person}",
                        "session_id": np.nan, "label": name, "predicted": predicted,
                        "score": float(predicted == "NPSLE"),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("strategy", TABLE_2A)
def test_published_accuracies(strategy, tmp_path):
    correct, mean, sd = TABLE_2A[strategy]
    table = evaluate(published(correct), CLASSES, bootstraps=200, seed=1)
    accuracy = table[table["metric"] == "accuracy"].set_index("trial")
    for trial, (negative, positive) in enumerate(correct, start=1):
        row = accuracy.loc[str(trial)]
        assert row["value"] == pytest.approx((negative + positive) / 18)
        assert row[["tn", "fp", "fn", "tp"]].tolist() == [
            negative, 9 - negative, 9 - positive, positive,
        ]  # fmt: skip
    overall = accuracy.loc["all"]
    assert 100 * overall["value"] == pytest.approx(mean, abs=0.03)
    assert 100 * overall["sd"] == pytest.approx(sd, abs=0.03)
    assert overall["ci_low"] < overall["value"] < overall["ci_high"]
    assert overall["n_trials"] == 6
    write_table(table, tmp_path / "metrics.tsv", resource("columns/statistics.tsv"))


def test_published_precision_and_recall_of_crop():
    table = evaluate(published(TABLE_2A["crop"][0]), CLASSES, bootstraps=20, seed=1)
    values = table.pivot(index="trial", columns="metric", values="value") * 100
    printed = [45.5, 42.9, 64.3, 50.0, 56.3]  # trial 6 is one of the two cells that differ
    assert values["precision_published"].tolist()[:5] == pytest.approx(printed, abs=0.0501)
    recall = [55.6, 66.7, 100, 100, 100, 88.9]
    assert values["sensitivity"].tolist()[:-1] == pytest.approx(recall, abs=0.0501)


def test_bootstrap_draws_patients_not_rows():
    """The same trial six times holds no more information than once."""
    once = published([(6, 6)])
    six = pd.concat([once.assign(trial=trial) for trial in range(1, 7)])
    width = {}
    for name, predictions in (("once", once), ("six", six)):
        table = evaluate(predictions, CLASSES, bootstraps=2000, seed=3)
        row = table[(table["trial"] == "all") & (table["metric"] == "accuracy")].iloc[0]
        width[name] = row["ci_high"] - row["ci_low"]
        assert row["n"] == 18
        # mean of two means of 9 with p = 2/3: SD sqrt(p (1 - p) / 18) = 0.111
        assert width[name] == pytest.approx(2 * 1.96 * np.sqrt(2 / 9 / 18), rel=0.2)
    assert width["six"] == pytest.approx(width["once"])


def test_nobody_called_positive_has_no_precision():
    table = evaluate(published([(9, 0), (9, 0)]), CLASSES, bootstraps=50, seed=1)
    precision = table[table["metric"] == "precision"].set_index("trial")
    assert precision[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert precision.loc["all", "n_trials"] == 0
    sensitivity = table[table["metric"] == "sensitivity"].set_index("trial")
    assert (sensitivity["value"] == 0).all()


def test_undefined_trial_is_left_out_of_the_mean():
    table = evaluate(published([(9, 0), (9, 9)]), CLASSES, bootstraps=50, seed=1)
    row = table[(table["metric"] == "precision") & (table["trial"] == "all")].iloc[0]
    assert (row["value"], row["n_trials"]) == (1, 1)


def test_everyone_right_has_an_interval_with_width():
    table = evaluate(published([(9, 9)] * 2), CLASSES, bootstraps=50, seed=1)
    overall = table[table["trial"] == "all"].set_index("metric")
    overall = overall.drop(index="precision_published")
    assert (overall["value"] == 1).all()
    assert (overall["ci_low"] < 1).all()
    assert overall["ci_method"].str.endswith("one scan per patient").all()


def test_same_seed_same_table_and_unknown_class_is_an_error():
    predictions = published([(6, 5), (8, 6)])
    first = evaluate(predictions, CLASSES, bootstraps=50, seed=1)
    pd.testing.assert_frame_equal(first, evaluate(predictions, CLASSES, bootstraps=50, seed=1))
    predictions.loc[3, "predicted"] = "maybe"
    with pytest.raises(InputError, match="maybe"):
        evaluate(predictions, CLASSES, bootstraps=50, seed=1)


def null_table(values):
    return pd.DataFrame(
        {
            "model": "svm",
            "permutation": np.arange(1, len(values) + 1),
            "balanced_accuracy": values,
            "auc": values,
        }
    )


def observed(value):
    return pd.DataFrame(
        {"model": "svm", "trial": ["1", "all"] * 2, "value": [0.0, value] * 2,
         "metric": np.repeat(["balanced_accuracy", "auc"], 2)}
    )  # fmt: skip


def test_permutation_p_by_hand(tmp_path):
    null = null_table(np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.5, 0.5]))
    table = permutation_test(observed(0.7), null)
    assert table["metric"].tolist() == ["balanced_accuracy", "auc"]
    assert table["p"].tolist() == [0.4, 0.4]  # (1 + 3) / (1 + 9)
    assert table["null_mean"].iloc[0] == pytest.approx(5.2 / 9)
    assert permutation_test(observed(1.0), null)["p"].iloc[0] == 0.1
    assert permutation_test(observed(0.1 + 0.2), null)["p"].iloc[0] == 1.0
    write_table(table, tmp_path / "permutation_test.tsv", resource("columns/statistics.tsv"))


def test_permutation_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        values = rng.normal(0.5, 0.1, 100)
        p.append(permutation_test(observed(values[0]), null_table(values[1:]))["p"].iloc[0])
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_interval_of_a_perfect_auc_holds_it_though_scores_of_trials_differ_in_scale():
    rows = [
        {
            "trial": trial,
            "model": "m",
            "participant_id": f"sub-{name}{trial}{i}",
            "session_id": np.nan,
            "label": name,
            "predicted": name,
            "score": 10.0 * trial + (name == "NPSLE"),
        }
        for trial in (1, 2)
        for name in CLASSES
        for i in range(3)
    ]
    table = evaluate(pd.DataFrame(rows), CLASSES, bootstraps=50, seed=0)
    auc = table[(table["metric"] == "auc") & (table["trial"] == "all")].iloc[0]
    assert auc["value"] == auc["ci_high"] == 1
    assert auc["ci_low"] < 1
