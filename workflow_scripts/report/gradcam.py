"""The report's part on Grad-CAM: what the networks looked at, and whether they should have."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.report.design import word
from workflow_scripts.report.text import (
    ALPHA,
    interval,
    label,
    load,
    number,
    p_value,
    require,
    tabulate,
)

TOP = 6
REGIONS = ["explained", "split", "class", "n", "threshold", "region", "side", "volume_ml"]
REGIONS += ["share_of_mask", "share_of_region", "p", "peak", "peak_x_mm", "peak_y_mm", "peak_z_mm"]
AGREEMENT = ["explained", "threshold", "class_a", "class_b", "pairs", "dice", "dice_low"]
AGREEMENT += ["dice_high", "dice_by_chance"]
EXPLAINED = {"difference": "difference of logits", "logit": "logit alone"}
EXPLAINED |= {"integrated_gradients": "integrated gradients"}
COMPARED = ["study", "model", "explained", "class", "auc_in_region", "chance_mean", "chance_low"]
COMPARED += ["chance_high", "p", "n", "n_permutations", "share_in_region", "region_share"]


def percent(share: float) -> str:
    """A fraction as whole percent, ``<1 %`` where it is less."""
    return "<1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def top_regions(regions: pd.DataFrame, threshold: float) -> list[dict]:
    """The regions with most of the mean map over all splits, per class.

    Returns
    -------
    list of dict
        name, n (correct predictions), tested (splits with a map) and, largest first and at
        most `TOP`, lines with what the template shows of a region.
    """
    chosen = (regions["threshold"] == threshold) & (regions["explained"] == "difference")
    lowest = regions[chosen]
    region, side = (lowest[name].astype("string") for name in ("region", "side"))
    lowest = lowest.assign(place=region + ", " + side.fillna("both sides"))
    classes = []
    for name, rows in lowest.groupby("class", sort=False):
        single = rows[(rows["split"] != "all") & (rows["n"] > 0)]
        pooled = rows[rows["split"] == "all"]
        hit = single.groupby("place")["split"].nunique()
        found = pooled.dropna(subset="region").head(TOP)
        lines = [
            {
                "place": row.place,
                "volume": number(row.volume_ml),
                "of_mask": percent(row.share_of_mask),
                "of_region": percent(row.share_of_region),
                "p": p_value(row.p),
                "strong": bool(row.p < ALPHA),
                "peak": f"{row.peak_x_mm:.0f}, {row.peak_y_mm:.0f}, {row.peak_z_mm:.0f}",
                "splits": int(hit.get(row.place, 0)),
            }
            for row in found.itertuples()
        ]
        counts = {"n": int(pooled["n"].iloc[0]), "tested": single["split"].nunique()}
        classes.append({"name": str(name), "lines": lines, **counts})
    return classes


def agreement_lines(table: pd.DataFrame, threshold: float, called: str) -> list[dict]:
    """Overlap of the maps of two splits, or of two classes, as text.

    Parameters
    ----------
    table : of `average_gradcam`
    threshold : whose rows are shown
    called : what a split is called
    """
    lines = []
    for row in table[table["threshold"] == threshold].itertuples():
        same = row.class_a == row.class_b
        lines.append(
            {
                "explained": EXPLAINED[row.explained],
                "what": f"{row.class_a}, {called} against {called}"
                if same
                else f"{row.class_a} against {row.class_b}, in one {called}",
                "pairs": number(row.pairs),
                "dice": interval(row.dice, row.dice_low, row.dice_high, 2),
                "chance": "n/a" if pd.isna(row.dice_by_chance) else f"{row.dice_by_chance:.2f}",
            }
        )
    return lines


def comparison(path, study: str) -> dict | None:
    """Lines of the comparison with the planted effect; None where the study has none."""
    table, _ = load(path)
    rows = require(table, path, COMPARED)
    rows = rows[rows["study"] == study]
    if rows.empty:
        return None
    lines = [
        {
            "model": "all models" if row["model"] == "all" else label(row["model"]),
            "explained": EXPLAINED[row["explained"]],
            "class": row["class"],
            "n": number(row["n"]),
            "auc": "n/a" if pd.isna(row["auc_in_region"]) else f"{row['auc_in_region']:.2f}",
            "chance": interval(*(row[f"chance_{end}"] for end in ("mean", "low", "high")), 2),
            "p": p_value(row["p"]),
            "above": bool(row["p"] < ALPHA),
            "share": "n/a" if pd.isna(row["share_in_region"]) else percent(row["share_in_region"]),
        }
        for row in rows.to_dict("records")
    ]
    return {
        "lines": lines,
        "permutations": number(rows["n_permutations"].max()),
        "region": number(100 * rows["region_share"].max()),
    }


def gradcam_section(
    name: str, study: dict, read: Callable, pictures: list, compared=None
) -> dict | None:
    """What the template shows of the Grad-CAM of a study.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    pictures : paths of the pictures of draw_gradcam, of all studies
    compared : path of the table of compare_gradcam_with_truth, where the cohort is simulated

    Raises
    ------
    InputError
        If the study has no picture, or a model no table of regions.
    """
    pattern = re.compile(rf"studies/{re.escape(name)}/gradcam/model-(.+)_gradcam\.webp$")
    found = {m.group(1): Path(path) for path in pictures if (m := pattern.search(str(path)))}
    if not found:
        raise InputError(f"studies/{name}/gradcam: no picture was given to the report; draw them")
    thresholds = study["evaluation"]["gradcam"]["thresholds"]
    models = []
    for model, path in found.items():
        regions, dictionary = read(f"studies/{name}/gradcam/model-{model}_regions", *REGIONS)
        regions = regions.assign(split=regions["split"].astype(str))
        agreement, _ = read(f"studies/{name}/gradcam/model-{model}_agreement", *AGREEMENT)
        pooled = regions[regions["split"] == "all"].drop(columns="split")
        models.append(
            {
                "name": label(model),
                "id": re.sub(r"[^A-Za-z0-9_-]", "-", f"{name}-gradcam-{model}"),
                "text": f"Mean Grad-CAM of each class on the template, {label(model)}",
                "path": path,
                "classes": top_regions(regions, min(thresholds)),
                "agreement": agreement_lines(agreement, min(thresholds), word(study)),
                "regions": tabulate(pooled, dictionary),
                "file": f"studies/{name}/gradcam/model-{model}_regions.tsv",
            }
        )
    return {
        "models": models,
        "thresholds": [percent(threshold) for threshold in thresholds],
        "comparison": comparison(compared, name) if compared else None,
    }
