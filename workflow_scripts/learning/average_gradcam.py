"""Mean Grad-CAM of each class over the correctly classified test scans, and the regions it hits."""

import logging

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.images import save_image, voxel_volume_ml
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.learning.structures import atlas_structures

DECIMALS = 3
REGIONS = ["trial", "class", "n", "threshold", "region", "side", "volume_ml", "share_of_mask"]
REGIONS += ["share_of_region", "peak", "peak_x_mm", "peak_y_mm", "peak_z_mm"]
LOG = logging.getLogger(__name__)


def average_maps(
    maps: list, tables: list[pd.DataFrame], classes: list[str]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mean maps of the correctly classified scans, per class and trial and over all trials.

    In the mean over all trials each correct prediction counts once: a scan that several
    trials or repeats tested counts several times. Maps that are 0 everywhere count too.

    Parameters
    ----------
    maps : images (x, y, z, scans), one per training; or their arrays
    tables : of each, volume, trial, label and correct
    classes : negative first

    Returns
    -------
    means : (x, y, z, maps) float32, 0 where there was nothing to average
    index : volume, trial (as text, or all), class, n
    """
    trials = sorted({trial for table in tables for trial in table["trial"]})
    keys = [(trial, name) for name in classes for trial in trials]
    sums = dict.fromkeys(keys, 0.0)
    counts = dict.fromkeys(keys, 0)
    for image, table in zip(maps, tables, strict=True):
        data = np.asarray(getattr(image, "dataobj", image), np.float32)
        right = table[table["correct"] == 1]
        for (trial, name), rows in right.groupby(["trial", right["label"].astype(str)]):
            sums[trial, name] = sums[trial, name] + data[..., rows["volume"]].sum(axis=-1)
            counts[trial, name] += len(rows)
    shape = maps[0].shape[:3]
    means, rows = [], []
    for name in classes:
        for trial in [*trials, "all"]:
            pooled = trials if trial == "all" else [trial]
            n = sum(counts[t, name] for t in pooled)
            total = sum((sums[t, name] for t in pooled), np.zeros(shape, np.float32))
            if not n:
                LOG.warning("trial %s: no %s was classified correctly", trial, name)
            means.append(np.round(total / max(n, 1), DECIMALS).astype(np.float32))
            rows.append({"volume": len(rows), "trial": str(trial), "class": name, "n": n})
    return np.stack(means, axis=-1), pd.DataFrame(rows)


def hit_regions(
    mean: np.ndarray, threshold: float, labels: np.ndarray, structures: pd.DataFrame, affine
) -> list[dict]:
    """Regions under the part of a map that reaches ``threshold`` times its maximum.

    Parameters
    ----------
    mean : (x, y, z), not negative
    threshold : 0..1
    labels, structures : as from `atlas_structures`
    affine : (4, 4), voxels to MNI152 mm

    Returns
    -------
    list of dict
        region, side, voxels, share_of_mask, share_of_region, and the map's peak in the
        region with its coordinates; largest first. Empty for a map of zeros.
    """
    inside = labels >= 0
    highest = mean[inside].max()
    if not highest > 0:
        return []
    mask = inside & (mean >= threshold * highest)
    sizes = np.bincount(labels[inside], minlength=len(structures))
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
                "peak": here[voxel],
                **dict(zip(("peak_x_mm", "peak_y_mm", "peak_z_mm"), millimetres, strict=True)),
            }
        )
    return rows


def region_table(
    means: np.ndarray, index: pd.DataFrame, thresholds: list[float], brain, white_matter
) -> pd.DataFrame:
    """Regions that every mean map hits at every threshold.

    A map without a scan (n is 0), or of zeros, has a row without a region.

    Parameters
    ----------
    means, index : as from `average_maps`
    thresholds : fractions of a map's maximum
    brain, white_matter : images in MNI152, the former on the grid of the maps
    """
    labels, structures = atlas_structures(brain, white_matter)
    rows = []
    for entry in index.to_dict("records"):
        mean = means[..., entry.pop("volume")]
        for threshold in thresholds:
            hits = hit_regions(mean, threshold, labels, structures, brain.affine)
            rows += [entry | {"threshold": threshold} | hit for hit in hits or [{"voxels": 0}]]
    table = pd.DataFrame(rows, columns=[*REGIONS, "voxels"])
    table["volume_ml"] = table["voxels"] * voxel_volume_ml(brain)
    return table[REGIONS].round(4)


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, out = snakemake.input, snakemake.output  # noqa: F821
        params = snakemake.params  # noqa: F821
        means, index = average_maps(
            [nib.load(path) for path in source.maps],
            [read_table(path) for path in source.index],
            params.study["classes"],
        )
        brain = nib.load(source.mask)
        save_image(means, brain, out.maps)
        columns = resource("columns/learning.tsv")
        write_table(index, out.index, columns)
        regions = region_table(
            means,
            index,
            params.gradcam["thresholds"],
            brain,
            nib.load(source.white_matter),
        )
        write_table(regions, out.regions, columns)
