"""Images of sessions as arrays on the grid of a study's input.

In MNI152 the grid is a box around the brain or a region of the template, the same for everybody;
native images are cut around their own centre.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.processing import resample_from_to
from scipy import ndimage
from skimage.transform import downscale_local_mean

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource

FAINT = 1e-4  # of the brightest voxel: what interpolation leaves where a scan is 0
ROUNDING_MM = 1e-3  # of voxel sizes in headers
MULTIPLE = 8  # of voxels along each axis, for three halvings of the grid
TISSUES = {"white_matter": "wm", "grey_matter": "gm"}


@dataclass(frozen=True)
class Template:
    """Template images of the anatomical wing, all on one grid.

    Attributes
    ----------
    brain : image of the brain mask
    regions : (x, y, z) index of the atlas's regions, 0 elsewhere
    gm, wm : (x, y, z) probability
    """

    brain: nib.Nifti1Image
    regions: np.ndarray
    gm: np.ndarray
    wm: np.ndarray


def read_template(source) -> Template:
    """Template from the paths ``template_mask``, ``template_regions``, ``template_gm``, ``_wm``."""
    regions, gm, wm = (
        np.asanyarray(nib.load(source[f"template_{name}"]).dataobj)
        for name in ("regions", "gm", "wm")
    )
    return Template(nib.load(source["template_mask"]), regions, gm, wm)


def region_mask(name: str, template: Template) -> np.ndarray:
    """Where a region is in MNI152, (x, y, z) bool: the brain, or one of ``resources/regions.tsv``.

    White and grey matter are where the template's tissue map is above one half, outside of the
    atlas's structures. Names joined by + are all of them.
    """
    if "+" in name:
        return np.logical_or.reduce([region_mask(one, template) for one in name.split("+")])
    inside = np.asanyarray(template.brain.dataobj) > 0
    if name == "brain":
        return inside
    if name in TISSUES:
        return inside & (getattr(template, TISSUES[name]) > 0.5) & (template.regions == 0)
    table = pd.read_csv(resource("regions.tsv"), sep="\t").set_index("region")
    return inside & (template.regions == table.at[name, "index"])


def box_around(mask: np.ndarray, downsample: int, shape=None) -> tuple[slice, slice, slice]:
    """Box (in voxels) around a mask.

    The smallest whose sides are multiples of 8 x ``downsample``, or of ``shape`` (voxels after
    downsampling) around the mask's centre. It may reach over the border of the grid.
    """
    box = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, length = inside[0], inside[-1] + 1 - inside[0]
        unit = MULTIPLE * downsample
        size = shape[axis] * downsample if shape else -(-length // unit) * unit
        start = first - (size - length) // 2
        box.append(slice(int(start), int(start + size)))
    return tuple(box)


def cut(data: np.ndarray, box, downsample: int) -> np.ndarray:
    """An image (x, y, z) on the box: block means over ``downsample`` voxels, 0 off the grid."""
    before = [max(0, -part.start) for part in box]
    after = [max(0, part.stop - size) for part, size in zip(box, data.shape, strict=True)]
    padded = np.pad(data, list(zip(before, after, strict=True)))
    moved = tuple(
        slice(part.start + pad, part.stop + pad) for part, pad in zip(box, before, strict=True)
    )
    return downscale_local_mean(padded[moved], (downsample,) * 3)


def box_affine(affine: np.ndarray, box, downsample: int) -> np.ndarray:
    """Affine (4, 4) of the box, to whose first voxel the first ``downsample`` voxels belong."""
    moved = affine.copy()
    corner = np.array([part.start for part in box]) + (downsample - 1) / 2
    moved[:3, 3] += affine[:3, :3] @ corner
    moved[:3, :3] *= downsample
    return moved


@dataclass(frozen=True)
class Grid:
    """Grid of an input in MNI152.

    Attributes
    ----------
    brain, region : (x, y, z) bool, on the template's grid
    box : part of it that is kept
    downsample : int
    mask : image of the region on the input's own grid
    """

    brain: np.ndarray
    region: np.ndarray
    box: tuple
    downsample: int
    mask: nib.Nifti1Image


def make_grid(entry: dict, template: Template) -> Grid:
    """Grid of an input in MNI152 from its configuration."""
    region, downsample = region_mask(entry["region"], template), entry["downsample"]
    box = box_around(region, downsample, entry.get("shape"))
    small = cut(region.astype(np.float32), box, downsample) > 0.5
    affine = box_affine(template.brain.affine, box, downsample)
    mask = nib.Nifti1Image(small.astype(np.uint8), affine)
    return Grid(np.asanyarray(template.brain.dataobj) > 0, region, box, downsample, mask)


def normalized_volume(paths: list, t1w_brain, grid: Grid) -> np.ndarray:
    """Normalized images of a session on the grid, each divided by its mean over the brain.

    Parameters
    ----------
    paths : of the channels, on the template's grid
    t1w_brain : path of the session's brain in MNI152, 0 outside; other channels are taken
        inside of it

    Returns
    -------
    (channels, x, y, z) float16, 0 outside of the region

    Raises
    ------
    InputError
        If there is no brain in an image, or it lies on another grid.
    """
    channels, brain = [], None
    for path in paths:
        image = np.asanyarray(nib.load(path).dataobj, np.float32)
        if image.shape != grid.brain.shape:
            raise InputError(f"{path}: not on the template's grid {grid.brain.shape}; remake it")
        if path != t1w_brain:
            if brain is None:
                brain = np.asanyarray(nib.load(t1w_brain).dataobj) != 0
            image = np.where(brain, image, 0)
        mean = image[grid.brain].mean()
        if not mean > 0:
            raise InputError(
                f"{path}: mean intensity {mean} in the brain; make the scan's brain again"
            )
        scaled = np.where(grid.region, image / mean, 0)
        channels.append(cut(scaled, grid.box, grid.downsample).astype(np.float16))
    return np.stack(channels)


@dataclass(frozen=True)
class Around:
    """What a native volume is cut around: label image ``sides``, and mm beside it that are kept."""

    sides: str
    margin: float


def native_volume(
    paths: list, spacing: list[float], shape: list[int], around: Around | None = None
) -> np.ndarray:
    """Scans of a session around the centre of the first, each divided by its mean where positive.

    Parameters
    ----------
    paths : of the raw scans; a trailing axis of length one is dropped
    spacing : voxel size in mm along the first scan's axes, the nearest to right-left,
        posterior-anterior, inferior-superior
    shape : voxels
    around : a region on the grid of all scans, whose middle is the centre instead, and beyond
        whose margin the volume is 0; of an empty one nothing is cut off

    Returns
    -------
    (channels, x, y, z) float16, trilinear, falling to 0 within a voxel off a scan's grid

    Raises
    ------
    InputError
        If a scan is not three-dimensional, or holds nothing.
    """
    channels, target, kept = [], None, None
    for path in paths:
        image = nib.squeeze_image(nib.load(path))
        if len(image.shape) != 3:
            raise InputError(f"{path}: has the shape {image.shape}; one volume is needed")
        image = nib.as_closest_canonical(image)
        if target is None:
            middle = (np.array(image.shape) - 1) / 2
            if around:
                middle, kept = _middle_of(around, image, middle)
            centre = nib.affines.apply_affine(image.affine, middle)
            axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0) * spacing
            target = nib.affines.from_matvec(axes, centre - axes @ (np.array(shape) - 1) / 2)
        if kept is not None:
            if image.shape != kept.shape:
                raise InputError(f"{path}: not on the grid of {around.sides}; remake it")
            image = nib.Nifti1Image(np.asarray(image.dataobj, np.float32) * kept, image.affine)
        # "constant" would blank an edge slice that rounding puts a hair off the scan's grid.
        moved = resample_from_to(image, (tuple(shape), target), order=1, mode="grid-constant")
        data = moved.get_fdata(dtype=np.float32)
        shown = data > FAINT * data.max()
        if not shown.any():
            raise InputError(f"{path}: nothing in the box around the centre; check shape, spacing")
        channels.append((data / data[shown].mean()).astype(np.float16))
    return np.stack(channels)


def _middle_of(around: Around, image, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Middle voxel of a region, and what is kept of the image, (x, y, z) bool."""
    labels = nib.as_closest_canonical(nib.load(around.sides))
    if labels.shape != image.shape:
        raise InputError(f"{around.sides}: not on the grid of its scan; remake it")
    inside = np.asanyarray(labels.dataobj) > 0
    if not inside.any():
        return middle, None
    where = np.argwhere(inside)
    zooms = labels.header.get_zooms()[:3]
    kept = ndimage.distance_transform_edt(~inside, sampling=zooms) <= around.margin + ROUNDING_MM
    return (where.min(0) + where.max(0)) / 2, kept
