"""Make the head every simulated subject is a deformed copy of, from the MNI152 template.

The phantom is one 4D image on a 1 mm grid in MNI152NLin2009aSym space. Its volumes are named
by `CHANNELS`; values are fractions of a voxel (0..1), stored in 8 bits.
"""

import nibabel as nib
import numpy as np
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_gm_template,
    load_mni152_template,
    load_mni152_wm_template,
)
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter, label

from workflow_scripts.common.atlas import atlas_regions, named_regions
from workflow_scripts.common.job import job
from workflow_scripts.demo.images import (
    BORDER_REACH_MM,
    CHANNELS,
    PUSH_AT_WALL,
    save_fractions,
)

LOWEST_Z, HIGHEST_Z = -120, 104
CLOSING_MM = 8.0
CSF_RIM_MM = 1.0
CSF_WEIGHT = 4.0
INNER_TABLE_MM, MARROW_MM, OUTER_TABLE_MM, SCALP_MM = 1.5, 4.5, 6.0, 11.0
FAT_MM = 4.0
CORD_DEPTH_MM = 3.0
POINT_SPREAD_MM = 0.5
PUSH_SMOOTHING_MM, INNER_PUSH_MM = 4.0, 40.0
THALAMUS_REACH_MM = 12.0


def template_maps():
    """GM, WM and T1 of nilearn's MNI152 and its brain mask at 1 mm, grown to hold a head.

    The template ends in the brainstem; its last slice is repeated downwards for the cord.

    Returns
    -------
    gm, wm, t1 : (x, y, z) float32 arrays
    mask : (x, y, z) bool array, true in the template's brain mask and in the cord
    affine : (4, 4) array, voxel to MNI mm
    """
    images = [
        load_mni152_gm_template(resolution=1),
        load_mni152_wm_template(resolution=1),
        load_mni152_template(resolution=1),
        load_mni152_brain_mask(resolution=1),
    ]
    affine = images[0].affine.copy()
    below = round(affine[2, 3] - LOWEST_Z)
    above = HIGHEST_Z - LOWEST_Z - below - images[0].shape[2]
    affine[2, 3] = LOWEST_Z
    maps = []
    for image in images:
        data = np.pad(image.get_fdata(dtype="f4"), ((0, 0), (0, 0), (0, max(above, 0))))
        maps.append(np.pad(data, ((0, 0), (0, 0), (below, 0)), mode="edge"))
    gm, wm, t1, mask = maps
    return gm, wm, t1, mask > 0, affine


def depth_in(mask):
    """Distance in voxels of each voxel of ``mask`` from the nearest one outside; 0 outside."""
    box = _box(mask, 1)
    depth = np.zeros(mask.shape)
    depth[box] = distance_transform_edt(mask[box])
    return depth


def distance_from(mask, reach):
    """Distance in voxels from ``mask``, 0 inside, infinite where it is more than ``reach``."""
    box = _box(mask, int(np.ceil(reach)))
    distance = np.full(mask.shape, np.inf)
    found = distance_transform_edt(~mask[box])
    distance[box] = np.where(found <= reach, found, np.inf)
    return distance


def _box(mask, margin):
    (box,) = find_objects(mask.astype("u1"))
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)


def inside_dura(mask, closing=CLOSING_MM, rim=CSF_RIM_MM):
    """Brain with the cerebrospinal fluid around it: the mask closed and grown by ``rim`` voxels."""
    return depth_in(distance_from(mask, closing + rim) < np.inf) > closing


def crisp_tissues(gm, wm, dura, csf_weight=CSF_WEIGHT):
    """One tissue per voxel: the likeliest of CSF, GM and WM inside the dura.

    A single subject's anatomy is sharp, the average of many is not. CSF, which averaging
    washes out of the sulci, counts ``csf_weight`` times.

    Returns
    -------
    (3, x, y, z) bool array of CSF, GM, WM; they do not overlap and fill the dura.
    """
    csf = csf_weight * np.clip(1 - gm - wm, 0, 1)
    winner = np.argmax(np.stack([csf, gm, wm]), axis=0)
    return np.stack([(winner == k) & dura for k in range(3)])


def lateral_ventricles(csf, narrow_csf, brain, atlas, depth=20.0, lowest=100, reach=3):
    """CSF of the lateral ventricles.

    Their core is, on each side, the largest pool of ``narrow_csf`` deep in the brain that does
    not touch the midline; to it comes the CSF within ``reach`` mm of it, off the midline, and
    that of the atlas's ventricles, where the frontal horns meet.

    Parameters
    ----------
    csf, narrow_csf, brain : (x, y, z) bool arrays, 1 mm voxels, x symmetric about its middle
    atlas : (x, y, z) bool array, lateral ventricles of an atlas
    depth : least distance of the core from the surface of ``brain`` in mm
    lowest : first slice in which a ventricle may lie

    Returns
    -------
    (x, y, z) bool array
    """
    deep = narrow_csf & (depth_in(brain) > depth)
    deep[:, :, :lowest] = False
    middle = deep.shape[0] // 2
    core = np.zeros_like(deep)
    for side in (slice(0, middle), slice(middle + 1, None)):
        pools, _ = label(deep[side])
        core[side] = pools == 1 + np.argmax(np.bincount(pools.ravel())[1:])
    near = distance_from(core, reach) < np.inf
    near[middle - 1 : middle + 2] = False
    return csf & (near | atlas)


