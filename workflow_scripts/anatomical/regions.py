"""Regions of a subject from atlas labels and the subject's own tissues."""

import numpy as np
import pandas as pd
from scipy import ndimage

from workflow_scripts.common.resources import resource

CSF, GM, WM = 1, 2, 3
VENTRICLE_GROWTH_MM = 4.0


def subject_regions(
    atlas: np.ndarray, tissues: np.ndarray, index: dict[str, int], spacing: tuple[float, ...]
) -> np.ndarray:
    """Label image of the regions of one subject.

    Brainstem, thalamus and subcortical grey matter are the atlas's labels where
    the subject has tissue (GM or WM). The ventricles are the subject's CSF that
    is connected to the CSF under the atlas's ventricles and at most 4 mm away
    from them, so that enlarged ventricles are not cut at the atlas's border.
    White and grey matter are the tissues outside all of these.

    Parameters
    ----------
    atlas : (x, y, z) region index of the atlas in the subject's space, 0 outside
    tissues : (x, y, z) 0 outside the brain, 1 CSF, 2 GM, 3 WM
    index : region name -> label
    spacing : voxel size in mm

    Returns
    -------
    (x, y, z) uint8
    """
    result = np.zeros(atlas.shape, np.uint8)
    result[tissues == WM] = index["white_matter"]
    result[tissues == GM] = index["grey_matter"]
    solid = (tissues == GM) | (tissues == WM)
    for region in ("subcortical_grey_matter", "brainstem", "thalamus"):
        result[(atlas == index[region]) & solid] = index[region]
    result[_ventricles(atlas == index["ventricles"], tissues == CSF, spacing)] = index["ventricles"]
    return result


def network_regions(labels: np.ndarray, tissues: np.ndarray, index: dict[str, int]) -> np.ndarray:
    """Label image (x, y, z) uint8 of the regions of one subject, from a network's labels.

    Parameters
    ----------
    labels : (x, y, z), numbered as in ``resources/meshnet_labels.tsv``
    tissues : (x, y, z) 0 outside the brain, 1 CSF, 2 GM, 3 WM; give what no region has
    index : region name -> label
    """
    result = np.zeros(labels.shape, np.uint8)
    result[tissues == WM] = index["white_matter"]
    result[tissues == GM] = index["grey_matter"]
    known = pd.read_csv(resource("meshnet_labels.tsv"), sep="\t").dropna(subset="region")
    for label, region in zip(known["index"], known["region"], strict=True):
        result[labels == label] = index[region]
    return result


def _ventricles(atlas: np.ndarray, csf: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    seed = atlas & csf
    if not seed.any():
        return seed
    near = ndimage.distance_transform_edt(~atlas, sampling=spacing) <= VENTRICLE_GROWTH_MM
    return ndimage.binary_propagation(seed, mask=csf & near)
