"""Figures of a finished report, recomputed from the tables of its run by other libraries.

python -m tests.recompute RESULTS [STUDY ...]

Prints a line per figure: what the report prints, what features, clinical columns and predictions
give, and whether they agree; exits 1 where one does not. The program takes Kruskal-Wallis and
t-tests from scipy, correlations and Hedges' g from pingouin, linear models and corrections from
statsmodels, and has its own Dunn, AUC, metrics, calibration, net benefit and analysis of variance.
"""

import sys
import warnings
from pathlib import Path

from tests.recompute import models, people
from tests.recompute.study import Figure, Study


def recompute(results, name: str) -> list[Figure]:
    """The figures of a study."""
    study = Study(Path(results), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined figures
        return [f for figures in (*people.FIGURES, *models.FIGURES) for f in figures(study)]


def main(results, *names: str) -> int:
    """Print the figures of all or some studies; the number that do not agree."""
    wrong = 0
    for name in names or sorted(path.name for path in Path(results, "studies").iterdir()):
        for figure in recompute(results, name):
            values = ", ".join(f"{value:.6g}" for value in figure.values)
            wrong += not figure.agrees
            said = "equal" if figure.agrees else "DIFFERENT"
            print(f"{said:9}  {name}  {figure.name}: {figure.printed}; {values}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
