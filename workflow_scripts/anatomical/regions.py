"""Regions of a subject from labels of an atlas or a network and the subject's own tissues."""

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import watershed

from workflow_scripts.common.resources import resource

CSF, GM, WM = 1, 2, 3
NEAR_MM = 4.0
OUTER_MM = 10.0
BETWEEN_MM = 10.0
SIDEWAYS_MM = 5.0
AROUND_MM = 3.0
FLUID = ("ventricles", "third_ventricle", "fourth_ventricle")


def subject_regions(
    atlas: np.ndarray,
    middle: np.ndarray,
    tissues: np.ndarray,
    t1w: np.ndarray,
    index: dict[str, int],
    spacing: tuple[float, ...],
) -> np.ndarray:
    """Label image of the regions of one subject.

    Brainstem, thalamus and subcortical grey matter are the atlas's labels where
    the subject has tissue (GM or WM), ventricles see `lateral_ventricles`; third and fourth
    ventricle are the CSF where these may lie that is no lateral ventricle.
    White and grey matter are the tissues outside all of these.

    Parameters
    ----------
    atlas : (x, y, z) region index of the atlas in the subject's space, 0 outside
    middle : likewise, of the third and fourth ventricle alone, as far as they may reach
    tissues : (x, y, z) 0 outside the brain, 1 CSF, 2 GM, 3 WM
    t1w : (x, y, z)
    index : region name -> label
    spacing : voxel size in mm

    Returns
    -------
    (x, y, z) uint8
    """
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(tissues))
    result = np.zeros(atlas.shape, np.uint8)
    result[tissues == WM] = index["white_matter"]
    result[tissues == GM] = index["grey_matter"]
    solid = (tissues == GM) | (tissues == WM)
    for region in ("subcortical_grey_matter", "brainstem", "thalamus"):
        result[(atlas == index[region]) & solid] = index[region]
    for region in FLUID[1:]:
        result[(middle == index[region]) & (tissues == CSF)] = index[region]
    found = lateral_ventricles(atlas[box], tissues[box], t1w[box], index, spacing)
    result[box][found] = index["ventricles"]
    return result


def reach_of_middle_ventricles(
    regions: np.ndarray, index: dict[str, int], affine: np.ndarray
) -> np.ndarray:
    """How far the third and the fourth ventricle may reach from where the template has them.

    The third, a cleft in the midline, widens sideways between the thalami and is open to cisterns
    below and behind: `SIDEWAYS_MM` to each side of x = 0 and no further than the template's
    up, down, forwards and backwards. The fourth by `AROUND_MM` in all directions.

    Parameters
    ----------
    regions : (x, y, z) region index on the template
    index : region name -> label
    affine : (4, 4) of the template, without rotation, voxel to MNI mm

    Returns
    -------
    (x, y, z) region index of these two, 0 elsewhere
    """
    x = affine[0, 0] * np.arange(len(regions)) + affine[0, 3]
    third, fourth = (regions == index[region] for region in FLUID[1:])
    reach = np.zeros(regions.shape, np.uint8)
    reach[:, third.any(axis=0)] = index[FLUID[1]] * (np.abs(x) <= SIDEWAYS_MM)[:, None]
    near = _distance(~fourth, np.abs(np.diag(affine)[:3])) <= AROUND_MM
    reach[near & (reach == 0)] = index[FLUID[2]]
    return reach


def lateral_ventricles(
    atlas: np.ndarray, tissues: np.ndarray, t1w: np.ndarray, index: dict[str, int], spacing
) -> np.ndarray:
    """The subject's lateral ventricles, however wide: (x, y, z) bool.

    CSF within `NEAR_MM` of the atlas's ventricles and connected with them, and beyond that as
    far as it reaches before a neck: a watershed on the thickness of the CSF parts it from the
    CSF within `OUTER_MM` of the brain's surface, and from that between the thalami (the third
    ventricle). Then one layer of voxels at its border that were taken for grey matter, but are
    nearer to CSF than to white matter: more than half of them is CSF, and nothing grey lies
    there.

    Parameters
    ----------
    As of `subject_regions`, of the part of the images around the brain.

    Notes
    -----
    On four heads of 78 to 87 years with 29 to 124 mL (another program's labels, DLMUSE, which
    hold the temporal horns too) -7 to +3 %, Dice .91 to .97; with an end 4 mm from the atlas's
    ventricles, up to version 0.6, -16 to -63 %, Dice .52 to .91.
    """
    atlas_ventricles = atlas == index["ventricles"]
    csf = tissues == CSF
    seed = atlas_ventricles & csf
    if not seed.any():
        return seed
    near = _distance(~atlas_ventricles, spacing) <= NEAR_MM
    surface = csf & ~near & (_distance(tissues > 0, spacing) < OUTER_MM)
    between = csf & ~near & _closed(atlas == index["thalamus"], BETWEEN_MM, spacing)
    markers = np.where(seed, 1, np.where(surface | between, 2, 0))
    basin = watershed(-_distance(csf, spacing), markers, mask=csf) == 1
    found = ndimage.binary_propagation(seed, mask=basin | (csf & near))
    inner = ndimage.binary_erosion(found)
    white = tissues == WM
    if not (inner.any() and white.any()):
        return found
    half = (np.median(t1w[inner]) + np.median(t1w[white])) / 2
    grey = (tissues == GM) & (atlas != index["thalamus"])
    grey &= atlas != index["subcortical_grey_matter"]
    return found | (grey & (t1w < half) & ndimage.binary_dilation(found))


def _distance(inside: np.ndarray, spacing) -> np.ndarray:
    """Distance in mm of every voxel to the nearest one outside."""
    return ndimage.distance_transform_edt(inside, sampling=spacing)


def _closed(region: np.ndarray, reach_mm: float, spacing) -> np.ndarray:
    """A region with what lies between its parts; empty where it is."""
    if not region.any():
        return region
    return _distance(_distance(~region, spacing) <= reach_mm, spacing) > reach_mm


def network_regions(labels: np.ndarray, index: dict[str, int]) -> np.ndarray:
    """Region index (x, y, z) of a network's labels, which then stand for the atlas's.

    Parameters
    ----------
    labels : (x, y, z), numbered as in ``resources/meshnet_labels.tsv``
    index : region name -> label
    """
    known = pd.read_csv(resource("meshnet_labels.tsv"), sep="\t")
    numbers = known.set_index("index")["region"].map(index).fillna(0).astype(np.uint8)
    return numbers.to_numpy()[labels.astype(int)]
