"""Does the mean Grad-CAM of a class lie where the simulated effect was planted?

More than by chance: than the maps of linear layers that were fitted to permuted labels.
"""

import re
from itertools import compress
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.ndimage import gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.transforms import resample
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


def levels_of(mean: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """A map in the brain as integers, its maximum there at `LEVELS`, (N,); of zeros: zeros."""
    inside = mean[brain]
    return np.round(np.clip(inside / (inside.max() or 1), 0, 1) * LEVELS).astype(np.int64)


def areas_of_permuted(permuted: np.ndarray, cells: np.ndarray, mask, region) -> np.ndarray:
    """`area_under_curve` of each mean map of permuted labels, (k,).

    Parameters
    ----------
    permuted : (k, a, b, c)
    cells : (4, 4), cells of the maps to MNI152 mm
    mask : image (x, y, z) of the brain
    region : (x, y, z) bool
    """
    brain = mask.get_fdata() > 0
    return np.array(
        [
            area_under_curve(levels_of(resample(cam, cells, mask), brain), region[brain])
            for cam in permuted
        ]
    )


def compare(maps: list, region: np.ndarray, brain: np.ndarray, chance, threshold: float) -> dict:
    """How much the maps of a class lie in a region, and how much by chance.

    Parameters
    ----------
    maps : mean maps (x, y, z), not negative, of one strategy or of several
    region, brain : (x, y, z) bool
    chance : (maps, k), as from `areas_of_permuted`; k may be 0
    threshold : fraction of a map's maximum, for ``share_in_region``

    Returns
    -------
    Columns of the table, means over the maps; empty where one of them is of zeros
    """
    levels = [levels_of(mean, brain) for mean in maps]
    if not all(found.any() for found in levels):
        return {}
    inside = region[brain]
    area = np.mean([area_under_curve(found, inside) for found in levels])
    high = [inside[found >= threshold * LEVELS].mean() for found in levels]
    row = {"auc_in_region": area, "share_in_region": np.mean(high), "region_share": inside.mean()}
    by_chance = np.mean(chance, axis=0)
    k = len(by_chance)
    if k:
        row["chance_mean"] = by_chance.mean()
        row["chance_low"], row["chance_high"] = np.percentile(by_chance, [2.5, 97.5])
        row["p"] = (1 + np.count_nonzero(by_chance >= area)) / (1 + k)
    return row | {"n_permutations": k}


def compare_study(strategies: dict, region, mask, threshold: float) -> list[dict]:
    """Rows of the table of one study: each strategy, and all that have permutations together.

    Parameters
    ----------
    strategies : by name, the image of the mean maps, their index, and the permuted maps
    region : (x, y, z) bool
    mask : image (x, y, z) of the brain
    threshold : as in `compare`
    """
    brain = mask.get_fdata() > 0
    rows, pooled = [], {}
    for name, (image, index, permuted) in strategies.items():
        of_all = index[index["trial"].astype(str) == "all"].to_dict("records")
        for place, row in enumerate(of_all):
            mean = np.asarray(image.dataobj[..., row["volume"]])
            cams = permuted["means"][:, place]
            chance = areas_of_permuted(cams, permuted["affine"], mask, region)
            found = {"strategy": name, "class": row["class"], "n": row["n"]}
            rows.append(found | compare([mean], region, brain, [chance], threshold))
            if len(chance):
                pooled.setdefault(row["class"], []).append((mean, chance, row["n"]))
    for name, parts in pooled.items():
        maps, chance, n = zip(*parts, strict=True)
        found = {"strategy": "all", "class": name, "n": sum(n)}
        rows.append(found | compare(maps, region, brain, chance, threshold))
    return rows


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        source, params = snakemake.input, snakemake.params  # noqa: F821
        people = read_table(source.participants).set_index("participant_id")["diagnosis"]
        ill = [people[Path(path).parent.name] == AFFECTED for path in source.lesions]
        lesions, fields = (list(compress(paths, ill)) for paths in (source.lesions, source.fields))
        phantom, studies = Phantom(source.phantom), {}
        for maps, index, permuted in zip(source.maps, source.index, source.permuted, strict=True):
            strategy = re.search(r"strategy-(.+)_desc-mean", maps).group(1)
            found = nib.load(maps), read_table(index), load_file(permuted)
            studies.setdefault(Path(maps).parts[-3], {})[strategy] = found
        rows = []
        for (study, strategies), path in zip(studies.items(), source.masks, strict=True):
            mask = nib.load(path)
            brain = mask.get_fdata() > 0
            region = planted_region(lesions, fields, phantom, brain, mask.affine)
            found = compare_study(strategies, region, mask, min(params.thresholds[study]))
            rows += [{"study": study} | row for row in found]
        table = pd.DataFrame(rows, columns=COLUMNS).round(4)
        table["n_permutations"] = table["n_permutations"].astype("Int64")
        write_table(table, snakemake.output.table, resource("columns/demo.tsv"))  # noqa: F821
