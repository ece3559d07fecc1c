"""Mean maps of each class over the correctly classified test scans, and the regions they hit.

And the map of each tested session, for the page on which one goes through it.
"""

import logging
from itertools import product

import nibabel as nib
import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from workflow_scripts.common.images import save_image, voxel_volume_ml
from workflow_scripts.common.job import job
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.transforms import resample
from workflow_scripts.learning.agreement import above, agreement
from workflow_scripts.learning.structures import Atlas, atlas_structures, read_atlas

DECIMALS = 3
REGIONS = ["explained", "split", "class", "n", "threshold", "region", "side", "volume_ml"]
REGIONS += ["share_of_mask"]
REGIONS += ["share_of_region", "p", "peak", "peak_x_mm", "peak_y_mm", "peak_z_mm"]
# What a map explains: the logit of its class minus the other one, or that logit alone, by
# Grad-CAM; the difference by integrated gradients.
DIFFERENCE, LOGIT, GRADIENTS = "difference", "logit", "integrated_gradients"
LOG = logging.getLogger(__name__)


def average_maps(
    maps: list, tables: list[pd.DataFrame], classes: list[str]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mean maps of the correctly classified scans, per class and split and over all splits.

    In the mean over all splits each correct prediction counts once: a scan that several
    splits or repeats tested counts several times. Maps that are 0 everywhere count too.

    Parameters
    ----------
    maps : images (x, y, z, scans), one per training; or their arrays
    tables : of each, volume, split, label and correct
    classes : negative first

    Returns
    -------
    means : (x, y, z, maps) float32, 0 where there was nothing to average
    index : volume, split (as text, or all), class, n
    """
    splits = sorted({split for table in tables for split in table["split"]})
    keys = [(split, name) for name in classes for split in splits]
    sums = dict.fromkeys(keys, 0.0)
    counts = dict.fromkeys(keys, 0)
    for image, table in zip(maps, tables, strict=True):
        data = np.asarray(getattr(image, "dataobj", image), np.float32)
        right = table[table["correct"] == 1]
        for (split, name), rows in right.groupby(["split", "label"]):
            sums[split, name] = sums[split, name] + data[..., rows["volume"]].sum(axis=-1)
            counts[split, name] += len(rows)
    shape = maps[0].shape[:3]
    means, rows = [], []
    for name in classes:
        for split in [*splits, "all"]:
            pooled = splits if split == "all" else [split]
            n = sum(counts[s, name] for s in pooled)
            total = sum((sums[s, name] for s in pooled), np.zeros(shape, np.float32))
            if not n:
                LOG.warning("split %s: no %s was classified correctly", split, name)
            means.append(np.round(total / max(n, 1), DECIMALS).astype(np.float32))
            rows.append({"volume": len(rows), "split": str(split), "class": name, "n": n})
    return np.stack(means, axis=-1), pd.DataFrame(rows)


def hit_regions(
    mean: np.ndarray,
    threshold: float,
    labels: np.ndarray,
    structures: pd.DataFrame,
    affine: np.ndarray,
    p: np.ndarray,
) -> list[dict]:
    """Regions under the part of a map that reaches ``threshold`` times its maximum.

    Parameters
    ----------
    mean : (x, y, z), not negative
    threshold : 0..1
    labels, structures : as from `atlas_structures`
    affine : (4, 4), voxels to MNI152 mm
    p : (structures,), of this threshold as from `region_p`

    Returns
    -------
    list of dict
        region, side, voxels, share_of_mask, share_of_region, p, and the map's peak in the
        region with its coordinates; largest first. Empty for a map of zeros.
    """
    mask = above(mean, threshold, labels >= 0)
    sizes = np.bincount(labels[labels >= 0], minlength=len(structures))
    hits = np.bincount(labels[mask], minlength=len(structures))
    rows = []
    for label in np.argsort(-hits, kind="stable")[: np.count_nonzero(hits)]:
        here = np.where(mask & (labels == label), mean, -1)
        voxel = np.unravel_index(here.argmax(), here.shape)
        millimetres = nib.affines.apply_affine(affine, voxel)
        rows.append(
            {
                **structures.iloc[label],
                "voxels": hits[label],
                "share_of_mask": hits[label] / mask.sum(),
                "share_of_region": hits[label] / sizes[label],
                "p": p[label],
                "peak": here[voxel],
                **dict(zip(("peak_x_mm", "peak_y_mm", "peak_z_mm"), millimetres, strict=True)),
            }
        )
    return rows


def average_sums(paths: list) -> tuple[np.ndarray, np.ndarray]:
    """Mean maps over all splits of each linear layer, those with permuted labels among them.

    Parameters
    ----------
    paths : files of sums, counts and affine, as from `sum_maps`, one of each training

    Returns
    -------
    means : (1 + k, 2, a, b, c) float16
        The true labels first; 0 where there was nothing to average.
    affine : (4, 4), cells to MNI152 mm
    """
    total, counts = 0.0, 0
    for path in paths:
        part = load_file(path)
        total, counts = total + part["sums"], counts + part["counts"]
    means = total / np.maximum(counts, 1)[..., None, None, None]
    return means.astype(np.float16), part["affine"]


def average_sessions(
    cams: list[np.ndarray], tables: list[pd.DataFrame]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mean map of each tested session, of the trainings that agree most on its class.

    Parameters
    ----------
    cams : (scans, a, b, c) of each training, as from `explain_predictions.on_cells`
    tables : of each, participant_id, session_id, label and predicted, a row for each map

    Returns
    -------
    means : (sessions, a, b, c) float16
    index : volume, participant_id, session_id, label, predicted, agreeing (trainings that
        predicted it) and trainings (all that tested the session). Of classes that are predicted
        as often as each other it is the one that comes first in the alphabet.
    """
    rows = pd.concat(tables, ignore_index=True).astype({"label": str, "predicted": str})
    maps = np.concatenate(cams)
    means, index = [], []
    for scan, tested in rows.groupby(SCAN, dropna=False, sort=True):
        counts = tested["predicted"].value_counts().sort_index()
        predicted = counts.idxmax()
        chosen = tested.index[tested["predicted"] == predicted]
        means.append(maps[chosen].astype(np.float32).mean(axis=0))
        entry = {"label": tested["label"].iloc[0], "predicted": predicted}
        entry |= {"agreeing": len(chosen), "trainings": len(tested)}
        index.append({"volume": len(index), **dict(zip(SCAN, scan, strict=True)), **entry})
    return np.stack(means).astype(np.float16), pd.DataFrame(index)


def region_p(
    maps: np.ndarray, cells: np.ndarray, thresholds: list[float], labels: np.ndarray, n: int, brain
) -> np.ndarray:
    """How often permuted labels put as much of a map into a region, or more.

    Compared is a region's share of what lies above the threshold, so that a map that is high
    in many places is not above chance in all of them.

    Parameters
    ----------
    maps : (1 + k, a, b, c), that of the true labels first
    cells : (4, 4), cells of the maps to MNI152 mm
    labels, n : as from `atlas_structures` for the image ``brain``, and number of structures

    Returns
    -------
    (thresholds, n), nan without permutations
    """
    shares = np.zeros((len(maps), len(thresholds), n))
    for of_map, cam in zip(shares, maps, strict=True):
        full = resample(cam.astype(np.float32), cells, brain)
        for row, threshold in zip(of_map, thresholds, strict=True):
            mask = above(full, threshold, labels >= 0)
            row[:] = np.bincount(labels[mask], minlength=n) / max(mask.sum(), 1)
    return permutation_p(shares[0], shares[1:])


def region_table(
    means: dict[str, np.ndarray],
    index: pd.DataFrame,
    thresholds: list[float],
    brain,
    white_matter,
    layers: np.ndarray,
    cells: np.ndarray,
    atlas: Atlas,
) -> pd.DataFrame:
    """Regions that every mean map hits at every threshold.

    A map without a scan (n is 0), or of zeros, has a row without a region. Only the means over
    all splits of the differences of logits have a p.

    Parameters
    ----------
    means, index : as from `average_maps`, the former by what is explained
    thresholds : fractions of a map's maximum
    brain, white_matter : images in MNI152, the former on the grid of the maps
    layers, cells : as from `average_sums`
    atlas : as from `read_atlas`
    """
    labels, structures = atlas_structures(brain, white_matter, atlas)
    n = len(structures)
    classes = list(index["class"].unique())
    rows = []
    for explained, entry in product(means, index.to_dict("records")):
        mean = means[explained][..., entry["volume"]]
        entry = entry | {"explained": explained}
        chance = np.full((len(thresholds), n), np.nan)
        if entry["split"] == "all" and explained == DIFFERENCE:
            of_class = layers[:, classes.index(entry["class"])]
            chance = region_p(of_class, cells, thresholds, labels, n, brain)
        for threshold, p in zip(thresholds, chance, strict=True):
            hits = hit_regions(mean, threshold, labels, structures, brain.affine, p)
            rows += [entry | {"threshold": threshold} | hit for hit in hits or [{"voxels": 0}]]
    table = pd.DataFrame(rows, columns=[*REGIONS, "voxels"])
    table["volume_ml"] = table["voxels"] * voxel_volume_ml(brain)
    return table[REGIONS].round(4)


def main(source, out, params):
    """Write the mean maps of a model and the regions that they hit."""
    tables, brain, means = [read_table(path) for path in source.index], nib.load(source.mask), {}
    for explained, paths, kept in (
        (DIFFERENCE, source.maps, out.maps),
        (LOGIT, source.logits, out.logits),
        (GRADIENTS, source.attributions, out.attributions),
    ):
        maps = [nib.load(path) for path in paths]
        means[explained], index = average_maps(maps, tables, params.classes)
        save_image(means[explained], brain, kept)
    layers, cells = average_sums(source.sums)
    save_file({"means": layers, "affine": cells}, out.layers)
    columns, thresholds = resource("columns/learning.tsv"), params.gradcam["thresholds"]
    of_sessions, sessions = average_sessions([load_file(p)["cams"] for p in source.sums], tables)
    save_file({"cams": of_sessions, "affine": cells}, out.cams)
    write_table(sessions, out.sessions, columns)
    write_table(index, out.index, columns)
    inside = np.asanyarray(brain.dataobj) > 0
    write_table(agreement(means, index, thresholds, inside).round(4), out.agreement, columns)
    white_matter = nib.load(source.white_matter)
    atlas = read_atlas(source.atlas, source.atlas_names)
    regions = region_table(means, index, thresholds, brain, white_matter, layers, cells, atlas)
    write_table(regions, out.regions, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
