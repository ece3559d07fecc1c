"""Radiomics as the input of a model: chosen in the training side, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tests.baselines.cohorts import AS_IS, CLASSES, FOLDS, INPUTS, KEY, YOUDEN, tables
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.fit_features import predict
from workflow_scripts.baselines.linear import MODELS, one_thread
from workflow_scripts.baselines.permute_features import permute_inputs
from workflow_scripts.baselines.stable import Stable
from workflow_scripts.common.job import InputError
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.stability import MASKS, icc

RADIOMICS = {"region": "thalamus", "stable": 0.75}
LASSO = YOUDEN | {"inputs": ["radiomics"], "penalty": "l1"} | AS_IS
FEATURES, FIRM = 30, 20  # the others change with their mask


def measured(scans, signal=0.0, seed=0):
    """A table of radiomics: noise, ``T1w_f0`` shifted by ``signal`` in the ill."""
    rng = np.random.default_rng(seed)
    n = len(scans)
    values = rng.normal(size=(n, 1, FEATURES)).repeat(3, axis=1)
    values[:, :, 0] += signal * (scans["label"] == "ill").to_numpy()[:, None]
    values += np.where(np.arange(FEATURES) < FIRM, 0.1, 2.0) * rng.normal(size=values.shape)
    rows = [
        dict(zip(MASKS, values[i, :, j], strict=True))
        | {key: scan[key] for key in SCAN}
        | {"feature": f"T1w_f{j}", "reason": None}
        for i, (_, scan) in enumerate(scans.iterrows())
        for j in range(FEATURES)
    ]
    return pd.DataFrame(rows)


def cohort(signal=0.0, seed=0, **settings):
    splits, features, clinical = tables(seed=seed, **{"design": FOLDS} | settings)
    scans = splits.drop_duplicates(SCAN)
    return (splits, features, clinical), measured(scans, signal, seed)


def built(parts, table, inputs=None, **settings):
    inputs = inputs or {"radiomics": RADIOMICS}
    return build_cases(*parts, inputs, CLASSES, KEY, radiomics={"thalamus": table}, **settings)


def fitted(cases, settings=LASSO):
    with one_thread():
        return predict(cases, "m", settings, CLASSES, 1)


def test_terms_are_the_features_of_the_region_with_the_mask_as_it_is():
    parts, table = cohort()
    cases = built(parts, table, {"radiomics": RADIOMICS, "clinical": ["age", "sex"]})
    terms = cases.terms(["clinical", "radiomics"])
    assert list(terms)[:2] == ["age", "sex_M"] and len(terms.columns) == 2 + FEATURES
    first = table[table["feature"] == "T1w_f7"].set_index("participant_id")
    people = cases.scans["participant_id"]
    assert (terms["thalamus_T1w_f7"].to_numpy() == first.loc[people, "original"]).all()
    settings = LASSO | {"inputs": ["clinical", "radiomics"]}
    x = cases.matrix(settings)
    assert x.shape == (len(people), 2 + 3 * FEATURES)
    place = list(terms).index("thalamus_T1w_f7")
    for number, mask in enumerate(MASKS):
        at = place if number == 0 else 2 + FEATURES * number + place - 2
        assert (x[:, at] == first.loc[people, mask]).all()
    kept = cases.only(np.arange(len(people)) % 2 == 0)
    assert (kept.matrix(settings) == x[::2]).all()


def test_unstable_features_are_0_and_named():
    parts, table = cohort()
    cases = built(parts, table)
    _, models = fitted(cases)
    for model in models:
        out = {f"thalamus_T1w_f{j}" for j in range(FIRM, FEATURES)}
        assert set(model["unstable"]) == out
        place = [model["terms"].index(name) for name in out]
        assert not np.array(model["coefficients"])[place].any()
        assert not np.array(model["mean"])[place].any()


def test_the_step_takes_the_icc_of_its_rows():
    parts, table = cohort()
    cases = built(parts, table)
    x = cases.matrix(LASSO)[:12]
    step = Stable(FEATURES, tuple(range(FEATURES)), (0.75,) * FEATURES).fit(x)
    np.testing.assert_allclose(step.icc_, icc(x.reshape(12, 3, FEATURES))[0])
    assert step.transform(x).shape == (12, FEATURES)
    site = np.column_stack([x, np.arange(12)])
    assert (step.transform(site)[:, -1] == np.arange(12)).all()


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("settings", [{}, {"screening": 0.2}], ids=str)
def test_test_people_never_touch_what_is_chosen(penalty, settings):
    """Whatever their features are, with whichever mask."""
    (splits, *others), table = cohort(signal=1.5, healthy=20, ill=20)
    splits = splits[splits["split"] == 1]
    tested = splits.loc[splits["role"] == "test", "participant_id"]
    of_tested = table["participant_id"].isin(tested)
    rng = np.random.default_rng(1)
    other = table.copy()
    other.loc[of_tested, list(MASKS)] = 50 * rng.normal(size=(of_tested.sum(), 3))
    missing = table.copy()
    missing.loc[of_tested, ["eroded", "dilated"]] = np.nan
    settings = LASSO | {"penalty": penalty, "penalties": [0.5, 1]} | settings
    (before,), (changed,), (unknown,) = (
        fitted(built((splits, *others), one), settings)[1] for one in (table, other, missing)
    )
    assert before == changed == unknown
    assert before["unstable"] and np.count_nonzero(before["coefficients"]) > 0
    of_trained = table.assign(**{m: table[m].where(of_tested, -table[m]) for m in MASKS[1:]})
    [trained] = fitted(built((splits, *others), of_trained), settings)[1]
    assert trained["unstable"] != before["unstable"]


def test_a_planted_feature_is_found_and_a_null_stays_one():
    def auc(signal):
        parts, table = cohort(signal, seed=3, healthy=40, ill=40)
        predictions, models = fitted(built(parts, table))
        rows = predictions[predictions["role"] == "test"]
        ill = rows["label"] == "ill"
        ranks = rows.groupby("split")["score"].rank(pct=True)
        return ranks[ill].mean() - ranks[~ill].mean(), models

    gained, models = auc(2.0)
    assert gained > 0.25  # 0.42 were the score the feature itself
    for model in models:
        size = abs(np.array(model["coefficients"]))
        assert model["terms"][size.argmax()] == "thalamus_T1w_f0"
        assert (size == 0).sum() > FEATURES - FIRM  # lasso leaves more out than is unstable
    assert abs(auc(0.0)[0]) < 0.15


def test_lasso_is_at_its_optimum():
    """Karush-Kuhn-Tucker: the gradient is below 1 where a coefficient is 0, and 1 elsewhere."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 25)), rng.random(60) < 0.4
    x[:, 0] += y
    model = MODELS["lasso"].set_params(C=0.7).fit(x, y)
    assert isinstance(model, LogisticRegression)
    gradient = 0.7 * x.T @ (model.predict_proba(x)[:, 1] - y)
    chosen = model.coef_[0] != 0
    assert 0 < chosen.sum() < 25
    np.testing.assert_allclose(gradient[chosen], -np.sign(model.coef_[0][chosen]), atol=1e-3)
    assert (abs(gradient[~chosen]) < 1 + 1e-3).all()
    # the intercept is as good as free: as many are predicted as are there
    assert model.predict_proba(x)[:, 1].sum() == pytest.approx(y.sum(), abs=0.05)


