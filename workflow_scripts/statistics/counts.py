"""Independence of two categorical columns."""

import numpy as np
from scipy import stats

# Cochran 1954: chi-squared where no expected count is below 5.
FEWEST_EXPECTED = 5
TABLES = 50000


def compare_counts(counts: np.ndarray, seed: int = 1) -> tuple[float, str]:
    """p of the independence of a table of counts (levels, classes), and the name of the test.

    Pearson's chi-squared without Yates's correction; with an expected count below 5 Fisher's
    exact test, whose extension to larger tables (Freeman & Halton 1951, 10.1093/biomet/38.1-2.141)
    takes the share of 50000 random tables with these margins.
    """
    result = stats.chi2_contingency(counts, correction=False)
    if result.expected_freq.min() >= FEWEST_EXPECTED:
        return float(result.pvalue), "Chi-squared (Pearson)"
    if counts.shape == (2, 2):
        return float(stats.fisher_exact(counts).pvalue), "Fisher's exact"
    drawn = stats.MonteCarloMethod(n_resamples=TABLES - 1, rng=np.random.default_rng(seed))
    p = float(stats.fisher_exact(counts, method=drawn).pvalue)
    return p, f"Fisher-Freeman-Halton, {TABLES} random tables"
