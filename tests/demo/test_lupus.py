from collections import Counter

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr

from workflow_scripts.demo.lupus import ALPS, NWI, diagnosis_of, plan_participant, plant
from workflow_scripts.demo.members import class_of
from workflow_scripts.demo.plan import plan_cohort, simulation

DEMO = {"subjects": {"non-NPSLE": 14, "NPSLE": 10}, "seed": 1, "effect": 1.0}
THREE = {"subjects": {"non-NPSLE": 9, "NPSLE": 6, "control": 5}, "seed": 1, "effect": 1.0}
NULL = THREE | {"effect": 0.0}
MANY = range(1, 1501)


def mean_alps(demo, number):
    truth = plant(demo, number)
    return (truth["alps_left"] + truth["alps_right"]) / 2


def by_class(demo, value):
    """Values of many participants, by class."""
    found = {}
    for number in MANY:
        found.setdefault(diagnosis_of(demo, number), []).append(value(demo, number))
    return found


def files(demo):
    """Paths by participant and suffix."""
    found = {}
    for scan in plan_cohort(demo)[1]:
        found.setdefault((scan["participant_id"], scan["suffix"]), []).append(scan["path"])
    return found


def with_counts(controls, patients):
    return DEMO | {"subjects": {"non-NPSLE": controls, "NPSLE": patients}}


def test_class_counts_and_planned_gaps():
    participants, scans, exclusions = plan_cohort(DEMO)[:3]
    assert Counter(row["diagnosis"] for row in participants) == DEMO["subjects"]
    assert len({row["participant_id"] for row in participants}) == 24
    counts = Counter(scan["suffix"] for scan in scans)
    assert (counts["T1w"], counts["FLAIR"]) == (23, 18)
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


def test_three_classes_have_the_planned_modalities_and_gaps():
    participants, scans = plan_cohort(THREE)[:2]
    labels = {row["participant_id"]: row["diagnosis"] for row in participants}
    assert Counter(labels.values()) == THREE["subjects"]
    counts = Counter(scan["suffix"] for scan in scans)
    assert counts["T1w"] == 19
    assert counts["dwi"] == 18
    assert counts["dwi"] > counts["epi"] > counts["dwi"] / 2
    assert counts["VWI"] == 1
    paths = files(THREE)
    assert not [name for name, suffix in paths if suffix == "FLAIR" and labels[name] == "control"]
    without = {
        suffix: [name for name in labels if (name, "T1w") in paths and (name, suffix) not in paths]
        for suffix in ("dwi", "vesselwall")
    }
    assert [labels[name] for name in without["dwi"]] == ["non-NPSLE"]
    assert [labels[name] for name in without["vesselwall"]] == ["NPSLE"]


def test_every_kind_of_vessel_file_is_there_and_each_path_once():
    paths = files(THREE)
    kinds = Counter(
        tuple(sorted(path.rsplit("_", 1)[1] for path in found))
        for (_, suffix), found in paths.items()
        if suffix == "vesselwall"
    )
    assert set(kinds) == {
        ("probseg.nii.gz",) * 4,
        ("mask.nii.gz",) * 4,
        ("contours.tsv",) * 2,
        ("points.tsv",) * 2,
    }
    assert kinds[("points.tsv",) * 2] == 1
    everything = [path for found in paths.values() for path in found]
    assert len(set(everything)) == len(everything)
    name = next(name for name, suffix in paths if suffix == "VWI")
    assert [path.rsplit("_", 1)[1] for path in paths[name, "vesselwall"]] == ["points.tsv"] * 2
    assert paths[name, "VWI"] == [f"{name}/anat/{name}_acq-vwi_T1w.nii.gz"]


def test_controls_have_nothing_that_only_lupus_has():
    for row in plan_cohort(THREE)[0]:
        missing = {key for key, value in row.items() if value is None}
        assert missing == (
            {"sledai_2k", "disease_duration", "sdi", "anti_dsdna"}
            if row["diagnosis"] == "control"
            else set()
        )


