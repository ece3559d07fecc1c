import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from tests.baselines.cohorts import CLASSES, FOLDS, KEY, YOUDEN, cases_of, scans_of
from workflow_scripts.baselines.bootstrap_models import apparent_predictions, bootstrap
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.sample_size import (
    likelihood_fit,
    needed,
    tabulate_instability,
    tabulate_sample_size,
)

BOTH = YOUDEN | {"inputs": ["clinical", "mri"]}


def test_participants_needed_are_those_of_the_published_example():
    """Riley et al. 2019, the model of Chagas disease of pmsampsize: 24 terms, R2 .288, 17.4 %."""
    found = needed(0.288, 24, 0.174)
    assert found == {"n_shrinkage": 623, "n_optimism": 662, "n_risk": 221}
    assert np.isnan(needed(-0.02, 24, 0.174)["n_shrinkage"])


def test_likelihoods_are_those_of_a_logistic_regression():
    cases = cases_of(effect=1, design=FOLDS)
    found = likelihood_fit(cases, BOTH)
    x = cases.terms(BOTH["inputs"]).to_numpy(float)
    judge = sm.Logit(cases.y.astype(float), sm.add_constant(x)).fit(disp=0)
    assert found["log_likelihood"] == pytest.approx(judge.llf, abs=1e-6)
    assert found["log_likelihood_null"] == pytest.approx(judge.llnull)
    assert (found["n"], found["n_events"], found["n_parameters"]) == (24, 10, 4)
    r2 = 1 - np.exp((judge.llnull - judge.llf) * 2 / 24)
    assert found["r2_cox_snell"] == pytest.approx(r2, abs=1e-6)
    table = tabulate_sample_size(cases, {"m": BOTH}).iloc[0]
    assert table["events_per_parameter"] == 2.5
    assert table["shrinkage"] == pytest.approx(1 - 4 / judge.llr, abs=1e-6)


def test_scans_of_a_person_count_as_one():
    once = likelihood_fit(cases_of(effect=1, design=FOLDS), BOTH)
    cases = cases_of(effect=1, design=FOLDS)
    twice = [np.repeat(part, 2, axis=0) for part in (cases.y, cases.person)]
    x = {name: table.loc[table.index.repeat(2)] for name, table in cases.x.items()}
    doubled = cases.__class__(
        cases.scans, x, twice[1], twice[0], cases.splits, cases.role, cases.weight, None, []
    )
    found = likelihood_fit(doubled, BOTH)
    assert found == pytest.approx(once)


def test_separated_classes_have_no_likelihood_to_tell():
    table = tabulate_sample_size(cases_of(effect=40, design=FOLDS), {"m": YOUDEN}).iloc[0]
    assert np.isnan(table["log_likelihood"]) and np.isnan(table["shrinkage"])
    assert np.isnan(table["n_shrinkage"]) and table["events_per_parameter"] == 5


def test_expected_shrinkage_is_the_calibration_slope_in_new_people():
    """Simulated: five terms of some value, fitted to 200 people, over 60 cohorts."""
    rng = np.random.default_rng(1)
    beta, slopes, expected = np.array([1.0, 0.5, 0, 0, 0]), [], []
    names, inputs = list("abcde"), {"mri": list("abcde")}
    new = rng.normal(size=(4000, 5))
    risk = 1 / (1 + np.exp(-new @ beta))
    for _ in range(60):
        x = rng.normal(size=(200, 5))
        y = rng.random(200) < 1 / (1 + np.exp(-x @ beta))
        scans = scans_of(int((~y).sum()), int(y.sum()))
        splits = scans.assign(split=1, role="train", weight=1)
        splits.loc[[0, len(scans) - 1], "role"] = "test"
        ordered = x[np.argsort(y, kind="stable")]
        features = pd.concat(
            [scans[["participant_id", "session_id"]], pd.DataFrame(ordered, columns=names)], axis=1
        )
        cases = build_cases(splits, features, features[["participant_id", "session_id"]], inputs,
                            CLASSES, KEY)  # fmt: skip
        expected.append(tabulate_sample_size(cases, {"m": YOUDEN})["shrinkage"].iloc[0])
        fitted = sm.Logit(cases.y.astype(float), sm.add_constant(cases.x["mri"].to_numpy())).fit(
            disp=0
        )
        score = sm.add_constant(new) @ fitted.params
        slopes.append(sm.GLM(risk, sm.add_constant(score), sm.families.Binomial()).fit().params[1])
    assert np.mean(expected) == pytest.approx(np.mean(slopes), abs=0.03)
    assert np.mean(slopes) < 0.97


def test_instability_is_the_mean_difference_over_the_bootstrap_models():
    cases, models = cases_of(effect=1, design=FOLDS), {"m": YOUDEN}
    with one_thread():
        apparent = apparent_predictions(cases, models, CLASSES, 1)
    rows = [row for number in (1, 2, 3) for row in bootstrap(cases, models, number, 1)]
    table = tabulate_instability(cases, apparent, pd.DataFrame(rows))
    drawn = np.stack([row["probability"] for row in rows])
    own = apparent["probability"].to_numpy()
    np.testing.assert_allclose(table["instability"], abs(drawn - own).mean(0))
    assert (table["probability_low"] <= table["probability_high"]).all()
    threshold = 1 / (1 + np.exp(-apparent["threshold"].iloc[0]))
    np.testing.assert_allclose(
        table["reclassified"], ((drawn > threshold) != (own > threshold)).mean(0)
    )
    same = pd.DataFrame([row | {"probability": own} for row in rows])
    assert (tabulate_instability(cases, apparent, same)["instability"] == 0).all()