def test_who_lacks_features_is_left_out():
    parts, table = cohort()
    first = table["participant_id"].iloc[0]
    of_first = table["participant_id"] == first
    gone = table[of_first].iloc[:1].assign(feature=None, reason="no STIR", **dict.fromkeys(MASKS))
    table = pd.concat([gone, table[~of_first]], ignore_index=True)
    inputs = {"radiomics": RADIOMICS} | INPUTS
    complete = built(parts, table, inputs)
    assert first not in set(complete.scans["participant_id"])
    with pytest.raises(InputError, match=r"no session has a feature of the thalamus; see .*reason"):
        built(parts, table.assign(feature=None), inputs)


def test_none_stable_is_said_and_nothing_is_read(caplog):
    parts, table = cohort()
    table["dilated"] = -table["dilated"]
    _, models = fitted(built(parts, table))
    assert "no feature is as stable as asked for" in caplog.text
    assert all(len(model["unstable"]) == FEATURES for model in models)
    assert not any(np.any(model["coefficients"]) for model in models)


def test_permuted_radiomics_move_with_their_masks():
    """So that a feature stays as stable as it is."""
    parts, table = cohort(signal=2.0)
    cases = built(parts, table, {"radiomics": RADIOMICS} | INPUTS)
    settings = LASSO | {"inputs": ["clinical", "radiomics"], "penalties": [1]}
    seen = []
    import workflow_scripts.baselines.permute_features as module

    def figures(moved, *rest):
        seen.append(moved)

    original, module.figures = module.figures, figures
    try:
        permute_inputs(cases, settings, ["radiomics"], 1, 1)
    finally:
        module.figures = original
    x, moved = cases.inside().matrix(settings), seen[0].matrix(settings)
    assert (x[:, :2] == moved[:, :2]).all() and (x[:, 2:] != moved[:, 2:]).any()
    stable = icc(x[:, 2:].reshape(len(x), 3, FEATURES))[0]
    np.testing.assert_allclose(icc(moved[:, 2:].reshape(len(x), 3, FEATURES))[0], stable)
