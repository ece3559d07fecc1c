import numpy as np
import pandas as pd
import pytest

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
from workflow_scripts.statistics.scores import by_model, draw_participants, scores_of


def test_arrays_are_ordered_by_participant_and_row():
    predictions = of_folds()
    once = by_model(predictions, CLASSES)
    again = by_model(predictions.sample(frac=1, random_state=0), CLASSES)
    assert list(once)[:4] == [
        ("clinical", "test"), ("mri", "test"), ("combined", "test"), ("clinical", "apparent"),
    ]  # fmt: skip
    for key, scores in once.items():
        for name, values in vars(scores).items():
            np.testing.assert_array_equal(values, getattr(again[key], name))
    scores = once["mri", "test"]
    assert scores.truth.shape == (40,) and scores.person.tolist() == list(range(40))
    assert scores.score.shape == scores.fold.shape == scores.predicted.shape == (4, 40)
    mine = predictions[(predictions["model"] == "mri") & (predictions["role"] == "test")]
    wide = mine.assign(row=(mine["split"] - 1) // 4).pivot(index="row", columns="participant_id")
    np.testing.assert_array_equal(scores.probability, wide["probability"])
    np.testing.assert_array_equal(scores.fold, wide["split"])
    np.testing.assert_array_equal(scores.predicted, wide["predicted"] == "NPSLE")
    assert once["mri", "apparent"].fold.tolist() == [[0] * 40]
    assert scores.calibrated and scores.participants() == 40
    assert scores.participants(scores.truth) == 20


@pytest.mark.parametrize("column", ["label", "predicted"])
def test_unknown_class_is_an_error(column):
    predictions = of_folds(apparent=False)
    predictions.loc[3, column] = "maybe"
    with pytest.raises(InputError, match=f"{column} holds .*maybe"):
        by_model(predictions, CLASSES)


def test_trials_have_a_row_each_and_are_missing_where_nobody_was_tested():
    predictions = of_trials()
    scores = scores_of(predictions, CLASSES)
    assert len(scores.score) == 4
    assert (np.isnan(scores.score) == (scores.fold < 0)).all()
    assert (scores.fold >= 0).sum(1).tolist() == [12] * 4
    assert scores.weight.sum(0) == pytest.approx(np.ones(len(scores.truth)))
    assert (scores.weight[scores.fold < 0] == 0).all()
    assert scores.calibrated  # though not everybody is scored in every row
    without = scores_of(predictions.assign(probability=np.nan), CLASSES)
    assert not without.calibrated


def test_external_people_have_a_row_per_split():
    scores = by_model(external(of_folds(apparent=False)), CLASSES)["mri", "external"]
    assert scores.score.shape == (16, 14) and (scores.fold >= 0).all()
    assert scores.participants() == 14 and scores.weight.sum() == pytest.approx(14)


def test_repeats_are_rows_and_scans_share_their_person():
    predictions = of_folds(apparent=False, n=12, folds=2)
    scores = by_model(with_scans(with_repeats(predictions), 2, slice(5)), CLASSES)["mri", "test"]
    assert scores.score.shape == (4 * 3, 17)
    assert np.bincount(scores.person).tolist() == [2] * 5 + [1] * 7
    assert scores.participants() == pytest.approx(12)
    assert scores.weight.sum(0)[:4] == pytest.approx([0.5] * 4)
    plain = by_model(predictions, CLASSES)["mri", "test"]
    _, first = np.unique(scores.person, return_index=True)
    np.testing.assert_array_equal(scores.score[::3, first], plain.score)
    np.testing.assert_array_equal(scores.score[::3], scores.score[2::3])


def test_scans_of_a_person_may_have_different_labels():
    truth = np.array([True, False, False, True])
    rows = [table(truth, np.array([0.9, 0.2, 0.3, 0.6]), 1, session="ses-1")]
    rows.append(table(~truth, np.array([0.4, 0.8, 0.7, 0.3]), 1, session="ses-2"))
    scores = scores_of(pd.concat(rows, ignore_index=True), CLASSES)
    assert scores.truth.tolist() == [True, False, False, True, False, True, True, False]
    assert scores.participants(scores.truth) == 2


def test_drawn_participants_keep_the_class_sizes_and_their_scans_together():
    predictions = of_folds(apparent=False, n=60, repeats=1)
    plain = by_model(predictions, CLASSES)["mri", "test"]
    drawn = draw_participants(plain, 200, seed=1)
    assert (drawn[:, plain.truth].sum(1) == 30).all() and (drawn.sum(1) == 60).all()
    assert drawn.mean(0) == pytest.approx(np.ones(60), abs=0.4)
    several = by_model(with_scans(predictions, 3, slice(20)), CLASSES)["mri", "test"]
    again = draw_participants(several, 200, seed=1)
    np.testing.assert_array_equal(again, drawn[:, several.person])
