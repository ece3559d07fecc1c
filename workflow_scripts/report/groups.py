"""The report's part on the comparison of the classes."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots
from workflow_scripts.report.population import first_sessions
from workflow_scripts.report.text import (
    ALPHA,
    interval,
    label,
    number,
    p_value,
    quartiles,
    tabulate,
    with_unit,
)


def overall(groups: pd.DataFrame, classes: list[str], units: dict) -> list[dict]:
    """Lines of the table of all classes: one per feature, with Kruskal-Wallis."""
    lines = []
    for feature, rows in groups.groupby("feature", sort=False):
        by_group = rows.set_index(rows["group"].astype(str))
        test = by_group.loc["all"]
        effect = test[["epsilon_squared", "epsilon_squared_low", "epsilon_squared_high"]]
        lines.append(
            {
                "name": label(feature),
                "short": f"{label(feature)} {interval(*effect, decimals=2)}",
                "feature": with_unit(feature, units),
                "groups": [
                    {
                        "n": number(by_group.at[name, "n"]),
                        "text": quartiles(*by_group.loc[name, ["median", "q1", "q3"]]),
                    }
                    for name in classes
                ],
                "h": number(test["h"]),
                "p": p_value(test["p"]),
                "corrected": p_value(test["p_corrected"]),
                "significant": bool(test["p_corrected"] < ALPHA),
                "effect": interval(*effect, decimals=2),
            }
        )
    return lines


def pairs(pairwise: pd.DataFrame, units: dict) -> list[dict]:
    """Lines of the table of pairs, with Dunn's test; b against a."""
    return [
        {
            "feature": with_unit(row.feature, units),
            "pair": f"{row.group_b} against {row.group_a}",
            "n": f"{row.n_b} + {row.n_a}",
            "z": number(row.z),
            "p": p_value(row.p),
            "corrected": p_value(row.p_corrected),
            "significant": row.p_corrected < ALPHA,
            "delta": interval(
                row.cliffs_delta, row.cliffs_delta_low, row.cliffs_delta_high, decimals=2
            ),
            "difference": interval(
                row.median_difference, row.median_difference_low, row.median_difference_high
            ),
        }
        for row in pairwise.itertuples()
    ]


def held(terms: list[str], declared: list[str]) -> list[str]:
    """Columns that are held constant, of the terms that they are coded as.

    >>> held(["age", "sex_M", "site_B", "site_C"], ["age", "sex", "site"])
    ['age', 'sex', 'site']
    """

    def column(term):
        return next((c for c in declared if term == c or term.startswith(f"{c}_")), term)

    return list(dict.fromkeys(map(column, terms)))


def adjusted(groups: pd.DataFrame, pairwise: pd.DataFrame, units: dict, study: dict) -> dict | None:
    """The tests with covariates held constant, None where the ``study`` declares none."""
    if "adjusted_p" not in groups:
        return None
    whole = groups[groups["group"].astype(str) == "all"].set_index("feature")
    declared = study["evaluation"]["groups"]["adjust"]
    limits = [f"adjusted_difference{end}" for end in ("", "_low", "_high")]
    return {
        "covariates": " and ".join(
            map(label, held(whole["adjusted_for"].iloc[0].split(", "), declared))
        ),
        "differ": [label(f) for f in whole.index[whole["adjusted_p_corrected"] < ALPHA]],
        "lines": [
            {
                "feature": with_unit(row["feature"], units),
                "pair": f"{row['group_b']} against {row['group_a']}",
                "n": number(whole.at[row["feature"], "adjusted_n"]),
                "whole": p_value(whole.at[row["feature"], "adjusted_p_corrected"]),
                "difference": interval(*row[limits]),
                "p": p_value(row["adjusted_p"]),
                "corrected": p_value(row["adjusted_p_corrected"]),
                "significant": row["adjusted_p_corrected"] < ALPHA,
                "ranks": p_value(row["adjusted_rank_p"]),
            }
            for _, row in pairwise.iterrows()
        ],
    }


def groups_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of the comparison of the classes.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    values, units = first_sessions(study, read)
    groups, groups_units = read("groups", "feature", "group", "median", "h", "p", "p_corrected")
    pairwise, pairwise_units = read("groups_pairwise", "feature", "group_a", "z", "cliffs_delta")
    first = groups[groups["group"].astype(str) == "all"]
    lines = overall(groups, study["classes"], units)
    features = study["evaluation"]["groups"]["features"]
    return {
        "lines": lines,
        "pairs": pairs(pairwise, units),
        "correction": label(first["correction"].iloc[0]),
        "tests": int(first["n_tests"].iloc[0]),
        "pairs_tested": int(pairwise["n_tests"].iloc[0]),
        "differ": [line["name"] for line in lines if line["significant"]],
        "not_shown": [line["short"] for line in lines if not line["significant"]],
        "adjusted": adjusted(groups, pairwise, units, study),
        "groups_all": tabulate(groups, groups_units),
        "pairs_all": tabulate(pairwise, pairwise_units),
        "plot": plots.distributions(values, units, features, study["classes"], f"{name}-groups"),
    }
