import numpy as np
import pandas as pd
import pytest

from workflow_scripts.baselines.draw_trials import draw_trials
from workflow_scripts.common.job import InputError
from workflow_scripts.common.trials import LeakageError, check_trials

CLASSES = ["healthy", "ill"]
PUBLISHED = {
    "trials": 6,
    "train": {"healthy": 68, "ill": 34},
    "test": {"healthy": 9, "ill": 9},
    "repeat_minority": True,
}


def population(healthy, ill, sessions=("n/a",)):
    labels = ["healthy"] * healthy + ["ill"] * ill
    return pd.DataFrame(
        [
            {"participant_id": f"sub-{i:03d}", "session_id": session, "label": label}
            for i, label in enumerate(labels)
            for session in sessions
        ]
    )


def test_published_design_has_published_sizes():
    trials = draw_trials(population(120, 43), CLASSES, PUBLISHED, seed=1, study="s")
    assert list(trials.columns) == [
        "trial", "participant_id", "session_id", "label", "role", "weight",
    ]  # fmt: skip
    assert (trials.groupby("trial").size() == 163).all()
    for _, trial in trials.groupby("trial"):
        counts = trial.value_counts(["role", "label"])
        assert counts["train", "healthy"] == 68
        assert counts["train", "ill"] == 34
        assert counts["test", "healthy"] == counts["test", "ill"] == 9
        assert counts["rest", "healthy"] == 120 - 68 - 9
        assert "rest" not in trial.loc[trial["label"] == "ill", "role"].to_list()
        assert trial["weight"].sum() == 136  # images per epoch, Inglese et al. 2022
        assert (trial.loc[trial["role"] != "train", "weight"] == 0).all()


def test_same_seed_same_trials_whatever_the_row_order_and_number_of_trials():
    people = population(20, 12)
    design = PUBLISHED | {"train": {"healthy": 8, "ill": 6}, "test": {"healthy": 3, "ill": 3}}
    first = draw_trials(people, CLASSES, design, seed=3, study="s")
    shuffled = draw_trials(people[::-1], CLASSES, design, seed=3, study="s")
    pd.testing.assert_frame_equal(first, shuffled)
    fewer = draw_trials(people, CLASSES, design | {"trials": 2}, seed=3, study="s")
    pd.testing.assert_frame_equal(first[first["trial"] <= 2], fewer)
    other = draw_trials(people, CLASSES, design, seed=4, study="s")
    assert (first["role"] != other["role"]).any()


def test_every_participant_is_drawn_equally_often():
    design = {
        "trials": 500, "train": {"healthy": 2, "ill": 2}, "test": {"healthy": 1, "ill": 1},
        "repeat_minority": False,
    }  # fmt: skip
    trials = draw_trials(population(5, 5), CLASSES, design, seed=0, study="s")
    share = (trials["role"] == "test").groupby(trials["participant_id"]).mean()
    assert np.abs(share - 1 / 5).max() < 4 * np.sqrt(0.2 * 0.8 / 500)
    assert set(trials["weight"]) == {0, 1}


def test_sessions_of_a_participant_stay_together():
    design = {
        "trials": 4, "train": {"healthy": 3, "ill": 2}, "test": {"healthy": 1, "ill": 1},
        "repeat_minority": True,
    }  # fmt: skip
    people = population(5, 4, sessions=("ses-1", "ses-2"))
    trials = draw_trials(people, CLASSES, design, seed=0, study="s")
    assert (trials.groupby(["trial", "participant_id"])["role"].nunique() == 1).all()
    assert (trials[trials["role"] == "test"].groupby("trial").size() == 4).all()


def test_class_with_two_members_is_refused_with_counts_and_key():
    with pytest.raises(InputError) as error:
        draw_trials(population(100, 2), CLASSES, PUBLISHED, seed=1, study="lupus")
    message = str(error.value)
    for part in ("study lupus", "class ill", "needs 43", "2 available",
                 "studies.lupus.design.train.ill"):  # fmt: skip
        assert part in message


def test_unknown_label_is_refused():
    people = population(5, 5).replace({"label": {"ill": "unclear"}})
    with pytest.raises(InputError, match="unclear"):
        draw_trials(people, CLASSES, PUBLISHED, seed=1, study="s")


def test_participant_with_two_labels_is_refused():
    people = population(5, 5, sessions=("ses-1", "ses-2"))
    people.loc[0, "label"] = "ill"
    with pytest.raises(InputError, match="sub-000.*more than one label"):
        draw_trials(people, CLASSES, PUBLISHED, seed=1, study="s")


def test_repeating_one_of_two_equal_classes_is_refused():
    design = PUBLISHED | {"train": {"healthy": 3, "ill": 3}, "test": {"healthy": 1, "ill": 1}}
    with pytest.raises(InputError, match="repeat_minority"):
        draw_trials(population(9, 9), CLASSES, design, seed=1, study="s")


def test_leak_over_sessions_is_named():
    trials = pd.DataFrame(
        {
            "trial": [1, 1, 1, 2],
            "participant_id": ["sub-1", "sub-1", "sub-2", "sub-1"],
            "session_id": ["ses-1", "ses-2", "ses-1", "ses-1"],
            "role": ["train", "test", "test", "test"],
        }
    )
    with pytest.raises(LeakageError, match=r"sub-1 \(trial 1\)") as error:
        check_trials(trials)
    assert "sub-2" not in str(error.value)
    check_trials(trials[trials["session_id"] == "ses-1"])
