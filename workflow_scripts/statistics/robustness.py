"""Metrics site by site, and with the models fitted in other ways."""

import numpy as np
import pandas as pd

from workflow_scripts.common.splits import SCAN
from workflow_scripts.statistics.split_metrics import evaluate

KEYS = ["model", "estimate", "metric"]
SHOWN = ["auc", "balanced_accuracy", "sensitivity", "specificity"]
FIGURES = ["value", "ci_low", "ci_high", "ci_method", "n"]
AS_CONFIGURED, UNKNOWN = "as_configured", "unknown"
SHARES = ("site_share", "site_share_harmonized")


def overall(predictions: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Metrics over the splits, of predictions of any models: `KEYS` and `FIGURES`."""
    table = evaluate(predictions, settings["classes"])
    shown = (table["split"] == "all") & table["metric"].isin(SHOWN)
    return table.loc[shown, [*KEYS, *FIGURES]]


def site_metrics(
    predictions: pd.DataFrame, clinical: pd.DataFrame, harmonized: list[pd.DataFrame], settings
) -> pd.DataFrame:
    """Metrics of the scans of each site, and how much the sites differ before and after ComBat.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    clinical : DataFrame
        With session_site.
    harmonized : tables of the models that harmonize, of `refit_features.harmonization`
    settings : classes

    Returns
    -------
    DataFrame
        model, site (unknown where it is), estimate, metric, term, and `FIGURES`. The metrics
        site_share and site_share_harmonized are of training sides, of the site all and a term, the
        mean over the splits; unharmonized_scans is the share of scored scans of sites that did not
        train, unharmonized_splits that of splits whose sites had too few scans.
    """
    sites = clinical[[*SCAN, "session_site"]].rename(columns={"session_site": "site"})
    rows = predictions.merge(sites, on=SCAN, how="left").fillna({"site": UNKNOWN})
    tables = [overall(own, settings).assign(site=site) for site, own in rows.groupby("site")]
    for table in harmonized:
        means = table.groupby(["model", "term"], sort=False)[list(SHARES)].mean().reset_index()
        long = means.melt(["model", "term"], list(SHARES), "metric", "value")
        once = table.drop_duplicates(["model", "split"])
        figures = {
            "unharmonized_scans": once["n_left"].sum() / once["n"].sum(),
            "unharmonized_splits": (once["n_sites"] == 0).mean(),
        }
        told = pd.DataFrame({"metric": list(figures), "value": list(figures.values())})
        told = told.assign(model=once["model"].iloc[0])
        tables.append(pd.concat([long, told]).assign(site="all"))
    found = pd.concat(tables, ignore_index=True)
    return found.reindex(columns=["model", "site", "estimate", "metric", "term", *FIGURES])


def repetitions(predictions: pd.DataFrame, design: dict) -> pd.DataFrame:
    """Predictions of each repetition alone, named in the column variant.

    ``repeat_1`` ... are repeats of the folds, ``training_1`` ... trainings of the splits with other
    seeds, of the models that have several.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    design : the study's
    """
    tables = [pd.DataFrame(columns=["variant"])]
    if design["kind"] == "folds" and design["repeats"] > 1:
        number = (predictions["split"] - 1) // design["folds"] + 1
        tables.append(predictions.assign(variant="repeat_" + number.astype(str)))
    for _, own in predictions.groupby("model", sort=False):
        if own["repeat"].nunique() > 1:
            tables.append(own.assign(variant="training_" + own["repeat"].astype(str)))
    return pd.concat(tables)


def sensitivity(
    predictions: pd.DataFrame, variants: pd.DataFrame, flagged: pd.DataFrame, settings: dict
) -> pd.DataFrame:
    """Metrics of every model as configured and in other ways.

    Models that were not fitted anew (those of images) are tested without flagged sessions alone:
    ``flagged_not_tested``. Repetitions stand by themselves, see `repetitions`. Where too few people
    are left without flagged sessions to fit a model, a row without a value and with n = 0 says so.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    variants : DataFrame
        The same, with the column variant, of `refit_features.variants`.
    flagged : DataFrame
        participant_id and session_id of flagged sessions.
    settings : classes, bootstraps, seed, design, and models by name

    Returns
    -------
    DataFrame
        model, variant, estimate, metric, `FIGURES`, difference (to as_configured).
    """
    ours, theirs = (t[SCAN].fillna("").agg("/".join, axis=1) for t in (predictions, flagged))
    images = [k for k, m in settings["models"].items() if "missing" not in m and "inputs" in m]
    untested = ours.isin(theirs) & predictions["model"].isin(images)
    affected = predictions.loc[untested, "model"].unique()
    kept = predictions[predictions["model"].isin(affected) & ~untested]
    parts = [predictions.assign(variant=AS_CONFIGURED), variants]
    parts.append(kept.assign(variant="flagged_not_tested"))
    parts.append(repetitions(predictions, settings["design"]))
    tables = [
        overall(own, settings).assign(variant=variant)
        for part in parts
        for variant, own in part.groupby("variant", sort=False)
    ]
    fitted = set(variants.loc[variants["variant"] == "not_flagged", "model"])
    for model in predictions.loc[ours.isin(theirs), "model"].unique():
        if "missing" in settings["models"][model] and model not in fitted:
            nobody = {"model": model, "variant": "not_flagged", "metric": "auc", "n": 0}
            tables.append(pd.DataFrame([nobody | {"estimate": "test"}]))
    table = pd.concat(tables, ignore_index=True)
    configured = table[table["variant"] == AS_CONFIGURED].set_index(KEYS)["value"]
    table["difference"] = table["value"] - configured.reindex(
        pd.MultiIndex.from_frame(table[KEYS])
    ).to_numpy(float)
    table.loc[table["variant"] == AS_CONFIGURED, "difference"] = np.nan
    order = {name: place for place, name in enumerate(settings["models"])}
    table = table.sort_values("model", key=lambda names: names.map(order), kind="stable")
    return table[["model", "variant", "estimate", "metric", *FIGURES, "difference"]]
