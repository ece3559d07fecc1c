"""The report's part on differences in AUC between the models of a study."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report.text import interval, label, p_value, tabulate

LIMITS = ["auc_difference", "ci_low", "ci_high"]
RESAMPLED = ["auc_difference", "resampled_low", "resampled_high"]
BOOTSTRAPPED = ["balanced_accuracy_difference", "bootstrap_low", "bootstrap_high"]
# Estimates with a test: first those that say something about new people.
TESTED = ["test", "external", "apparent"]


def difference(row: pd.Series) -> dict:
    """Difference and p: of the test over the splits where there is one, else DeLong's."""
    by_splits = pd.notna(row["resampled_p"])
    return {
        "text": interval(*row[RESAMPLED if by_splits else LIMITS], decimals=2),
        "p": p_value(row["resampled_p" if by_splits else "p"]),
        "holm": p_value(row["p_holm"]),
        "accuracy": interval(*row[BOOTSTRAPPED], decimals=2),
        "accuracy_p": p_value(row["bootstrap_p"]),
        "accuracy_holm": p_value(row["bootstrap_p_holm"]),
    }


def comparisons_part(read: Callable) -> dict:
    """What the template shows of the comparisons.

    Parameters
    ----------
    read : as from `study.reader`
    """
    table, dictionary = read(
        "comparisons",
        "estimate",
        "model_a",
        "model_b",
        "resampled_p",
        "p_holm",
        "bootstrap_p",
        "note",
    )
    lines = []
    for (a, b), rows in table.groupby(["model_a", "model_b"], sort=False):
        row = rows.set_index("estimate")
        lines.append(
            {
                "pair": f"{label(b)} against {label(a)}",
                **{key: difference(row.loc[key]) for key in TESTED[:2] if key in row.index},
                "corrected": interval(*row.loc["optimism_corrected", LIMITS], decimals=2)
                if "optimism_corrected" in row.index
                else None,
                "delong": [
                    {
                        "estimate": label(key),
                        "difference": interval(*row.loc[key, LIMITS], decimals=2),
                        "p": p_value(row.at[key, "p"]),
                        "note": row.at[key, "note"],
                    }
                    for key in TESTED
                    if key in row.index
                ],
            }
        )
    return {
        "lines": lines,
        "estimates": [(key, label(key)) for key in TESTED[:2] if key in set(table["estimate"])],
        "corrected": any(line["corrected"] for line in lines),
        "resampled": bool(table["resampled_p"].notna().any()),
        "all": tabulate(table, dictionary),
    }
