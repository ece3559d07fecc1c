"""Ties of the methods text on table models, their checks, and tests, see test_methods_text."""

import ast
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from tests.conftest import ROOT
from tests.report.code import B, C, S, calls, constant, text_of, tree, uses
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.linear import MODELS
from workflow_scripts.baselines.preparation import ComBat, Imputer, site_share
from workflow_scripts.baselines.sample_size import needed
from workflow_scripts.baselines.stable import Stable
from workflow_scripts.common.agreement import agreement
from workflow_scripts.statistics.added_value import likelihood_ratio
from workflow_scripts.statistics.compare_groups import correct_families
from workflow_scripts.statistics.counts import compare_counts
from workflow_scripts.statistics.missing_data import count_missing
from workflow_scripts.statistics.reliability import pairs_of

HELPER = (ROOT / "rules/helpers/baselines.smk").read_text()


def kept(imputed: bool) -> list[str]:
    """Who stays of eight people of whom the first lacks one input and the second another."""
    people = [f"sub-{number}" for number in range(8)]
    scans = pd.DataFrame({"participant_id": people, "session_id": None})
    splits = scans.assign(split=1, label=["a", "b"] * 4, role=["train"] * 6 + ["test"] * 2)
    values = np.arange(8.0)
    features = scans.assign(x=np.where(values == 0, np.nan, values), y=values)
    features.loc[1, "y"] = np.nan
    inputs = {"one": ["x"], "other": ["y"]}
    cases = build_cases(splits.assign(weight=1), features, scans, inputs, ["a", "b"], "k", imputed)
    return cases.scans["participant_id"].tolist()


def complete_cases_are_shared() -> bool:
    wired = 'list(table_inputs(STUDIES[made.study], "complete_cases"))' in HELPER
    return wired and kept(False) == [f"sub-{number}" for number in range(2, 8)]


def imputed(gaps: int) -> tuple[float, float]:
    """What a scan with 1 in a column gets in another that is twice as much, and its mean."""
    x = np.outer(np.linspace(-1, 1.4, 60), [1, 2])
    x[:gaps, 1] = np.nan
    return Imputer(2).fit(x).transform(np.array([[1, np.nan]]))[0, 1], np.nanmean(x[:, 1])


def mean_without_others() -> bool:
    alone = Imputer(1).fit(np.array([[1.0], [2], [6], [np.nan]])).transform(np.array([[np.nan]]))
    return np.isclose(*imputed(0)) and alone == 3


@cache
def harmonized() -> tuple[np.ndarray, np.ndarray]:
    """Columns of sites 0 and 1 (30 scans each), 2 (two scans), before and after ComBat."""
    rng = np.random.default_rng(1)
    site = np.repeat([0.0, 1, 2], [30, 30, 2])
    x = np.column_stack([rng.normal(size=(62, 4)) + 3 * (site == 1)[:, None], site])
    x[site == 0, 3] = 5
    return x, ComBat((0, 1, 2, 3)).fit(x).transform(x)


def sites_are_brought_together() -> bool:
    x, after = harmonized()
    shares = [site_share(values[:60, 0], x[:60, -1]) for values in (x, after)]
    return shares[0] > 0.5 and shares[1] < 0.01


def few_scans_and_constants_stay() -> bool:
    x, after = harmonized()
    return np.array_equal(after[60:], x[60:, :4]) and np.array_equal(after[:, 3], x[:, 3])


@cache
def families() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two features of p .01 and .04, two pairs of each, corrected by Holm's method."""
    whole = pd.DataFrame({"feature": ["f", "g"], "group": "all", "p": [0.01, 0.04]})
    pairs = pd.DataFrame({"feature": ["f", "f", "g", "g"], "p": [0.004, 0.5, 0.001, 0.6]})
    correct_families(whole, pairs, "holm", "p")
    return whole, pairs


def counted_missing() -> bool:
    values = pd.DataFrame({"x": [np.nan] * 5 + [1.0] * 7, "y": [1.0] * 4 + [np.nan] + [1.0] * 7})
    label = pd.Series(["a"] * 6 + ["b"] * 6)
    rows = count_missing(values, label, ["a", "b"])
    by = rows.groupby("lacking", sort=False)["p"].first()
    exact = stats.fisher_exact([[5, 1], [0, 6]]).pvalue
    patterns = set(rows.loc[rows["lacking"] == "pattern", "columns"])
    return np.isclose(by["any"], exact) and np.isnan(by["pattern"]) and patterns == {"x", "x, y"}


