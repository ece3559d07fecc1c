"""The report's parts on associations with outcomes, and on change over time."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots_associations as plots
from workflow_scripts.report.text import ALPHA, interval, label, number, p_value, tabulate


def associations_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a study's associations.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    table, dictionary = read("associations", "outcome", "feature", "other", "beta", "r", "p")
    alone, pairs = (table[table["other"].isna() == whether] for whether in (True, False))
    return {
        "tests": int(alone["n_tests"].iloc[0]),
        "samples": study["bootstraps"],
        "lines": [
            {
                "outcome": label(row.outcome),
                "feature": label(row.feature),
                "n": number(row.n),
                "beta": interval(row.beta, row.beta_low, row.beta_high, decimals=2),
                "p": p_value(row.p),
                "corrected": p_value(row.p_corrected),
                "significant": row.p_corrected < ALPHA,
                "r": interval(row.r, row.r_low, row.r_high, decimals=2),
                "r_corrected": p_value(row.r_p_corrected),
                "adjusted": "nothing"
                if pd.isna(row.covariates)
                else ", ".join(map(label, row.covariates.split(", "))),
            }
            for row in alone.itertuples()
        ],
        "pairs": [
            {
                "outcome": label(row.outcome),
                "pair": f"{label(row.feature)} - {label(row.other)}",
                "n": number(row.n),
                "difference": interval(
                    row.beta_difference,
                    row.beta_difference_low,
                    row.beta_difference_high,
                    decimals=2,
                ),
                "apart": row.beta_difference_low > 0 or row.beta_difference_high < 0,
            }
            for row in pairs.itertuples()
        ],
        "all": tabulate(table, dictionary),
        "plot": plots.betas(alone, f"{name}-associations"),
    }


def longitudinal_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of the change of a study's features."""
    table, dictionary = read("longitudinal", "feature", "n", "change", "slope_difference", "p")
    sessions, _ = read("trajectories", "participant_id", "feature", "years", "value", "worsened")
    asked = study["evaluation"]["longitudinal"]

    def limits(row: dict, key: str) -> str:
        return interval(row[key], row[f"{key}_low"], row[f"{key}_high"])

    return {
        "outcome": label(asked["outcome"]),
        "rule": ", ".join(f"{s['by']:g} from {s['from']:g}" for s in asked["worsening"]),
        "tests": int(table["n_tests"].iloc[0]),
        "lines": [
            {key: row[key] for key in ("n_worsened", "n_stable")}
            | {"feature": label(row["feature"]), "p": p_value(row["p"])}
            | {key: limits(row, key) for key in ("change_worsened", "change_stable")}
            | {"slope": limits(row, "slope_difference"), "g": limits(row, "hedges_g")}
            | {"corrected": p_value(row["p_corrected"]), "significant": row["p_corrected"] < ALPHA}
            | {"without": int(row[["n_one_session", "n_short", "n_no_outcome"]].sum())}
            for _, row in table.iterrows()
        ],
        "all": tabulate(table, dictionary),
        "plot": plots.spaghetti(sessions, f"{name}-longitudinal"),
    }
