"""Table 3 of Inglese et al. 2022, the tissue fractions, against itself."""

import pandas as pd
from scipy.stats import ttest_ind_from_stats

from workflow_scripts.statistics.printed import half_unit, line

MEANS, STARS = "printed means and SDs", "stars of Table 3"
SIDES = {"NPSLE": "positive", "non-NPSLE": "negative"}


def p_range(row) -> tuple[float, float]:
    """Smallest and largest p of a t-test that the rounding of means and SDs allows.

    Parameters
    ----------
    row : Series of n, mean and sd per class, as text
    """
    n = row[["n_positive", "n_negative"]].astype(int)
    means, sds = row[["mean_positive", "mean_negative"]], row[["sd_positive", "sd_negative"]]
    difference = abs(float(means.iloc[0]) - float(means.iloc[1]))
    shift, widths = means.map(half_unit).sum(), sds.map(half_unit)
    p = [
        ttest_ind_from_stats(
            max(difference - sign * shift, 0),
            float(sds.iloc[0]) + sign * widths.iloc[0],
            n.iloc[0],
            0,
            float(sds.iloc[1]) + sign * widths.iloc[1],
            n.iloc[1],
        ).pvalue
        for sign in (-1, 1)
    ]
    return p[0], p[1]


def sum_lines(trial: str, rows: pd.DataFrame) -> list[dict]:
    """Rows of the sums of the three fractions of each class, which are 1 within their rounding."""
    lines = []
    for name, side in SIDES.items():
        means = rows[f"mean_{side}"]
        total, slack = means.astype(float).sum(), means.map(half_unit).sum()
        made = line("3", None, trial, f"fractions_sum_{name}", "printed means", None, total)
        made["agrees"] = "yes" if abs(total - 1) <= slack + 1e-9 else "no"
        lines.append(made | {"note": f"1 within {slack:.3f}, the rounding of three fractions"})
    return lines


def test_lines(trial: str, row: pd.Series, tests: int) -> list[dict]:
    """Rows of the t-test of a fraction, positive minus negative class, pooled variance.

    The p that follows from rounded means and SDs is a range, which holds the printed one or
    does not; the Bonferroni correction, over ``tests``, is of the printed one.
    """
    sample = [
        float(row[f"{column}_{side}"]) for side in SIDES.values() for column in ("mean", "sd", "n")
    ]
    t, p = ttest_ind_from_stats(*sample)
    printed, measure = row["p"].rstrip("*"), row["measure"]
    lines = [
        line("3", None, trial, f"{measure}_t", MEANS, None, t),
        line("3", None, trial, f"{measure}_p", MEANS, printed, p, p_range(row)),
    ]
    if trial != "all":
        corrected = min(1.0, float(printed) * tests)
        lines.append(
            line("3", None, trial, f"{measure}_p_bonferroni", "printed p", None, corrected)
        )
    if pd.notna(row["text_says"]):
        starred = float(row["p"].endswith("*"))
        lines.append(line("3", None, trial, f"{measure}_differs", STARS, "1", starred))
    return lines


def fraction_lines(table3: pd.DataFrame) -> list[dict]:
    """Rows of Table 3: sums of the fractions, and t-tests."""
    tests = int((table3["trial"] != "all").sum())
    lines = []
    for trial, rows in table3.groupby("trial", sort=False):
        lines += sum_lines(trial, rows)
        for _, row in rows.iterrows():
            lines += test_lines(trial, row, tests)
    return lines
