"""Imputation and harmonization inside the training side."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.baselines.cohorts import CLASSES, FOLDS, INPUTS, KEY, LOGISTIC, YOUDEN, cases_of, tables
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.fit_features import fit_split, predict
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.preparation import ComBat, Imputer, before, site_share

COMBAT = LOGISTIC | {"harmonize": True}
IMPUTE = YOUDEN | {"missing": "impute", "inputs": ["clinical", "mri"]}


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def batches(n=60, columns=4, seed=0):
    """Values of three sites, which shift and stretch them; last the site."""
    rng = np.random.default_rng(seed)
    site, values = np.arange(n) % 3, rng.normal(size=(n, columns))
    moved = values * np.array([1, 2, 0.5])[site][:, None] + np.array([0, 3, -2])[site][:, None]
    return values, np.column_stack([moved, site])


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_sites_have_one_location_and_scale_afterwards(columns):
    """With and without the prior: it has little weight where sites have a hundred scans."""
    values, x = batches(300, columns)
    found = ComBat(tuple(range(columns))).fit(x).transform(x)
    for column in range(columns):
        groups = [found[x[:, -1] == one, column] for one in range(3)]
        assert np.ptp([g.mean() for g in groups]) < 0.2
        assert np.ptp([g.std() for g in groups]) < 0.2
        assert np.corrcoef(found[:, column], values[:, column])[0, 1] > 0.97
        assert site_share(x[:, column], x[:, -1]) > 0.6  # 4.22 of 5.97
        assert site_share(found[:, column], x[:, -1]) < 0.01


def test_applied_by_hand_it_is_what_the_library_gives_the_same_people():
    from neuroHarmonize import harmonizationLearn

    _, x = batches()
    _, judge = harmonizationLearn(x[:, :4], pd.DataFrame({"SITE": x[:, -1]}), seed=0)
    mine = ComBat((0, 1, 2, 3)).fit(x).transform(x)
    np.testing.assert_allclose(mine, judge, atol=1e-10)
    _, state, *_ = np.random.get_state()
    ComBat((0, 1, 2, 3)).fit(x)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_columns_that_say_the_same_leave_no_prior_and_are_harmonized_all_the_same():
    """Their prior has no variance, and the library's answer is NaN."""
    _, x = batches(60, 1)
    same = np.column_stack([x[:, 0], 2 * x[:, 0], 4 * x[:, 0], x[:, -1]])
    found = ComBat((0, 1, 2)).fit(same).transform(same)
    np.testing.assert_allclose(found, found[:, [0]] * [1, 2, 4])
    np.testing.assert_allclose(found[:, 0], ComBat((0,)).fit(x).transform(x)[:, 0])


def test_only_its_columns_of_sites_that_trained_change():
    _, x = batches()
    x[:2, -1], x[2, -1] = np.nan, 7
    combat = ComBat((0, 2)).fit(x[x[:, -1] != 1])
    found = combat.transform(x)
    known = np.isin(x[:, -1], (0, 2))
    np.testing.assert_array_equal(found[:, [1, 3]], x[:, [1, 3]])
    np.testing.assert_array_equal(found[~known], x[~known, :4])
    assert (found[known][:, [0, 2]] != x[known][:, [0, 2]]).all()


@pytest.mark.parametrize("case", ["one site", "two scans of the others", "no site", "constant"])
def test_where_nothing_can_be_estimated_all_stays(case):
    _, x = batches(12, 2)
    match case:
        case "one site":
            x[:, -1] = 0
        case "two scans of the others":
            x[:, -1] = [0] * 8 + [1, 1, 2, 2]
        case "no site":
            x[:, -1] = np.nan
        case "constant":
            x[:, :2] = x[:, [-1]]  # nothing varies within a site
    np.testing.assert_array_equal(ComBat((0, 1)).fit(x).transform(x), x[:, :2])


def with_sites(n_sites=3, effect=0.0, shift=0.0, seed=0, **settings):
    """Cases of a cohort at several sites, whose scanners shift the measures."""
    splits, features, clinical = tables(effect, seed, **settings)
    site = np.arange(len(features)) % n_sites
    features[["a", "b"]] += shift * np.array([0, 1, -1])[site][:, None]
    clinical["session_site"] = np.array(["A", "B", "C"])[site]
    return splits, features, clinical


def fitted(cases, settings, split=0):
    return fit_split(settings, cases.matrix(settings), cases, split, 1).pipeline


@pytest.mark.parametrize("settings", [COMBAT, IMPUTE | {"harmonize": True}])
def test_labels_and_test_people_never_touch_what_is_fitted(settings):
    splits, features, clinical = with_sites(design=FOLDS, effect=1, shift=3)
    features.loc[[3, 9, 17], "b"] = np.nan
    if settings["missing"] != "impute":
        features["b"] = features["b"].fillna(0)
    cases = build_cases(splits, features, clinical, INPUTS, CLASSES, KEY, imputed=True)
    x, steps = cases.matrix(settings), before(cases, settings)
    train = cases.role[0] == "train"
    assert len(steps) == 1 + (settings["missing"] == "impute")

    def prepared(cases):
        *found, _, _ = fitted(cases, settings).steps
        values = cases.matrix(settings)[train]
        for _, step in found:
            values = step.transform(values)
        return values

    as_is = prepared(cases)
    rng = np.random.default_rng(5)
    y = cases.y.copy()
    y[train] = rng.permutation(y[train])
    np.testing.assert_array_equal(prepared(replace(cases, y=y)), as_is)
    moved = {
        name: table.mask(pd.Series(~train, table.index), 1e3) for name, table in cases.x.items()
    }
    np.testing.assert_array_equal(prepared(replace(cases, x=moved)), as_is)
    assert np.isnan(x).any() == (settings["missing"] == "impute") and np.isfinite(as_is).all()


