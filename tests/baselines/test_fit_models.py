import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.classify_features import auc
from workflow_scripts.baselines.draw_folds import draw_folds
from workflow_scripts.baselines.fit_models import (
    bootstrap,
    draw_bootstrap,
    fit_apparent,
    permute,
    predict,
    repeat_in_parallel,
    tabulate_coefficients,
)
from workflow_scripts.baselines.logistic import (
    GRID,
    brier,
    cross_validate,
    fit_logistic,
    one_thread,
    weighted_auc,
    within_fold_auc,
    youden_threshold,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.common.trials import LeakageError

CLASSES, KEY = ["non-NPSLE", "NPSLE"], "studies.s.models"
BLOCK = {"classes": CLASSES, "clinical": ["age", "sex"], "mri": ["alps", "nwi"]}


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def tables(effect=0.0, seed=0, sizes=(5, 14, 12)):
    rng = np.random.default_rng(seed)
    label = np.repeat(["control", *CLASSES], sizes)
    n = len(label)
    population = pd.DataFrame(
        {"participant_id": [f"sub-{i:02d}" for i in range(n)], "session_id": np.nan, "label": label}
    )
    features = population[["participant_id", "session_id"]].assign(
        alps=rng.normal(size=n) - effect * (label == "NPSLE"), nwi=rng.normal(size=n)
    )
    participants = population[["participant_id"]].assign(
        age=rng.normal(40, 10, n), sex=np.where(np.arange(n) % 3 == 0, "M", "F")
    )
    folds = draw_folds(population, CLASSES, folds=3, repeats=2, seed=seed, key=KEY)
    return folds, features, participants


def cases_of(effect=0.0, seed=0, **sizes):
    return build_cases(*tables(effect, seed, **sizes), BLOCK, KEY)


def test_models_are_compared_on_the_same_complete_cases(caplog):
    folds, features, participants = tables()
    features.loc[features["participant_id"] == "sub-07", "alps"] = np.nan
    participants.loc[participants["participant_id"] == "sub-20", "sex"] = None
    cases = build_cases(folds, features, participants, BLOCK, KEY)
    assert len(cases.y) == 24 and cases.y.sum() == 11
    assert {"sub-07", "sub-20", "sub-00"}.isdisjoint(cases.scans["participant_id"])
    assert "sub-07, sub-20" in caplog.text and "alps 1" in caplog.text
    assert list(cases.x["combined"]) == ["age", "sex_M", "alps", "nwi"]
    assert [len(x) for x in cases.x.values()] == [24, 24, 24]
    wide = folds.set_index(["repeat", "participant_id"])["fold"]
    assert cases.fold[1].tolist() == [wide[2, who] for who in cases.scans["participant_id"]]


def test_penalty_and_coefficients_agree_with_a_grid_search():
    """Equal inner folds: the mean over folds is the mean over rows."""
    rng = np.random.default_rng(5)
    y = np.arange(24) % 2 == 0
    x = rng.normal(size=(24, 3)) + y[:, None] * [1, 0, 0]
    fitted, _ = fit_logistic(x, y, np.ones(24, int), seed=7)
    judge = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": GRID},
        cv=StratifiedKFold(3, shuffle=True, random_state=7),
        scoring="neg_log_loss",
    ).fit(x, y)
    assert judge.best_params_["logisticregression__C"] == fitted[-1].C
    assert fitted[-1].coef_ == pytest.approx(judge.best_estimator_[-1].coef_, abs=1e-3)


def test_weight_two_is_the_row_given_twice():
    rng = np.random.default_rng(6)
    y = np.arange(20) < 8
    x, weight = rng.normal(size=(20, 2)) + y[:, None], 1 + (np.arange(20) % 3 == 0)
    twice = np.repeat(np.arange(20), weight)
    weighted, _ = fit_logistic(x, y, weight, seed=0)
    scaled = StandardScaler().fit(x[twice])
    judge = LogisticRegression(C=weighted[-1].C, tol=1e-8).fit(scaled.transform(x[twice]), y[twice])
    assert weighted[0].mean_ == pytest.approx(scaled.mean_)
    assert weighted[-1].coef_ == pytest.approx(judge.coef_, abs=1e-3)
    score = rng.normal(size=20)
    assert weighted_auc(y, score, weight) == pytest.approx(roc_auc_score(y[twice], score[twice]))
    assert brier(y, score, weight) == pytest.approx(np.mean((score[twice] - y[twice]) ** 2))


