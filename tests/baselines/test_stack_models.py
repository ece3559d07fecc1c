import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from workflow_scripts.baselines.frozen_stack import read_stack
from workflow_scripts.baselines.learners import LEARNERS, learner_of
from workflow_scripts.baselines.score_stacks import main as score_stacks
from workflow_scripts.baselines.stack_models import auc_error, chosen_of, main, out_of_fold
from workflow_scripts.cohort.draw_inner_splits import draw_inner_splits
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.common.job import InputError
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


def run(folder, model="signature", members=(), columns=None, **settings):
    out = {name: folder / f"{model}_{name}.tsv" for name in ("predictions", "training", "learners")}
    settings = {
        "of": [*MEMBERS],
        "inputs": [],
        "learners": [*LEARNERS],
        "screening": None,
    } | settings
    files = members or [folder / f"{name}.tsv" for name in settings["of"]]
    tables = ("splits", "inner", "features", "clinical")
    source = SimpleNamespace(members=files, **{n: folder / f"{n}.tsv" for n in tables})
    params = SimpleNamespace(
        settings=settings, inputs=columns or {"clinical": ["age"]}, classes=CLASSES, key="studies.s"
    )
    stack = folder / f"model-{model}_stack.json"
    main(source, SimpleNamespace(stack=stack, **out), params, SimpleNamespace(model=model))
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


def networks_of(study, tmp_path, people):
    """Scores of two networks, of some of the tested people as if they were new."""
    tables = []
    for name in MEMBERS:
        table = read_table(study / f"{name}.tsv").query("split == 1")
        table = table[table["participant_id"].isin(people)]
        tables.append(
            table.assign(
                model=f"model-{name}_split-1_repeat-1",
                seen_in_training="no",
                negative=CLASSES[0],
                positive=CLASSES[1],
            )
        )
    order = ["participant_id", "session_id", "model", "seen_in_training", "label"]
    order += ["negative", "positive", "score", "probability", "predicted"]
    path = tmp_path / "sessions.tsv"
    pd.concat(tables)[order].to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def scored(study, tmp_path, names, people, ages):
    source = SimpleNamespace(
        networks=networks_of(study, tmp_path, people),
        stacks=[str(study / f"model-{name}_stack.json") for name in names],
        features=[],
    )
    rows = [
        {"participant_id": person, "session_id": None, "age": age}
        for person, age in zip(people, ages, strict=True)
    ]
    out = SimpleNamespace(predictions=tmp_path / "stacks.tsv")
    score_stacks(source, out, SimpleNamespace(sessions=rows))
    return read_table(out.predictions)


def ages_of(study, people):
    """As texts, as tables of a dataset have them."""
    ages = read_table(study / "clinical.tsv").set_index("participant_id")["age"]
    return [str(ages[person]) for person in people]


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name != "random_forest"])
def test_a_frozen_stack_gives_new_people_what_it_gave_in_its_study(study, tmp_path, learner):
    predictions, *_ = run(study, "own", inputs=["clinical"], learners=[learner])
    tested = predictions.set_index("participant_id")["probability"]
    people = [*tested.index[:7]]
    table = scored(study, tmp_path, ["own"], people, ages_of(study, people))
    assert set(table["model"]) == {"model-own_split-1_repeat-1"}
    given = table.set_index("participant_id").loc[people]
    np.testing.assert_allclose(given["probability"], tested[people], atol=1e-9)
    np.testing.assert_allclose(expit(given["score"]), given["probability"], atol=1e-9)
    assert (given["seen_in_training"] == "no").all()


def test_a_stack_stands_on_another_whatever_their_names(study, tmp_path):
    run(study, "z_first")
    members = [study / f"z_first_{kind}.tsv" for kind in ("predictions", "training")]
    second, *_ = run(study, "a_second", members, of=["z_first"], inputs=["clinical"])
    tested = second.set_index("participant_id")["probability"]
    people = [*tested.index[:5]]
    table = scored(study, tmp_path, ["a_second", "z_first"], people, ages_of(study, people))
    given = table[table["model"].str.contains("a_second")].set_index("participant_id")
    np.testing.assert_allclose(given.loc[people, "probability"], tested[people], atol=1e-9)


