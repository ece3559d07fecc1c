"""Features of a region's intensities, shape and texture (IBSI), by mirp.

Of the mask as it is, eroded and dilated, so that it is seen which of them hang on its edge.
"""

import json
import shlex
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.stability import MASKS
from workflow_scripts.segmentation import mirp_features
from workflow_scripts.segmentation.run_program import run_program

OF_SHAPE = "morphological"  # the family that is taken of the first channel alone
# Shares of the largest mask's voxels that lie outside of a contrast, where it has no signal.
FLAGGED_OUTSIDE, MOST_OUTSIDE = 0.01, 0.1
AROUND_MM = 10.0  # what local intensities, spheres of 1 cm3, and the interpolation reach
ROUNDING_MM = 1e-3


def masks_of(inside: np.ndarray, zooms, distance: float) -> dict[str, np.ndarray]:
    """A mask as it is, without its voxels up to a distance from others, and with others so near.

    Parameters
    ----------
    inside : (x, y, z) bool
    zooms : voxel size in mm
    distance : mm between the middles of voxels; slices that are thicker stay

    Returns
    -------
    dict of (x, y, z) bool, by `MASKS`
        The edge of the scan is no edge of the region.
    """
    reach = distance + ROUNDING_MM
    into = ndimage.distance_transform_edt(inside, sampling=zooms)
    beyond = ndimage.distance_transform_edt(~inside, sampling=zooms)
    return dict(zip(MASKS, (inside, inside & (into > reach), beyond <= reach), strict=True))


def usable(masks: dict[str, np.ndarray], voxel_mm3: float, settings: dict, zooms):
    """Names of masks that are measured, and flags with why the others are not.

    A mask that erosion or dilation leaves as it is says nothing of stability; one with fewer voxels
    than two for each grey level, on the grid that is measured, has no texture.
    """
    size = np.prod(settings["spacing"]) if settings["spacing"] else voxel_mm3
    fewest, distance = 2 * settings["bin_number"], settings["distance"]
    names, flags = [], []
    for name, mask in masks.items():
        count = mask.sum() * voxel_mm3 / size
        if count < fewest:
            flags.append(f"{name} mask: {count:.0f} voxels, fewer than {fewest}: not measured")
        elif name != "original" and mask.sum() == masks["original"].sum():
            shown = " x ".join(f"{zoom:.3g}" for zoom in zooms)
            flags.append(
                f"{name} mask: {distance:g} mm change nothing on voxels of {shown} mm: not measured"
            )
        else:
            names.append(name)
    return (names if "original" in names else []), flags


def box_around(mask: np.ndarray, zooms) -> tuple[slice, ...]:
    """The part of a grid within `AROUND_MM` of a mask with a voxel."""
    margin = np.ceil(AROUND_MM / np.asarray(zooms)).astype(int)
    where = np.argwhere(mask)
    low, high = where.min(0) - margin, where.max(0) + margin + 1
    return tuple(slice(max(start, 0), stop) for start, stop in zip(low, high, strict=True))


def relative(data: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Intensities, which have no unit, in units of their mean over brain or body, (x, y, z)."""
    return data / data[body & (data > 0)].mean()


def on_one_grid(path) -> nib.Nifti1Image:
    """An image with its axes nearest to right, anterior and superior, in this order."""
    return nib.as_closest_canonical(nib.load(path))


def measured(source, settings: dict) -> tuple[dict, str, list[str]]:
    """Features of a session, by channel and name, then by `MASKS`, mirp's version, and flags.

    None where a mask cannot be measured, and none of a channel that does not hold the region.
    """
    sides, body = on_one_grid(source.sides), on_one_grid(source.mask)
    zooms, inside = sides.header.get_zooms()[:3], np.asanyarray(sides.dataobj) > 0
    masks = masks_of(inside, zooms, settings["distance"])
    names, flags = usable(masks, float(np.prod(zooms)), settings, zooms)
    if not names:
        return {}, settings["version"], flags
    box, body = box_around(masks["dilated"], zooms), np.asanyarray(body.dataobj) > 0
    affine = sides.slicer[box].affine
    families, first = settings["families"], settings["channels"][0]
    asked = {key: settings[key] for key in ("bin_number", "spacing")} | {"images": {}}
    asked["masks"] = names
    with tempfile.TemporaryDirectory() as folder:
        for channel, path in zip(settings["channels"], source.channels, strict=True):
            data = np.nan_to_num(on_one_grid(path).get_fdata(dtype=np.float32))
            outside = (data[masks[names[-1]]] == 0).mean()
            if outside > FLAGGED_OUTSIDE:
                told = "not measured" if outside > MOST_OUTSIDE else "measured on the rest"
                share = f"{100 * outside:.0f} % of the {names[-1]} mask"
                flags.append(f"{share} lie outside of the {channel}: {told}")
            own = [name for name in families if name != OF_SHAPE or channel == first]
            if outside > MOST_OUTSIDE or not own:
                continue
            asked["images"][channel] = own
            images = {channel: relative(data, body).astype(np.float32)}
            for name in names:
                images[f"{channel}_{name}"] = (masks[name] & (data != 0)).astype(np.uint8)
            for name, image in images.items():
                nib.save(nib.Nifti1Image(image[box], affine), f"{folder}/{name}.nii.gz")
        Path(folder, "asked.json").write_text(json.dumps(asked))
        words = shlex.join([settings["python"], "-I", mirp_features.__file__])
        program = {"run": f"{words} {{folder}}", "result": "features.json", "threads": 1}
        where = f"segmentation.regions.{settings['region']}.radiomics"
        told = json.loads(run_program(program, {}, Path(folder), where).read_text())
    found: dict[str, dict] = {}
    for channel, by_mask in told["features"].items():
        for mask, features in by_mask.items():
            for name, value in features.items():
                found.setdefault(f"{channel}_{name}", dict.fromkeys(MASKS))[mask] = value
    return found, told["version"], flags


def main(source, out, params):
    """Write the features of a region of a session."""
    settings = params.settings
    features, version, flags = measured(source, settings)
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, source.sides, *source.channels],
        software=["nibabel", "scipy"],
        measures={},
        Description=f"{settings['region']}, left and right as one: features of its mask, and of "
        f"the mask eroded and dilated by {settings['distance']:g} mm",
        Engine=settings["engine"],
        Channels=settings["channels"],
        MirpVersion=version,
        Features=features,
        Flags=flags,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
