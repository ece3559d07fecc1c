import numpy as np
import pandas as pd
import pytest

from workflow_scripts.baselines.draw_folds import draw_folds
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table

CLASSES, KEY = ["healthy", "ill"], "studies.s.models"


def population(healthy=13, ill=8, other=3):
    label = ["healthy"] * healthy + ["ill"] * ill + ["other"] * other
    ids = [f"sub-{i:02d}" for i in range(len(label))]
    return pd.DataFrame({"participant_id": ids, "session_id": np.nan, "label": label})


def draw(table, folds=4, repeats=5, seed=1):
    return draw_folds(table, CLASSES, folds, repeats, seed, KEY)


def test_every_participant_is_tested_once_per_repeat_in_balanced_folds(tmp_path):
    folds = draw(population())
    assert folds.groupby("repeat")["participant_id"].nunique().eq(21).all()
    assert not folds.duplicated(["repeat", "participant_id"]).any()
    assert set(folds["label"]) == set(CLASSES)
    for _, repeat in folds.groupby("repeat"):
        sizes = pd.crosstab(repeat["fold"], repeat["label"])
        assert sizes["healthy"].max() - sizes["healthy"].min() <= 1
        assert sizes["ill"].tolist() == [2, 2, 2, 2]
        assert sizes.sum(axis=1).max() - sizes.sum(axis=1).min() <= 1
    write_table(folds, tmp_path / "folds.tsv", resource("columns/baselines.tsv"))


def test_folds_depend_on_ids_labels_and_seed_only():
    folds = draw(population())
    shuffled = population().sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(folds, draw(shuffled))
    few = draw(population(), repeats=2)
    pd.testing.assert_frame_equal(few, folds[folds["repeat"] <= 2])
    assert not folds["fold"].equals(draw(population(), seed=2)["fold"])
    first, second = (folds.loc[folds["repeat"] == i, "fold"].tolist() for i in (1, 2))
    assert first != second


@pytest.mark.parametrize(
    ("ill", "folds", "message"),
    [
        (4, 5, "studies.s.models.folds: 5 folds .* 4 participants of class ill; lower .* to 4"),
        (3, 2, "raise studies.s.models.folds to 3"),
        (2, 2, "studies.s.models.classes: class ill has 2 participants, 3 are needed"),
        (0, 2, "studies.s.models.classes: .*no participant of"),
    ],
)
def test_too_small_classes_say_what_to_change(ill, folds, message):
    with pytest.raises(InputError, match=message):
        draw(population(ill=ill), folds=folds)


def test_a_training_side_keeps_two_of_each_class():
    for ill, folds in ((3, 3), (4, 2), (5, 4)):
        table = draw(population(ill=ill), folds=folds)
        tested = table[table["label"] == "ill"].groupby(["repeat", "fold"]).size()
        assert (ill - tested.max()) >= 2
