import pandas as pd
import pytest

from tests.cohort.test_draw_splits import CLASSES, FOLDS, HOLDOUT, draw, population
from workflow_scripts.cohort.draw_inner_splits import draw_inner_splits
from workflow_scripts.common.job import InputError

WHERE = "studies.s"


@pytest.fixture
def drawn():
    outer = draw(population(sessions=("ses-1", "ses-2")), FOLDS | {"folds": 3, "repeats": 1})
    return outer, draw_inner_splits(outer, 3, CLASSES, 1, WHERE)


def test_each_training_participant_is_held_out_once_and_nobody_who_is_tested_takes_part(drawn):
    outer, inner = drawn
    for split, rows in outer.groupby("split"):
        of_split = inner[inner["of_split"] == split]
        trained = set(rows.loc[rows["role"] == "train", "participant_id"])
        held_out = of_split[of_split["role"] == "test"].drop_duplicates(["split", "participant_id"])
        assert sorted(held_out["participant_id"]) == sorted(trained)
        used = of_split[of_split["role"] != "rest"]
        assert set(used["participant_id"]) == trained
        assert (used.groupby(["split", "participant_id"])["role"].nunique() == 1).all()
        per_fold = held_out.groupby(["split", "label"]).size().unstack()
        assert (per_fold.max() - per_fold.min()).max() <= 1
    assert not set(inner["split"]) & set(outer["split"])


def test_weights_are_those_of_training_alone(drawn):
    _, inner = drawn
    assert (inner.loc[inner["role"] == "train", "weight"] == 1).all()
    assert (inner.loc[inner["role"] != "train", "weight"] == 0).all()


def test_external_people_and_validation_keep_apart():
    people = population(external=(0, 1))
    outer = draw(people, HOLDOUT | {"validation": 0.2})
    inner = draw_inner_splits(outer, 3, CLASSES, 1, WHERE)
    outside = inner[inner["participant_id"].isin(["sub-000", "sub-001"])]
    assert set(outside["role"]) == {"rest"}
    kept = set(outer.loc[outer["role"] == "validation", "participant_id"])
    assert set(inner.loc[inner["role"] == "validation", "participant_id"]) == kept


def test_a_seed_gives_the_same_folds_again(drawn):
    outer, inner = drawn
    pd.testing.assert_frame_equal(draw_inner_splits(outer, 3, CLASSES, 1, WHERE), inner)


def test_too_few_of_a_class_are_named():
    outer = draw(population(healthy=8, ill=5), HOLDOUT | {"test": 0.3})
    with pytest.raises(InputError, match="inner_folds: 5 folds .* class ill has 3; lower it"):
        draw_inner_splits(outer, 5, CLASSES, 1, WHERE)
