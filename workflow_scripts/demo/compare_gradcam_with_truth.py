"""Does the mean Grad-CAM of a class lie where the simulated effect was planted?"""

import re
from itertools import compress
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import Phantom, grid_points
from workflow_scripts.demo.plan import AFFECTED

SMOOTHING_MM = 2.0
LESION_FREQUENCY = 0.05
LEVELS = 1000
COLUMNS = ["study", "strategy", "class", "auc_in_region", "chance_mean", "chance_low"]
COLUMNS += ["chance_high", "p", "n", "n_permutations", "share_in_region", "region_share"]


def lesion_frequency(lesions: list, fields: list, shape: tuple, affine: np.ndarray) -> np.ndarray:
    """Mean fraction of lesion of some participants on a grid in MNI152.

    Each voxel of a participant's map is carried to MNI152 by the true deformation, and
    everything is smoothed by a Gaussian of 2 mm, so that no voxel of the grid stays empty.

    Parameters
    ----------
    lesions : paths of the true fractions of lesion, in T1w space
    fields : paths of the true deformations, points of the T1w to MNI152
    shape, affine : of the grid
    """
    hit, seen = np.zeros(np.prod(shape)), np.zeros(np.prod(shape))
    for lesion, field in zip(lesions, fields, strict=True):
        image = nib.load(lesion)
        points = Displacement(field)(grid_points(image.shape, image.affine))
        voxels = nib.affines.apply_affine(np.linalg.inv(affine), np.moveaxis(points, 0, -1))
        voxels = np.round(voxels).astype(int)
        inside = ((voxels >= 0) & (voxels < shape)).all(axis=-1)
        place = np.ravel_multi_index(voxels[inside].T, shape)
        fraction = image.get_fdata(dtype=np.float32)[inside]
        hit += np.bincount(place, fraction, hit.size)
        seen += np.bincount(place, minlength=seen.size)
    sigma = SMOOTHING_MM / np.linalg.norm(affine[:3, :3], axis=0)
    hit, seen = (gaussian_filter(counts.reshape(shape), sigma) for counts in (hit, seen))
    return hit / np.maximum(seen, 1e-6)


def planted_region(lesions, fields, phantom: Phantom, brain, affine: np.ndarray) -> np.ndarray:
    """Where the effect changes the image: lesions of the affected, and the lateral ventricles.

    Parameters
    ----------
    lesions, fields : paths, of the affected class
    phantom : Phantom
    brain : (x, y, z) bool
    affine : (4, 4), voxels to MNI152 mm

    Returns
    -------
    (x, y, z) bool
    """
    frequency = lesion_frequency(lesions, fields, brain.shape, affine)
    ventricles = phantom.sample("ventricles", grid_points(brain.shape, affine)) > 0.5
    return brain & ((frequency >= LESION_FREQUENCY) | ventricles)


def area_under_curve(levels: np.ndarray, region: np.ndarray) -> float:
    """Probability that a level inside of the region is above one outside; ties count half.

    Parameters
    ----------
    levels : int array (N,), 0 to `LEVELS`
    region : bool array (N,)
    """
    inside = np.bincount(levels[region], minlength=LEVELS + 1)
    outside = np.bincount(levels, minlength=LEVELS + 1) - inside
    below = np.cumsum(outside) - outside
    return float((inside * (below + outside / 2)).sum() / (inside.sum() * outside.sum()))


def shifted_areas(
    levels: np.ndarray, region: np.ndarray, brain: np.ndarray, permutations: int, seed: int
) -> np.ndarray:
    """`area_under_curve` of the map mirrored and shifted at random, with wrap-around.

    What lies outside of the brain takes the nearest value inside before the map is moved.

    Parameters
    ----------
    levels : (x, y, z) int
    region, brain : (x, y, z) bool
    """
    rng = np.random.default_rng(seed)
    box = find_objects(brain.astype(np.uint8))[0]
    levels, brain = levels[box], brain[box]
    nearest = distance_transform_edt(~brain, return_distances=False, return_indices=True)
    levels = levels[tuple(nearest)]
    within = region[box][brain]
    areas = np.empty(permutations)
    for number in range(permutations):
        mirrored = np.flip(levels, np.flatnonzero(rng.integers(2, size=3)))
        moved = np.roll(mirrored, rng.integers(levels.shape), axis=(0, 1, 2))
        areas[number] = area_under_curve(moved[brain], within)
    return areas


def compare_map(
    mean: np.ndarray, region: np.ndarray, brain: np.ndarray, threshold: float, permutations, seed
) -> dict:
    """How much a map lies in a region, and how much by chance; empty for a map of zeros.

    Parameters
    ----------
    mean : (x, y, z), not negative
    region, brain : (x, y, z) bool
    threshold : fraction of the map's maximum, for ``share_in_region``
    permutations, seed : int
    """
    highest = mean[brain].max()
    if not highest > 0:
        return {}
    levels = np.round(np.clip(mean / highest, 0, 1) * LEVELS).astype(np.int64)
    area = area_under_curve(levels[brain], region[brain])
    chance = shifted_areas(levels, region, brain, permutations, seed)
    low, high = np.percentile(chance, [2.5, 97.5])
    return {
        "auc_in_region": area,
        "chance_mean": chance.mean(),
        "chance_low": low,
        "chance_high": high,
        "p": (1 + (chance >= area).sum()) / (1 + permutations),
        "n_permutations": permutations,
        "share_in_region": region[brain & (mean >= threshold * highest)].mean(),
        "region_share": region[brain].mean(),
    }


def compare(maps, index, region, brain, threshold, permutations, seed) -> list[dict]:
    """Rows of the table for one strategy: its mean maps over all trials, one per class.

    Parameters
    ----------
    maps : image (x, y, z, maps)
    index : DataFrame with volume, trial, class, n
    region, brain, threshold, permutations, seed : as in `compare_map`
    """
    rows = []
    for row in index[index["trial"].astype(str) == "all"].to_dict("records"):
        mean = np.asarray(maps.dataobj[..., row["volume"]])
        found = compare_map(mean, region, brain, threshold, permutations, seed)
        rows.append({"class": row["class"], "n": row["n"], **found})
    return rows


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, params = snakemake.input, snakemake.params  # noqa: F821
        people = read_table(source.participants).set_index("participant_id")["diagnosis"]
        ill = [people[Path(path).parent.name] == AFFECTED for path in source.lesions]
        lesions, fields = (list(compress(paths, ill)) for paths in (source.lesions, source.fields))
        phantom, places, rows = Phantom(source.phantom), {}, []
        for path in sorted(set(source.masks)):
            mask = nib.load(path)
            brain = np.asanyarray(mask.dataobj) > 0
            places[path] = planted_region(lesions, fields, phantom, brain, mask.affine), brain
        for maps, index, mask in zip(source.maps, source.index, source.masks, strict=True):
            study = Path(maps).parts[-3]
            strategy = re.search(r"strategy-(.+)_desc-mean", maps).group(1)
            found = compare(
                nib.load(maps),
                read_table(index),
                *places[mask],
                min(params.thresholds[study]),
                params.permutations,
                params.seed,
            )
            rows += [{"study": study, "strategy": strategy} | row for row in found]
        table = pd.DataFrame(rows, columns=COLUMNS).round(4)
        table["n_permutations"] = table["n_permutations"].astype("Int64")
        write_table(table, snakemake.output.table, resource("columns/demo.tsv"))  # noqa: F821