def push_of(structure, within):
    """How far the walls of a structure take a point along: `PUSH_AT_WALL` at the wall.

    From there it falls to 0 at the border of ``within`` with the share of the way, so that what
    lies between is pressed together as a whole; inside it rises, by 1 in `INNER_PUSH_MM`.
    """
    box = _box(within, 0)
    beyond = np.zeros(within.shape)
    beyond[box] = distance_transform_edt(~structure[box])
    left = depth_in(within)
    share = left / np.maximum(left + beyond, 1) + depth_in(structure) / INNER_PUSH_MM
    return np.clip(PUSH_AT_WALL * gaussian_filter(share, PUSH_SMOOTHING_MM), 0, 1)


def depth_in_mm(inside):
    """Distance in mm of each voxel from the border of ``inside``, below 0 outside.

    Returns
    -------
    (x, y, z) array, 0..1 for -`BORDER_REACH_MM`..`BORDER_REACH_MM`, what lies further held there
    """
    box = _box(inside, int(BORDER_REACH_MM) + 1)
    depth = np.full(inside.shape, -BORDER_REACH_MM)
    signed = distance_transform_edt(inside[box]) - distance_transform_edt(~inside[box])
    # of two neighbours, one is half a voxel inside and one half a voxel outside
    depth[box] = signed - 0.5 * np.sign(signed)
    return 0.5 + np.clip(depth, -BORDER_REACH_MM, BORDER_REACH_MM) / (2 * BORDER_REACH_MM)


def head_tissues(dura, affine):
    """Bone, marrow, fat and muscle around the dura, in mm from it; face and neck below.

    Returns
    -------
    bone, marrow, fat, muscle : (x, y, z) bool arrays that do not overlap
    """
    x, y, z = (
        affine[a, a] * np.arange(n).reshape(np.roll((-1, 1, 1), a)) + affine[a, 3]
        for a, n in enumerate(dura.shape)
    )
    outside = distance_from(dura, SCALP_MM)
    face = (x / 60) ** 2 + ((y - 32) / 58) ** 2 + ((z + 72) / 66) ** 2 < 1
    neck = ((x / 54) ** 2 + ((y + 28) / 50) ** 2 < 1) & (z < -55)
    head = gaussian_filter((face | neck | (outside <= SCALP_MM)).astype("f4"), 5) > 0.5
    head |= outside <= SCALP_MM
    nose = (x / 11) ** 2 + ((y - 62) / 24) ** 2 + ((z + 66) / 20) ** 2 < 1
    throat = (x / 9) ** 2 + ((y - 18) / 8) ** 2 + ((z + 100) / 40) ** 2 < 1
    sinus = ((np.abs(x) - 30) / 13) ** 2 + ((y - 52) / 15) ** 2 + ((z + 68) / 15) ** 2 < 1
    air = nose | throat | sinus
    skull = (outside > 0) & (outside <= OUTER_TABLE_MM)
    marrow = (outside > INNER_TABLE_MM) & (outside <= MARROW_MM) & (z > -45)
    soft = head & (outside > OUTER_TABLE_MM) & ~air
    fat = soft & (depth_in(head) <= FAT_MM)
    return skull & ~marrow, marrow, fat, soft & ~fat


def texture(t1, gm, wm, dura):
    """What the template's T1 shows beyond its tissue fractions, relative to its white matter.

    The residual of the least-squares fit of T1 by CSF, GM and WM, smoothed by 2 mm and held
    within +-0.1.

    Returns
    -------
    (x, y, z) float32 array, 0.5 where there is nothing to add, 0..1 for -0.5..+0.5
    """
    inside = dura & (t1 > 0.05)
    design = np.stack([np.clip(1 - gm - wm, 0, 1)[inside], gm[inside], wm[inside]], axis=1)
    weights = np.linalg.lstsq(design, t1[inside], rcond=None)[0]
    residual = np.zeros_like(t1)
    residual[inside] = (t1[inside] - design @ weights) / weights[2]
    return 0.5 + np.clip(gaussian_filter(residual, 2), -0.1, 0.1)


def build(lowest_brain=-72):
    """Phantom of the head.

    Returns
    -------
    (x, y, z, channel) float32 array, channels as in `CHANNELS`
    affine : (4, 4) array, voxel to MNI mm
    """
    gm, wm, t1, mask, affine = template_maps()
    dura = inside_dura(mask)
    csf_gm_wm = crisp_tissues(gm, wm, dura)
    bone, marrow, fat, muscle = head_tissues(dura, affine)
    below = np.zeros_like(dura)
    below[:, :, : round(lowest_brain - affine[2, 3])] = True
    cord = below & (depth_in(dura) > CORD_DEPTH_MM)
    muscle |= dura & below & ~cord
    narrow_csf = crisp_tissues(gm, wm, dura, csf_weight=2.0)[0]
    named = named_regions()
    atlas = atlas_regions(nib.Nifti1Image(gm, affine), named)
    regions = named.set_index("region")["index"]
    ventricles = lateral_ventricles(csf_gm_wm[0], narrow_csf, mask, atlas == regions["ventricles"])
    thalamus = (atlas == regions["thalamus"]) & ~csf_gm_wm[0]
    sharp = [*(csf_gm_wm & ~below), bone, marrow, fat, muscle, cord, ventricles, thalamus]
    maps = [gaussian_filter(one.astype("f4"), POINT_SPREAD_MM) for one in sharp]
    maps += [
        texture(t1, gm, wm, dura),
        depth_in_mm(dura & ~below & (~csf_gm_wm[0] | ventricles)),
        depth_in_mm(csf_gm_wm[2] & ~below),
        push_of(ventricles, dura),
        push_of(thalamus, distance_from(thalamus, THALAMUS_REACH_MM) < np.inf),
    ]
    assert len(maps) == len(CHANNELS)
    return np.moveaxis(np.stack(maps), 0, -1), affine


def main(source, out, params):
    """Write the phantom."""
    save_fractions(*build(), out.phantom)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
