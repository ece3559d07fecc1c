import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from dcurves import dca
from scipy.stats import chi2

from tests.baselines.cohorts import CLASSES, FOLDS, LOGISTICS, cases_of
from workflow_scripts.baselines.fit_features import predict
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.permute_features import permute_inputs
from workflow_scripts.baselines.sample_size import tabulate_sample_size
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.added_value import added_value, likelihood_ratio

SETTINGS = {"classes": CLASSES, "bootstraps": 200, "seed": 1}
SETTINGS["added_value"] = {"model": "combined", "base": "clinical", "inputs": ["mri"]}
MODELS = {key: LOGISTICS[key] for key in ("clinical", "combined")}


def study(effect, seed=0, permutations=9):
    cases = cases_of(effect, seed, design=FOLDS | {"repeats": 1}, healthy=20, ill=16)
    with one_thread():
        made = [predict(cases, name, own, CLASSES, seed)[0] for name, own in MODELS.items()]
    rows = [
        row
        for number in range(1, permutations + 1)
        for row in permute_inputs(cases, MODELS["combined"], ["mri"], number, seed)
    ]
    return cases, pd.concat(made, ignore_index=True), pd.DataFrame(rows)


def test_measures_of_value_add_to_clinical_columns_of_none(tmp_path):
    cases, predictions, permuted = study(effect=2)
    table = added_value(predictions, permuted, tabulate_sample_size(cases, MODELS), SETTINGS)
    of = table.set_index("metric")
    assert of.loc["auc", "value"] > of.loc["auc", "null_high"] and of.loc["auc", "p"] == 0.1
    assert of.loc["likelihood_ratio", "p"] < 0.01 and of.loc["likelihood_ratio", "df"] == 2
    curve = table[table["metric"] == "net_benefit_difference"]
    half = curve[np.isclose(curve["threshold"], 0.5)].iloc[0]
    assert half["ci_low"] > 0 and half["n"] == 36
    write_table(table, tmp_path / "added_value.tsv", resource("columns/statistics.tsv"))


def test_likelihood_ratio_is_that_of_nested_regressions():
    cases = cases_of(1, design=FOLDS)
    found = likelihood_ratio(tabulate_sample_size(cases, MODELS), "combined", "clinical")
    y = cases.y.astype(float)
    own, base = (
        sm.Logit(y, sm.add_constant(cases.terms(model["inputs"]).to_numpy(float))).fit(disp=0)
        for model in (MODELS["combined"], MODELS["clinical"])
    )
    assert found["value"] == pytest.approx(2 * (own.llf - base.llf), abs=1e-6)
    assert found["p"] == pytest.approx(chi2.sf(found["value"], 2))


def test_net_benefit_difference_is_that_of_dcurves():
    cases, predictions, permuted = study(effect=1)
    table = added_value(predictions, permuted, tabulate_sample_size(cases, MODELS), SETTINGS)
    wide = predictions.pivot(index="participant_id", columns="model", values="probability")
    wide["y"] = predictions.drop_duplicates("participant_id").set_index("participant_id")[
        "label"
    ].eq("ill").astype(int)  # fmt: skip
    thresholds = [0.2, 0.4, 0.6]
    judge = dca(wide.reset_index(), "y", list(MODELS), thresholds=thresholds)
    judge = judge.pivot(index="threshold", columns="model", values="net_benefit")
    curve = table[table["metric"] == "net_benefit_difference"]
    for one in thresholds:
        mine = curve.loc[np.isclose(curve["threshold"], one), "value"].iloc[0]
        expected = judge.loc[one, "combined"] - judge.loc[one, "clinical"]
        assert mine == pytest.approx(expected, abs=1e-9)


@pytest.mark.full
def test_likelihood_ratio_holds_its_level_where_people_are_enough():
    """Of 200 null cohorts of 110 people, .05 +- 3 standard errors."""
    p = []
    for seed in range(200):
        cases = cases_of(0, seed, design=FOLDS | {"repeats": 1}, healthy=60, ill=50)
        fits = tabulate_sample_size(cases, MODELS)
        p.append(likelihood_ratio(fits, "combined", "clinical")["p"])
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.full
def test_permuted_block_is_not_extreme_without_added_value():
    """Ranks among four permutations, over 16 null cohorts: uniform on 0 .. 4."""
    ranks = []
    for seed in range(16):
        cases, predictions, permuted = study(0, seed, permutations=4)
        table = added_value(predictions, permuted, tabulate_sample_size(cases, MODELS), SETTINGS)
        ranks.append(table.set_index("metric").at["auc", "p"] * 5 - 1)
    assert abs(np.mean(ranks) - 2) < 4 * np.sqrt(2 / len(ranks))


def test_models_of_other_people_are_refused():
    cases, predictions, permuted = study(1, permutations=1)
    fits = tabulate_sample_size(cases, MODELS)
    with pytest.raises(InputError, match="did not score the same scans"):
        added_value(predictions.iloc[1:], permuted, fits, SETTINGS)
    fits.loc[0, "n"] = 30
    with pytest.raises(InputError, match="combined was fitted to 36 participants, clinical to 30"):
        likelihood_ratio(fits, "combined", "clinical")
