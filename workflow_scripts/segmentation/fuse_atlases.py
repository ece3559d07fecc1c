"""A region from other participants' masks: registered, and fused by how alike the images are."""

import tempfile
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_dilation

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.engines import SIDES
from workflow_scripts.common.job import InputError
from workflow_scripts.common.registration import coarsened, part_of, register_images

AROUND_MM, COARSE_MM = 14.0, 3.0
MASK_VOXELS = 3
# Of Wang et al. 2013: sharpness of the weights, radius of the patches in voxels.
BETA, RADIUS, SEARCH = 4, 2, 1
ITERATIONS = (40, 20)
EVERY = 4  # voxel of the template that is compared


class Atlas(NamedTuple):
    """A participant whose region was drawn by hand.

    Attributes
    ----------
    t1w, sides : paths of the T1w and of the label image on its grid
    normalized : path of the brain in MNI152
    transforms : from the T1w to MNI152, see `from_template`
    """

    t1w: str
    sides: str
    normalized: str
    transforms: list[str]


def most_alike(normalized: str, atlases: list[Atlas], number: int) -> list[Atlas]:
    """The ``number`` atlases whose brains correlate best with one in MNI152; all of fewer."""
    if len(atlases) <= number:
        return atlases
    brains = [_sampled(path) for path in (normalized, *(one.normalized for one in atlases))]
    likeness = [np.corrcoef(brains[0], brain)[0, 1] for brain in brains[1:]]
    best = np.argsort(-np.array(likeness), kind="stable")[:number]
    return [atlases[place] for place in sorted(best)]


def _sampled(path: str) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)[::EVERY, ::EVERY, ::EVERY].ravel()


def onto(fixed: ants.ANTsImage, transforms: list[str], atlas: Atlas):
    """T1w and label image of an atlas on the grid of a subject's image, through MNI152.

    Parameters
    ----------
    transforms : from the subject's T1w to MNI152
    """
    affine, *warps = transforms
    steps = [affine, *warps[1:], *atlas.transforms[1:2], atlas.transforms[0]]
    inverted = [True] + [False] * (len(steps) - 1)
    return [
        ants.apply_transforms(
            fixed, ants.image_read(path), steps, interpolator=how, whichtoinvert=inverted
        )
        for path, how in ((atlas.t1w, "linear"), (atlas.sides, "genericLabel"))
    ]


def fuse(t1w: ants.ANTsImage, transforms: list[str], atlases: list[Atlas]) -> np.ndarray:
    """Probabilities (left and right, x, y, z) of a region on the grid of a T1w.

    Every atlas is brought to the T1w through MNI152, then registered to it by SyN within
    `AROUND_MM` of the region, and the labels are fused: Wang et al. 2013,
    10.1109/TPAMI.2012.143, as ANTs has it.

    Parameters
    ----------
    transforms : of the T1w to MNI152
    atlases : at least two
    """
    found = np.zeros((2, *t1w.shape), np.float32)
    box = _box_around(t1w, transforms, atlases)
    target = part_of(t1w, box)
    images, fused = [], []
    for atlas in atlases:
        near, sides = onto(target, transforms, atlas)
        with tempfile.TemporaryDirectory() as folder:
            options = {"reg_iterations": ITERATIONS, "syn_metric": "mattes"}
            made = register_images(target, near, "SyNOnly", f"{folder}/", **options)
            steps = made["fwdtransforms"]
            images.append(_even(ants.apply_transforms(target, near, steps)))
            fused.append(ants.apply_transforms(target, sides, steps, interpolator="genericLabel"))
    anywhere = binary_dilation(sum(one.numpy() > 0 for one in fused) > 0, iterations=MASK_VOXELS)
    with tempfile.TemporaryDirectory() as folder:
        made = ants.joint_label_fusion(
            _even(target),
            target.new_image_like(anywhere.astype(np.float32)),
            images,
            label_list=fused,
            beta=BETA,
            rad=RADIUS,
            r_search=SEARCH,
            nonnegative=True,
            output_prefix=f"{folder}/",
        )
    maps = dict(zip(made["segmentation_numbers"], made["probabilityimages"], strict=True))
    for place, number in enumerate(SIDES.values()):
        if number in maps:
            found[place][box] = maps[number].numpy()
    return found


def _even(image: ants.ANTsImage) -> ants.ANTsImage:
    """An image with mean 0 and standard deviation 1."""
    data = image.numpy()
    return image.new_image_like(((data - data.mean()) / max(data.std(), 1e-6)).astype(np.float32))


def _box_around(t1w: ants.ANTsImage, transforms, atlases: list[Atlas]) -> tuple[slice, ...]:
    """The part of a T1w within `AROUND_MM` of the regions of all atlases."""
    coarse = coarsened(t1w, COARSE_MM)
    inside = sum(onto(coarse, transforms, atlas)[1].numpy() > 0 for atlas in atlases) > 0
    if not inside.any():
        raise InputError(
            f"{atlases[0].sides}: no region of any atlas lies within the T1w; look at the "
            "registrations to MNI152"
        )
    step = np.array(t1w.shape) / coarse.shape
    margin = np.round(AROUND_MM / np.array(t1w.spacing))
    low, high = (edge(np.argwhere(inside), axis=0) * step for edge in (np.min, np.max))
    low = np.maximum(np.floor(low - margin), 0).astype(int)
    high = np.minimum(np.ceil(high + step + margin), t1w.shape).astype(int)
    return tuple(map(slice, low, high))