def ratio_is_chi_squared() -> bool:
    fits = {"model": ["m", "b"], "n": 50, "n_parameters": [3, 1], "log_likelihood": [-20.0, -24.0]}
    return np.isclose(likelihood_ratio(pd.DataFrame(fits), "m", "b")["p"], stats.chi2.sf(8, 2))


def unstable_are_0() -> bool:
    """Of two features one changes with the mask: it is 0, by the rows that were fitted to."""
    original, rng = np.arange(12.0)[:, None].repeat(2, axis=1), np.random.default_rng(0)
    changed = [original + rng.normal(size=(12, 2)) * [0.1, 20] for _ in range(2)]
    x = np.column_stack([original, *changed])
    step = Stable(2, (0, 1), (0.75, 0.75)).fit(x)
    in_order = "steps = [Stable(len(terms), places, least)] if places else []"
    return (
        step.dropped_ == [1]
        and not step.transform(x[:1] + 5)[:, 1].any()
        and in_order in text_of(B + "preparation", "before")
    )


def limits_of_agreement() -> bool:
    pairs = pd.DataFrame({"a": [1.0, 2, 3, 4, 6], "b": [1.5, 2, 3.5, 5, 6]})
    found, apart = agreement(pairs), pairs["b"] - pairs["a"]
    ends = apart.mean() + np.array([-1.96, 1.96]) * apart.std()
    return np.allclose([found["agreement_low"], found["agreement_high"]], ends)


def first_two_sessions() -> bool:
    rows = {"participant_id": ["s", "s", "s", "t"], "session_id": ["1", "2", "3", "1"]}
    pairs = pairs_of(pd.DataFrame(rows | {"v": [1.0, 2, 3, 4]}), "v", None)
    return pairs.to_numpy().tolist() == [[1, 2]]


