"""Ties of the methods text on associations and on change over time, see test_methods_text."""

from tests.report.code import S, calls, constant, text_of, uses
from workflow_scripts.statistics.trajectories import worsened

ASSOCIATIONS = {
    "at the first session of each participant were regressed on": lambda: (
        calls(S + "associations", "members", "association_table")
        and calls(S + "associations", "OLS", "beta_of")
    ),
    "betas are standardized, with intervals by t": lambda: (
        "even[y]" in text_of(S + "associations", "beta_of")
        and calls(S + "associations", "nanstd", "_limits")
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