def test_youden_threshold_by_hand():
    """At 0.45 sensitivity is 1 and specificity 2/3, at 0.75 they are 1/2 and 1."""
    y = np.array([False, False, True, False, True])
    p = np.array([0.1, 0.4, 0.5, 0.7, 0.8])
    once = np.ones(5, int)
    assert youden_threshold(y, p, once) == pytest.approx(0.45)
    assert youden_threshold(y, p, np.array([1, 1, 1, 8, 1])) == pytest.approx(0.75)
    assert youden_threshold(y, np.full(5, 0.3), once) == pytest.approx(0.4)


def test_a_tested_participant_does_not_reach_its_own_model():
    cases = cases_of(effect=1.0)
    before = predict(cases, CLASSES, seed=1)
    someone = cases.scans["participant_id"].iloc[3]
    cases.x = {name: x.copy() for name, x in cases.x.items()}
    for x in cases.x.values():
        x.iloc[3] = 1e3
    after = predict(cases, CLASSES, seed=1)
    honest = before["estimate"] == "cross_validated"
    for repeat, fold in enumerate(cases.fold, start=1):
        rows = honest & (before["repeat"] == repeat) & (before["fold"] == fold[3])
        rest = rows & (before["participant_id"] != someone)
        pd.testing.assert_frame_equal(before[rest], after[rest])
        mine = rows & (before["participant_id"] == someone)
        assert (before.loc[mine, "probability"] != after.loc[mine, "probability"]).all()
        assert (before.loc[mine, "threshold"] == after.loc[mine, "threshold"]).all()


def test_predictions_are_complete_and_written(tmp_path):
    cases = cases_of()
    table = predict(cases, CLASSES, seed=1)
    assert table.groupby(["model", "estimate"]).size().to_dict() == {
        (model, estimate): n
        for model in ("clinical", "combined", "mri")
        for estimate, n in (("apparent", 26), ("cross_validated", 52))
    }
    positive = table["probability"] >= table["threshold"]
    assert (table["predicted"] == np.where(positive, "NPSLE", "non-NPSLE")).all()
    assert table.loc[table["estimate"] == "apparent", ["repeat", "fold"]].isna().all(axis=None)
    write_table(table, tmp_path / "predictions.tsv", resource("columns/baselines.tsv"))


def test_planted_effect_is_found_by_the_models_that_see_it(tmp_path):
    cases = cases_of(effect=3.0)
    table = predict(cases, CLASSES, seed=1).query("estimate == 'cross_validated'")
    honest = {}
    for model, rows in table.groupby("model"):
        wide = rows.pivot(index="repeat", columns="participant_id", values="probability")
        honest[model] = within_fold_auc(cases.y, wide.to_numpy(), cases.fold)
    assert honest["mri"] > 0.9 and honest["combined"] > 0.9 and honest["clinical"] < 0.8
    samples = repeat_in_parallel(bootstrap, cases, 12, seed=1, threads=1)
    coefficients = tabulate_coefficients(cases, samples, seed=1)
    row = coefficients.set_index(["model", "term"]).loc[("mri", "alps")]
    assert row["coefficient_low"] < row["coefficient"] < 0 and row["coefficient_high"] < 0
    assert row["odds_ratio"] == pytest.approx(np.exp(row["coefficient"]))
    assert (row["n_negative"], row["n_positive"]) == (14, 12)
    described = resource("columns/baselines.tsv")
    write_table(coefficients, tmp_path / "coefficients.tsv", described)
    write_table(samples.drop(columns="coefficients"), tmp_path / "bootstraps.tsv", described)
    null = repeat_in_parallel(permute, cases, 2, seed=1, threads=1)
    write_table(null, tmp_path / "permutations.tsv", described)
    mine = null.query("model == 'mri' and estimate == 'cross_validated'")
    assert (mine["auc"] < honest["mri"]).all()


def test_null_data_look_good_where_fitted_and_are_at_chance_elsewhere():
    """20 null cohorts of 15 + 15 with 8 columns; honest mean within 4 standard errors of 1/2."""
    y = np.arange(30) < 15
    fold = np.stack([np.arange(30) % 3])
    apparent, honest = [], []
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(30, 8))
        pipeline, _ = fit_logistic(x, y, np.ones(30, int), seed=1)
        apparent.append(auc(y, pipeline.decision_function(x)))
        honest.append(within_fold_auc(y, cross_validate(x, y, fold, seed=1)[0], fold))
    assert np.mean(apparent) > 0.7
    assert abs(np.mean(honest) - 0.5) < 4 * np.std(honest, ddof=1) / np.sqrt(20)


