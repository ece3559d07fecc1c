"""The report's part on single models and cases: equations on raw scales, misclassified scans."""

import re
from collections.abc import Callable

import pandas as pd
from scipy.special import expit

from workflow_scripts.common.logistic import on_raw_scale, read_logistic
from workflow_scripts.common.splits import SCAN
from workflow_scripts.report.text import label, number, tabulate

MOST_TERMS = 40


def equation(intercept: float, slopes, terms: list[str]) -> str:
    """Log odds of the positive class as text, six significant digits; no term with a slope of 0.

    Of more than `MOST_TERMS` their number alone.
    """
    parts = [
        f"{'-' if slope < 0 else '+'} {abs(slope):.6g} * {term}"
        for slope, term in zip(slopes, terms, strict=True)
        if slope
    ]
    if len(parts) > MOST_TERMS:
        return f"{len(parts)} terms, too many to print"
    return " ".join([f"{intercept:.6g}", *parts])


def of_everybody(table: pd.DataFrame) -> list[dict]:
    """Equations of the models fitted to everybody, from their coefficients per SD."""
    lines = []
    for model, rows in table.groupby("model", sort=False):
        terms = rows[rows["term"] != "intercept"]
        intercept = rows.loc[rows["term"] == "intercept", "coefficient"].iloc[0]
        raw = on_raw_scale(intercept, terms["coefficient"], terms["mean"], terms["sd"])
        text = equation(*raw, list(terms["term"]))
        lines.append({"model": label(model), "of": "everybody", "text": text, "positive": "n/a"})
    return lines


def of_splits(model: str, path) -> list[dict]:
    """Equations of a logistic model in every split, with the probability that is positive."""
    return [
        {
            "model": label(model),
            "of": str(fitted.split),
            "text": equation(fitted.intercept, fitted.slopes, fitted.terms),
            "positive": f"{expit(fitted.threshold):.3f}",
        }
        for fitted in read_logistic(path)
    ]


def files_of_models(name: str, models: list) -> dict[str, object]:
    """Paths of a study's fitted logistic models and stacks, by model, of those of all studies."""
    pattern = re.compile(rf"studies/{re.escape(name)}/models/model-(.+)_(?:models|stack)\.json$")
    return {m.group(1): path for path in models if (m := pattern.search(str(path)))}


def equations(name: str, study: dict, read: Callable, models: list) -> list[dict]:
    """Equations of a study's logistic models: of everybody where those were fitted, then of splits.

    Parameters
    ----------
    models : paths of the fitted logistic models and stacks of all studies
    """
    lines = []
    if "optimism" in study["evaluation"]:
        coefficients, _ = read("coefficients", "model", "term", "coefficient", "mean", "sd")
        lines += of_everybody(coefficients)
    found = files_of_models(name, models)
    for model in study["models"]:
        if model in found:
            lines += of_splits(model, found[model])
    return lines


def misclassified(study: dict, read: Callable) -> dict | None:
    """Test scans that a model called wrong: per model how often, of the times it was tested.

    The majority class is left out, which calls a whole class wrong. None without any such scan.
    """
    predictions, _ = read("predictions", *SCAN, "model", "role", "label", "predicted")
    models = [m for m, settings in study["models"].items() if settings["kind"] != "majority"]
    tested = predictions[(predictions["role"] == "test") & predictions["model"].isin(models)]
    tested = tested.assign(wrong=tested["label"] != tested["predicted"])
    keys = [*SCAN, "label"]
    counts = tested.groupby([*keys, "model"], dropna=False)["wrong"].agg(["sum", "count"])
    counts = counts.unstack("model")
    worst = (counts["sum"] / counts["count"]).max(axis=1)
    counts = counts[counts["sum"].sum(axis=1) > 0]
    if counts.empty:
        return None
    order = worst[counts.index].sort_values(ascending=False, kind="stable").index
    counts = counts.loc[order]
    table = counts.index.to_frame(index=False)
    for model in models:
        if model in counts["sum"]:
            cells = zip(counts["sum"][model], counts["count"][model], strict=True)
            table[model] = ["" if pd.isna(n) else f"{number(w)} of {number(n)}" for w, n in cells]
    if table["session_id"].isna().all():
        table = table.drop(columns="session_id")
    return {
        "n": len(table),
        "tested": len(tested[keys].drop_duplicates()),
        "table": tabulate(table, {}),
    }


def fitted_section(name: str, study: dict, read: Callable, models: list) -> dict | None:
    """What the template shows of single models and cases; None without models."""
    if not study["models"]:
        return None
    return {
        "equations": equations(name, study, read, models),
        "misclassified": misclassified(study, read),
    }