def test_who_trained_or_lacks_a_value_has_no_score_and_other_texts_are_refused(
    study, tmp_path, caplog
):
    predictions, *_ = run(study, "aged", inputs=["clinical"], learners=["logistic"])
    people = [*predictions["participant_id"][:3]]
    ages = ages_of(study, people)
    table = scored(study, tmp_path, ["aged"], people, [None, *ages[1:]])
    assert table.set_index("participant_id")["probability"].notna().tolist() == [False, True, True]
    assert f"no score by aged, a value or a model's score is missing: {people[0]}" in caplog.text
    with pytest.raises(
        InputError, match=f"age of {people[0]} is 'old', and the model knows a numb"
    ):
        scored(study, tmp_path, ["aged"], people, ["old", *ages[1:]])
    path = study / "model-aged_stack.json"
    stack = json.loads(path.read_text())
    stack["splits"][0]["participants"] += people[:1]
    path.write_text(json.dumps(stack))
    table = scored(study, tmp_path, ["aged"], people, ages).set_index("participant_id")
    assert table["seen_in_training"].tolist() == ["yes", "no", "no"]
    assert table["probability"].notna().tolist() == [False, True, True]


def test_a_learner_that_gives_other_scores_than_it_gave_is_refused(study, tmp_path):
    predictions, *_ = run(study, "other", learners=["knn"])
    path = study / "model-other_stack.json"
    stack = json.loads(path.read_text())
    stack["splits"][0]["probability"][0] += 0.01
    path.write_text(json.dumps(stack))
    people = [*predictions["participant_id"][:2]]
    with pytest.raises(InputError, match="knn: fitted again it gives other scores than it gave"):
        scored(study, tmp_path, ["other"], people, ages_of(study, people))


def test_screening_leaves_noise_out_and_sees_the_training_side_alone(study, tmp_path):
    """Age differs by an SD between classes of 60 (p of some 1e-6); the noise column by nothing."""
    noisy = tmp_path / "study"
    shutil.copytree(study, noisy)
    clinical = read_table(study / "clinical.tsv")
    splits = read_table(study / "splits.tsv").set_index("participant_id")
    label = clinical["participant_id"].map(splits["label"]) == CLASSES[1]
    tested = clinical["participant_id"].map(splits["role"]) == "test"
    noise = np.arange(len(clinical)) // 2 % 2  # as often in either class
    # On the test side it tells the classes apart, which nobody may see.
    clinical["noise"] = np.where(tested, label, noise)
    clinical.to_csv(noisy / "clinical.tsv", sep="\t", index=False, na_rep="n/a")
    inputs = {"clinical": ["age", "noise"]}
    run(noisy, "all", inputs=["clinical"], learners=["logistic"], columns=inputs)
    run(noisy, "some", inputs=["clinical"], learners=["logistic"], screening=0.05, columns=inputs)
    whole, some = (
        json.loads((noisy / f"model-{name}_stack.json").read_text())["splits"][0]
        for name in ("all", "some")
    )
    assert some["dropped"] == [3] and some["coefficients"][3] == 0 != some["coefficients"][2]
    assert whole["dropped"] == [] and whole["coefficients"][3] != 0


def test_labels_of_the_test_side_reach_no_stack(stacked, study, tmp_path):
    """Exchanged there, they change neither what is fitted and chosen nor a score."""
    other = tmp_path / "study"
    shutil.copytree(study, other)
    exchanged = dict(zip(CLASSES, CLASSES[::-1], strict=True))
    for name in ("splits", *MEMBERS):
        table = read_table(other / f"{name}.tsv")
        tested = (table["role"] == "test") & (table["split"] == 1)
        table.loc[tested, "label"] = table.loc[tested, "label"].map(exchanged)
        table.to_csv(other / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    run(other)
    before, after = (read_table(f / "signature_predictions.tsv") for f in (study, other))
    assert (before["label"] != after["label"]).all()
    pd.testing.assert_frame_equal(before.drop(columns="label"), after.drop(columns="label"))
    files = [folder / "model-signature_stack.json" for folder in (study, other)]
    assert files[0].read_text() == files[1].read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"model": "x"}'])
def test_a_file_that_is_no_stack_is_named(tmp_path, text):
    (tmp_path / "model-x_stack.json").write_text(text)
    with pytest.raises(InputError, match="model-x_stack.json: cannot be read .*; make or copy"):
        read_stack(tmp_path / "model-x_stack.json")
