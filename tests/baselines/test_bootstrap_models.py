from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from tests.baselines.cohorts import CLASSES, FOLDS, INPUTS, KEY, LOGISTICS, cases_of, tables
from workflow_scripts.baselines.bootstrap_models import (
    apparent_predictions,
    bootstrap,
    brier,
    draw_bootstrap,
    fit_apparent,
    main,
    permute,
    repeat_in_parallel,
    tabulate_coefficients,
)
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.linear import fit, one_thread
from workflow_scripts.common.predictions import PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

SMALL = {"design": FOLDS | {"repeats": 1}}
MRI = {"mri": LOGISTICS["mri"]}


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def test_brier_of_weighted_rows():
    rng = np.random.default_rng(0)
    y, score, weight = np.arange(20) < 8, rng.random(20), 1 + (np.arange(20) % 3 == 0)
    twice = np.repeat(np.arange(20), weight)
    assert brier(y, score, weight) == pytest.approx(np.mean((score[twice] - y[twice]) ** 2))


def test_apparent_predictions_are_of_everybody_as_split_0_of_role_train(tmp_path):
    cases = cases_of(**SMALL)
    table = apparent_predictions(cases, LOGISTICS, CLASSES, seed=1)
    assert list(table.columns) == PREDICTIONS
    assert table.groupby("model").size().to_dict() == {"clinical": 24, "combined": 24, "mri": 24}
    assert set(table["split"]) == {0} and set(table["role"]) == {"train"}
    positive = table["score"] > table["threshold"]
    assert (table["predicted"] == np.where(positive, "ill", "healthy")).all()
    np.testing.assert_allclose(table["probability"], expit(table["score"]))
    write_table(table, tmp_path / "apparent.tsv", resource("columns/baselines.tsv"))


def test_planted_effect_is_in_the_coefficients_of_the_models_that_see_it(tmp_path):
    cases = cases_of(effect=3.0, **SMALL)
    samples = repeat_in_parallel(bootstrap, cases, LOGISTICS, 12, seed=1, threads=1)
    coefficients = tabulate_coefficients(cases, LOGISTICS, samples, seed=1)
    table = coefficients.set_index(["model", "term"])
    assert table.loc["combined"].index.tolist() == ["intercept", "age", "sex_M", "a", "b"]
    row = table.loc[("mri", "a")]
    assert 0 < row["coefficient_low"] < row["coefficient"] and row["coefficient_high"] > 0
    assert row["odds_ratio"] == pytest.approx(np.exp(row["coefficient"]))
    x = cases.terms(["mri"])["a"]
    assert (row["mean"], row["sd"]) == pytest.approx((x.mean(), x.std(ddof=0)))
    assert (row["n_negative"], row["n_positive"]) == (14, 10)
    described = resource("columns/baselines.tsv")
    write_table(coefficients, tmp_path / "coefficients.tsv", described)
    write_table(samples.drop(columns="coefficients"), tmp_path / "bootstraps.tsv", described)
    found = fit_apparent(cases, cases.terms(["mri"]).to_numpy(), LOGISTICS["mri"], 1)
    observed = roc_auc_score(cases.y, found.score(cases.terms(["mri"]).to_numpy()))
    null = repeat_in_parallel(permute, cases, MRI, 3, seed=1, threads=1)
    assert (null["auc"] < observed).all()
    write_table(null, tmp_path / "permutations.tsv", described)


def test_bootstrap_shows_the_optimism_of_null_data():
    cases, models = cases_of(seed=2, **SMALL), {"combined": LOGISTICS["combined"]}
    rows = repeat_in_parallel(bootstrap, cases, models, 10, seed=1, threads=1)
    assert (rows["auc_bootstrap"] - rows["auc_original"]).mean() > 0.05
    assert (rows["brier_bootstrap"] - rows["brier_original"]).mean() < 0


def test_bootstrap_samples_are_drawn_within_classes_with_two_different_people():
    cases = cases_of(healthy=4, ill=3, design=FOLDS | {"folds": 3, "repeats": 1})
    for number in range(50):
        weight = draw_bootstrap(cases, number, seed=1)
        assert weight[cases.y].sum() == 3 and weight[~cases.y].sum() == 4
        assert (weight[cases.y] > 0).sum() >= 2 and (weight[~cases.y] > 0).sum() >= 2


def test_all_scans_of_a_person_are_drawn_together():
    cases, once = cases_of(sessions=2, **SMALL), cases_of(**SMALL)
    for number in range(5):
        weight = draw_bootstrap(cases, number, seed=1)
        assert weight.tolist() == np.repeat(draw_bootstrap(once, number, seed=1), 2).tolist()


def doubled(cohort):
    return [pd.concat([t.assign(session_id=s) for s in ("ses-1", "ses-2")]) for t in cohort]


