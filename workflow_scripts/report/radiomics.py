"""The report's part on radiomics: how stable they are, who has none, what the models took."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.engines import region_label
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.stability import wide
from workflow_scripts.report import plots_radiomics
from workflow_scripts.report.design import word
from workflow_scripts.report.fitted import files_of_models
from workflow_scripts.report.sessions import names_of
from workflow_scripts.report.text import interval, label, tabulate

# By what mirp's names begin with after the contrast, in the order of the page.
FAMILIES = {
    "morph": "shape",
    "stat": "intensity",
    "loc": "local intensity",
    "ih": "intensity histogram",
    "ivh": "intensity-volume histogram",
    "cm": "co-occurrence (GLCM)",
    "rlm": "run length (GLRLM)",
    "szm": "size zone (GLSZM)",
    "dzm": "distance zone (GLDZM)",
    "ngt": "tone difference (NGTDM)",
    "ngl": "dependence (NGLDM)",
}
UNSTABLE, SCREENED = "unstable", "screened out"
ZERO, KEPT = "with a coefficient of 0", "kept"
SHOWN = 50  # features that a model kept
NAMED = 8  # sessions of a reason
NUMBER = re.compile(r"(?<!\S)\d+(?:\.\d+)?(?=[\s:,]|$)")


def named(table: pd.DataFrame) -> pd.DataFrame:
    """A table with features, such as ``T1w_cm_energy_d1``, and their contrast, family and name.

    The name is mirp's; families, in words, are categories in the order of the page.
    """
    parts = table["feature"].str.extract(r"(?P<contrast>[^_]+)_(?P<name>(?P<family>[^_]+).*)")
    families = parts["family"].map(lambda prefix: FAMILIES.get(prefix, prefix))
    order = dict.fromkeys([*FAMILIES.values(), *families])
    parts["family"] = pd.Categorical(families, list(order), ordered=True)
    return pd.concat([table, parts], axis=1)


def radiomics_section(name: str, study: dict, read: Callable, models: list) -> list[dict]:
    """What the template shows of each input of radiomics that models read.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    models : paths of the fitted logistic models of all studies
    """
    readers: dict[str, list[str]] = {}
    for model, settings in study["models"].items():
        for key in settings.get("inputs", []):
            if "radiomics" in study["inputs"][key]:
                readers.setdefault(key, []).append(model)
    files, found = files_of_models(name, models), []
    for key, own in readers.items():
        region, least = (study["inputs"][key]["radiomics"][part] for part in ("region", "stable"))
        place = region_label(region)
        stability, _ = read(f"{place}_desc-stability_radiomics", "feature", "n", "icc")
        measured, dictionary = read(f"{place}_radiomics", *SCAN, "feature", "original", "reason")
        stability = named(stability).sort_values("family", kind="stable")
        found.append(
            {
                "region": label(region),
                "least": f"{least:g}",
                "stability": stability_part(stability, least),
                "plot": plots_radiomics.stability(stability, least, f"{name}-{key}-stability")
                if stability["icc"].notna().any()
                else None,
                "sessions": sessions_part(measured),
                "reasons": tabulate(reasons(measured), dictionary),
                "models": [
                    {"name": label(model), "penalty": study["models"][model].get("penalty", "l2")}
                    | model_part(*fates(files[model], region, stability["feature"]), word(study))
                    for model in own
                    if model in files
                ],
            }
        )
    return found


def ends(values: pd.Series) -> str:
    """Least and largest of whole numbers."""
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def stability_part(table: pd.DataFrame, least: float) -> dict:
    """How many features reach an ICC, by family and contrast.

    Parameters
    ----------
    table : of `named`, with n and icc
    """
    contrasts = sorted(table["contrast"].unique())

    def line(title: str, rows: pd.DataFrame) -> dict:
        parts = [rows[rows["contrast"] == contrast] for contrast in contrasts]
        parts += [rows] if len(contrasts) > 1 else []
        return {
            "name": title,
            "cells": [f"{(p['icc'] >= least).sum()} of {len(p)}" if len(p) else "" for p in parts],
            "icc": interval(*rows["icc"].quantile([0.5, 0.25, 0.75]), decimals=2),
        }

    stable = int((table["icc"] >= least).sum())
    return {
        "n": len(table),
        "stable": stable,
        "percent": f"{100 * stable / len(table):.0f}" if len(table) else "0",
        "unknown": int(table["icc"].isna().sum()),
        "sessions": ends(table["n"]),
        "contrasts": contrasts,
        "lines": [line(family, rows) for family, rows in table.groupby("family", observed=True)],
        "total": line("all", table),
    }


def sessions_part(table: pd.DataFrame) -> dict:
    """Sessions with all features that anybody has, with some of them, and with none.

    Parameters
    ----------
    table : of collect_radiomics
    """
    known = wide(table, "original").drop(columns=SCAN).notna()
    share = known.loc[:, known.any()].sum(axis=1) / max(1, known.any().sum())
    return {
        "n": len(share),
        "complete": int((share == 1).sum()),
        "some": int(((share > 0) & (share < 1)).sum()),
        "none": int((share == 0).sum()),
    }


def reasons(table: pd.DataFrame) -> pd.DataFrame:
    """Why sessions, contrasts or masks were not measured, the most frequent reason first.

    Those that differ in numbers, or in the session's own name, are one, with the least and the
    largest of each number.

    Parameters
    ----------
    table : of collect_radiomics
    """
    told = table.dropna(subset="reason")
    texts = pd.Series([_of_anybody(row) for _, row in told.iterrows()], told.index, dtype=object)
    lines = []
    for _, alike in texts.groupby(texts.map(lambda text: NUMBER.sub("", text)), sort=False):
        names = names_of(told.loc[alike.index]).drop_duplicates()
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        who = "; ".join(names[:NAMED]) + more
        lines.append({"reason": merged(list(alike)), "sessions": len(names), "who": who})
    found = pd.DataFrame(lines, columns=["reason", "sessions", "who"])
    found = found.sort_values("sessions", ascending=False, kind="stable")
    found.attrs = table.attrs
    return found


def _of_anybody(row: pd.Series) -> str:
    """A reason without the name of its own session."""
    text = row["reason"]
    for name in row[SCAN].dropna():
        text = text.replace(name, f"{name.split('-')[0]}-*")
    return text


def merged(texts: list[str]) -> str:
    """Texts that differ in their numbers alone as one, with the least and largest of each.

    >>> merged(["3 voxels, fewer than 64", "12 voxels, fewer than 64"])
    '3 to 12 voxels, fewer than 64'
    """
    values = iter(zip(*map(NUMBER.findall, texts), strict=True))
    return NUMBER.sub(lambda _: _range(next(values)), texts[0])


def _range(numbers: tuple[str, ...]) -> str:
    low, high = (end(numbers, key=float) for end in (min, max))
    return low if float(low) == float(high) else f"{low} to {high}"


def fates(path, region: str, features) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coefficients per SD of a region's features in a logistic model, and what became of each.

    Parameters
    ----------
    path : of the models of all splits
    features : names, without the region

    Returns
    -------
    coefficients, became : (S, F), of S splits, the second with `KEPT`, `ZERO`, ...
    """
    terms = {f"{region}_{feature}": feature for feature in features}
    coefficients, became = {}, {}
    for fitted in json.loads(Path(path).read_text())["models"]:
        own = pd.Series(dict(zip(fitted["terms"], fitted["coefficients"], strict=True)))
        own = own[own.index.isin(terms)]
        fate = pd.Series(np.where(own != 0, KEPT, ZERO), index=own.index)
        fate[own.index.isin(fitted.get("screened_out", []))] = SCREENED
        fate[own.index.isin(fitted["unstable"])] = UNSTABLE
        coefficients[fitted["split"]] = own.rename(terms)
        became[fitted["split"]] = fate.rename(terms)
    return pd.DataFrame(coefficients).T, pd.DataFrame(became).T