TABLES = {
    "or more on the training side, the others being 0 for everybody": unstable_are_0,
    "The penalty is": lambda: (
        '"lasso" if settings.get("penalty") == "l1"'.replace('"', "'")
        in text_of(B + "linear", "fit")
    ),
    "L1 (lasso, Tibshirani 1996": lambda: MODELS["lasso"].l1_ratio == 1,
    # Table 1
    "Pearson's chi-squared test without Yates's correction": lambda: (
        uses(S + "describe_population", "compare_counts")
        and np.isclose(
            compare_counts(np.array([[30, 10], [15, 20]]))[0],
            stats.chi2_contingency([[30, 10], [15, 20]], correction=False).pvalue,
        )
    ),
    "with an expected count below 5 Fisher's exact test": lambda: (
        compare_counts(np.array([[9, 1], [5, 3]]))
        == (stats.fisher_exact([[9, 1], [5, 3]]).pvalue, "Fisher's exact")
        and constant(S + "counts", "FEWEST_EXPECTED") == 5
    ),
    "Halton 1951 (10.1093/biomet/38.1-2.141) with 50000 random tables": lambda: (
        compare_counts(np.array([[9, 1], [5, 3], [1, 4]]))[1]
        == "Fisher-Freeman-Halton, 50000 random tables"
    ),
    "by standardized differences": lambda: calls(
        S + "describe_sides", "standardized_difference", "describe_sides"
    ),
    # Columns of the models
    "Text was coded as 0 and 1": lambda: uses(B + "cases", "as_terms"),
    "reads nothing but": lambda: "'inputs': [CONFOUNDS]" in text_of(C + "config", "_add_confounds"),
    "in a column of any model of complete cases were left out of all": complete_cases_are_shared,
    "from the model's other columns by Bayesian ridge regression": lambda: (
        np.isclose(imputed(5)[0], 2, atol=0.05) and len(kept(True)) == 8
    ),
    "where the training side lacks none of it or the model has no": mean_without_others,
    "fitted on the training side without labels. ": lambda: (
        "fit(settings, x[train]" in text_of(B + "fit_features", "fit_split")
        and "self.imputer_.fit(x[:, :self.terms])" in ast.unparse(tree(B + "preparation"))
    ),
    "were harmonized over the sites by ComBat": sites_are_brought_together,
    "without labels or covariates": lambda: (
        "pd.DataFrame({'SITE': site[rows]})" in ast.unparse(tree(B + "preparation"))
    ),
    "fewer than three training scans stay as they are": few_scans_and_constants_stay,
    "or multiples of each other, are harmonized without the empirical": lambda: (
        constant(B + "preparation", "FEWEST_TERMS") == 3
        and "(True, False) if varies.sum() >= FEWEST_TERMS else (False,)"
        in ast.unparse(tree(B + "preparation"))
    ),
    # Checks of models
    "of each column, of any of them, and by pattern": counted_missing,
    "of whether the classes lack as many, patterns excepted": counted_missing,
    "The metrics of the scans of each site": lambda: (
        "rows.groupby('site')" in text_of(S + "robustness", "site_metrics")
    ),
    "share of the variance between the sites on the": lambda: (
        site_share(np.array([0, 2, 4, 6.0]), np.array([0, 0, 1, 1.0])) == 16 / 20
        and calls(B + "refit_features", "site_share", "harmonization")
    ),
    "fitted and tested anew the other way with missing values": lambda: (
        uses(B + "refit_features", "complete_cases", "impute", "not_harmonized", "not_flagged")
        and "len(kept.y) < len(cases.y)" in text_of(B + "refit_features", "ways")
    ),
    "Repeats of the folds and of the trainings also stand by themselves": lambda: uses(
        S + "robustness", "repetitions"
    ),
    "models of images were tested without flagged sessions": lambda: uses(
        S + "robustness", "flagged_not_tested"
    ),
    "columns exchanged together between participants": lambda: (
        "iloc[source]" in text_of(B + "permute_features", "permute_inputs")
        and calls(B + "permute_features", "fit_split", "figures")
    ),
    "a likelihood-ratio test of both models fitted to everybody": lambda: (
        ratio_is_chi_squared() and uses(B + "sample_size", "GLM")
    ),
    # The published example of Riley et al., as in tests/baselines/test_sample_size.py.
    "participants needed are those of Riley": lambda: (
        needed(0.288, 24, 0.174) == {"n_shrinkage": 623, "n_optimism": 662, "n_risk": 221}
    ),
    "in two sessions of each participant": first_two_sessions,
    "by two raters, where a second has drawn, in one session of each participant": lambda: (
        "drop_duplicates('participant_id')" in text_of(S + "reliability", "readings_of")
    ),
    "and limits of agreement": lambda: (
        limits_of_agreement() and uses("common/agreement", "ICC(A,1)")
    ),
    # Comparison of the classes and correlations
    "p corrected over the features": lambda: np.allclose(
        families()[0]["p_corrected"], [0.02, 0.04]
    ),
    "over all pairs of all features in the same way and at least that": lambda: np.allclose(
        families()[1]["p_corrected"], [0.02, 1, 0.04, 1]
    ),
    "Limits of epsilon squared come from the inversion of a test": lambda: (
        calls(S + "compare_groups", "epsilon_limits", "tests_of")
        and "drawn + size * shift[group]" in text_of(S + "effect_size", "epsilon_limits")
    ),
    "Limits of differences of medians are percentiles": lambda: (
        "np.percentile(drawn, [2.5, 97.5])" in text_of(S + "compare_groups", "compare_pair")
    ),
    "The classes were also compared at equal": lambda: (
        uses(S + "adjust_groups", "OLS")
        and calls(S + "compare_groups", "adjusted_tests", "compare_groups")
    ),
    "who lacks one of these was left out": lambda: (
        "label=label).dropna()" in text_of(S + "adjust_groups", "adjusted_tests")
    ),
    "by one of ranks": lambda: "numbers.rank()" in text_of(S + "adjust_groups", "adjusted_tests"),
    "the correlation within the classes, with the class": lambda: (
        "[*covariates, *member]" in text_of(S + "correlate_features", "correlate_features")
    ),
}
