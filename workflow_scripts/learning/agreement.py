"""Whether mean Grad-CAM light up in the same places: from split to split, and in both classes."""

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

COLUMNS = ["explained", "threshold", "class_a", "class_b", "pairs", "dice", "dice_low", "dice_high"]
COLUMNS += ["dice_by_chance"]


def above(mean: np.ndarray, threshold: float, inside: np.ndarray) -> np.ndarray:
    """Where in the brain a map reaches ``threshold`` times its maximum there, (x, y, z) bool."""
    highest = mean[inside].max()
    return inside & (mean >= threshold * highest) & (highest > 0)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks."""
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def agreement(
    means: dict[str, np.ndarray], index: pd.DataFrame, thresholds: list[float], inside: np.ndarray
) -> pd.DataFrame:
    """Overlap of what lies above a threshold in the maps of two splits, or of two classes.

    A class's maps are compared between all pairs of splits, those of two classes within each
    split. Maps of zeros take no part.

    Parameters
    ----------
    means, index : mean maps (x, y, z, maps) by what they explain; volume, split and class of each
    thresholds : fractions of a map's maximum
    inside : (x, y, z) bool, the brain

    Returns
    -------
    DataFrame
        `COLUMNS`: number of pairs, mean, lowest and highest Dice coefficient, and the mean that
        masks of these sizes have anywhere in the brain.
    """
    single = index[index["split"] != "all"]
    classes, rows = list(index["class"].unique()), []
    for explained, maps in means.items():
        for threshold in thresholds:
            masks = {
                (row.split, name): mask
                for name, row in zip(single["class"], single.itertuples(), strict=True)
                if (mask := above(maps[..., row.volume], threshold, inside)).any()
            }
            for a, b in combinations_with_replacement(classes, 2):
                pairs = [
                    (one, other)
                    for (s, first), one in masks.items()
                    for (t, second), other in masks.items()
                    if (first, second) == (a, b) and (s < t if a == b else s == t)
                ]
                dice = [overlap(*pair) for pair in pairs]
                sizes = np.array([[mask.sum() for mask in pair] for pair in pairs]).reshape(-1, 2)
                chance = 2 * sizes.prod(axis=1) / inside.sum() / sizes.sum(axis=1)
                row = {"explained": explained, "threshold": threshold, "class_a": a, "class_b": b}
                row["pairs"] = len(pairs)
                if pairs:
                    row |= {"dice": np.mean(dice), "dice_low": min(dice), "dice_high": max(dice)}
                    row["dice_by_chance"] = chance.mean()
                rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)
