"""Coverage of 95 % intervals of models by simulation, as coverage.py prints it.

python benchmarks/coverage_of_models.py [--cohorts 200] [KIND ...]

``rules`` are classifiers that are given, ``trained`` those that are fitted in every split, whose
true value is the mean over training samples of that size; ``optimism`` is of a model fitted to
everybody.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from benchmarks.coverage import run, tell
from tests.statistics.predicted import CLASSES, arrays, table
from workflow_scripts.common.metrics import auc
from workflow_scripts.statistics.calibration import brier_score
from workflow_scripts.statistics.correct_optimism import correct_optimism
from workflow_scripts.statistics.curves import calibration_line, decision_curve, roc_curve
from workflow_scripts.statistics.metrics import METRICS
from workflow_scripts.statistics.scores import draw_participants, scores_of
from workflow_scripts.statistics.split_metrics import evaluate


def design(rng, kind: str, n: int, tested: int, splits: int) -> list[np.ndarray]:
    """Test sides of n + n people: random ``tested`` of each class, or ``tested`` repeated folds."""
    both = np.array([0, n])[:, None]
    if kind == "trials":
        return [(rng.permuted(np.tile(np.arange(n), (2, 1)), axis=1)[:, :tested] + both).ravel()
                for _ in range(splits)]  # fmt: skip
    orders = [rng.permuted(np.tile(np.arange(n), (2, 1)), axis=1) for _ in range(splits)]
    return [(order[:, k::tested] + both).ravel() for order in orders for k in range(tested)]


DESIGNS = {
    "6 trials of 9 + 9 of 43 + 43": ("trials", 43, 9, 6),
    "6 trials of 5 + 5 of 12 + 12": ("trials", 12, 5, 6),
    "5 folds of 30 + 30, 3 times": ("folds", 30, 5, 3),
    "3 folds of 12 + 12, 5 times": ("folds", 12, 3, 5),
    "one test side of 15 + 15": ("folds", 15, 1, 1),
    "one test side of 6 + 6": ("folds", 6, 1, 1),
}
NOISE, AT = 0.5, (0.2, 0.5)


def tell_metrics(found: list[pd.DataFrame], situation: str, true: dict[str, float]) -> None:
    rows = pd.concat(found).query("split == 'all'")
    for name in [name for name in METRICS if name != "precision_published"]:
        tell(name, situation, true[name], rows[rows["metric"] == name][["ci_low", "ci_high"]])


def tell_others(tables, situation: str, gain: float, rng) -> None:
    """Brier score, calibration, net benefit and the band of the ROC curve of a rule."""
    truth = np.arange(200000) % 2 == 0
    score = rng.normal(size=200000) * np.hypot(1, NOISE) + gain * (truth - 0.5)
    p = stats.norm.cdf(score)
    fitted = calibration_line(arrays(truth, p))
    true = {"brier": ((p - truth) ** 2).mean()} | {k: v[0] for k, v in fitted.items()}
    treated = [((p >= t)[truth].mean(), (p >= t)[~truth].mean()) for t in AT]
    curve = {rate: (score[truth] > np.quantile(score[~truth], 1 - rate)).mean() for rate in AT}
    limits = {name: [] for name in [*true, *(f"net benefit at {t}" for t in AT)]}
    limits |= {f"ROC band at {rate}": [] for rate in AT}
    benefits = {t: [] for t in AT}
    for predictions in tables:
        scores = scores_of(predictions, CLASSES)
        brier, share = brier_score(scores), scores.truth.mean()
        limits["brier"].append((brier["ci_low"], brier["ci_high"]))
        for name, values in calibration_line(scores).items():
            limits[name].append(values[1:])
        decisions = decision_curve(scores).query("strategy == 'model'").set_index("threshold")
        roc = roc_curve(scores, draw_participants(scores, 300, 1)).set_index("false_positive_rate")
        for t, (right, wrong) in zip(AT, treated, strict=True):
            limits[f"net benefit at {t}"].append(decisions.loc[t, ["ci_low", "ci_high"]])
            limits[f"ROC band at {t}"].append(roc.loc[t, ["ci_low", "ci_high"]])
            benefits[t].append(share * right - (1 - share) * wrong * t / (1 - t))
    true |= {f"net benefit at {t}": np.array(values) for t, values in benefits.items()}
    true |= {f"ROC band at {rate}": value for rate, value in curve.items()}
    for name, found in limits.items():
        tell(name, situation, true[name], found)


def rules(cohorts: int, rng) -> None:
    """Figures of a rule that is given, of scores that a person keeps but for some noise."""
    for situation, asked in DESIGNS.items():
        for gain in (0.8, 3):
            n, tables = asked[1], []
            truth = np.arange(2 * n) >= n
            for _ in range(cohorts):
                own = rng.normal(size=2 * n) + gain * (truth - 0.5)
                parts = []
                for split, ids in enumerate(design(rng, *asked), 1):
                    score = own[ids] + NOISE * rng.normal(size=len(ids))
                    parts.append(table(truth[ids], stats.norm.cdf(score), split, ids=ids))
                tables.append(pd.concat(parts, ignore_index=True))
            right, auc = stats.norm.cdf(gain / np.hypot(1, NOISE) / np.array([2, 2**0.5]))
            true = dict.fromkeys(METRICS, right) | {"auc": auc}
            tell_metrics([evaluate(rows, CLASSES) for rows in tables], situation, true)
            tell_others(tables, situation, gain, rng)


def discriminant(x, y):
    """Weights and cut of a linear discriminant of the rows of x (N, P) and classes y."""
    means = x[~y].mean(0), x[y].mean(0)
    inside = (np.cov(x[~y].T) + np.cov(x[y].T)) / 2
    weights = np.linalg.solve(inside, means[1] - means[0])
    return weights, weights @ (means[0] + means[1]) / 2


def sample(rng, n: int, gain: float):
    """Three columns of n + n people, of which the first tells the classes apart."""
    y = np.arange(2 * n) >= n
    x = rng.normal(size=(2 * n, 3))
    x[y, 0] += gain
    return x, y


def expected(weights, cut: float, gain: float) -> list[float]:
    """Sensitivity, specificity, precision and AUC of a discriminant in the population."""
    size = np.linalg.norm(weights)
    right, wrong = stats.norm.cdf([(weights[0] * gain - cut) / size, -cut / size])
    auc = stats.norm.cdf(weights[0] * gain / size / 2**0.5)
    return [right, 1 - wrong, right / (right + wrong), auc]


def trained(cohorts: int, rng) -> None:
    """Metrics of a linear discriminant that is fitted in every split."""
    for situation, asked in list(DESIGNS.items())[:4]:
        kind, n, tested, _ = asked
        training = n - tested if kind == "trials" else n - n // tested
        for gain in (0, 1.5, 3):
            samples = (discriminant(*sample(rng, training, gain)) for _ in range(2000))
            means = np.mean([expected(*found, gain) for found in samples], 0)
            true = dict(zip(("sensitivity", "specificity", "precision", "auc"), means, strict=True))
            true |= dict.fromkeys(("accuracy", "balanced_accuracy"), means[:2].mean())
            found = []
            for _ in range(cohorts):
                x, y = sample(rng, n, gain)
                parts = []
                for split, ids in enumerate(design(rng, *asked), 1):
                    rest = np.setdiff1d(np.arange(2 * n), ids)
                    weights, cut = discriminant(x[rest], y[rest])
                    p = np.clip(expit(x[ids] @ weights - cut), 1e-9, 1 - 1e-9)
                    parts.append(table(y[ids], p, split, ids=ids))
                found.append(evaluate(pd.concat(parts, ignore_index=True), CLASSES))
            tell_metrics(found, f"{situation}, gain {gain}", true)


def optimism(cohorts: int, rng) -> None:
    """Optimism-corrected AUC of a discriminant fitted to everybody, against its true AUC."""
    for n in (20, 60):
        for gain in (0, 1.5):
            limits, true = [], []
            for _ in range(cohorts):
                x, y = sample(rng, n, gain)
                weights, cut = discriminant(x, y)
                rows = []
                for _ in range(100):
                    ids = np.concatenate([rng.integers(n, size=n) + n * k for k in (0, 1)])
                    other, _ = discriminant(x[ids], y[ids])
                    areas = auc(y[ids], x[ids] @ other), auc(y, x @ other)
                    rows.append(dict(zip(("auc_bootstrap", "auc_original"), areas, strict=True)))
                samples = pd.DataFrame(rows).assign(brier_bootstrap=0.2, brier_original=0.2)
                row = correct_optimism({"auc": auc(y, x @ weights), "brier": 0.2}, samples)[0]
                limits.append((row["ci_low"], row["ci_high"]))
                true.append(expected(weights, cut, gain)[3])
            tell("optimism-corrected AUC", f"{n} + {n}, gain {gain}", np.array(true), limits)


if __name__ == "__main__":
    run(rules, trained, optimism)
