"""Coverage of 95 % intervals, and errors of what the report calls a difference, by simulation.

python benchmarks/coverage.py [--cohorts 200] [KIND ...]

Prints a line per kind of interval and situation: share of the simulated cohorts whose interval
holds the true value (95 % is nominal, from 200 cohorts within 3 %), and the misses below and
above. ``families`` prints how often a cohort without any difference, or confounded by age, is
said to have one. Intervals of models: coverage_of_models.py.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.statistics.adjust_groups import adjusted_tests
from workflow_scripts.statistics.compare_classes import compare_classes
from workflow_scripts.statistics.compare_groups import compare_groups, compare_pair, resample
from workflow_scripts.statistics.correlate_features import interval
from workflow_scripts.statistics.effect_size import epsilon_limits

GROUPS = ["a", "b", "c"]


def tell(kind: str, situation: str, true, limits) -> None:
    """Print the coverage of intervals (N, 2) of a true value or of N."""
    limits = np.array(limits)
    missing = np.isnan(limits).any(1).mean()
    below, above = (
        (side.sum() / (~np.isnan(limits)).all(1).sum())
        for side in (limits[:, 0] > true, limits[:, 1] < true)
    )
    print(
        f"{kind:32}{situation:34}{np.mean(true):7.3f}  covered {1 - below - above:.3f}  "
        f"above {below:.3f}  below {above:.3f}" + (f"  none {missing:.3f}" if missing else ""),
        flush=True,
    )


def epsilon(cohorts: int, rng) -> None:
    """Epsilon squared of three groups that are shifted copies."""
    for draw in ("normal", "exponential", "standard_t"):
        for sizes in ((6, 9, 8), (20, 30, 25)):
            for shift in (0, 0.8, 1.6):
                shifts, share = shift * np.arange(3) / 2, np.array(sizes) / sum(sizes)
                make = lambda n, draw=draw: getattr(rng, draw)(  # noqa: E731
                    *([3] if draw == "standard_t" else []), size=n
                )
                copies = [np.sort(make(20000)) + one for one in shifts]
                larger = np.array(
                    [[b.searchsorted(a).mean() / 20000 for b in copies] for a in copies]
                )
                np.fill_diagonal(larger, 0.5)
                true = 12 * share @ (larger @ share - 0.5) ** 2
                found = [
                    epsilon_limits(
                        [make(n) + d for n, d in zip(sizes, shifts, strict=True)], 400, 1
                    )
                    for _ in range(cohorts)
                ]
                tell("epsilon squared", f"{draw} {sizes} shift {shift}", true, found)


def pairs(cohorts: int, rng) -> None:
    """Cliff's delta and the difference of medians of two groups."""
    for draw in ("normal", "exponential"):
        for sizes in ((8, 8), (25, 30)):
            for shift in (0, 1):
                big = [getattr(rng, draw)(size=20000) + d for d in (0, shift)]
                order = np.sort(big[0]).searchsorted(big[1]).mean() / 20000
                rows = []
                for _ in range(cohorts):
                    samples = [
                        getattr(rng, draw)(size=n) + d
                        for n, d in zip(sizes, (0, shift), strict=True)
                    ]
                    rows.append(compare_pair(*samples, *resample(samples, 400, 1)))
                for name, true in (("cliffs_delta", 2 * order - 1), ("median_difference", shift)):
                    limits = [(row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
                    tell(name, f"{draw} {sizes} shift {shift}", true, limits)


def correlations(cohorts: int, rng) -> None:
    """Correlations of two normal columns."""
    for n in (20, 60):
        for rho in (0, 0.5):
            rows = {"pearson": [], "spearman": []}
            for _ in range(4 * cohorts):
                x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n).T
                rows["pearson"].append(interval(stats.pearsonr(x, y)[0], n, 0, "pearson"))
                rows["spearman"].append(interval(stats.spearmanr(x, y)[0], n, 0, "spearman"))
            for method, found in rows.items():
                true = rho if method == "pearson" else 6 / np.pi * np.arcsin(rho / 2)
                tell(f"correlation, {method}", f"n {n}", true, found)


def differences(cohorts: int, rng) -> None:
    """Hedges' g and the difference of the means of two groups of equal spread."""
    for draw in ("normal", "exponential"):
        for sizes in ((8, 8), (12, 30)):
            for shift in (0, 1):
                rows = [
                    compare_classes(*(getattr(rng, draw)(size=n) + d
                                      for n, d in zip(sizes, (0, shift), strict=True)))
                    for _ in range(4 * cohorts)
                ]  # fmt: skip
                for name in ("hedges_g", "difference"):
                    limits = [(row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
                    tell(name, f"{draw} {sizes} shift {shift}", shift, limits)


def families(cohorts: int, rng) -> None:
    """Cohorts without a difference, and confounded ones, that are said to have one."""
    wrong = alone = 0
    label = np.repeat(GROUPS, [15, 20, 20])
    people = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(55)], "label": label})
    for _ in range(cohorts):
        values = rng.normal(size=(55, 6)) + 0.5 * rng.normal(size=(55, 1))
        values = pd.DataFrame(values, people["participant_id"]).add_prefix("f")
        whole, compared = compare_groups(people, values, GROUPS, "holm", 2, 1)
        wrong += (whole["p_corrected"] < 0.05).any() or (compared["p_corrected"] < 0.05).any()
        within = compared["p"].to_numpy().reshape(6, 3)
        alone += (np.sort(within, axis=1) * [3, 2, 1] < 0.05)[:, 0].any()
    print(
        f"null cohorts said to have a difference: {wrong / cohorts:.3f} of {cohorts}; by Holm over "
        f"the pairs of each feature alone {alone / cohorts:.3f}"
    )
    plain, adjusted, ranks = 0, 0, 0
    for _ in range(cohorts):
        age = pd.DataFrame({"age": rng.normal(45, 12, 120)})
        group = pd.Series(
            np.array(GROUPS)[np.digitize(age["age"] + rng.normal(0, 8, 120), [40, 50])]
        )
        feature = -0.02 * age["age"] + rng.normal(0, 0.3, 120)
        test, _ = adjusted_tests(feature, group, age, GROUPS)
        plain += stats.kruskal(*(feature[group == name] for name in GROUPS)).pvalue < 0.05
        adjusted += test["adjusted_p"] < 0.05
        ranks += test["adjusted_rank_p"] < 0.05
    shares = [count / cohorts for count in (plain, adjusted, ranks)]
    print(
        "age drives class and feature, p below .05: Kruskal-Wallis {:.3f}, linear model {:.3f}, "
        "ranks {:.3f}".format(*shares)
    )


def run(*kinds) -> None:
    """Run the functions that are asked for by name on the command line, or all."""
    named = {kind.__name__: kind for kind in kinds}
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("kinds", nargs="*", default=list(named), choices=list(named))
    asked = parser.parse_args()
    for kind in asked.kinds:
        named[kind](asked.cohorts, np.random.default_rng(1))


if __name__ == "__main__":
    run(epsilon, pairs, differences, correlations, families)
