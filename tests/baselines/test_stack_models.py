from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from workflow_scripts.baselines.stack_models import (
    LEARNERS,
    auc_error,
    chosen_of,
    learner_of,
    main,
    out_of_fold,
)
from workflow_scripts.cohort.draw_inner_splits import draw_inner_splits
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.common.metrics import auc
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.splits import SCAN, LeakageError
from workflow_scripts.common.tables import read_table

CLASSES, FOLDS, MEMBERS = ["control", "patient"], 3, ("net_T1w", "net_STIR")
SHIFT = 1.2  # of either member's score between the classes, in SD, independent given the class


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Splits, inner splits, clinical column and predictions of two networks, as files.

    Each network gives a person one score in all splits, whose log odds are those of a normal shift.
    """
    folder = tmp_path_factory.mktemp("stack")
    rng, n = np.random.default_rng(3), 200
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{i:03d}" for i in range(n)],
            "session_id": np.nan,
            "label": np.where(np.arange(n) % 2, CLASSES[1], CLASSES[0]),
            "external": "no",
        }
    )
    design = {"kind": "holdout", "classes": CLASSES, "test": 0.4, "validation": 0.0}
    splits = draw_splits(people, design, 1, "studies.s.design")
    inner = draw_inner_splits(splits, FOLDS, CLASSES, 1, "studies.s")
    y = people.set_index("participant_id")["label"] == CLASSES[1]
    scores = {name: pd.Series(rng.normal(SHIFT * y, 1), y.index) for name in MEMBERS}
    age = pd.Series(rng.normal(1.0 * y, 1), y.index)
    clinical = people[SCAN].assign(age=age.to_numpy())
    write = lambda table, name: table.to_csv(folder / name, sep="\t", index=False, na_rep="n/a")  # noqa: E731
    write(splits, "splits.tsv")
    write(inner, "inner.tsv")
    write(clinical, "clinical.tsv")
    write(people[SCAN], "features.tsv")
    for name, score in scores.items():
        tables = [
            rows.assign(score=rows["participant_id"].map(score))
            for rows in (splits[splits["role"] == "test"], inner[inner["role"] == "test"])
        ]
        table = pd.concat(tables, ignore_index=True)
        table["probability"] = expit(SHIFT * (table["score"] - SHIFT / 2))
        table = table.assign(model=name, repeat=1, threshold=0.0, predicted=CLASSES[0])
        write(table[PREDICTIONS], f"{name}.tsv")
    return folder


def run(folder, model="signature", members=(), **settings):
    out = {name: folder / f"{model}_{name}.tsv" for name in ("predictions", "training", "learners")}
    settings = {"of": [*MEMBERS], "inputs": [], "learners": [*LEARNERS]} | settings
    files = members or [folder / f"{name}.tsv" for name in settings["of"]]
    tables = ("splits", "inner", "features", "clinical")
    source = SimpleNamespace(members=files, **{n: folder / f"{n}.tsv" for n in tables})
    params = SimpleNamespace(
        settings=settings, inputs={"clinical": ["age"]}, classes=CLASSES, key="studies.s"
    )
    main(source, SimpleNamespace(**out), params, SimpleNamespace(model=model))
    return [read_table(path) for path in out.values()]


@pytest.fixture(scope="module")
def stacked(study):
    return run(study)


def auc_of(table):
    return auc((table["label"] == CLASSES[1]).to_numpy(), table["score"].to_numpy())


def test_two_independent_scores_add_up(stacked):
    """The best possible AUC of both is that of a shift by sqrt(2) as much; four SE of 80 people."""
    predictions, _, learned = stacked
    truth = norm.cdf(SHIFT * np.sqrt(2) / np.sqrt(2))
    assert len(predictions) == 80
    assert abs(auc_of(predictions) - truth) < 4 * 0.045
    members = learned[learned["kind"] == "member"].set_index("candidate")["auc"]
    assert members.between(0.6, 0.95).all()
    assert auc_of(predictions) > members.mean()


def test_the_learner_is_chosen_by_the_inner_folds(stacked):
    predictions, _, learned = stacked
    learners = learned[learned["kind"] == "learner"].set_index("candidate")
    assert set(learners.index) == set(LEARNERS)
    chosen = learners.index[learners["chosen"] == "yes"]
    inner = learners["auc_inner"]
    near = inner[inner >= inner.max() - auc_error(inner.max(), 60, 60)]
    assert [*chosen] == [near.index[0]]
    assert learners.loc[chosen[0], "auc"] == pytest.approx(auc_of(predictions))


def test_a_flexible_learner_must_be_better_by_more_than_chance():
    """The standard error of an AUC of .8 of 20 and 30 people is .0674 (by hand)."""
    assert auc_error(0.8, 20, 30) == pytest.approx(0.0674, abs=1e-4)
    y, person = np.arange(50) < 20, np.arange(50)
    assert chosen_of({"logistic": 0.74, "knn": 0.8}, y, person) == "logistic"
    assert chosen_of({"logistic": 0.73, "knn": 0.8}, y, person) == "knn"


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_take_the_fewest_people_that_inner_folds_can_have(name):
    """Three of each class in three folds, so that two of each are left."""
    y, fold = np.arange(6) % 2 == 1, np.arange(6) // 2
    model = learner_of(name, y, fold)
    for one in range(3):
        model.fit(np.arange(6.0)[fold != one, None], y[fold != one])
        assert model.predict_proba([[1.0]]).shape == (1, 2)


def test_scores_of_the_training_side_are_out_of_fold(stacked, study):
    _, training, _ = stacked
    splits = read_table(study / "splits.tsv")
    assert set(training["role"]) == {"train"}
    assert sorted(training["participant_id"]) == sorted(
        splits.loc[splits["role"] == "train", "participant_id"]
    )


def test_a_stack_stands_on_a_stack_and_on_columns(stacked, study):
    files = [study / "signature_predictions.tsv", study / "signature_training.tsv"]
    settings = {"of": ["signature"], "inputs": ["clinical"], "learners": ["logistic"]}
    predictions, _, learned = run(study, "combined", files, **settings)
    assert auc_of(predictions) > learned.set_index("candidate").at["signature", "auc"] - 0.02
    assert set(learned["candidate"]) == {"logistic", "signature"}


def test_without_an_effect_the_honest_figure_is_chance_and_the_optimistic_one_is_not(
    study, tmp_path
):
    """Over 12 cohorts whose labels are dealt anew (SE of the mean AUC of 80 people .02)."""
    honest, optimistic = [], []
    for number in range(12):
        tables = {path.name: read_table(path) for path in study.glob("*.tsv")}
        people = tables["clinical.tsv"]["participant_id"]
        rng = np.random.default_rng(number)
        dealt = dict(zip(people, rng.permutation([*CLASSES] * (len(people) // 2)), strict=True))
        for name, table in tables.items():
            if "label" in table:
                table["label"] = table["participant_id"].map(dealt)
            table.to_csv(tmp_path / name, sep="\t", index=False, na_rep="n/a")
        predictions, _, learned = run(tmp_path, learners=["logistic", "knn", "gradient_boosting"])
        honest.append(auc_of(predictions))
        optimistic.append(learned["auc"].max())
    assert abs(np.mean(honest) - 0.5) < 3 * 0.02
    assert np.mean(optimistic) > np.mean(honest) + 0.02


def test_who_was_trained_on_is_no_one_to_be_stacked(study):
    inner = read_table(study / "inner.tsv")
    scored = read_table(study / "net_T1w.tsv")
    scored = scored[scored["split"].isin(inner["split"])]
    wrong = scored.assign(split=scored["split"].to_numpy()[::-1])
    with pytest.raises(LeakageError, match="who are not held out there"):
        out_of_fold(wrong, inner)
    found = out_of_fold(scored, inner)
    assert set(found["split"]) == {1} and set(found["role"]) == {"train"}
