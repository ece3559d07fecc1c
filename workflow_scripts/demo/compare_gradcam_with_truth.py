"""Do the mean maps of a class lie where the simulated effect was planted?

Those of Grad-CAM more than by chance: than the maps of linear layers that were fitted to permuted
labels.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.ndimage import gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.common.permutations import permutation_p
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.transforms import resample
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import BORDER_REACH_MM, Phantom, grid_points
from workflow_scripts.demo.lesions import BRAINSTEM_MM

SMOOTHING_MM = 2.0
LESION_FREQUENCY = 0.05
AROUND_CENTRES_MM, CORTEX_MM = 6.0, 2.0
LEVELS = 1000
COLUMNS = ["study", "model", "explained", "class", "auc_in_region", "chance_mean", "chance_low"]
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


def planted_region(places, lesions, fields, phantom: Phantom, brain, affine) -> np.ndarray:
    """Where the effect changes the image.

    Parameters
    ----------
    places : of lesions (of the affected), brainstem (their lesions in it), ventricles (lateral),
        thalamus and cortex (what lies within 2 mm of its outer border)
    lesions, fields : paths, of the affected
    phantom : Phantom
    brain : (x, y, z) bool
    affine : (4, 4), voxels to MNI152 mm

    Returns
    -------
    (x, y, z) bool
    """
    points, region = grid_points(brain.shape, affine), np.zeros(brain.shape, bool)
    for place in places:
        if place in ("lesions", "brainstem"):
            found = lesion_frequency(lesions, fields, brain.shape, affine) >= LESION_FREQUENCY
            if place == "brainstem":
                box = np.moveaxis(points, 0, -1)
                low, high = np.array(BRAINSTEM_MM)
                found &= (box >= low - AROUND_CENTRES_MM).all(axis=-1)
                found &= (box <= high + AROUND_CENTRES_MM).all(axis=-1)
        elif place == "cortex":
            depth = BORDER_REACH_MM * np.abs(2 * phantom.sample("pial", points) - 1)
            found = depth <= CORTEX_MM
        else:
            found = phantom.sample(place, points) > 0.5
        region |= found
    return brain & region


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


def areas_of(maps: np.ndarray, cells: np.ndarray, mask, region: np.ndarray) -> np.ndarray:
    """`area_under_curve` of each map on cells, (maps,); 0.5 for a map of zeros.

    Parameters
    ----------
    maps : (maps, a, b, c)
    cells : (4, 4), cells of the maps to MNI152 mm
    mask : image (x, y, z) of the brain
    region : (x, y, z) bool
    """
    brain = mask.get_fdata() > 0
    on_grid = (resample(cam.astype(np.float32), cells, mask) for cam in maps)
    return np.array([area_under_curve(levels_of(mean, brain), region[brain]) for mean in on_grid])


def compare(maps: list, region: np.ndarray, brain: np.ndarray, areas, threshold: float) -> dict:
    """How much the maps of a class lie in a region, and how much by chance.

    Parameters
    ----------
    maps : mean maps (x, y, z), not negative, of one model or of several
    region, brain : (x, y, z) bool
    areas : (maps, 1 + k)
        As from `areas_of`, with the true labels first, then with permuted ones.
    threshold : fraction of a map's maximum, for ``share_in_region``

    Returns
    -------
    Columns of the table, means over the maps; empty where all are of zeros
    """
    levels = [levels_of(mean, brain) for mean in maps]
    shares = [region[brain][f >= threshold * LEVELS].mean() for f in levels if f.any()]
    if not shares:
        return {}
    area, *chance = np.mean(areas, axis=0)
    row = {
        "auc_in_region": area,
        "p": permutation_p(area, chance),
        "n_permutations": len(chance),
        "share_in_region": np.mean(shares),
        "region_share": region[brain].mean(),
    }
    if chance:
        row["chance_mean"] = np.mean(chance)
        row["chance_low"], row["chance_high"] = np.percentile(chance, [2.5, 97.5])
    return row


@dataclass
class Model:
    """What there is of the Grad-CAM of a model.

    Attributes
    ----------
    maps, attributions : images (x, y, z, maps), of Grad-CAM and of integrated gradients
    index : volume, split, class and n of each map
    layers : means (1 + k, 2, a, b, c) of the true labels and of permuted ones, on cells, and
        their affine
    """

    maps: nib.Nifti1Image
    attributions: nib.Nifti1Image
    index: pd.DataFrame
    layers: dict


def compare_study(models: dict[str, Model], region, mask, threshold: float) -> list[dict]:
    """Rows of the table of one study: each model, and all that have permutations together.

    Parameters
    ----------
    models : by name
    region : (x, y, z) bool
    mask : image (x, y, z) of the brain
    threshold : as in `compare`
    """
    brain = mask.get_fdata() > 0
    rows, pooled = [], {}
    for name, model in models.items():
        index = model.index[model.index["split"].astype(str) == "all"]
        for place, row in enumerate(index.to_dict("records")):
            mean = np.asarray(model.maps.dataobj[..., row["volume"]])
            cams, cells = model.layers["means"][:, place], model.layers["affine"]
            areas = areas_of(cams, cells, mask, region)
            found = compare([mean], region, brain, [areas], threshold)
            told = {"model": name, "class": row["class"], "n": row["n"]}
            rows.append(told | {"explained": "difference", **found})
            attributed = np.asarray(model.attributions.dataobj[..., row["volume"]])
            area = area_under_curve(levels_of(attributed, brain), region[brain])
            found = compare([attributed], region, brain, [[area]], threshold)
            rows.append(told | {"explained": "integrated_gradients", **found})
            if len(areas) > 1:
                pooled.setdefault(row["class"], []).append((mean, areas, row["n"]))
    for name, parts in pooled.items():
        maps, areas, n = zip(*parts, strict=True)
        found = compare(maps, region, brain, areas, threshold)
        told = {"model": "all", "class": name, "n": sum(n), "explained": "difference"}
        rows.append(told | found)
    return rows


def main(source, out, params):
    """Write how much the mean maps of all models of all studies lie in the planted region."""
    phantom, studies = Phantom.read(source.phantom), {}
    parts = (source.maps, source.attributions, source.index, source.layers, source.masks)
    for maps, attributions, index, layers, mask in zip(*parts, strict=True):
        name = re.search(r"model-(.+)_desc-mean", maps).group(1)
        images = map(nib.load, (maps, attributions))
        model = Model(*images, read_table(index), load_file(layers))
        studies.setdefault((Path(maps).parts[-3], mask), {})[name] = model
    rows = []
    for (study, path), models in studies.items():
        mask = nib.load(path)
        brain = mask.get_fdata() > 0
        region = planted_region(
            params.planted, source.lesions, source.fields, phantom, brain, mask.affine
        )
        found = compare_study(models, region, mask, min(params.thresholds[study]))
        rows += [{"study": study} | row for row in found]
    table = pd.DataFrame(rows, columns=COLUMNS).round(4)
    table["n_permutations"] = table["n_permutations"].astype("Int64")
    write_table(table, out.table, resource("columns/demo.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
