"""Ties of the methods text on associations and on change over time, see test_methods_text."""

import pandas as pd

from tests.report.code import S, calls, constant, text_of, uses
from workflow_scripts.statistics.published_directions import HOLDS, LIMITS
from workflow_scripts.statistics.trajectories import worsened

ASSOCIATIONS = {
    "found of their engines stands beside the estimates of": lambda: (
        constant(S + "published_directions", "COLUMNS")[:2] == ["finding", "expected"]
        and text_of(S + "published_directions", "beside_directions").count("reference") == 1
    ),
    "and a bias or a gain one whose interval does not hold zero": lambda: (
        HOLDS["highest"](pd.Series([2.0]), pd.Series([1.0]))
        and not LIMITS["not zero"]({"low": -1.0, "high": 1.0})
        and LIMITS["above zero"]({"low": 0.1, "high": 1.0})
    ),
    "at the first session of each participant were regressed on": lambda: (
        calls(S + "associations", "members", "association_table")
        and calls(S + "associations", "OLS", "beta_of")
    ),
    "betas are standardized, with intervals by t": lambda: (
        "even[y]" in text_of(S + "associations", "beta_of")
        and calls(S + "associations", "nanpercentile", "_limits")
    ),
    "stand partial Spearman correlations": lambda: (
        "'spearman'" in text_of(S + "associations", "associate")
    ),
    "p corrected over all features and outcomes": lambda: (
        constant(S + "associations", "CORRECTION") == "fdr_bh"
        and calls(S + "associations", "corrected", "associate")
    ),
    "by the difference of their betas in the same bootstrap samples": lambda: (
        "samples[:, 0] - samples[:, 1]" in text_of(S + "associations", "associate")
    ),
    "are a quarter of a year apart at least": lambda: (
        constant(S + "longitudinal", "LEAST_YEARS") == 0.25
        and "LEAST_YEARS" in text_of(S + "longitudinal", "changes")
    ),
    "worsened where it rose between": lambda: (
        worsened(1, 2, [{"from": 0, "by": 1}]) and not worsened(2, 1, [{"from": 0, "by": 1}])
    ),
    "by Welch's t-test and Hedges' g": lambda: (
        calls(S + "longitudinal", "ttest_ind", "_difference", equal_var="False")
        and calls(S + "longitudinal", "compute_effsize", "_difference", eftype="'hedges'")
    ),
    "corrected over the features (Benjamini-Hochberg)": lambda: (
        constant(S + "longitudinal", "CORRECTION") == "fdr_bh"
        and uses(S + "longitudinal", "value ~ years * bad")
        and "nunique() - 2" in text_of(S + "longitudinal", "mixed_model")
    ),
}
