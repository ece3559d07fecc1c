"""Brain extraction by registration, for heads on which the network fails.

The template at hand is a brain without a head, and a brain registers badly to a
head. So a head is put around it: CSF, skull and scalp as shells of fixed width.
"""

import tempfile

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import load_scan

# outer border of each shell in mm from the brain, intensity relative to white matter
SHELLS = {"csf": (3.0, 0.25), "skull": (8.0, 0.08), "scalp": (14.0, 0.9)}
PADDING_MM = 30
METRIC_MARGIN_MM = 20.0
FACE_AND_NECK_BELOW_MM = -40.0
HEAD_HEIGHT_MM = 150.0
# So many at the finest level that the mask no longer depends on the scale of the intensities:
# with antspyx's ten its volume did by 1 %.
ITERATIONS = (2100, 1200, 1200, 200)


def head_template(
    brain: nib.Nifti1Image, brain_mask: nib.Nifti1Image
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A head around the template's brain.

    Returns
    -------
    head, metric_mask, brain_mask : (x, y, z), padded by 30 mm; the metric mask
        leaves out face and neck, which the shells do not resemble
    affine : (4, 4) of the padded grid
    """
    spacing = np.abs(np.diag(brain.affine)[:3])
    width = [round(PADDING_MM / size) for size in spacing]
    pad = [(n, n) for n in width]
    head = np.pad(brain.get_fdata(), pad)
    mask = np.pad(np.asanyarray(brain_mask.dataobj) > 0, pad)
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inner = 0.0
    for outer, intensity in SHELLS.values():
        head[(distance > inner) & (distance <= outer)] = intensity
        inner = outer
    affine = brain.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ width
    z = affine[2, 3] + affine[2, 2] * np.arange(head.shape[2])
    metric_mask = (distance <= METRIC_MARGIN_MM) & (z > FACE_AND_NECK_BELOW_MM)
    return head, metric_mask, mask, affine


def crop_neck(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Set all that lies more than 150 mm below the top of the head to zero."""
    height = affine[2, 3] + sum(
        affine[2, axis] * np.arange(n).reshape([-1 if i == axis else 1 for i in range(3)])
        for axis, n in enumerate(data.shape)
    )
    foreground = data > threshold_otsu(data) / 2
    top = np.percentile(np.broadcast_to(height, data.shape)[foreground], 99.5)
    return np.where(height > top - HEAD_HEIGHT_MM, data, 0)


def template_mask(t1w: str, brain: str, brain_mask: str) -> np.ndarray:
    """Brain mask of a T1w from an affine registration of the template's head.

    Parameters
    ----------
    t1w : path of the T1w
    brain, brain_mask : paths of the template's brain and its mask

    Returns
    -------
    (x, y, z) bool on the grid of the T1w
    """
    head, metric_mask, mask, affine = head_template(nib.load(brain), nib.load(brain_mask))
    image = load_scan(t1w)
    data = crop_neck(image.get_fdata(), image.affine)
    moving = nib.Nifti1Image(np.minimum(data, np.percentile(data, 99)), image.affine)
    with tempfile.TemporaryDirectory() as folder:
        images = []
        for name, content in (("head", head), ("metric", metric_mask), ("mask", mask)):
            path = f"{folder}/{name}.nii.gz"
            nib.save(nib.Nifti1Image(content.astype(np.float32), affine), path)
            images.append(ants.image_read(path))
        nib.save(moving, f"{folder}/moving.nii.gz")
        moving = ants.image_read(f"{folder}/moving.nii.gz")
        fixed, fixed_mask, template_brain = images
        found = ants.registration(
            fixed, moving, "Affine", mask=fixed_mask, outprefix=f"{folder}/", random_seed=1,
            aff_iterations=ITERATIONS,
        )  # fmt: skip
        warped = ants.apply_transforms(
            moving,
            template_brain,
            found["invtransforms"],
            interpolator="nearestNeighbor",
            whichtoinvert=[True],
        )
    return warped.numpy() > 0.5
