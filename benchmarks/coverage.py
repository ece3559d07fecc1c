"""Coverage of 95 % intervals, and errors of what the report calls a difference, by simulation.

python benchmarks/coverage.py [--cohorts 300] [KIND ...]

Prints a line per kind of interval and situation: share of the simulated cohorts whose interval
holds the true value (95 % is nominal, from 300 cohorts within 2.5 %), and the misses below and
above. The kinds are metrics, correlations, Cliff's delta, differences of medians and epsilon
squared; other intervals of the workflow are not simulated. ``families`` prints how often a cohort
without any difference, or confounded by age, is said to have one.
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

from tests.statistics.predicted import CLASSES, table
from workflow_scripts.statistics.adjust_groups import adjusted_tests
from workflow_scripts.statistics.compare_groups import compare_groups, compare_pair, resample
from workflow_scripts.statistics.correlate_features import interval
from workflow_scripts.statistics.effect_size import epsilon_limits
from workflow_scripts.statistics.metrics import METRICS
from workflow_scripts.statistics.split_metrics import evaluate

GROUPS = ["a", "b", "c"]


def tell(kind: str, situation: str, true: float, limits) -> None:
    """Print the coverage of intervals (N, 2)."""
    limits = np.array(limits)
    below, above = (limits[:, 0] > true).mean(), (limits[:, 1] < true).mean()
    missing = np.isnan(limits).any(1).mean()
    print(
        f"{kind:32}{situation:34}{true:7.3f}  covered {1 - below - above - missing:.3f}  "
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


def trials(rng, people: int, tested: int, gain: float, number: int = 6) -> pd.DataFrame:
    """Random trials of a fixed rule on scores that a person keeps but for some noise."""
    truth = np.arange(2 * people) >= people
    own = rng.normal(size=2 * people) + gain * truth - gain / 2
    parts = []
    for split in range(1, number + 1):
        ids = np.concatenate([rng.choice(people, tested, False) + people * k for k in (0, 1)])
        score = own[ids] + 0.5 * rng.normal(size=2 * tested)
        parts.append(table(truth[ids], stats.norm.cdf(score), split, ids=ids))
    return pd.concat(parts, ignore_index=True)


def folds(rng, people: int, gain: float, repeats: int, number: int = 5) -> pd.DataFrame:
    """Repeated folds of such a rule, or a single test side."""
    truth = np.arange(2 * people) >= people
    own = rng.normal(size=2 * people) + gain * truth - gain / 2
    parts = []
    for repeat in range(repeats):
        fold = np.concatenate([rng.permutation(people) % number for _ in (0, 1)])
        score = own + 0.5 * rng.normal(size=2 * people)
        for k in range(number):
            chosen, split = np.flatnonzero(fold == k), 1 + k + number * repeat
            parts.append(table(truth[chosen], stats.norm.cdf(score[chosen]), split, ids=chosen))
    return pd.concat(parts, ignore_index=True)


def metrics(cohorts: int, rng) -> None:
    """Metrics of random trials, repeated folds and single test sides of a rule that is given."""
    designs = {
        "6 trials of 9 + 9 of 43 + 43": lambda g: trials(rng, 43, 9, g),
        "6 trials of 5 + 5 of 12 + 12": lambda g: trials(rng, 12, 5, g),
        "5 folds of 30 + 30, 3 times": lambda g: folds(rng, 30, g, 3),
        "one test side of 15 + 15": lambda g: folds(rng, 15, g, 1, 1),
    }
    for situation, draw in designs.items():
        for gain in (0.8, 3):
            spread = np.sqrt(1.25)
            right, auc = stats.norm.cdf(gain / 2 / spread), stats.norm.cdf(gain / spread / 2**0.5)
            true = dict.fromkeys(METRICS, right) | {"auc": auc}
            found = [
                evaluate(draw(gain), CLASSES, 300, 1).query("split == 'all'")
                for _ in range(cohorts)
            ]
            rows = pd.concat(found)
            for name in [name for name in METRICS if name != "precision_published"]:
                own = rows[rows["metric"] == name]
                methods = own["ci_method"].value_counts().index[0]
                tell(
                    f"{name}, {methods}"[:60] + " ",
                    situation,
                    true[name],
                    own[["ci_low", "ci_high"]],
                )


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


KINDS = {f.__name__: f for f in (epsilon, pairs, correlations, metrics, families)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=300)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    asked = parser.parse_args()
    for kind in asked.kinds:
        KINDS[kind](asked.cohorts, np.random.default_rng(1))