def test_every_person_counts_once_in_the_figures_however_many_scans():
    """Twice the scans halve the penalty; at C = 1000 it does not matter."""
    free = {"mri": LOGISTICS["mri"] | {"penalties": [1000]}}
    splits, features, clinical = tables(effect=1, **SMALL)
    once = build_cases(splits, features, clinical, INPUTS, CLASSES, KEY)
    both = doubled((splits, features, clinical))
    both = [t.sort_values([c for c in ("split", "participant_id") if c in t]) for t in both]
    twice = build_cases(*both, INPUTS, CLASSES, KEY)
    a, b = bootstrap(once, free, 3, 1)[0], bootstrap(twice, free, 3, 1)[0]
    for name in ("auc_bootstrap", "auc_original", "brier_bootstrap", "brier_original"):
        assert b[name] == pytest.approx(a[name], abs=2e-3)
    a, b = permute(once, free, 2, 1)[0], permute(twice, free, 2, 1)[0]
    assert b["auc"] == pytest.approx(a["auc"], abs=1e-9)
    table = tabulate_coefficients(twice, free, pd.DataFrame(bootstrap(twice, free, 1, 1)), 1)
    assert set(table["n_negative"]) == {14} and set(table["n_positive"]) == {10}


def test_permutation_moves_the_columns_together_and_all_scans_of_a_person(monkeypatch):
    cases, seen = cases_of(sessions=2, **SMALL), []

    def record(cases, x, settings, seed):
        seen.append(x)
        return fit_apparent(cases, x, settings, seed)

    monkeypatch.setattr("workflow_scripts.baselines.bootstrap_models.fit_apparent", record)
    permute(cases, LOGISTICS, 1, seed=0)
    clinical, mri, combined = seen
    x = cases.terms(["clinical", "mri"]).to_numpy()
    assert not np.array_equal(combined, x)
    assert np.array_equal(np.hstack([clinical, mri]), combined)
    pairs = {tuple(x[rows].ravel()) for rows in (cases.person == p for p in range(24))}
    assert {tuple(combined[cases.person == p].ravel()) for p in range(24)} == pairs


def test_figures_count_people_who_have_different_numbers_of_scans(monkeypatch):
    splits, features, clinical = tables(sessions=2, **SMALL)
    features.loc[::6, "b"] = np.nan
    cases, seen = build_cases(splits, features, clinical, INPUTS, CLASSES, KEY), []

    def record(cases, x, settings, seed):
        seen.append(fit_apparent(cases, x, settings, seed).score(x))
        return fit_apparent(cases, x, settings, seed)

    monkeypatch.setattr("workflow_scripts.baselines.bootstrap_models.fit_apparent", record)
    row = permute(cases, MRI, 1, seed=0)[0]
    weight = 1 / np.bincount(cases.person)[cases.person]
    assert set(weight) == {0.5, 1}
    expected = roc_auc_score(cases.y, seen[0], sample_weight=weight)
    assert row["auc"] == pytest.approx(expected)
    assert row["auc"] != pytest.approx(roc_auc_score(cases.y, seen[0]))
    row, drawn = bootstrap(cases, MRI, 1, seed=0)[0], draw_bootstrap(cases, 1, seed=0)
    x, inside = cases.terms(["mri"]).to_numpy(), drawn > 0
    sample = (x[inside], cases.y[inside], drawn[inside], cases.person[inside])
    p = expit(fit(LOGISTICS["mri"], *sample, 0).score(x))
    for name, times in (("bootstrap", drawn * weight), ("original", weight)):
        expected = roc_auc_score(cases.y, p, sample_weight=times)
        assert row[f"auc_{name}"] == pytest.approx(expected)
        error = np.average((p - cases.y) ** 2, weights=times)
        assert row[f"brier_{name}"] == pytest.approx(error)


def run(folder, threads, cohort):
    names = ("splits", "features", "clinical")
    for name, table in zip(names, cohort, strict=True):
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    made = ("predictions", "coefficients", "samples", "permutations", "instability", "sample_size")
    out = SimpleNamespace(**{name: folder / f"made_{name}.tsv" for name in made})
    params = SimpleNamespace(
        models=MRI,
        inputs=INPUTS,
        together=list(INPUTS),
        classes=CLASSES,
        seed=5,
        key=KEY,
        samples=2,
        permutations=2,
    )
    main(SimpleNamespace(**{n: folder / f"{n}.tsv" for n in names}), out, params, threads)
    return {name: read_table(getattr(out, name)) for name in made}


def test_external_participants_take_no_part_and_threads_do_not_matter(tmp_path):
    splits, features, clinical = tables(effect=1, external=2, healthy=16, ill=12, **SMALL)
    alone = run(tmp_path, 1, (splits, features, clinical))
    outside = set(splits.loc[splits["role"] == "external", "participant_id"])
    assert len(alone["predictions"]) == 24
    assert outside.isdisjoint(alone["predictions"]["participant_id"])
    features.loc[features["participant_id"].isin(outside), "a"] = 1e4
    shared = run(tmp_path, 2, (splits, features, clinical))
    for name, table in alone.items():
        pd.testing.assert_frame_equal(table, shared[name], check_exact=True)
