from collections import Counter

import pytest

from workflow_scripts.demo.plan import class_of, plan_cohort, plan_participant, simulation

DEMO = {"subjects": {"non-NPSLE": 14, "NPSLE": 10}, "seed": 1, "effect": 1.0}


def with_counts(controls, patients):
    return DEMO | {"subjects": {"non-NPSLE": controls, "NPSLE": patients}}


def test_class_counts_and_planned_gaps():
    participants, scans, exclusions = plan_cohort(DEMO)
    assert Counter(row["diagnosis"] for row in participants) == DEMO["subjects"]
    assert len({row["participant_id"] for row in participants}) == 24
    assert Counter(scan["suffix"] for scan in scans) == {"T1w": 23, "FLAIR": 18}
    assert len(exclusions) == 1
    assert exclusions[0]["participant_id"] in {scan["participant_id"] for scan in scans}


def test_classes_are_mixed_over_ids():
    labels = [row["diagnosis"] for row in plan_cohort(with_counts(10, 10))[0]]
    assert labels != sorted(labels)
    assert labels != sorted(labels, reverse=True)
    assert {class_of(1, n, ["a", "b"])[1] for n in (5, 6)} == {3}


def test_same_seed_same_plan():
    assert plan_cohort(DEMO) == plan_cohort(DEMO)
    assert plan_cohort(DEMO) != plan_cohort(DEMO | {"seed": 2})


@pytest.mark.parametrize("larger", [(15, 10), (14, 11), (30, 12)])
def test_adding_participants_changes_no_other(larger):
    before, after = plan_cohort(DEMO), plan_cohort(with_counts(*larger))
    for old, new in zip(before, after, strict=True):
        assert all(row in new for row in old)
    assert len(after[0]) == sum(larger)
    assert after[2] == before[2]


def test_without_effect_the_label_carries_nothing():
    null = DEMO | {"effect": 0.0}
    swapped = null | {"subjects": {"NPSLE": 14, "non-NPSLE": 10}}
    for number in range(1, 40):
        one, other = plan_participant(null, number), plan_participant(swapped, number)
        assert one.pop("diagnosis") != other.pop("diagnosis")
        assert one == other
        name = one["participant_id"]
        assert simulation(null, name) == simulation(swapped, name)


def test_effect_reaches_the_affected_class_alone():
    for row in plan_cohort(DEMO)[0]:
        severity = simulation(DEMO, row["participant_id"])["severity"]
        assert severity == (1.0 if row["diagnosis"] == "NPSLE" else 0.0)