def areas(seed, shift, effect, settings):
    """AUC over left-out sites where patients are rare at one site and common at the others."""
    rng = np.random.default_rng(seed)
    n = 90
    site = np.repeat([0, 1, 2], n // 3)
    ill = rng.random(n) < np.array([0.15, 0.5, 0.85])[site]
    common = rng.normal(size=n)
    measures = np.column_stack([common, common]) + rng.normal(0, 0.5, (n, 2))
    measures[:, 0] += effect * ill
    measures -= shift * np.array([-1, 0, 1])[site][:, None] * [1, 1]
    ids = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(n)], "session_id": None})
    label = np.where(ill, "ill", "healthy")
    splits = pd.concat(
        [
            ids.assign(split=one + 1, label=label, role=np.where(site == one, "test", "train"))
            for one in range(3)
        ]
    ).assign(weight=1)
    features = ids.assign(a=measures[:, 0], b=measures[:, 1])
    clinical = ids.assign(session_site=np.array(["A", "B", "C"])[site])
    cases = build_cases(splits, features, clinical, {"mri": ["a", "b"]}, CLASSES, KEY)
    found, _ = predict(cases, "m", settings, CLASSES, seed)
    return np.mean(
        [roc_auc_score(own["label"] == "ill", own["score"]) for _, own in found.groupby("split")]
    )


def test_planted_batch_effect_is_overcome_on_sites_left_out_and_a_null_stays_one():
    """The scanners go against the effect: without harmonization the models learn the site."""
    seeds, harmonized = range(6), YOUDEN | {"harmonize": True}
    with_effect = {
        name: np.array([areas(seed, 4.0, 1.0, settings) for seed in seeds])
        for name, settings in (("as they are", YOUDEN), ("harmonized", harmonized))
    }
    gain = with_effect["harmonized"] - with_effect["as they are"]
    assert with_effect["harmonized"].mean() > 0.75
    assert (gain > 0).all() and gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)), gain
    null = np.array([areas(seed, 4.0, 0.0, harmonized) for seed in seeds])
    assert abs(null.mean() - 0.5) < 4 * null.std(ddof=1) / np.sqrt(len(null))


def test_missing_values_are_predicted_from_the_other_columns():
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    x = np.column_stack([a, 2 * a + rng.normal(0, 0.1, 200), rng.normal(size=200), np.zeros(200)])
    gaps = x.copy()
    gaps[:40, 1] = np.nan
    filled = Imputer(3).fit(gaps).transform(gaps)
    np.testing.assert_array_equal(filled[40:], x[40:])
    assert np.corrcoef(filled[:40, 1], x[:40, 1])[0, 1] > 0.99
    gaps[:, 2] = np.nan  # nothing is known of it in training
    assert np.isfinite(Imputer(3).fit(gaps).transform(x)).all()


def test_who_lacks_a_value_is_scored_where_it_is_imputed():
    splits, features, clinical = tables(effect=3, design=FOLDS)
    features.loc[[2, 20], "b"] = np.nan
    clinical.loc[5, "sex"] = None
    built = (splits, features, clinical, INPUTS, CLASSES, KEY)
    complete, everybody = build_cases(*built), build_cases(*built, imputed=True)
    assert (len(complete.y), len(everybody.y)) == (21, 24)
    found, models = predict(everybody, "m", IMPUTE, CLASSES, 1)
    assert set(found["participant_id"]) == set(features["participant_id"])
    assert np.isfinite(found["score"]).all() and models[0]["imputed"] is True
    assert roc_auc_score(found["label"] == "ill", found["probability"]) > 0.85


def test_one_column_can_be_imputed_too():
    """Whose array pandas shares, and would not let anybody write into."""
    cases = build_cases(*tables(design=FOLDS), {"age": ["age"]}, CLASSES, KEY, imputed=True)
    settings = YOUDEN | {"missing": "impute", "inputs": ["age"]}
    x = cases.matrix(settings)
    fitted = fit_split(settings, x, cases, 0, 1)
    assert np.isfinite(fitted.probability(x)).all()


def test_sites_stand_in_the_file_of_models_and_can_be_applied_by_hand():
    cases = build_cases(*with_sites(design=FOLDS, shift=3), INPUTS, CLASSES, KEY)
    found, models = predict(cases, "m", COMBAT, CLASSES, 1)
    told = models[0]["harmonized"]
    assert told["terms"] == ["a", "b"] and list(told["sites"]) == ["A", "B", "C"]
    rows = np.flatnonzero(cases.role[0] == "test")
    values = cases.terms(["mri"]).to_numpy()[rows]
    for row, place in enumerate(rows):
        site = told["sites"][cases.sites[int(cases.site[place])]]
        values[row] = np.array(site["location"]) + np.array(site["scale"]) * values[row]
    standard = (values - models[0]["mean"]) / models[0]["sd"]
    by_hand = standard @ models[0]["coefficients"] + models[0]["intercept"]
    np.testing.assert_allclose(found.loc[found["split"] == 1, "score"], by_hand, atol=1e-9)


def test_without_a_site_there_is_nothing_to_harmonize():
    cases = cases_of(design=FOLDS)
    assert np.isnan(cases.site).all() and cases.sites == []
    plain, _ = predict(cases, "m", LOGISTIC, CLASSES, 1)
    harmonized, models = predict(cases, "m", COMBAT, CLASSES, 1)
    pd.testing.assert_frame_equal(plain, harmonized)
    assert models[0]["harmonized"]["sites"] == {}