def model_part(coefficients: pd.DataFrame, became: pd.DataFrame, called: str) -> dict:
    """What became of the features in the training sides, and those that were kept.

    Parameters
    ----------
    coefficients, became : of `fates`
    called : what a split is called
    """
    lines = []
    for fate in (UNSTABLE, SCREENED, ZERO, KEPT):
        found = became == fate
        if fate != SCREENED or found.any(axis=None):
            every = int(found.all().sum())
            each, some = ends(found.sum(axis=1)), int(found.any().sum()) - every
            lines.append({"name": fate, "each": each, "every": every, "some": some})
    kept = became == KEPT
    own = coefficients.where(kept)
    counts = {f"{called}s": kept.sum(), "positive": (own > 0).sum(), "negative": (own < 0).sum()}
    table = pd.DataFrame(counts | {"coefficient": own.median()}).rename_axis("feature")
    table = named(table[table[f"{called}s"] > 0].reset_index())
    table = table.sort_values([f"{called}s", "coefficient"], key=abs, ascending=False)
    shown = [f"{called}s", "positive", "negative"] if len(became) > 1 else []
    shown = ["contrast", "family", "name", *shown, "coefficient"]
    return {
        "splits": len(became),
        "n": len(became.columns),
        "lines": lines,
        "kept": len(table),
        "without": int((~kept.any(axis=1)).sum()),
        "table": tabulate(table[shown].head(SHOWN), {}),
    }
