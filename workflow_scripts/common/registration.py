"""Registration of two images by ANTs, with the settings that all rules share."""

import numpy as np
from skimage.transform import resize

from workflow_scripts.common.antspyx import ants

# Of the voxels of the fixed image, for the linear stages. With ANTsPy's 0.2 they take
# two to three times as long and end in the same place (0.2 to 0.5 mm from the truth on
# simulated heads, either way).
SAMPLING_RATE = 0.05


def coarsened(image: ants.ANTsImage, least_mm: float) -> ants.ANTsImage:
    """An image averaged to voxels of at least ``least_mm`` along each axis."""
    extent = np.array(image.shape) * image.spacing
    shape = np.minimum(image.shape, np.maximum(1, np.round(extent / least_mm))).astype(int)
    spacing = extent / shape
    data = resize(image.numpy(), shape, order=1, mode="edge", anti_aliasing=True)
    corner = image.origin + image.direction @ ((spacing - image.spacing) / 2)
    return ants.from_numpy(data, corner.tolist(), spacing.tolist(), image.direction)


def part_of(image: ants.ANTsImage, box: tuple[slice, ...]) -> ants.ANTsImage:
    """A part of an image, in its place."""
    steps = [one.start * size for one, size in zip(box, image.spacing, strict=True)]
    corner = image.origin + image.direction @ steps
    return ants.from_numpy(image.numpy()[box], corner.tolist(), image.spacing, image.direction)


def register_images(
    fixed: ants.ANTsImage, moving: ants.ANTsImage, kind: str, prefix: str, **options
) -> dict:
    """Register ``moving`` to ``fixed`` by Mattes mutual information, the same on every run.

    Parameters
    ----------
    kind : ``Rigid``, ``Affine``, ``SyN`` (affine, then SyN) or ``SyNOnly``
    prefix : start of the names of the transform files
    options : further arguments of ``ants.registration``

    Returns
    -------
    What ``ants.registration`` returns: fwdtransforms, invtransforms, warpedmovout, ...
    """
    return ants.registration(
        fixed,
        moving,
        kind,
        outprefix=prefix,
        aff_metric="mattes",
        aff_random_sampling_rate=SAMPLING_RATE,
        random_seed=1,
        **options,
    )


def from_template(
    image: ants.ANTsImage, onto: ants.ANTsImage, transforms: list[str], **options
) -> np.ndarray:
    """An image of the template brought to the grid of a subject's image.

    Parameters
    ----------
    transforms : files ``[affine]`` or ``[affine, warp, inverse warp]`` from subject to template
    options : further arguments of ``ants.apply_transforms``

    Returns
    -------
    (x, y, z) of ``onto``
    """
    affine, *warps = transforms
    steps, inverted = [affine, *warps[1:]], [True] + [False] * len(warps[1:])
    return ants.apply_transforms(onto, image, steps, whichtoinvert=inverted, **options).numpy()