def test_bootstrap_shows_the_optimism_of_null_data():
    cases = cases_of(seed=2)
    rows = repeat_in_parallel(bootstrap, cases, 10, seed=1, threads=1).query("model == 'combined'")
    assert (rows["auc_bootstrap"] - rows["auc_original"]).mean() > 0.05
    assert (rows["brier_bootstrap"] - rows["brier_original"]).mean() < 0


def test_bootstrap_samples_are_drawn_within_classes_with_two_different_people():
    y = np.array([True, True, True, False, False, False, False])
    for number in range(50):
        weight = draw_bootstrap(y, number, seed=1)
        assert weight[y].sum() == 3 and weight[~y].sum() == 4
        assert (weight[y] > 0).sum() >= 2 and (weight[~y] > 0).sum() >= 2


def test_permutation_moves_the_columns_together(monkeypatch):
    cases, seen = cases_of(), []

    def record(cases, x, seed):
        seen.append(x)
        return fit_apparent(cases, x, seed)

    monkeypatch.setattr("workflow_scripts.baselines.fit_models.fit_apparent", record)
    permute(cases, 1, seed=0)
    assert not np.array_equal(seen[2], cases.x["combined"])
    assert np.array_equal(np.hstack(seen[:2]), seen[2])
    assert sorted(seen[2][:, 0]) == sorted(cases.x["combined"]["age"])


def test_same_result_for_any_order_of_rows_and_number_of_threads():
    folds, features, participants = tables(effect=1.0)
    once = build_cases(folds, features, participants, BLOCK, KEY)
    again = build_cases(folds[::-1], features[::-1], participants[::-1], BLOCK, KEY)
    pd.testing.assert_frame_equal(predict(once, CLASSES, 1), predict(again, CLASSES, 1))
    alone, shared = (
        repeat_in_parallel(bootstrap, cases, 2, 5, threads).drop(columns="coefficients")
        for cases, threads in ((once, 1), (again, 2))
    )
    pd.testing.assert_frame_equal(alone, shared, check_exact=True)


def test_pairs_of_different_folds_are_not_compared():
    y = np.array([True, False, True, False])
    fold = np.array([[1, 1, 2, 2]])
    assert within_fold_auc(y, np.array([[0.2, 0.1, 0.9, 0.8]]), fold) == 1
    assert within_fold_auc(y, np.array([[0.1, 0.2, 0.9, 0.8]]), fold) == 0.5


def test_leak_is_refused():
    folds, features, participants = tables()
    leak = folds.iloc[[0]].assign(fold=folds["fold"].iloc[0] % 3 + 1)
    with pytest.raises(LeakageError, match="several folds"):
        build_cases(pd.concat([folds, leak]), features, participants, BLOCK, KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mri": ["alps", "dwi"]}, "studies.s.models.mri: features.tsv has no column dwi"),
        ({"clinical": ["bmi"]}, "studies.s.models.clinical: participants.tsv has no column bmi"),
        ({"clinical": ["alps"]}, "studies.s.models: alps stands in clinical and in mri"),
        ({"classes": ["control", "SLE"]}, r"studies.s.models.classes: .*no participant of"),
        ({"mri": ["alps", "empty"]}, r"class non-NPSLE has 0 .*\(empty: 26\)"),
        ({"mri": ["alps", "rare"]}, r"too few for its folds.*\(rare: 22\)"),
        ({"mri": ["alps", "same"]}, "studies.s.models.mri: same of features.tsv is the same"),
        ({"mri": ["alps", "text"]}, "studies.s.models.mri: text of features.tsv is 'left'"),
    ],
)
def test_bad_columns_name_their_key(change, message):
    folds, features, participants = tables()
    features = features.assign(empty=np.nan, same=1.0, text="left", rare=features["alps"])
    features.loc[features.index % 7 != 6, "rare"] = np.nan
    features.loc[0, "text"] = "right"
    features.loc[10, "text"] = "both"
    block = BLOCK | change
    if "alps" in block["clinical"]:
        participants["alps"] = features["alps"]
    with pytest.raises(InputError, match=message):
        build_cases(folds, features, participants, block, KEY)