def test_alps_and_wall_index_have_the_distributions_of_their_classes():
    for table, value in ((ALPS, mean_alps), (NWI, lambda *who: plant(*who)["nwi_left"])):
        for diagnosis, values in by_class(THREE, value).items():
            mean, sd = table[diagnosis]
            assert np.mean(values) == pytest.approx(mean, abs=4 * sd / np.sqrt(len(values)))
            assert np.std(values) == pytest.approx(sd, rel=0.15)
    gaps = [plant(THREE, n)["alps_left"] - plant(THREE, n)["alps_right"] for n in MANY]
    assert np.mean(gaps) == pytest.approx(0.05, abs=0.003)


def test_tilt_is_uniform_up_to_twenty_degrees_about_any_axis():
    truths = [plant(THREE, number) for number in MANY]
    tilts = [truth["tilt_degrees"] for truth in truths]
    assert min(tilts) >= 0 and max(tilts) <= 20
    assert np.mean(tilts) == pytest.approx(10, abs=0.6)
    axes = np.array([truth["tilt_axis"] for truth in truths])
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1, atol=2e-4)
    np.testing.assert_allclose(axes.mean(axis=0), 0, atol=0.06)


def test_without_effect_planted_truth_is_the_same_whatever_the_class():
    swapped = NULL | {"subjects": {"control": 9, "non-NPSLE": 6, "NPSLE": 5}}
    moved = 0
    for number in range(1, 60):
        moved += diagnosis_of(NULL, number) != diagnosis_of(swapped, number)
        assert plant(NULL, number) == plant(swapped, number)
        assert plan_participant(NULL, number)["moca"] == plan_participant(swapped, number)["moca"]
    assert moved > 10
    values = by_class(NULL, mean_alps)
    assert ks_2samp(values["NPSLE"], values["control"]).pvalue > 0.01


@pytest.mark.parametrize(("measure", "sign"), [("moca", 1), ("anti_dsdna", -1)])
def test_clinical_data_follow_alps_with_an_effect_and_not_without(measure, sign):
    """Within one class, so that the difference between classes plays no part."""
    for demo, low, high in ((THREE, 0.4, 1.0), (NULL, -0.15, 0.15)):
        numbers = [n for n in MANY if diagnosis_of(demo, n) == "non-NPSLE"]
        clinical = [plan_participant(demo, n)[measure] for n in numbers]
        r = spearmanr([mean_alps(demo, n) for n in numbers], clinical).statistic
        assert low < sign * r < high


def test_rules_are_given_the_keys_they_ask_for():
    some = simulation(THREE, "sub-001", ["seed", "tilt_axis"])
    assert some == {key: simulation(THREE, "sub-001")[key] for key in ("seed", "tilt_axis")}


@pytest.mark.parametrize("larger", [(10, 6, 5), (9, 7, 5), (9, 6, 6), (20, 8, 13)])
def test_adding_to_three_classes_changes_no_other(larger):
    names = list(THREE["subjects"])
    grown = THREE | {"subjects": dict(zip(names, larger, strict=True))}
    before, after = plan_cohort(THREE), plan_cohort(grown)
    for old, new in zip(before, after, strict=True):
        assert all(row in new for row in old)
    for row in before[0]:
        name = row["participant_id"]
        assert simulation(THREE, name) == simulation(grown, name)


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
        one, other = simulation(null, name), simulation(swapped, name)
        assert one.pop("affected") != other.pop("affected")
        assert one == other


def test_effect_reaches_the_affected_class_alone():
    """Of the heads it changes ventricles and lesions, and nothing else."""
    for row in plan_cohort(DEMO)[0]:
        planted, without = (
            simulation(demo, row["participant_id"])["head"] for demo in (DEMO, DEMO | {"effect": 0})
        )
        changed = {key for key in planted if planted[key] != without[key]}
        assert changed == ({"ventricles_mm", "lesions"} if row["diagnosis"] == "NPSLE" else set())
        assert planted["ventricles_mm"] >= without["ventricles_mm"]
        assert planted["lesions"] >= without["lesions"]
