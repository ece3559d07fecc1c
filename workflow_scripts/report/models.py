"""The report's part on the logistic models."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report import plots_models
from workflow_scripts.report.text import ALPHA, interval, label, p_value, reading, tabulate

ESTIMATES = ["cross_validated", "optimism_corrected", "apparent"]


def areas(metrics: pd.DataFrame) -> list[dict]:
    """Per model the AUC by estimate, with the same under permuted labels."""
    lines = []
    table = metrics[metrics["metric"] == "auc"]
    for model, rows in table.groupby("model", sort=False):
        row = rows.set_index("estimate")
        line = {"key": model, "name": label(model)}
        for estimate in ESTIMATES:
            one = row.loc[estimate]
            line[estimate] = {
                "text": interval(*one[["value", "ci_low", "ci_high"]], decimals=2),
                "short": f"{one['value']:.2f}",
                "method": one["ci_method"],
            }
            if estimate != "optimism_corrected":
                null = one[["null_mean", "null_low", "null_high"]]
                line[estimate] |= {
                    "null": interval(*null, decimals=2),
                    "p": p_value(one["p"]),
                    "above": bool(one["p"] < ALPHA),
                    "reading": reading(one["p"], int(one["n_permutations"])),
                }
        line["optimism"] = f"{row.at['optimism_corrected', 'optimism']:.2f}"
        lines.append(line)
    return lines


def apparent_with_permuted_labels(metrics: pd.DataFrame) -> str:
    """Mean apparent AUC with permuted labels, lowest to highest model."""
    rows = metrics[(metrics["metric"] == "auc") & (metrics["estimate"] == "apparent")]
    low, high = f"{rows['null_mean'].min():.2f}", f"{rows['null_mean'].max():.2f}"
    return low if low == high else f"{low} to {high}"


def differences(comparisons: pd.DataFrame) -> list[dict]:
    """Lines of the comparisons: a pair of models, second minus first."""
    lines = []
    for (a, b), rows in comparisons.groupby(["model_a", "model_b"], sort=False):
        row = rows.set_index("estimate")
        honest, corrected = row.loc["cross_validated"], row.loc["optimism_corrected"]
        lines.append(
            {
                "pair": f"{label(b)} against {label(a)}",
                "resampled": interval(
                    *honest[["auc_difference", "resampled_low", "resampled_high"]], decimals=2
                ),
                "resampled_p": p_value(honest["resampled_p"]),
                "corrected": interval(
                    *corrected[["auc_difference", "ci_low", "ci_high"]], decimals=2
                ),
                "delong": [
                    {
                        "estimate": label(estimate),
                        "difference": interval(
                            *row.loc[estimate, ["auc_difference", "ci_low", "ci_high"]], decimals=2
                        ),
                        "p": p_value(row.at[estimate, "p"]),
                        "note": row.at[estimate, "note"],
                    }
                    for estimate in ("cross_validated", "apparent")
                ],
            }
        )
    return lines


def other_metrics(metrics: pd.DataFrame) -> dict:
    """Metrics besides the AUC, a line per model and estimate, for the template."""
    table = metrics[metrics["metric"] != "auc"].copy()
    table["text"] = [
        interval(*row, decimals=2) for row in table[["value", "ci_low", "ci_high"]].to_numpy()
    ]
    order = list(table["metric"].unique())
    wide = table.pivot(index=["model", "estimate"], columns="metric", values="text")[order]
    keys = [(model, one) for model in table["model"].unique() for one in ESTIMATES]
    wide = wide.reindex([key for key in keys if key in wide.index]).rename_axis(columns=None)
    wide = wide.reset_index().map(lambda value: "" if pd.isna(value) else value)
    return tabulate(wide.assign(**{key: wide[key].map(label) for key in ("model", "estimate")}), {})


def models_section(name: str, study: dict, read: Callable, values, units) -> dict:
    """What the template shows of a study's logistic models.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    values, units : not used; every part of a study is given them
    """
    metrics, dictionary = read("models_metrics", "model", "estimate", "metric", "value", "p")
    comparisons, comparisons_units = read("models_comparisons", "model_a", "resampled_p", "note")
    roc, _ = read("models_roc", "model", "estimate", "false_positive_rate", "sensitivity")
    calibration, _ = read("models_calibration", "model", "predicted_probability", "observed_share")
    decision, _ = read("models_decision_curve", "model", "threshold", "net_benefit")
    coefficients, coefficients_units = read("models_coefficients", "model", "term", "odds_ratio")
    lines = areas(metrics)
    models = [line["key"] for line in lines]
    texts = {
        line["key"]: "AUC cross-validated {}\noptimism-corrected {}\napparent {}".format(
            *(line[estimate]["short"] for estimate in ESTIMATES)
        )
        for line in lines
    }
    counts = metrics[["n_negative", "n_positive"]].iloc[0]
    permutations = int(metrics["n_permutations"].dropna().iloc[0])
    return {
        "classes": study["models"]["classes"],
        "n": int(counts.sum()),
        "n_negative": int(counts["n_negative"]),
        "n_positive": int(counts["n_positive"]),
        "permutations": permutations,
        "smallest_p": p_value(1 / (1 + permutations)),
        "permuted": apparent_with_permuted_labels(metrics),
        "lines": lines,
        "methods": list(
            dict.fromkeys(
                f"{label(one)}: {line[one]['method']}" for line in lines for one in ESTIMATES
            )
        ),
        "method_note": dictionary["ci_method"].get("Description", ""),
        "differences": differences(comparisons),
        "others": other_metrics(metrics),
        "metrics_all": tabulate(metrics, dictionary),
        "comparisons_all": tabulate(comparisons, comparisons_units),
        "coefficients_all": tabulate(coefficients, coefficients_units),
        "roc": plots_models.roc(roc, texts, f"{name}-models-roc"),
        "calibration": plots_models.calibration(calibration, models, f"{name}-calibration"),
        "decision": plots_models.decision(decision, models, f"{name}-decision"),
        "coefficients": plots_models.coefficients(coefficients, f"{name}-coefficients"),
    }
