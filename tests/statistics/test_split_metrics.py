from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as judge

from tests.statistics.predicted import (
    CLASSES,
    external,
    of_folds,
    of_trials,
    table,
    with_repeats,
    with_scans,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.delong import area, area_interval
from workflow_scripts.statistics.evaluate_classifiers import main
from workflow_scripts.statistics.metrics import METRICS, auc_interval, wilson
from workflow_scripts.statistics.scores import scores_of
from workflow_scripts.statistics.split_metrics import COLUMNS, evaluate

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
                        "split": trial, "model": "network", "participant_id": f"sub-{name}{person}",
                        "session_id": None, "label": name, "predicted": predicted, "role": "test",
                        "score": float(predicted == "NPSLE"), "repeat": 1, "probability": np.nan,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("strategy", TABLE_2A)
def test_published_accuracies(strategy, tmp_path):
    correct, mean, sd = TABLE_2A[strategy]
    found = evaluate(published(correct), CLASSES)
    accuracy = found[found["metric"] == "accuracy"].set_index("split")
    for trial, (negative, positive) in enumerate(correct, start=1):
        row = accuracy.loc[str(trial)]
        assert row["value"] == pytest.approx((negative + positive) / 18)
        assert row[["tn", "fp", "fn", "tp"]].tolist() == [
            negative, 9 - negative, 9 - positive, positive,
        ]  # fmt: skip
    row = accuracy.loc["all"]
    assert 100 * row["value"] == pytest.approx(mean, abs=0.03)
    assert 100 * row["sd"] == pytest.approx(sd, abs=0.03)
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["n_splits"] == 6
    write_table(found, tmp_path / "metrics.tsv", resource("columns/statistics.tsv"))


def test_published_precision_and_recall_of_crop():
    found = evaluate(published(TABLE_2A["crop"][0]), CLASSES)
    values = found.pivot(index="split", columns="metric", values="value") * 100
    printed = [45.5, 42.9, 64.3, 50.0, 56.3]  # trial 6 is one of the two cells that differ
    assert values["precision_published"].tolist()[:5] == pytest.approx(printed, abs=0.0501)
    recall = [55.6, 66.7, 100, 100, 100, 88.9]
    assert values["sensitivity"].tolist()[:-1] == pytest.approx(recall, abs=0.0501)


def overall(predictions, metric="accuracy", bootstraps=50, seed=1):
    found = evaluate(predictions, CLASSES)
    rows = found[(found["split"] == "all") & (found["estimate"] == "test")]
    return rows[rows["metric"] == metric].iloc[0]


def test_bootstrap_draws_patients_not_rows():
    """The same people in six splits hold no more information than in two."""
    once = published([(6, 6)])
    twice, six = (
        pd.concat(
            [once.assign(split=i) for i in range(1, n + 1)] + [published([(6, 6)]).assign(split=9)],
            ignore_index=True,
        ).query("split != 9 or participant_id != 'sub-NPSLE0'")
        for n in (2, 6)
    )
    width = {}
    for name, predictions in (("two", twice), ("six", six)):
        row = overall(predictions.reset_index(drop=True), bootstraps=2000, seed=3)
        width[name] = row["ci_high"] - row["ci_low"]
        assert row["n"] == 18
        # mean of two means of 9 with p = 2/3: SD sqrt(p (1 - p) / 18) = 0.111
        assert width[name] == pytest.approx(2 * 1.96 * np.sqrt(2 / 9 / 18), rel=0.2)
    assert width["six"] == pytest.approx(width["two"], rel=0.05)


def test_people_tested_unequally_often_are_worth_less():
    """Of 18 people per class six are tested twice, half of all right: Kish's 24^2 / 36 = 16."""
    ids = np.arange(36)
    right, parts = ids % 2 == 0, []
    for split, tested in ((1, ids % 18 < 12), (2, ids % 18 >= 6)):
        who = ids[tested]
        called = (who >= 18) == right[who]
        parts.append(table(who >= 18, np.where(called, 0.8, 0.3), split, ids=who))
    row = overall(pd.concat(parts, ignore_index=True), "sensitivity")
    assert [row["value"], row["ci_low"], row["ci_high"]] == pytest.approx([0.5, *wilson(8, 16)])


def test_nobody_called_positive_has_no_precision():
    found = evaluate(published([(9, 0), (9, 0)]), CLASSES)
    precision = found[found["metric"] == "precision"].set_index("split")
    assert precision[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert precision.loc["all", "n_splits"] == 0
    sensitivity = found[found["metric"] == "sensitivity"].set_index("split")
    assert (sensitivity["value"] == 0).all()


def test_undefined_split_is_left_out_of_the_mean():
    found = evaluate(published([(9, 0), (9, 9)]), CLASSES)
    row = found[(found["metric"] == "precision") & (found["split"] == "all")].iloc[0]
    assert (row["value"], row["n_splits"]) == (1, 1)


def test_everyone_right_has_an_interval_with_width():
    found = evaluate(published([(9, 9)] * 2), CLASSES)
    rows = found[found["split"] == "all"].set_index("metric")
    rows = rows.drop(index="precision_published")
    assert (rows["value"] == 1).all()
    assert (rows["ci_low"] < 1).all()
    assert rows["ci_method"].str.endswith(", patients").all()
    people = [43 - 43 * (34 / 43) ** 2] * 2  # expected; drawn are those of this seed
    n = rows.loc["accuracy", "n"]
    assert n == pytest.approx(sum(people), abs=6)
    limits = rows.loc["accuracy", ["ci_low", "ci_high"]].tolist()
    assert limits == pytest.approx(wilson(n, n))


def constant(predictions, of_split):
    """Everybody of a split called the same, positive where ``of_split`` says so."""
    called = predictions["split"].map(of_split)
    return predictions.assign(predicted=np.where(called, *CLASSES[::-1]), score=0.0)


def test_constant_predictions_have_the_limits_of_the_people():
    """Negative in one trial, positive in the other: .50 (.50 to .50) is no interval."""
    predictions = constant(of_trials(trials=2), {1: False, 2: True})
    found = evaluate(predictions, CLASSES)
    rows = found[found["split"] == "all"].set_index("metric")
    for name, who in (("sensitivity", "NPSLE"), ("specificity", "non-NPSLE")):
        n = predictions.loc[predictions["label"] == who, "participant_id"].nunique()
        limits = rows.loc[name, ["value", "ci_low", "ci_high"]].tolist()
        assert limits == pytest.approx([0.5, *wilson(n / 2, n)])
    n = predictions["participant_id"].nunique()
    for name in ("accuracy", "balanced_accuracy"):
        low, high = rows.loc[name, ["ci_low", "ci_high"]]
        assert low == pytest.approx(wilson(n / 2, n)[0], abs=0.02)
        assert low + high == pytest.approx(1)
    assert rows.loc["auc", "value"] == 0.5 and rows.loc["auc", "ci_low"] < 0.35
    assert rows["ci_method"].str.endswith(", patients").all()


def test_class_that_all_are_right_about_does_not_narrow_the_accuracy():
    predictions = of_trials()
    right = predictions["label"] == "non-NPSLE"
    predictions.loc[right, "predicted"] = "non-NPSLE"
    found = evaluate(predictions, CLASSES)
    rows = found[found["split"] == "all"].set_index("metric")
    n = predictions.loc[right, "participant_id"].nunique()
    limits = rows.loc["specificity", ["ci_low", "ci_high"]].tolist()
    assert limits == pytest.approx(wilson(n, n))
    low, high = rows.loc["accuracy", ["ci_low", "ci_high"]]
    assert high - low > 0.9 * np.diff(wilson(rows.at["accuracy", "value"] * 26, 26)).item()


def test_one_class_alone_has_what_it_can_have():
    predictions = of_trials().query("label == 'NPSLE'").reset_index(drop=True)
    found = evaluate(predictions, CLASSES)
    rows = found[found["split"] == "all"].set_index("metric")
    limits = ["value", "ci_low", "ci_high"]
    assert rows.loc[["specificity", "balanced_accuracy", "auc"], limits].isna().all(axis=None)
    assert rows.loc["sensitivity", limits].notna().all()
    assert rows.loc["accuracy", "value"] == rows.loc["sensitivity", "value"]


def odd(seed):
    """Predictions of any design: few people, several trainings, scans, one-sided splits."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 20))
    made = (
        of_trials(
            n=2 * n, trials=int(rng.integers(2, 5)), tested=int(rng.choice([4, 6])), seed=seed
        )
        if seed % 2
        else of_folds(n=n, repeats=2, folds=int(rng.integers(2, 6)), seed=seed, apparent=False)
    )
    parts = []
    for repeat in range(1, int(rng.integers(2, 4))):
        other = made.assign(repeat=repeat, score=made["score"] * repeat + 50 * repeat)
        swapped = rng.random(len(other)) < 0.3
        other.loc[swapped, "predicted"] = rng.choice(CLASSES, swapped.sum())
        mostly = rng.random(len(other)) < rng.choice([0, 0.9])
        other.loc[mostly, "predicted"] = CLASSES[0]
        parts.append(other)
    predictions = pd.concat(parts, ignore_index=True)
    return with_scans(predictions, 2, slice(3)) if seed % 3 == 0 else predictions


@pytest.mark.parametrize("seed", range(12))
def test_every_value_lies_within_limits_that_have_a_width(seed):
    predictions = odd(seed)
    found = evaluate(predictions, CLASSES)
    known = found.dropna(subset=["value"])
    assert (
        (known["ci_low"] <= known["value"] + 1e-9) & (known["value"] <= known["ci_high"] + 1e-9)
    ).all()
    assert (known["ci_high"] - known["ci_low"] > 0.01).all()
    assert known["ci_low"].ge(0).all() and known["ci_high"].le(1 + 1e-9).all()
    whole = found[found["split"] == "all"].groupby("model")["n"].unique()
    assert whole.map(list).to_dict() == {
        model: [rows["participant_id"].nunique()] for model, rows in predictions.groupby("model")
    }


def test_precision_of_repeated_folds_lies_within_its_limits():
    """One of one, then 5 of 20 called positive: mean .625 where 6 of 21 are right."""
    truth, folds = np.arange(40) < 10, (np.arange(0, 40, 2), np.arange(1, 40, 2))
    called = [np.arange(40) == 0, (np.arange(40) < 5) | (np.arange(40) >= 25)]
    parts = [
        table(truth[fold], np.where(called[row][fold], 0.8, 0.3), 1 + 2 * row + k, ids=fold)
        for row in (0, 1)
        for k, fold in enumerate(folds)
    ]
    row = overall(pd.concat(parts, ignore_index=True), "precision")
    assert row["value"] == pytest.approx(0.625)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(wilson(0.625 * 10.5, 10.5))


def test_same_seed_same_table_and_unknown_class_is_an_error():
    predictions = published([(6, 5), (8, 6)])
    first = evaluate(predictions, CLASSES)
    pd.testing.assert_frame_equal(first, evaluate(predictions, CLASSES))
    predictions.loc[3, "predicted"] = "maybe"
    with pytest.raises(InputError, match="maybe"):
        evaluate(predictions, CLASSES)


def test_interval_of_a_perfect_auc_holds_it_though_scores_of_trials_differ_in_scale():
    """Two trials that share a person."""
    truth = np.arange(6) < 3
    perfect = [
        table(truth, np.where(truth, 0.9, 0.2), trial, ids=ids).assign(
            score=10.0 * trial + truth, predicted=np.where(truth, "NPSLE", "non-NPSLE")
        )
        for trial, ids in ((1, np.arange(6)), (2, np.array([0, 6, 7, 8, 9, 10])))
    ]
    row = overall(pd.concat(perfect, ignore_index=True), "auc")
    assert row["value"] == row["ci_high"] == 1
    assert row["ci_low"] < 1 and row["ci_method"].startswith("Newcombe")
    assert row["ci_low"] == pytest.approx(auc_interval(1.0, 5, 6)[0])


def test_metrics_of_a_split_agree_with_sklearn():
    predictions = of_trials()
    found = evaluate(predictions, CLASSES)
    assert list(found.columns) == COLUMNS
    judges = {
        "accuracy": judge.accuracy_score,
        "balanced_accuracy": judge.balanced_accuracy_score,
        "sensitivity": judge.recall_score,
        "precision": judge.precision_score,
    }
    for split, part in predictions.groupby("split"):
        rows = found[found["split"] == str(split)].set_index("metric")
        truth, predicted = (part[name] == "NPSLE" for name in ("label", "predicted"))
        for name, score in judges.items():
            assert rows.loc[name, "value"] == pytest.approx(score(truth, predicted))
        assert rows.loc["auc", "value"] == pytest.approx(judge.roc_auc_score(truth, part["score"]))
        assert (rows["n"] == 12).all() and rows["n_splits"].isna().all()
    means = found[found["split"] != "all"].groupby("metric")["value"].mean()
    rows = found[found["split"] == "all"].set_index("metric")
    assert rows["value"].to_dict() == pytest.approx(means.to_dict())
    assert (rows["n"] == predictions["participant_id"].nunique()).all()


def test_folds_are_put_together_as_means_over_repeats_with_limits_of_patients():
    """Half of the 10 positives right in each of 2 repeats of 2 folds; Wilson of 5 of 10."""
    truth = np.arange(20) < 10
    right = np.stack([np.arange(20) < 5, np.arange(20) >= 15])
    right[1, :10] = np.arange(10) >= 5
    parts = [
        table(truth[fold], np.where(right[row, fold], 0.8, 0.3), 1 + 2 * row + k, ids=fold)
        for row in (0, 1)
        for k, fold in enumerate((np.arange(0, 20, 2), np.arange(1, 20, 2)))
    ]
    predictions = pd.concat(parts, ignore_index=True)
    found = evaluate(predictions, CLASSES)
    rows = found[found["split"] == "all"].set_index("metric")
    limits = ["value", "ci_low", "ci_high"]
    assert rows.loc["sensitivity", limits].tolist() == pytest.approx(
        [0.5, 0.2366, 0.7634], abs=5e-5
    )
    assert rows.loc["specificity", limits].tolist() == pytest.approx([0.75, *wilson(7.5, 10)])
    assert rows.loc["accuracy", limits].tolist() == pytest.approx([0.625, *wilson(12.5, 20)])
    assert rows.loc["balanced_accuracy", "value"] == pytest.approx(0.625)
    assert rows.loc["precision", "value"] == pytest.approx(np.mean([5 / 5, 5 / 10]))
    assert rows.loc["accuracy", ["tn", "fp", "fn", "tp"]].tolist() == [15, 5, 10, 10]
    assert (rows["n"] == 20).all() and (rows.drop("precision")["n_splits"] == 4).all()
    assert rows.loc["accuracy", "ci_method"] == "Wilson, patients"


def test_auc_of_folds_is_within_folds_with_limits_over_them():
    predictions = of_folds(apparent=False)
    found = evaluate(predictions, CLASSES)
    for model in ("clinical", "mri"):
        mine = predictions[predictions["model"] == model]
        scores = scores_of(mine, CLASSES)
        expected = [area(scores).auc, *area_interval(area(scores))]
        rows = found[(found["split"] == "all") & (found["metric"] == "auc")].set_index("model")
        row = rows.loc[model, ["value", "ci_low", "ci_high"]]
        assert row.tolist() == expected
        pairs = right = 0
        for _, part in mine.groupby("split"):
            truth = part["label"] == "NPSLE"
            n = truth.sum() * (~truth).sum()
            right += n * judge.roc_auc_score(truth, part["score"])
            pairs += n
        assert row["value"] == pytest.approx(right / pairs)


def test_single_test_side_has_its_own_limits():
    predictions = of_folds(repeats=1, folds=1, apparent=False)
    found = evaluate(predictions, CLASSES).set_index("split")
    limits = ["metric", "value", "ci_low", "ci_high", "ci_method"]
    assert (
        found.loc["all", limits].to_numpy().tolist() == found.loc["1", limits].to_numpy().tolist()
    )
    assert found.loc["all", "n_splits"].eq(1).all() and found.loc["all", "sd"].isna().all()


def test_external_people_count_once_whatever_the_number_of_splits():
    """Eight models, half of them wrong about everybody: half of 14 people."""
    predictions = external(of_folds(repeats=2, apparent=False, gains=(0, 1, 2)))
    outside = predictions["role"] == "external"
    truth = predictions["label"] == "NPSLE"
    right = predictions["split"] % 2 == 0
    predictions.loc[outside, "predicted"] = np.where(truth == right, *CLASSES[::-1])[outside]
    found = evaluate(predictions, CLASSES)
    assert found["estimate"].drop_duplicates().tolist() == ["test", "external", "external_averaged"]
    rows = found[(found["estimate"] == "external") & (found["model"] == "mri")]
    alone = rows[rows["split"] == "all"].set_index("metric")
    limits = alone.loc["accuracy", ["value", "ci_low", "ci_high"]].tolist()
    assert limits == pytest.approx([0.5, *wilson(7, 14)])
    assert (alone["n"] == 14).all()
    assert len(rows) == len(METRICS) * 9
    inside = evaluate(predictions[~outside].reset_index(drop=True), CLASSES)
    tested = found[found["estimate"] == "test"].reset_index(drop=True)
    pd.testing.assert_frame_equal(tested, inside)


def few_folds(seed):
    return of_folds(n=24, repeats=2, folds=2, seed=seed, apparent=False)


def without_counts(found):
    return found.drop(columns=["tn", "fp", "fn", "tp"]).reset_index(drop=True)


@pytest.mark.parametrize("made", [few_folds, of_trials])
def test_repeats_of_a_training_are_averaged_and_are_no_other_people(made):
    """Three trainings tell the classes apart on scales of their own: AUC 1, never pooled."""
    once = made(seed=5)
    once["score"] = once["score"].abs() * np.where(once["label"] == "NPSLE", 1, -1)
    parts = [once.assign(repeat=i + 1, score=once["score"] + 100 * i) for i in range(3)]
    thrice = pd.concat(parts, ignore_index=True)
    one, three = (evaluate(rows, CLASSES) for rows in (once, thrice))
    assert (three.loc[three["metric"] == "auc", "value"] == 1).all()
    pd.testing.assert_frame_equal(without_counts(three), without_counts(one), rtol=1e-9)
    pd.testing.assert_frame_equal(three[["tn", "fp", "fn", "tp"]], one[["tn", "fp", "fn", "tp"]])


def test_repeats_that_differ_give_the_mean_and_the_counts_a_fraction():
    once = of_trials(trials=2)
    other = of_trials(trials=2).assign(repeat=2)
    other["predicted"] = np.where(other["predicted"] == "NPSLE", *CLASSES)
    other["score"] *= -1
    both = pd.concat([once, other], ignore_index=True)
    found = evaluate(both, CLASSES).set_index(["split", "metric"])
    for split in ("1", "2", "all"):
        for metric in ("accuracy", "auc", "balanced_accuracy"):
            assert found.loc[(split, metric), "value"] == pytest.approx(0.5)
    assert found.loc[("1", "accuracy"), ["tn", "fp"]].tolist() == [3, 3]
    assert found.loc[("1", "accuracy"), "n"] == 12


@pytest.mark.parametrize("made", [few_folds, of_trials])
@pytest.mark.parametrize("who", [slice(None), slice(7, 19)])
def test_scans_of_a_participant_count_as_one(made, who):
    once = external(made(seed=6).query("model != 'mri'").reset_index(drop=True))
    several = with_scans(once, 3, who)
    one, three = (evaluate(rows, CLASSES) for rows in (once, several))
    pd.testing.assert_frame_equal(without_counts(three), without_counts(one), rtol=1e-9)
    if who == slice(None):
        assert (three["tp"] == 3 * one["tp"]).all()


def test_goes_through_files(tmp_path):
    predictions = external(with_repeats(of_folds(apparent=False, repeats=1), 2))
    described = resource("columns/statistics.tsv")
    predictions = predictions.replace({"NPSLE": "1", "non-NPSLE": "0"})
    write_table(predictions.drop(columns="threshold"), tmp_path / "predictions.tsv", described)
    out = SimpleNamespace(table=tmp_path / "metrics.tsv")
    params = SimpleNamespace(asked={"classes": ["0", "1"], "bootstraps": 5, "seed": 1})
    source = SimpleNamespace(predictions=tmp_path / "predictions.tsv")
    main(source, out, params, SimpleNamespace(evaluation="metrics"))
    again = read_table(out.table)
    assert list(again.columns) == COLUMNS
    assert set(again["split"]) == {"1", "2", "3", "4", "all"}


def test_external_people_are_also_judged_by_the_mean_of_their_probabilities():
    predictions = external(of_folds(n=24, repeats=1, apparent=False))
    found = evaluate(predictions, CLASSES)
    chosen = found[found["estimate"] == "external_averaged"]
    assert set(chosen["split"]) == {"all"} and set(chosen["n"]) == {14}
    for model, rows in predictions[predictions["role"] == "external"].groupby("model"):
        person = rows.groupby("participant_id").agg({"probability": "mean", "label": "first"})
        truth = person["label"] == CLASSES[1]
        value = chosen[chosen["model"] == model].set_index("metric")["value"]
        assert value["auc"] == pytest.approx(judge.roc_auc_score(truth, person["probability"]))
        accuracy = judge.accuracy_score(truth, person["probability"] > 0.5)
        assert value["accuracy"] == pytest.approx(accuracy)
